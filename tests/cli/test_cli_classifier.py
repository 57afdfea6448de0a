"""A classifier of the user's own at the command line: each refusal is one line, each piece of advice works."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from discs import CLASSES, REFERENCE, SOURCE, Power, write_cohort
from isotone.cli import app
from isotone.data.manifests.manifest import Manifest
from isotone.data.trained_on import TrainingRecord
from isotone.evaluation.evaluate import evaluate
from isotone.evaluation.results import Results
from isotone.networks.classifier import Classifier

NETWORK = """
import torch
from torch import nn
from torch.nn import functional as F

class Dropping(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(1, 3)

    def forward(self, x):
        return self.last(F.dropout(x).mean((2, 3)))

def good():
    torch.manual_seed(0)
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 3))

def dropping():
    return Dropping()
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cohort, a module of the user's own, and a classifier made of it."""
    folder = tmp_path_factory.mktemp("place")
    parts = [write_cohort(folder, patients=6, split=s, seed=k) for k, s in enumerate(("train", "val", "test"))]
    table = pd.concat(parts).drop(columns="oracle_path")
    table.to_csv(folder / "manifest.csv", index=False)
    table[table["domain"] == REFERENCE].drop(columns="split").to_csv(folder / "training.csv", index=False)
    (folder / "mynet.py").write_text(NETWORK)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        import mynet

        facts = {"classes": CLASSES, "image_size": 16, "channels": 1, "reference_domains": [REFERENCE]}
        classifier = Classifier.from_module(mynet.good(), backbone="mynet:good", **facts)
        classifier.save(folder / "mine")
        classifier.config = classifier.config.model_copy(update={"backbone": "mynet:dropping"})
        classifier.module = mynet.dropping()
        classifier.save(folder / "dropping")
    return folder


