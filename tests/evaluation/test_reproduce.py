"""`isotone reproduce`: the plan in words, a run from end to end, and a run taken up again."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from dicoms import radiograph
from isotone.cli import app
from isotone.errors import UsageError
from isotone.evaluation.reproduction import read, run
from isotone.evaluation.reproduction.images import Images
from isotone.evaluation.reproduction.plan import Plan
from isotone.evaluation.reproduction.read import read_collection
from isotone.evaluation.reproduction.run import reproduce
from isotone.evaluation.reproduction.study import Study

FIGURES = ("figure-2", "figure-3", "figure-4", "figure-5", "figure-6", "figure-7", "table-1", "table-2", "ablations")


class Tiny(Plan):
    """As small as can be: every experiment, an epoch or two each."""

    quick: bool = True
    image_size = property(lambda self: 32)
    layers = property(lambda self: (1, 2))
    iterations = property(lambda self: (2,))
    labels = property(lambda self: (1,))
    ablation_folds = property(lambda self: (0,))

    def training(self) -> Any:
        return super().training().model_copy(update={"epochs": 2})

    def gdce(self) -> Any:
        return super().gdce().model_copy(update={"epochs": 1, "num_layers": 2, "num_iterations": 2})


class Folds(Tiny):
    """The folds, the grid, and one ablation."""

    def variants(self) -> tuple[str, ...]:
        return ("curve-swap",)


def command(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["reproduce", *(str(a) for a in arguments)])


def chest(folder: Path, patients: int = 14) -> Path:
    """RSNA in its published layout: positives brighter, brand X darker and half of it AP."""
    rows = []
    images = folder / "stage_2_train_images"
    images.mkdir(parents=True)
    y, x = np.mgrid[-1:1:40j, -1:1:40j]
    for brand, (spacing, gamma) in {"X": ("0.171", 1.6), "Y": ("0.143", 1.0)}.items():
        for i in range(2 * patients):
            positive = i % 2
            rng = np.random.default_rng([ord(brand), i])
            grey = np.where(x**2 + y**2 < 0.7, 0.4 + 0.25 * positive + 0.1 * rng.standard_normal(x.shape), 0.02)
            stored = np.rint(255 * grey.clip(0, 1) ** gamma).astype(np.uint16)
            name, view = f"{brand}{i}", "AP" if brand == "X" and rng.random() < 0.5 else "PA"
            header = {"PixelSpacing": [spacing, spacing], "ViewPosition": view, "PatientID": name}
            radiograph(stored, modality="CR", bits=8, **header).save_as(
                images / f"{name}.dcm", enforce_file_format=True
            )
            rows.append((name, positive))
    pd.DataFrame(rows, columns=["patientId", "Target"]).to_csv(folder / "stage_2_train_labels.csv", index=False)
    return folder


def mammograms(folder: Path, patients: int = 12) -> Path:
    """EMBED in its published layout: density by brightness; Clearview and Senograph have few of A and D."""
    metadata, clinical = [], []
    models = {"Selenia Dimensions": 1.0, "Clearview CSm": 0.7, "Senograph 2000D ADS_17.5": 1.5}
    y, x = np.mgrid[-1:1:40j, 0:1:32j]
    for model, gamma in models.items():
        for density in range(1, 5):
            rare = density in (1, 4) and model != "Selenia Dimensions"
            for i in range(3 if rare else patients):
                patient = len(metadata)
                grey = np.where(np.hypot(x, y) < 0.8, 0.1 + 0.2 * density, 0.01)
                grey = (grey + 0.03 * np.random.default_rng(patient).standard_normal(grey.shape)).clip(0, 1) ** gamma
                below = f"cohort_1/{patient}/{i}.dcm"
                path = folder / "images" / below
                path.parent.mkdir(parents=True)
                image = radiograph(np.rint(4095 * grey).astype(np.uint16), PixelIntensityRelationship="LOG")
                image.save_as(path, enforce_file_format=True)
                ids = {"empi_anon": patient, "acc_anon": patient}
                header = {"anon_dicom_path": f"/mnt/x/{below}", "SeriesDescription": "L CC", "ViewPosition": "CC"}
                header |= {"FinalImageType": "2D", "ImageLateralityFinal": "L", "spot_mag": None, "PatientSex": "F"}
                metadata.append(ids | header | {"ManufacturerModelName": model})
                clinical.append(ids | {"tissueden": density, "asses": "N"})
    (folder / "tables").mkdir()
    pd.DataFrame(metadata).to_csv(folder / "tables" / "EMBED_OpenData_metadata.csv", index=False)
    pd.DataFrame(clinical).to_csv(folder / "tables" / "EMBED_OpenData_clinical.csv", index=False)
    return folder


# Without a run


@pytest.mark.parametrize("collection", ["phantom", "nih", "embed", "rsna"])
def test_dry_run_prints_the_plan_by_name_with_its_time_and_writes_nothing(collection, tmp_path):
    result = command(collection, "--quick", "--dry-run", "-o", tmp_path / "out")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    names = [e.name for e in Plan(collection=collection, quick=True).experiments()]
    assert [line.split(":")[0] for line in lines[: len(names)]] == names
    assert all(line.endswith((" s", " min", " h")) for line in lines[: len(names)])
    assert lines[len(names)].startswith("in all about")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("collection", "place"), [("nih", "nihcc.app.box.com"), ("rsna", "kaggle.com"), ("embed", "registry.opendata.aws")]
)
def test_missing_data_are_named_in_one_line_with_where_to_get_them(collection, place, tmp_path):
    assert place in command(collection, "--dry-run", "-o", tmp_path / "out").stdout.splitlines()[-1]
    for data in ((), (tmp_path / "absent",), (tmp_path,)):
        result = command(collection, *data, "--quick", "-o", tmp_path / "out")
        assert result.exit_code == 2
        (line,) = result.stderr.splitlines()
        assert line.startswith("isotone: ")
        assert place in line
        assert not (tmp_path / "out").exists()


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    result = command("phantom", "--quick", "-o", tmp_path)
    assert result.exit_code == 2
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.slow
def test_a_manifest_of_cohort_will_do_as_data(tmp_path):
    cohort = CliRunner().invoke(
        app,
        [
            "cohort",
            "rsna",
            "--labels",
            str(chest(tmp_path / "rsna") / "stage_2_train_labels.csv"),
            "-o",
            str(tmp_path / "c"),
        ],
    )
    assert cohort.exit_code == 0
    for data in (tmp_path / "c", tmp_path / "c" / "manifest.csv", tmp_path / "rsna"):
        manifest, _ = read_collection(Tiny(collection="rsna", data=data), tmp_path, workers=1, quiet=True)
        assert len(manifest) == 56


def test_quick_takes_at_most_so_many_images_of_a_cell(tmp_path, monkeypatch):
    monkeypatch.setattr(read, "QUICK", (6, 4))
    plan = Tiny(collection="rsna", data=chest(tmp_path))
    manifest, _ = read_collection(plan, tmp_path, workers=1, quiet=True)
    assert manifest.table.groupby(["domain", "label"]).size().to_list() == [4, 4, 6, 6]


# From end to end


@pytest.fixture(scope="module")
def corrected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tiny, Path]]:
    """Mammograms of three scanners in the published layout, through every experiment."""
    folder = tmp_path_factory.mktemp("embed")
    plan = Tiny(collection="embed", data=mammograms(folder / "data"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read, "PER_CELL", 12)
        reproduce(plan, folder / "out", quiet=True)
    return plan, folder / "out"


@pytest.mark.slow
def test_every_table_and_figure_is_there_as_csv_and_svg(corrected):
    _, output = corrected
    for name in FIGURES:
        assert len(pd.read_csv(output / "figures" / f"{name}.csv"))
        assert (output / "figures" / f"{name}.svg").read_text().startswith("<svg")
    page = (output / "report.html").read_text()
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert all(f'id="{name}"' in page for name in FIGURES)


@pytest.mark.slow
def test_table_two_says_what_the_predictions_say(corrected):
    plan, output = corrected
    tables = [pd.read_csv(output / "experiments" / f"fold-{k}" / "predictions.csv") for k in range(1, 6)]
    table = pd.read_csv(output / "figures" / "table-2.csv").set_index(["domain", "method"])
    assert set(table.index.get_level_values("domain")) == {plan.about.reference, *plan.about.sources}
    for (domain, method), row in table.iterrows():
        parts = [t[(t["domain"] == domain) & (t["method"] == method)] for t in tables]
        aucs = []
        for part in parts:
            scores = {c: roc_auc_score(part["label"] == c, part[f"p_{c}"]) for c in sorted(set(part["label"]))}
            aucs.append(np.mean(list(scores.values())))
        assert row["auc"] == pytest.approx(np.mean(aucs))
        own = pd.concat(parts)
        assert row["images"] == own["image"].nunique() == len(own)
        hit = own[[f"p_{c}" for c in "ABCD"]].to_numpy().argmax(1) == own["label"].map("ABCD".index)
        assert row["worst_group_accuracy"] == pytest.approx(hit.groupby(own["label"]).mean().min())


@pytest.mark.slow
def test_the_papers_numbers_stand_beside_ours_where_the_data_are_the_same(corrected):
    _, output = corrected
    table = pd.read_csv(output / "figures" / "table-2.csv").set_index(["domain", "method"])
    assert table.loc[("Senograph 2000D", "gdce"), "paper_auc"] == 0.89
    assert table.loc[("Senograph 2000D", "display-window"), "paper_auc"] == 0.80
    first = pd.read_csv(output / "figures" / "table-1.csv").set_index(["domain", "label"])
    assert first.loc[("Clearview CSm", "A"), ["paper_train", "paper_test"]].to_list() == [0, 123]
    assert first.loc[("Clearview CSm", "A"), "train"] == 0
    assert first["patients_in_both"].max() == 0


@pytest.mark.slow
def test_a_finished_experiment_is_not_run_again(corrected, monkeypatch):
    plan, output = corrected
    said = []
    gone = output / "experiments" / "ablation-curve-swap" / "result.json"
    before = (gone.parent / "predictions.csv").read_bytes()
    gone.unlink()
    for kind in ("cohort", "fold", "grid"):
        monkeypatch.setitem(run.RUN, kind, lambda *_: pytest.fail("run again"))
    reproduce(plan, output, quiet=True, say=said.append)
    assert len(said) == len(plan.experiments())
    assert [line.split(":")[0] for line in said if "finished" not in line] == ["ablation-curve-swap"]
    assert (gone.parent / "predictions.csv").read_bytes() == before


@pytest.mark.slow
def test_another_plan_does_not_use_the_folder_nor_with_force_its_results(corrected):
    plan, output = corrected
    other = plan.model_copy(update={"seed": 1})
    with pytest.raises(UsageError, match="not empty"):
        reproduce(other, output, quiet=True)
    assert not Study(other, output).finished("fold-1")
    assert Study(plan, output).finished("fold-1")


@pytest.mark.slow
def test_no_patient_or_path_is_in_what_a_run_leaves(corrected):
    _, output = corrected
    for path in [*output.rglob("*.csv"), *output.rglob("*.json"), output / "report.html"]:
        if path.name != "plan.json":
            assert "cohort_1/" not in path.read_text(), path
    table = Images.load(output / "experiments" / "cohort").table
    assert sorted(table["patient_id"].astype(int).unique()) == list(range(table["patient_id"].nunique()))


@pytest.mark.slow
def test_brands_told_by_projection_are_given_for_pa_alone_beside_the_rule(tmp_path, monkeypatch):
    monkeypatch.setattr(read, "PER_CELL", 14)
    data = chest(tmp_path / "data")
    report = reproduce(Folds(collection="rsna", data=data), tmp_path / "out", quiet=True)
    table = pd.read_csv(report.parent / "figures" / "table-2.csv").set_index(["domain", "views", "method"])
    assert {"all", "PA"} == set(table.index.get_level_values("views"))
    rule = table.loc[("brand X", "all", "rule: AP means positive")]
    views = Images.load(report.parent / "experiments" / "cohort").table
    inside = views[views["domain"] == "brand X"]
    ap, positive = inside["view"] == "AP", inside["label"] == "positive"
    assert rule["recall"] == pytest.approx((ap & positive).sum() / positive.sum())
    assert table.loc[("brand X", "PA", "none"), "images"] == (~ap).sum()
    assert table.loc[("brand X", "all", "gdce"), "paper_recall"] == 0.733
    assert {"specificity", "called_positive", "recall_at_reference_specificity", "auc_low"} <= set(table.columns)


@pytest.mark.slow
def test_the_paper_preset_has_no_intervals_and_says_how_many_patients_straddle(tmp_path, monkeypatch):
    monkeypatch.setattr(read, "PATIENTS", {True: 60})
    monkeypatch.setattr(read, "ROWS", {True: 32})
    report = reproduce(Folds(collection="phantom", preset="paper"), tmp_path / "out", quiet=True)
    table = pd.read_csv(report.parent / "figures" / "table-2.csv")
    assert not [c for c in table.columns if c.endswith(("_low", "_high"))]
    assert "paper_auc" not in table
    assert pd.read_csv(report.parent / "figures" / "table-1.csv")["patients_in_both"].max() > 0
    fold = json.loads((report.parent / "experiments" / "fold-1" / "result.json").read_text())
    assert set(fold["gdce"]) == set(Plan(collection="phantom").about.sources)
