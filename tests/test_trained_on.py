"""Images that a classifier was trained on, or their patients, are never counted as test."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.uid import JPEG2000Lossless

import dicoms
from discs import REFERENCE, SOURCE, Brightness, write_cohort
from isotone.data.identity import pixel_identity
from isotone.data.manifest import Manifest
from isotone.data.trained_on import VALIDATION, TrainingRecord
from isotone.errors import IsotoneError, ModelError
from isotone.evaluation.audit import audit
from isotone.evaluation.evaluate import evaluate
from isotone.evaluation.results import Results
from isotone.imaging.radiograph import Radiograph
from isotone.imaging.read import read_radiograph

NOISE = np.random.default_rng(0).integers(0, 4096, (60, 50)).astype(np.uint16)


def identity(pixels: np.ndarray) -> str:
    return pixel_identity(Radiograph.from_array(pixels))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    counts = {"test": 12, "train": 6, "val": 6}
    parts = [write_cohort(folder, patients=n, split=split, seed=n + k) for k, (split, n) in enumerate(counts.items())]
    pd.concat(parts).to_csv(folder / "manifest.csv", index=False)
    return folder / "manifest.csv"


def manifest_of(cohort: Path, **columns: Any) -> Manifest:
    """The cohort with other columns."""
    return Manifest(Manifest.read(cohort).table.assign(**columns))


def recorded(manifest: Manifest) -> TrainingRecord:
    return TrainingRecord.new().add_manifest(manifest, workers=0)


class Trained(Brightness):
    """The classifier by brightness, with a record."""

    def __init__(self, trained_on: TrainingRecord | None) -> None:
        super().__init__()
        self.trained_on = trained_on


def run(manifest: Manifest, trained_on: TrainingRecord | None, output: Path, **changes: Any) -> Results:
    arguments: dict[str, Any] = {"harmonizers": {}, "workers": 0, "quiet": True} | changes
    return evaluate(manifest, Trained(trained_on), output=output, **arguments)


# How an image is known again


def test_an_image_is_known_by_its_pixels_whatever_the_file() -> None:
    assert identity(NOISE) == identity(NOISE.copy()) != identity(NOISE[::-1])


@pytest.mark.parametrize(
    "change",
    [lambda x: x << 4, lambda x: x + 500, lambda x: 4095 - x, lambda x: np.sqrt(x / 4095), lambda x: x / 4095],
    ids=["12 bits in 16", "an offset", "inverted", "a tone curve", "scaled to 16 bits"],
)
def test_a_strictly_monotone_map_of_grey_levels_does_not_hide_it(change: Any) -> None:
    assert identity(change(NOISE)) == identity(NOISE)


def test_its_shape_belongs_to_it() -> None:
    assert identity(NOISE) != identity(NOISE.reshape(50, 60))


def test_images_of_few_grey_levels_are_told_apart_by_their_values() -> None:
    y, x = np.mgrid[:40, :40]
    disc = ((x - 20) ** 2 + (y - 20) ** 2 < 200).astype(np.uint16)
    assert identity(disc * 100) != identity(disc * 200)


@given(st.integers(0, 2**32 - 1))
def test_two_images_that_differ_in_noise_are_two(seed: int) -> None:
    other = np.random.default_rng(seed + 1).integers(0, 4096, NOISE.shape).astype(np.uint16)
    assert identity(other) != identity(NOISE)


def test_a_dicom_file_its_compressed_copy_and_its_png_and_tiff_are_one_image(tmp_path: Path) -> None:
    plain = dicoms.radiograph(inverted=True)
    stored = plain.pixel_array
    dicoms.write(plain, tmp_path / "a.dcm")
    dicoms.write(dicoms.encoded(dicoms.radiograph(inverted=True), JPEG2000Lossless), tmp_path / "b.dcm")
    Image.fromarray(stored).save(tmp_path / "c.png")
    Image.fromarray(stored << 4).save(tmp_path / "d.tiff")
    assert len({pixel_identity(read_radiograph(path)) for path in tmp_path.iterdir()}) == 1


# The record


def test_rows_of_test_are_not_recorded_and_those_of_val_as_chosen(cohort: Path) -> None:
    record = recorded(Manifest.read(cohort))
    assert (len(record.trained.images), len(record.chosen.images)) == (24, 24)
    assert (len(record.trained.patients), len(record.chosen.patients)) == (12, 12)


def test_no_patient_stands_in_the_record_and_two_records_cannot_be_compared(cohort: Path, tmp_path: Path) -> None:
    manifest = Manifest.read(cohort)
    first, second = recorded(manifest), recorded(manifest)
    first.write(tmp_path)
    text = (tmp_path / "trained_on.json").read_text()
    assert not any(patient in text for patient in manifest.table["patient_id"])
    assert not first.trained.patients & second.trained.patients
    assert first.trained.images == second.trained.images


def test_what_is_written_is_read(cohort: Path, tmp_path: Path) -> None:
    record = recorded(Manifest.read(cohort))
    record.write(tmp_path)
    assert TrainingRecord.read(tmp_path) == record
    assert TrainingRecord.read(tmp_path / "elsewhere") is None


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 1}', '{"schema": 2, "key": "00"}', "[" * 10_000, "\udcff"])
def test_a_damaged_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "trained_on.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ModelError, match="record of the training images"):
        TrainingRecord.read(tmp_path)


def test_an_image_that_cannot_be_read_is_named_and_none_at_all_is_refused(cohort: Path, tmp_path: Path) -> None:
    table = Manifest.read(cohort).table.head(3).assign(split="train")
    table.loc[table.index[0], "path"] = str(tmp_path / "gone.png")
    refused: list[IsotoneError] = []
    record = TrainingRecord.new().add_manifest(Manifest(table), workers=0, on_refusal=refused.append)
    assert (len(refused), len(record.trained.images)) == (1, 2)
    with pytest.raises(IsotoneError, match="no image"):
        TrainingRecord.new().add_manifest(Manifest(table.head(1)), workers=0)


def test_a_patient_with_blanks_around_the_identifier_is_the_same() -> None:
    record = TrainingRecord.new().add("trained", [("0" * 32, "P 1 ")])
    rows = list(Manifest(pd.DataFrame({"path": ["a.png", "b.png"], "patient_id": ["P 1", "P 2"]})))
    assert record.holds(rows) == [True, False]


def test_an_image_without_a_patient_is_known_by_itself_alone() -> None:
    record = TrainingRecord.new().add("trained", [("0" * 32, None)])
    rows = list(Manifest(pd.DataFrame({"path": ["a.png", "b.png"]})))
    assert record.holds(rows, ["0" * 32, "1" * 32]) == [True, False]
    assert record.holds(rows) == [False, False]


def test_where_an_image_is_known_the_patient_is_under_another_name_too() -> None:
    record = TrainingRecord.new().add("trained", [("0" * 32, "before")])
    rows = list(Manifest(pd.DataFrame({"path": list("abc"), "patient_id": ["after", "after", "else"]})))
    assert record.holds(rows, ["0" * 32, "1" * 32, None]) == [True, True, False]


def test_what_chose_an_epoch_is_no_test_image_but_may_validate() -> None:
    record = TrainingRecord.new().add("chosen", [("0" * 32, None)])
    rows = list(Manifest(pd.DataFrame({"path": ["a.png"]})))
    assert record.holds(rows, ["0" * 32]) == [True]
    assert record.holds(rows, ["0" * 32], VALIDATION) == [False]


# Evaluation


def test_without_a_record_the_results_warn_and_count_as_before(cohort: Path, tmp_path: Path) -> None:
    found = run(Manifest.read(cohort), None, tmp_path)
    assert found.training is not None
    assert not found.training.recorded
    assert found.training.sentences[0].startswith("W_NO_RECORD ")
    assert found.row(REFERENCE, "none").n == 24


def test_a_record_of_other_splits_leaves_the_figures_as_they_are(cohort: Path, tmp_path: Path) -> None:
    manifest = Manifest.read(cohort)
    plain, found = run(manifest, None, tmp_path / "a"), run(manifest, recorded(manifest), tmp_path / "b")
    assert found.training.left_out == []
    assert found.rows == plain.rows


def test_an_image_that_is_in_two_splits_is_found(cohort: Path, tmp_path: Path) -> None:
    manifest = Manifest.read(cohort)
    table = manifest.table
    paths = table["path"].copy()
    copied = table.index[table["split"] == "test"][0]
    Image.open(paths[table.index[table["split"] == "train"][0]]).save(tmp_path / "copy.tiff")
    paths[copied] = str(tmp_path / "copy.tiff")
    found = run(manifest_of(cohort, path=paths), recorded(manifest), tmp_path / "out")
    assert found.row(REFERENCE, "none").n == 22  # the patient's other image too


@pytest.mark.parametrize("known_by", ["images and patients", "images alone", "patients alone"])
def test_test_images_of_the_training_are_left_out_and_counted(cohort: Path, tmp_path: Path, known_by: str) -> None:
    manifest = Manifest.read(cohort)
    table = manifest.table[(manifest.table["split"] == "test") & (manifest.table["domain"] == REFERENCE)]
    patients = sorted(table["patient_id"].unique())[:7]
    record = recorded(Manifest(table[table["patient_id"].isin(patients)].assign(split="train")))
    if known_by == "images alone":
        manifest = Manifest(manifest.table.assign(patient_id="renamed " + manifest.table["patient_id"]))
    if known_by == "patients alone":
        record = record.model_copy(update={"trained": record.trained.model_copy(update={"images": frozenset()})})
    found = run(manifest, record, tmp_path)
    assert found.row(REFERENCE, "none").n == 10
    assert found.row(SOURCE, "none").n == 24
    [left_out] = found.training.left_out
    assert (left_out.domain, left_out.use, left_out.images, left_out.remaining) == (REFERENCE, "test", 14, 10)
    assert "14 of 24 test images of Ref One were left out" in found.cautions[0]
    assert json.loads((tmp_path / "results.json").read_text())["training"]["left_out"][0]["images"] == 14
    assert Results.read(tmp_path / "results.json") == found


def test_one_recorded_image_of_a_patient_leaves_out_the_other_one(cohort: Path, tmp_path: Path) -> None:
    manifest = Manifest.read(cohort)
    first = manifest.table[manifest.table["split"] == "test"].head(1)
    record = recorded(Manifest(first.assign(split="train", patient_id="another name")))
    assert run(manifest, record, tmp_path).row(REFERENCE, "none").n == 22


def test_where_all_reference_images_were_training_there_is_no_reference_figure(cohort: Path, tmp_path: Path) -> None:
    manifest = manifest_of(cohort)
    record = recorded(Manifest(manifest.select(domains=[REFERENCE]).table.drop(columns="split")))
    found = run(manifest, record, tmp_path, baselines=("histogram-matching",))
    assert [r for r in found.rows if r.reference] == []
    assert found.shifts == []
    assert found.row(SOURCE, "histogram-matching").n == 24  # the reference's grey levels are still of use
    said = " ".join(found.training.sentences)
    assert "all 24 test images of Ref One were left out" in said
    assert "no test figure of this reference" in said
    assert "no threshold was frozen" in said
    assert not any("no test row" in note for note in found.notes)


def test_patients_of_a_source_scanner_count_as_well(cohort: Path, tmp_path: Path) -> None:
    manifest = Manifest.read(cohort)
    table = manifest.table[manifest.table["split"] == "test"].assign(split="train")
    record = recorded(Manifest(table[table["domain"] == SOURCE].head(4)))
    found = run(manifest, record, tmp_path)
    assert (found.row(SOURCE, "none").n, found.row(REFERENCE, "none").n) == (20, 24)
    assert found.row(SOURCE, "oracle").n == 20


def test_a_classifier_that_knows_every_image_is_not_evaluated(cohort: Path, tmp_path: Path) -> None:
    manifest = Manifest.read(cohort)
    with pytest.raises(IsotoneError, match="trained on every image") as caught:
        run(manifest, recorded(Manifest(manifest.table.drop(columns="split"))), tmp_path)
    assert caught.value.code == "E_DATA"


def test_an_audit_tries_the_classifier_on_other_images_alone(cohort: Path) -> None:
    manifest = Manifest.read(cohort)
    whole = audit(manifest, [REFERENCE], Trained(None), workers=0, quiet=True)
    assert whole.degradation
    assert whole.training.sentences[0].startswith("W_NO_RECORD")
    record = recorded(Manifest(manifest.select(domains=[REFERENCE]).table.drop(columns="split")))
    found = audit(manifest, [REFERENCE], Trained(record), workers=0, quiet=True)
    assert found.degradation == []
    assert "all 36 test images of Ref One were left out" in found.training.sentences[0]
    assert [d.domain for d in found.domains] == [SOURCE]
