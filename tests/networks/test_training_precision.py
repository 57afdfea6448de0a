"""Mixed precision computes in bfloat16 where that is safe, and leaves weights, validation and results in float32."""

import numpy as np
import pytest
import torch
from torch import nn

from isotone.networks import forward
from isotone.networks.classifier import Classifier
from isotone.networks.training.fit_gdce import GDCESettings, fit_gdce
from isotone.networks.training.precision import Steps
from isotone.networks.training.score import worst_group_accuracy
from isotone.networks.training.train import TrainSettings, fit_classifier
from samples import SIDE, draw_samples

SETTINGS = TrainSettings.small(image_size=SIDE, epochs=12, batch_size=16, precision="mixed")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return fit_classifier(draw_samples(80), draw_samples(40, seed=1), SETTINGS, quiet=True)


def test_a_classifier_learns_in_mixed_precision_and_its_weights_are_float32(classifier: Classifier) -> None:
    samples = draw_samples(40, seed=2)
    scores = classifier.predict(np.stack([s.prepared for s in samples]))
    chosen = np.array(classifier.config.classes)[scores.argmax(1)]
    assert worst_group_accuracy([s.label for s in samples], chosen) >= 0.9
    assert {p.dtype for p in classifier.module.parameters()} == {torch.float32}
    assert classifier.config.training["precision"] == "mixed"


@pytest.mark.parametrize("precision", ["float32", "mixed"])
def test_training_is_in_the_precision_asked_for_and_validation_in_full(
    monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    seen: dict[bool, set[torch.dtype]] = {True: set(), False: set()}
    plain = forward._called

    def spy(module: nn.Module, images: torch.Tensor) -> object:
        logits = plain(module, images)
        assert isinstance(logits, torch.Tensor)
        seen[module.training].add(logits.dtype)
        return logits

    monkeypatch.setattr(forward, "_called", spy)
    settings = SETTINGS.model_copy(update={"epochs": 1, "precision": precision})
    fit_classifier(draw_samples(40), draw_samples(20, seed=1), settings, quiet=True)
    assert seen == {True: {torch.bfloat16 if precision == "mixed" else torch.float32}, False: {torch.float32}}


def test_full_precision_is_the_plain_step(classifier: Classifier) -> None:
    torch.manual_seed(0)
    ours, plain = nn.Linear(3, 2), nn.Linear(3, 2)
    plain.load_state_dict(ours.state_dict())
    x = torch.rand(5, 3)
    optimizer = torch.optim.Adam(plain.parameters(), 0.1)
    step = Steps(torch.optim.Adam(ours.parameters(), 0.1), CPU, "float32")
    for _ in range(3):
        with step.autocast():
            loss = ours(x).square().sum()
        step(loss)
        optimizer.zero_grad()
        plain(x).square().sum().backward()
        optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), plain.parameters(), strict=True))
    assert not step.scaler.is_enabled()


def test_the_papers_network_learns_in_mixed_precision_and_gives_float32_curves(classifier: Classifier) -> None:
    settings = GDCESettings.quick(
        num_layers=3, input_size=16, loss="sum", batch_size=12, epochs=10, learning_rate=3e-3, precision="mixed"
    )
    data = draw_samples(48, gamma=2.5, seed=3), draw_samples(48, seed=5), draw_samples(24, gamma=2.5, seed=4)
    network, rows = fit_gdce(*data, classifier, settings, quiet=True)
    assert max(row["worst_group_accuracy"] for row in rows) >= 0.9
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert network(torch.rand(2, 1, SIDE, SIDE)).dtype == torch.float32


@pytest.mark.filterwarnings("ignore:torch.cuda.amp.GradScaler")
def test_a_gpu_without_bfloat16_gets_float16_and_scaled_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as this can be told without one."""
    net = nn.Linear(2, 1)
    optimizer = torch.optim.Adam(net.parameters())
    for has, dtype in ((True, torch.bfloat16), (False, torch.float16)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda has=has, **_: has)
        assert Steps(optimizer, torch.device("cuda"), "mixed").dtype == dtype
    assert Steps(optimizer, CPU, "mixed").dtype == torch.bfloat16