@pytest.fixture(autouse=True)
def at_the_place(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(place)
    monkeypatch.delitem(sys.modules, "mynet", raising=False)


def isotone(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


COMMANDS = {
    "audit": ("audit", "manifest.csv", "--reference", REFERENCE, "--workers", "1"),
    "fit": ("fit", "manifest.csv", "--reference", REFERENCE, "--source", SOURCE, "-o", "fit-out", "--workers", "1"),
    "evaluate": ("evaluate", "manifest.csv", "-o", "evaluate-out", "--workers", "1"),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_code_is_neither_run_nor_imported_where_it_is_not_allowed(place: Path, command: tuple[str, ...]) -> None:
    done = isotone(*command, "--classifier", "mine")
    assert done.exit_code == 1
    assert "mynet" not in sys.modules
    assert done.stderr.count("\n") == 1
    assert "[E_MODEL]" in done.stderr
    assert "--allow-code mynet:good" in done.stderr


@pytest.mark.parametrize("given", ["weights.pt", "weights.onnx", "manifest.csv"])
def test_a_file_in_the_place_of_a_classifier_leads_to_the_recipe(place: Path, given: str) -> None:
    (place / "weights.pt").write_bytes(b"PK")
    (place / "weights.onnx").write_bytes(b"\x08")
    done = isotone(*COMMANDS["evaluate"], "--classifier", given)
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert "Bring your own classifier" in done.stderr


def test_a_network_with_dropout_in_use_is_refused_in_one_line(place: Path) -> None:
    done = isotone(*COMMANDS["evaluate"], "--classifier", "dropping", "--allow-code", "mynet:dropping")
    assert done.exit_code == 1
    assert "dropout" in done.stderr
    assert "[E_MODEL]" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_record_is_made_for_a_folder_and_leaves_the_training_images_out(place: Path) -> None:
    allowed = ("--classifier", "mine", "--allow-code", "mynet:good", "--quiet")
    before = isotone(*COMMANDS["evaluate"], *allowed, "--force")
    assert before.exit_code == 0
    assert "W_NO_RECORD" in before.stdout
    done = isotone("trained-on", "mine", "training.csv", "--quiet", "--workers", "1")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "36 images of 18 named patients" in done.stdout
    after = isotone(*COMMANDS["evaluate"], *allowed, "--force")
    assert "W_TRAINED_ON all 12 test images of Ref One were left out" in after.stdout
    assert "W_NO_RECORD" not in after.stdout
    tried = isotone(*COMMANDS["audit"], *allowed)
    assert "W_TRAINED_ON all 24 test images of Ref One" in tried.stdout
    fitted = isotone(*COMMANDS["fit"], *allowed)
    assert "about 12 of 12 validation images of the reference, because" in fitted.stderr


@pytest.mark.slow
def test_every_command_that_asks_a_classifier_says_that_it_hardly_tells_its_own_classes(place: Path) -> None:
    """Labels drawn at random: nothing can tell them."""
    table = pd.read_csv("manifest.csv", dtype=str)
    people = table["patient_id"].drop_duplicates().sort_values()
    rng = np.random.default_rng(0)
    drawn = dict(zip(people, rng.choice(CLASSES, len(people)), strict=True))
    table.assign(label=table["patient_id"].map(drawn)).to_csv("random.csv", index=False)
    small = ("--backbone", "small", "--image-size", 16, "--epochs", 1, "--workers", 1, "--quiet")
    trained = isotone("train", "random.csv", "--reference", REFERENCE, "-o", "trained", *small)
    assert (trained.exit_code, "W_WEAK" in trained.stderr) == (0, True)
    for name, command in COMMANDS.items():
        changed = [{"manifest.csv": "random.csv"}.get(word, word) for word in command]
        done = isotone(*changed, "--classifier", "trained", "--quiet", *(("--force",) if name != "audit" else ()))
        said = done.stderr if name == "fit" else done.stdout
        assert (done.exit_code, said.count("W_WEAK")) == (0, 1)


def test_a_record_grows_with_each_manifest(place: Path, tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "config.json").write_text("{}")
    rows = Manifest.read(place / "manifest.csv").table.assign(split=None)
    for k, part in enumerate((rows.iloc[:3], rows.iloc[2:6])):
        part.to_csv(tmp_path / f"{k}.csv", index=False)
        assert isotone("trained-on", tmp_path / "c", tmp_path / f"{k}.csv").exit_code == 0
    assert len(TrainingRecord.read(tmp_path / "c").trained.images) == 6


def test_a_record_goes_into_a_classifiers_folder_alone(place: Path, tmp_path: Path) -> None:
    done = isotone("trained-on", tmp_path, "training.csv")
    assert done.exit_code == 2
    assert "no classifier here" in done.stderr


@pytest.mark.slow
def test_a_network_of_several_findings_is_judged_by_one_of_them_against_the_reference_that_is_named(
    place: Path, tmp_path: Path
) -> None:
    import mynet

    table = pd.read_csv(place / "manifest.csv")
    table["Edema"] = (table.pop("label") == CLASSES[2]).astype(int)
    table.assign(finding_notes="").to_csv(place / "chest.csv", index=False)
    lungs = Classifier.from_module(
        mynet.good(),
        backbone="mynet:good",
        classes=["Mass", "Edema", "Nodule"],
        exclusive=False,
        image_size=16,
        channels=1,
    )
    lungs.save(tmp_path / "lungs")
    asked = ("--classifier", tmp_path / "lungs", "--allow-code", "mynet:good", "--label", "Edema", "--finding", "Edema")
    run = ("evaluate", "chest.csv", *asked, "--baseline", "all", "--quiet", "--workers", 1)
    nothing_named = isotone(*run, "-o", tmp_path / "a")
    assert nothing_named.exit_code == 2
    assert "does not say what its reference is [E_USAGE]. Name it with --reference." in nothing_named.stderr
    mistyped = isotone(*run, "--reference", "nobody's", "-o", tmp_path / "a")
    assert mistyped.exit_code == 2
    assert 'no image of domain "nobody\'s"' in mistyped.stderr
    found = isotone(*run, "--reference", REFERENCE, "-o", tmp_path / "b")
    assert found.exit_code == 0, found.output
    assert "no column 'label'" not in found.output
    assert found.output.count("Baseline ") == 1, found.output  # batch normalisation, which the network has not
    results = Results.read(tmp_path / "b" / "results.json")
    assert results.reference_domains == [REFERENCE]
    assert {row.method for row in results.rows if row.domain == SOURCE} >= {"none", "constant-curve", "fine-tuning"}


@pytest.mark.parametrize("option", [("--allow", "harm"), ("--allow-code", "mynet:good"), ("--baseline", "all")])
def test_what_needs_a_classifier_is_refused_beside_scores(place: Path, option: tuple[str, str]) -> None:
    done = isotone("evaluate", "manifest.csv", "--predictions", "scores.csv", *option, "-o", "none")
    assert done.exit_code == 2
    assert option[0] in done.stderr
    assert "need a classifier" in done.stderr


@pytest.mark.slow
def test_a_classifier_without_a_reference_takes_that_of_the_harmonizer(place: Path, tmp_path: Path) -> None:
    import mynet

    mine = Classifier.from_module(mynet.good(), classes=CLASSES, image_size=16, channels=1)
    curve = Power(0.5)
    curve.reference_domains = (REFERENCE,)  # type: ignore[attr-defined]
    results = evaluate(Manifest.read("manifest.csv"), mine, harmonizers={"curve": curve}, output=tmp_path, quiet=True)
    assert results.reference_domains == [REFERENCE]
