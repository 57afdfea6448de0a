"""The paper's fit, and one curve by the same loss: what they optimize, and that they mend a darker scanner."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from isotone.curves.stages import Affine, InverseStep, Step
from isotone.curves.tone_curve import ToneCurve
from isotone.errors import IsotoneError
from isotone.evaluation.reproduction.curve_by_task_loss import LearnedCurve, fit_curve_by_task
from isotone.networks.classifier import Classifier
from isotone.networks.enhancer import PixelEnhancer
from isotone.networks.gdce import GDCE
from isotone.networks.losses import perceptual_loss, pooled, task_loss
from isotone.networks.training import fit_gdce as module
from isotone.networks.training.fit_gdce import GDCESettings, fit_enhancer, fit_gdce
from isotone.networks.training.learned import SATURATED, learned, saturated_share, warnings_of
from isotone.networks.training.score import LEAST, MARGIN, worst_group_accuracy
from isotone.networks.training.task import Labelled, losses
from isotone.networks.training.train import TrainSettings, fit_classifier
from samples import CLASSES, SIDE, draw_samples

GAMMA = 2.5
LABELS = list(CLASSES)
QUICK = GDCESettings.quick(
    num_layers=3, input_size=16, loss="sum", batch_size=12, epochs=3, learning_rate=3e-3, second_learning_rate=None
)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    settings = TrainSettings.small(image_size=SIDE, epochs=12, batch_size=16)
    return fit_classifier(draw_samples(80), draw_samples(40, seed=1), settings, quiet=True)


def score(classifier: Classifier, harmonize: object) -> float:
    """Worst-group accuracy on new images of the darker scanner."""
    samples = draw_samples(40, gamma=GAMMA, seed=9)
    images = torch.from_numpy(np.stack([s.prepared for s in samples]))[:, None]
    with torch.no_grad():
        harmonized = harmonize(images)[:, 0].numpy()  # type: ignore[operator]
    chosen = np.array(classifier.config.classes)[classifier.predict(harmonized).argmax(1)]
    return worst_group_accuracy([s.label for s in samples], chosen)


def fit(
    classifier: Classifier, settings: GDCESettings, seed: int = 0, images: int = 24
) -> tuple[GDCE, list[dict[str, float]]]:
    source, val = draw_samples(48, gamma=GAMMA, seed=3), draw_samples(images, gamma=GAMMA, seed=4)
    return fit_gdce(source, draw_samples(48, seed=5), val, classifier, settings, seed=seed, quiet=True)


def test_the_network_mends_a_darker_scanner(classifier: Classifier) -> None:
    network, rows = fit(classifier, QUICK.model_copy(update={"epochs": 12}))
    assert score(classifier, nn.Identity()) <= 0.5
    assert score(classifier, network) >= 0.9
    assert rows[-1]["task_loss"] < rows[0]["task_loss"]
    assert not network.training


def test_both_terms_are_those_of_the_paper_with_the_reference_through_the_network_too(classifier: Classifier) -> None:
    torch.manual_seed(0)
    network = GDCE(2, 3)
    s, r = torch.rand(4, 1, SIDE, SIDE), torch.rand(4, 1, SIDE, SIDE)
    y_s, y_r = torch.tensor([0, 1, 0, 1]), torch.tensor([1, 1, 0, 0])
    features = classifier.stage
    perceptual, task = losses(network, classifier, features, (s, y_s), (r, y_r))
    wanted = pooled(features, r)
    by_hand = sum(perceptual_loss(pooled(features, network(x)), wanted) for x in (s, r))
    torch.testing.assert_close(perceptual, by_hand)
    cross = sum(task_loss(classifier.logits(network(x)), y) for x, y in ((s, y_s), (r, y_r)))
    torch.testing.assert_close(task, cross)


def test_without_a_perceptual_network_its_term_is_zero(classifier: Classifier) -> None:
    pair = torch.rand(2, 1, SIDE, SIDE), torch.tensor([0, 1])
    perceptual, task = losses(nn.Identity(), classifier, None, pair, pair)
    assert float(perceptual) == 0
    assert float(task) > 0


@pytest.mark.parametrize(("images", "name"), [(24, "val_loss"), (2 * LEAST, "worst_group_accuracy")])
def test_the_kept_epoch_is_the_last_of_the_best_on_validation(classifier: Classifier, images: int, name: str) -> None:
    """By worst-group accuracy, as the paper has it, where there are images enough for it."""
    _, rows = fit(classifier, QUICK.model_copy(update={"epochs": 6}), images=images)
    score = [-row[name] if name == "val_loss" else row[name] for row in rows]
    last = max(row["epoch"] for row, own in zip(rows, score, strict=True) if own == max(score))
    assert [row["epoch"] for row in rows if row["kept"]] == [last]
    assert {row["learning_rate"] for row in rows} == {QUICK.learning_rate}


def test_a_run_ends_where_its_validation_stops_improving(classifier: Classifier) -> None:
    _, rows = fit(classifier, QUICK.model_copy(update={"epochs": 40, "learning_rate": 1e-2, "stop_after": 2}))
    assert len(rows) < 40
    assert min(row["val_loss"] for row in rows[-2:]) > min(row["val_loss"] for row in rows[:-2]) - MARGIN


@pytest.mark.slow
def test_a_second_rate_is_tried_where_the_first_learns_nothing_and_only_there(classifier: Classifier) -> None:
    idle = QUICK.model_copy(update={"epochs": 8, "learning_rate": 1e-9, "second_learning_rate": 3e-3})
    network, rows = fit(classifier, idle)
    assert [row["learning_rate"] for row in rows] == [1e-9] * 8 + [3e-3] * 8
    assert [row["learning_rate"] for row in rows if row["kept"]] == [3e-3]
    alone, own = fit(classifier, QUICK.model_copy(update={"epochs": 8}))
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), alone.parameters(), strict=True))
    assert learned(own, LABELS)
    assert not learned([*rows[:7], rows[7] | {"kept": 1.0}], LABELS)
    again, rows = fit(classifier, QUICK.model_copy(update={"epochs": 8, "second_learning_rate": 1e-9}))
    assert len(rows) == 8
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), alone.parameters(), strict=True))


def test_a_saturated_network_is_told_by_its_parameters(classifier: Classifier) -> None:
    """A learning rate far too high drives the tanh to its ends within a few epochs."""
    network, rows = fit(classifier, QUICK.model_copy(update={"learning_rate": 1.0}))
    unseen = Labelled.of(draw_samples(24, gamma=GAMMA, seed=4), CLASSES, "the val split")
    share = saturated_share(network, unseen, torch.device("cpu"))
    kept = next(row for row in rows if row["kept"])
    assert share == kept["saturated"] >= SATURATED
    assert warnings_of(rows, LABELS)[0].startswith("W_SATURATED 100 %")
    assert not learned(rows, LABELS)
    assert saturated_share(GDCE(2, 3, 16), unseen, torch.device("cpu")) == 0
    assert saturated_share(nn.Identity(), unseen, torch.device("cpu")) == 0


def test_a_network_behind_which_the_classifier_guesses_is_told_so() -> None:
    rows = [{"kept": 1.0, "saturated": 0.0, "val_loss": loss} for loss in (0.2, 0.7)]
    assert warnings_of(rows[:1], LABELS) == []
    assert [said.split()[0] for said in warnings_of(rows[1:], LABELS)] == ["W_UNLEARNED"]


def test_the_same_seed_gives_the_same_network_and_another_seed_another(classifier: Classifier) -> None:
    first, again, other = (fit(classifier, QUICK, seed)[0].state_dict().values() for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("reshuffle", [False, True])
def test_batches_are_drawn_once_as_the_authors_did_or_anew_each_epoch(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch, reshuffle: bool
) -> None:
    drawn = []

    def spy(*args: object) -> object:
        drawn.append(paired(*args))  # type: ignore[arg-type]
        return drawn[-1]

    paired = module.paired_batches
    monkeypatch.setattr(module, "paired_batches", spy)
    fit(classifier, QUICK.model_copy(update={"reshuffle": reshuffle}))
    orders = {tuple(np.concatenate([s for s, _ in batches]).tolist()) for batches in drawn}
    assert len(orders) == (4 if reshuffle else 1)


def test_the_defaults_are_the_papers() -> None:
    settings = GDCESettings()
    assert (settings.num_layers, settings.num_iterations, settings.epochs, settings.batch_size) == (5, 8, 25, 12)
    assert (settings.learning_rate, settings.loss, settings.weight) == (1e-4, "weighted", 0.95)
    assert (settings.perceptual, settings.reshuffle) == ("vgg16", False)
    assert (settings.stop_after, settings.second_learning_rate) == (None, None)
    assert all(field.description for field in GDCESettings.model_fields.values())
    with pytest.raises(ValidationError):
        GDCESettings(lamda=0.5)  # type: ignore[call-arg]


def test_a_source_without_labels_and_a_label_unknown_to_the_classifier_are_refused(classifier: Classifier) -> None:
    reference = draw_samples(8)
    with pytest.raises(IsotoneError, match="source domain's train split has no labelled") as caught:
        fit_gdce([], reference, draw_samples(4), classifier, QUICK, quiet=True)
    assert caught.value.code == "E_DATA"
    narrow = Classifier.from_module(classifier.module, classes=["dim", "D"], image_size=SIDE, channels=1)
    with pytest.raises(IsotoneError, match="'bright'"):
        fit_gdce(draw_samples(8), reference, draw_samples(4), narrow, QUICK, quiet=True)


@pytest.mark.parametrize(("bidirectional", "affine"), [(False, False), (True, False), (True, True)])
def test_one_curve_by_task_loss_mends_a_darker_scanner(
    classifier: Classifier, bidirectional: bool, affine: bool
) -> None:
    source, val = draw_samples(48, gamma=GAMMA, seed=3), draw_samples(24, gamma=GAMMA, seed=4)
    curve = fit_curve_by_task(
        source, val, classifier, num_iterations=4, bidirectional=bidirectional, affine=affine, epochs=15
    )
    steps = [Step, InverseStep] * 2 if bidirectional else [Step] * 4
    assert [type(stage) for stage in curve.stages] == [Affine] * affine + steps
    assert score(classifier, curve) >= 0.9


def test_the_learned_curve_is_the_same_as_module_and_as_numbers() -> None:
    torch.manual_seed(0)
    network = LearnedCurve(6, bidirectional=True, affine=(1.7, -0.1))
    with torch.no_grad():
        network.steps.normal_()
    x = torch.rand(2, 1, 8, 8)
    curve = network.curve()
    assert isinstance(curve, ToneCurve)
    torch.testing.assert_close(network(x), curve(x), atol=1e-6, rtol=1e-5)
    assert all(isinstance(alpha, float) for alpha in curve.coefficients)


def test_the_pixel_wise_control_starts_as_the_identity_and_keeps_shape_and_range() -> None:
    torch.manual_seed(0)
    images = torch.rand(2, 1, 33, 20)
    network = PixelEnhancer()
    torch.testing.assert_close(network(images), images)
    with torch.no_grad():
        network.last.weight.normal_()
    out = network(images)
    assert out.shape == images.shape
    assert out.min() >= 0
    assert out.max() <= 1


@pytest.mark.slow
def test_the_pixel_wise_control_learns_by_the_same_loss_what_no_curve_can_do(classifier: Classifier) -> None:
    source, val = draw_samples(48, gamma=GAMMA, seed=3), draw_samples(24, gamma=GAMMA, seed=4)
    settings = QUICK.model_copy(update={"epochs": 8})
    network, rows = fit_enhancer(source, draw_samples(48, seed=5), val, classifier, settings, quiet=True)
    assert rows[-1]["task_loss"] < rows[0]["task_loss"]
    flat = torch.full((1, 1, SIDE, SIDE), 0.3)
    flat[..., : SIDE // 2] = 0.1
    with torch.no_grad():
        out = network(flat)
    # One grey level in, many out: a curve would give one.
    assert len(out[flat == 0.1].unique()) > 1
    assert len(ToneCurve([0.5, -0.2])(flat)[flat == 0.1].unique()) == 1
