"""Images that a classifier was trained on, or their patients, are never counted as test."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
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
from isotone.data.manifests.manifest import Manifest
from isotone.data.sample import Sample
from isotone.data.trained_on import VALIDATION, TrainingRecord
from isotone.errors import IsotoneError, ModelError
from isotone.estimation.matching import Match, classified
from isotone.estimation.report import LeftOut, TrainingOverlap
from isotone.evaluation.audit import audit
from isotone.evaluation.evaluate import evaluate
from isotone.evaluation.results import Results
from isotone.harmonizer.fit_report import training_sentences
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.imaging.radiograph import Radiograph
from isotone.imaging.read import read_radiograph
from isotone.networks.classifier import Classifier
from isotone.networks.small import SmallNet
from isotone.networks.training.train import TrainSettings, train_classifier
from samples import CLASSES, draw_samples

NOISE = np.random.default_rng(0).integers(0, 4096, (60, 50)).astype(np.uint16)


def identity(pixels: np.ndarray) -> str:
    return pixel_identity(Radiograph.from_array(pixels, bits=None if pixels.dtype.kind == "f" else 16))


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
    assert record.holds(["P 1", "P 2"]) == [True, False]


def test_an_image_without_a_patient_is_known_by_itself_alone() -> None:
    record = TrainingRecord.new().add("trained", [("0" * 32, None)])
    assert record.holds([None, None], ["0" * 32, "1" * 32]) == [True, False]
    assert record.holds([None, None]) == [False, False]


def test_where_an_image_is_known_the_patient_is_under_another_name_too() -> None:
    record = TrainingRecord.new().add("trained", [("0" * 32, "before")])
    assert record.holds(["after", "after", "else"], ["0" * 32, "1" * 32, None]) == [True, True, False]


def test_what_chose_an_epoch_is_no_test_image_but_may_validate() -> None:
    record = TrainingRecord.new().add("chosen", [("0" * 32, None)])
    assert record.holds([None], ["0" * 32]) == [True]
    assert record.holds([None], ["0" * 32], VALIDATION) == [False]


# Evaluation


def test_without_a_record_the_results_warn_and_count_as_before(cohort: Path, tmp_path: Path) -> None:
    found = run(Manifest.read(cohort), None, tmp_path)
    assert found.training is not None
    assert not found.training.recorded
    assert found.training.sentences[0].startswith("W_NO_RECORD ")
    assert found.row(REFERENCE, "none").n == 24


@pytest.mark.slow
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


@pytest.mark.slow
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


# Training and fitting


@pytest.fixture(scope="module")
def trained(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "classifier"
    settings = TrainSettings.small(image_size=16, epochs=1)
    train_classifier(Manifest.read(cohort), [REFERENCE], settings, workers=0, quiet=True, folder=folder)
    return folder


def test_training_records_what_was_trained_on_and_what_chose_the_epoch(cohort: Path, trained: Path) -> None:
    record, manifest = TrainingRecord.read(trained), Manifest.read(cohort)
    whole = recorded(Manifest(manifest.table[manifest.table["domain"] == REFERENCE]))
    assert (record.trained.images, record.chosen.images) == (whole.trained.images, whole.chosen.images)
    assert len(record.trained.patients) == len(record.chosen.patients) == 6
    patients = [row.patient_id for row in manifest]
    of_reference = (manifest.table["domain"] == REFERENCE) & (manifest.table["split"] != "test")
    assert record.holds(patients) == list(of_reference)


def test_the_record_is_no_part_of_the_classifiers_digest(trained: Path, tmp_path: Path) -> None:
    classifier = Classifier.load(trained)
    assert classifier.trained_on == TrainingRecord.read(trained)
    digest = classifier.config.sha256
    classifier.save(tmp_path / "copy")
    assert TrainingRecord.read(tmp_path / "copy") == classifier.trained_on
    (tmp_path / "copy" / "trained_on.json").unlink()
    assert Classifier.load(tmp_path / "copy").trained_on is None
    assert Classifier.load(tmp_path / "copy").config.sha256 == digest


def test_another_network_saved_into_the_folder_takes_the_record_away(trained: Path, tmp_path: Path) -> None:
    classifier = Classifier.load(trained)
    classifier.save(tmp_path)
    classifier.trained_on = None
    classifier.save(tmp_path)
    assert TrainingRecord.read(tmp_path) is None


@pytest.mark.slow
def test_a_harmonizer_carries_no_record(cohort: Path, trained: Path, tmp_path: Path) -> None:
    harmonizer = ToneCurveHarmonizer(REFERENCE, SOURCE)
    harmonizer.fit(Manifest.read(cohort), Classifier.load(trained), workers=0, quiet=True, folder=tmp_path)
    key = TrainingRecord.read(trained).key
    assert all(key not in path.read_text(encoding="utf-8", errors="replace") for path in tmp_path.rglob("*.json"))
    assert not [*tmp_path.rglob("trained_on.json")]


@pytest.mark.parametrize("given", ["path", "manifest", "record"])
def test_a_network_of_the_users_own_gets_its_record_from_a_manifest(cohort: Path, given: str) -> None:
    manifest = Manifest.read(cohort)
    forms = {"path": cohort, "manifest": manifest, "record": recorded(manifest)}
    classifier = Classifier.from_module(
        SmallNet(3), classes=("dim", "grey", "bright"), image_size=16, channels=1, trained_on=forms[given]
    )
    assert classifier.trained_on.trained.images == recorded(manifest).trained.images


@pytest.mark.slow
def test_a_fit_asks_the_classifier_of_other_images_alone(cohort: Path) -> None:
    manifest = Manifest.read(cohort)
    table = manifest.table

    def fit(trained_on: TrainingRecord | None) -> dict[str, Any]:
        harmonizer = ToneCurveHarmonizer(REFERENCE, SOURCE)
        harmonizer.fit(manifest, Trained(trained_on), labels="none", workers=0, quiet=True)
        return asdict(harmonizer.scanners[SOURCE].report.training)

    assert fit(None)["recorded"] is False
    of_val = table[(table["domain"] == REFERENCE) & (table["split"] == "val")].assign(split="train")
    assert fit(recorded(Manifest(of_val))) == {
        "recorded": True,
        "reference": {"left_out": 12, "images": 12},
        "source": {"left_out": 0, "images": 24},
    }
    assert fit(recorded(manifest))["reference"]["left_out"] == 0  # val chose the epoch: it may validate
    assert fit(recorded(Manifest(table[table["domain"] == SOURCE])))["source"] == {"left_out": 12, "images": 24}


def test_a_class_mix_is_told_by_other_images_than_those_of_the_training() -> None:
    reference, source = ([replace(s, split="val") for s in draw_samples(n)] for n in (24, 12))
    views = SimpleNamespace(labels=np.array([s.label for s in reference]))
    match = Match(views, np.ones(24), {}, "none", 1.0, 0.0, 1.0)  # type: ignore[arg-type]
    levels = SimpleNamespace(quantiles=lambda weights: np.linspace(0.1, 0.9, 9))
    classifier, asked = Brightness(classes=CLASSES), []
    classifier.predict = lambda prepared: asked.append(len(prepared)) or np.eye(2)[np.arange(len(prepared)) % 2]

    def told(reference: list[Sample], source: list[Sample]) -> list[int]:
        asked.clear()
        found = classified(match, (levels, levels), (source, reference), classifier, 1)  # type: ignore[arg-type]
        assert found.mix_from == ("classifier" if asked else "none")
        return asked

    assert told(reference, source) == [24, 12]
    assert told([replace(s, trained=i < 8) for i, s in enumerate(reference)], source) == [16, 12]
    assert told(reference, [replace(s, trained=i < 8) for i, s in enumerate(source)]) == [24, 4]
    assert told([replace(s, trained=True) for s in reference], source) == []
    assert told(reference, [replace(s, trained=True) for s in source]) == []
    assert told([replace(s, trained=s.label == CLASSES[0]) for s in reference], source) == []


def test_a_fit_says_how_many_images_did_not_validate_it() -> None:
    counts = LeftOut(3, 9), LeftOut(2, 8)
    first, second = training_sentences(TrainingOverlap(True, *counts), "Src Two")
    asked = "W_TRAINED_ON The fit does not ask the classifier about"
    assert first.startswith(f"{asked} 3 of 9 validation images of the reference, because")
    assert second.startswith(f"{asked} 2 of 8 images of Src Two, because")
    assert training_sentences(TrainingOverlap(False, *counts))[0].startswith("W_NO_RECORD")
    assert training_sentences(None) == []


def test_an_epoch_of_gdce_is_chosen_by_other_images_than_those_of_the_training(cohort: Path) -> None:
    manifest = Manifest.read(cohort)
    table = manifest.table
    seen = table[(table["domain"] == SOURCE) & (table["split"] == "val")].assign(split="train")
    classifier = Classifier.from_module(
        SmallNet(3),
        classes=("dim", "grey", "bright"),
        image_size=16,
        channels=1,
        trained_on=recorded(Manifest(seen)),
    )
    harmonizer = ToneCurveHarmonizer(REFERENCE, SOURCE, method="gdce")
    with pytest.raises(IsotoneError, match="trained on every val image") as caught:
        harmonizer.fit(manifest, classifier, workers=0, quiet=True)
    assert caught.value.code == "E_DATA"
