"""Networks of several findings, each with a score of its own, and tables that say yes or no of each."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from isotone.data.manifests.labels import labelled_by
from isotone.data.manifests.manifest import Manifest
from isotone.errors import ModelError, UsageError
from isotone.networks.classifier import Classifier

FINDINGS = ["Edema", "Mass", "Nodule"]
IMAGES = np.random.default_rng(0).random((5, 32, 32)).astype(np.float32)


class Flat(nn.Module):
    """One number per image, without an axis for it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images)[:, 0]


def network(outputs: int, *last: nn.Module) -> nn.Module:
    torch.manual_seed(outputs)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, outputs), *last
    )


def several(module: nn.Module, findings: list[str] = FINDINGS, **settings: object) -> Classifier:
    return Classifier.from_module(
        module,
        classes=findings,
        image_size=32,
        channels=1,
        exclusive=False,
        **settings,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("sigmoid", [False, True])
def test_the_score_of_a_finding_is_the_sigmoid_of_its_own_output(sigmoid: bool) -> None:
    classifier = several(
        network(3, *([nn.Sigmoid()] if sigmoid else [])), output="probabilities" if sigmoid else "logits"
    )
    with torch.inference_mode():
        wanted = network(3)(torch.from_numpy(IMAGES)[:, None]).double().sigmoid().numpy()
    for number, name in enumerate(FINDINGS):
        one = classifier.of_finding(name)
        assert one.config.classes == (f"no {name}", name)
        np.testing.assert_allclose(one.predict(IMAGES)[:, 1], wanted[:, number], atol=1e-6)
        assert one.embed(IMAGES).shape == (5, 16)


@pytest.mark.parametrize("flat", [False, True])
def test_a_network_of_one_logit_has_one_finding(flat: bool) -> None:
    one = several(Flat(network(1)) if flat else network(1), ["Mass"]).of_finding("Mass")
    with torch.inference_mode():
        wanted = network(1)(torch.from_numpy(IMAGES)[:, None]).double().sigmoid().numpy()
    np.testing.assert_allclose(one.predict(IMAGES)[:, 1:], wanted, atol=1e-6)


def test_all_findings_at_once_are_no_classes() -> None:
    classifier = several(network(3))
    with pytest.raises(UsageError, match=r"do not exclude each other.*of_finding\(NAME\) \(Edema, Mass, Nodule\)"):
        classifier.predict(IMAGES)
    with pytest.raises(UsageError, match="Name one of: Edema, Mass, Nodule"):
        classifier.of_finding("Pneumonia")
    with pytest.raises(UsageError, match="exclude each other"):
        Classifier.from_module(network(2), classes=["a", "b"], image_size=32, channels=1).of_finding("a")


def test_a_sigmoid_is_declared() -> None:
    class Scores(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x).sigmoid()

    for scores in (network(3, nn.Sigmoid()), Scores(network(3))):
        with pytest.raises(ModelError, match='output="probabilities"'):
            several(scores)
    with pytest.raises(ModelError, match="not in \\[0, 1\\]"):
        several(network(3), output="probabilities")
    with pytest.raises(UsageError, match="two at least"):
        Classifier.from_module(network(1), classes=["Mass"], image_size=32, channels=1)


def test_one_finding_is_not_saved_alone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"all its findings.*ONNX"):
        several(network(3)).of_finding("Mass").save(tmp_path)


def test_it_is_saved_with_all_its_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lungs.py").write_text(
        "from torch import nn\n\ndef build():\n    return nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.ReLU(), "
        "nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    several(network(3), backbone="lungs:build").save(tmp_path / "model")
    found = Classifier.load(tmp_path / "model", allow_code="lungs:build").of_finding("Mass")
    np.testing.assert_array_equal(found.predict(IMAGES), several(network(3)).of_finding("Mass").predict(IMAGES))


def test_a_column_says_yes_or_no_of_a_finding() -> None:
    cells = ["1", "0.0", "TRUE", "no", "-1.0", None, " Positive "]
    table = pd.DataFrame({"path": [f"{n}.png" for n in range(7)], "Mass": cells, "Grade": list("abcdefg")})
    manifest = Manifest(table)
    assert labelled_by(manifest, "mass", "Mass").column("label") == [
        *["Mass", "no Mass", "Mass", "no Mass", None, None, "Mass"]
    ]
    assert labelled_by(manifest, "Grade").column("label") == list("abcdefg")
    assert manifest.column("label") == [None] * 7
    numbers = Manifest(pd.DataFrame({"path": ["a.png", "b.png", "c.png"], "Mass": [1.0, 0.0, np.nan]}))
    assert labelled_by(numbers, "Mass", "Mass").column("label") == ["Mass", "no Mass", None]
    with pytest.raises(UsageError, match=r"Name one of: .*Grade"):
        labelled_by(manifest, "Edema")
    with pytest.raises(UsageError, match="neither yes nor no"):
        labelled_by(manifest, "Grade", "Mass")
