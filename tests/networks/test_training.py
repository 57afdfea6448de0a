"""The reference classifier learns what it should, from the rows it may see, and says what it lacks."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torch import nn

from discs import REFERENCE, write_manifest
from isotone.data.manifests.manifest import Manifest
from isotone.errors import IsotoneError, UsageError
from isotone.networks.classifier import Classifier
from isotone.networks.resnet import ResNet50
from isotone.networks.training.train import TrainSettings, fit_classifier, train_classifier
from samples import SIDE, draw_samples

QUICK = TrainSettings.small(image_size=SIDE, epochs=12, batch_size=16)


def accuracy(classifier: Classifier, seed: int, gamma: float = 1.0) -> float:
    samples = draw_samples(40, seed=seed, gamma=gamma)
    scores = classifier.predict(np.stack([s.prepared for s in samples]))
    chosen = np.array(classifier.config.classes)[scores.argmax(1)]
    return float(np.mean([c == s.label for c, s in zip(chosen, samples, strict=True)]))


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return fit_classifier(draw_samples(80), draw_samples(40, seed=1), QUICK, reference_domains=["Ref One"], quiet=True)


def test_the_small_network_learns_the_classes_and_depends_on_the_tone(classifier: Classifier) -> None:
    assert accuracy(classifier, seed=2) >= 0.95
    assert accuracy(classifier, seed=2, gamma=3.0) <= 0.6


def test_it_is_frozen_and_says_how_it_was_trained(classifier: Classifier) -> None:
    assert not classifier.module.training
    assert not any(p.requires_grad for p in classifier.module.parameters())
    config = classifier.config
    assert (config.backbone, config.classes, config.reference_domains) == ("small", ("bright", "dim"), ("Ref One",))
    assert config.training["seed"] == 0
    assert config.training["val_worst_group_accuracy"] == 1.0


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(classifier: Classifier) -> None:
    def weights(seed: int) -> list[torch.Tensor]:
        again = fit_classifier(draw_samples(80), draw_samples(40, seed=1), QUICK, seed=seed, quiet=True)
        return list(again.module.state_dict().values())

    mine = classifier.module.state_dict().values()
    assert all(torch.equal(a, b) for a, b in zip(mine, weights(0), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(mine, weights(1), strict=True))


def test_the_defaults_are_the_papers() -> None:
    settings = TrainSettings()
    assert (settings.backbone, settings.image_size, settings.batch_size, settings.epochs) == ("resnet50", 512, 12, 1000)
    assert (settings.learning_rate, settings.reduce_after, settings.stop_after) == (1e-4, 25, 25)
    assert (settings.flip, settings.dropout) == (True, 0.5)


def test_every_setting_is_described_and_a_typo_is_refused() -> None:
    assert all(field.description for field in TrainSettings.model_fields.values())
    with pytest.raises(ValidationError):
        TrainSettings(epoch=3)  # type: ignore[call-arg]


@pytest.mark.slow
def test_resnet_50_trains_from_pretrained_weights_with_their_scaling(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = ResNet50(nn.Identity(), keras=True).state_dict()
    torch.save(state, tmp_path / "keras.pth")
    settings = TrainSettings(weights=tmp_path / "keras.pth", image_size=SIDE, epochs=1, learning_rate=1e-12)
    trained = fit_classifier(draw_samples(8), draw_samples(4, seed=1), settings, quiet=True)
    assert trained.config.backbone == "resnet50-keras"
    assert trained.config.mean == pytest.approx((103.939 / 255, 116.779 / 255, 123.68 / 255))
    assert trained.config.training["weights"] == "radimagenet-keras"
    torch.testing.assert_close(trained.module.conv1.weight, state["conv1.weight"])
    assert [m.out_features for m in trained.module.fc if isinstance(m, nn.Linear)] == [1024, 512, 2]


@pytest.mark.slow
def test_the_authors_scaling_is_plain_grey_levels(tmp_path: Path) -> None:
    torch.save(ResNet50(nn.Identity()).state_dict(), tmp_path / "plain.pth")
    settings = TrainSettings(weights=tmp_path / "plain.pth", scaling="unit", image_size=SIDE, epochs=1, batch_size=8)
    trained = fit_classifier(draw_samples(8), draw_samples(4, seed=1), settings, quiet=True)
    assert (trained.config.mean, trained.config.std) == ((0, 0, 0), (1, 1, 1))


def test_the_small_network_takes_no_pretrained_weights(tmp_path: Path) -> None:
    settings = TrainSettings.small(weights=tmp_path / "x.pth", image_size=SIDE)
    with pytest.raises(IsotoneError, match="small network") as caught:
        fit_classifier(draw_samples(8), draw_samples(4), settings, quiet=True)
    assert caught.value.code == "E_WEIGHTS"


def test_a_label_with_a_single_image_is_refused() -> None:
    train = [*draw_samples(6, classes=("dim",)), draw_samples(1, classes=("bright",))[0]]
    with pytest.raises(IsotoneError, match="'bright' has a single") as caught:
        fit_classifier(train, draw_samples(4), QUICK, quiet=True)
    assert caught.value.code == "E_DATA"


def test_one_label_alone_is_refused() -> None:
    with pytest.raises(IsotoneError, match="1 label"):
        fit_classifier(draw_samples(6, classes=("dim",)), draw_samples(4), QUICK, quiet=True)


def test_a_label_that_only_validation_has_is_refused() -> None:
    val = draw_samples(4, classes=("dim", "bright"))
    with pytest.raises(IsotoneError, match="label"):
        fit_classifier(draw_samples(8, classes=("dim", "dim")), val, QUICK, quiet=True)


def test_no_validation_image_is_refused() -> None:
    with pytest.raises(IsotoneError, match="val"):
        fit_classifier(draw_samples(8), [], QUICK, quiet=True)


def test_from_a_manifest_test_rows_and_other_domains_change_no_byte(tmp_path: Path) -> None:
    manifest = Manifest.read(write_manifest(tmp_path))
    settings = TrainSettings.small(image_size=16, epochs=2, batch_size=8)
    table = manifest.table
    seen = Manifest(table[(table["split"] != "test") & (table["domain"] == REFERENCE)])
    for name, rows in (("all", manifest), ("seen", seen)):
        train_classifier(rows, [REFERENCE], settings, workers=0, quiet=True).save(tmp_path / name)
    for file in ("config.json", "model.safetensors"):
        assert (tmp_path / "all" / file).read_bytes() == (tmp_path / "seen" / file).read_bytes()


def test_an_image_that_cannot_be_read_is_named_and_the_rest_is_used(tmp_path: Path) -> None:
    path = write_manifest(tmp_path)
    table = pd.read_csv(path)
    broken = tmp_path / table.loc[(table["split"] == "train") & (table["domain"] == REFERENCE), "path"].iloc[0]
    broken.write_bytes(b"no image")
    refused: list[IsotoneError] = []
    settings = TrainSettings.small(image_size=16, epochs=1, batch_size=8)
    train_classifier(Manifest.read(path), [REFERENCE], settings, workers=0, quiet=True, on_refusal=refused.append)
    assert [error.file for error in refused] == [str(broken)]


def test_a_domain_without_labels_or_not_in_the_manifest_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    rows = {"path": [str(tmp_path / "a.png")], "domain": ["Ref One"], "split": ["train"]}
    manifest = Manifest(pd.DataFrame(rows))
    with pytest.raises(UsageError, match="labelled"):
        train_classifier(manifest, ["Ref One"], QUICK, workers=0, quiet=True)
    with pytest.raises(UsageError, match="Src Two"):
        train_classifier(manifest, ["Src Two"], QUICK, workers=0, quiet=True)
