"""Exported graphs, run by onnxruntime."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from harmonizers import CURVE, NARROW, REFERENCE, change, kept_harmonizer, scanner_harmonizer
from processes import COMMAND

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
import onnx
import onnxruntime

from isotone.cli import app
from isotone.curves.stages import Affine, InverseStep, Knots
from isotone.curves.tone_curve import ToneCurve
from isotone.errors import ModelError
from isotone.interop import onnx as export
from isotone.interop.onnx import export_onnx

FREE = ToneCurve([Knots((0.0, 0.1, 0.100123, 0.6, 1.0), (0.0, 0.3, 0.31, 0.55, 1.0))])
STEEP = ToneCurve([InverseStep(a) if k % 2 else 0.9 * a for k, a in enumerate(np.linspace(-0.9, 0.9, 16).tolist())])
IMAGE = np.random.default_rng(1).random((3, 1, 33, 50)).astype(np.float32)


def run(path: Path, image: np.ndarray = IMAGE) -> list[np.ndarray]:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"image": image})


@pytest.mark.parametrize(
    "curve",
    [ToneCurve(), CURVE, NARROW, FREE, STEEP, ToneCurve([Affine(0.8, 0.1), *FREE.stages, *STEEP.stages])],
    ids=["identity", "steps", "affine", "free", "steep", "all"],
)
def test_the_graph_of_a_scanner_is_its_curve_within_a_millionth(tmp_path: Path, curve: ToneCurve) -> None:
    (graph,) = export_onnx(scanner_harmonizer("Birch Two", curve=curve), tmp_path)
    (found,) = run(tmp_path / graph.file)
    assert found.dtype == np.float32
    assert np.abs(found - curve(IMAGE.astype(np.float64))).max() <= 1e-6
    assert graph.curve_error <= 1e-6


def test_the_folder_lists_a_graph_for_each_scanner(tmp_path: Path) -> None:
    harmonizer = scanner_harmonizer("Birch One", "birch-one", "Ünïcode 3")
    graphs = export_onnx(harmonizer, tmp_path)
    listed = json.loads((tmp_path / "export.json").read_text())
    assert [g["domain"] for g in listed["graphs"]] == ["Birch One", "birch-one", "Ünïcode 3"]
    assert len({g.file for g in graphs}) == 3
    said = {prop.key: prop.value for prop in onnx.load(tmp_path / graphs[0].file).metadata_props}
    assert ToneCurve.from_json(said["isotone.curve"]) == CURVE
    assert said["isotone.harmonizer"] == listed["harmonizer"] == harmonizer.digest


def test_images_that_stay_as_they_are_get_the_identity() -> None:
    assert export.scanner_curves(kept_harmonizer("A")) == {"A": ToneCurve()}
    assert export.scanner_curves(kept_harmonizer("A").overruling(["harm"])) == {"A": CURVE}


class PerImage:
    """A mapper of no scanner curve."""


def test_curves_that_depend_on_the_image_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    harmonizer = scanner_harmonizer("a", "b")
    change(harmonizer, "b", mapper=PerImage())
    with pytest.raises(ModelError, match=r"scanner.*hub.*MONAI") as refused:
        export_onnx(harmonizer, tmp_path)
    assert refused.value.code == "E_EXPORT"
    assert not list(tmp_path.iterdir())


def test_where_such_images_stay_as_they_are_the_graph_is_the_identity() -> None:
    harmonizer = kept_harmonizer("A")
    change(harmonizer, "A", mapper=PerImage())
    assert export.scanner_curves(harmonizer) == {"A": ToneCurve()}


def test_a_graph_that_computes_something_else_is_not_reported_as_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harmonizer = scanner_harmonizer("a")
    other = export._model(ToneCurve([0.1]), None, 0)
    monkeypatch.setattr(export, "_model", lambda *_: other)
    with pytest.raises(ModelError, match="differs by"):
        export_onnx(harmonizer, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("output", ["logits", "probabilities", "single", "finding"])
def test_a_classifier_behind_the_curve_gives_our_probabilities_and_verdicts(tmp_path: Path, output: str) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from isotone.imaging.radiograph import Radiograph
    from isotone.networks.classifier import Classifier

    torch.manual_seed(0)
    last = {"logits": [], "probabilities": [torch.nn.Softmax(1)], "single": [], "finding": []}[output]
    network = torch.nn.Sequential(
        *[torch.nn.Conv2d(3, 8, 3, 2), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1)],
        *[torch.nn.Flatten(), torch.nn.Linear(8, 1 if output == "single" else 2), *last],
    )
    classifier = Classifier.from_module(
        network,
        classes=["no", "yes"],
        image_size=48,
        mean=0.4,
        std=0.3,
        inverted=True,
        output="probabilities" if output == "probabilities" else "logits",
        exclusive=output != "finding",
    )
    if output == "finding":
        classifier = classifier.of_finding("yes")
    graphs = export_onnx(scanner_harmonizer("a"), tmp_path, classifier)
    assert [g.domain for g in graphs] == [REFERENCE, "a"]
    for shape in ((48, 48), (100, 77), (20, 90)):
        image = Radiograph.from_array(np.random.default_rng(2).random(shape), domain="a")
        mapped = image.map_tone(CURVE)
        harmonized, found = run(tmp_path / "a.onnx", image.pixels[None, None])
        np.testing.assert_allclose(harmonized[0, 0], mapped.pixels, atol=1e-6)
        np.testing.assert_allclose(found, classifier.predict(classifier.prepare(mapped)[None]), atol=1e-4)


@pytest.mark.slow
def test_the_command_exports_a_folder(tmp_path: Path) -> None:
    scanner_harmonizer("a").save(tmp_path / "curve")
    command = [*COMMAND, "export", str(tmp_path / "curve"), "-o", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"a: {tmp_path / 'out' / 'a.onnx'}")


def test_the_command_says_whose_graph_is_the_identity(tmp_path: Path) -> None:
    kept_harmonizer("a").save(tmp_path / "curve")
    done = CliRunner().invoke(app, ["export", str(tmp_path / "curve"), "-o", str(tmp_path / "out")])
    assert done.exit_code == 0
    assert done.stderr.startswith("W_HARMS a: ")
    assert "its graph is the identity" in done.stderr
