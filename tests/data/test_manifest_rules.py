"""What headings and cells of a manifest mean, and what is said of those that only may mean it."""

import os
import warnings
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotone.data.manifests.cells import MISSING, SPLITS, refuse_twice
from isotone.data.manifests.manifest import Manifest
from isotone.errors import UsageError


def read(folder: Path, text: str) -> Manifest:
    (folder / "m.csv").write_text(text, encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return Manifest.read(folder / "m.csv")


def notes_of(folder: Path, text: str) -> str:
    return "\n".join(read(folder, text).notes)


@pytest.mark.parametrize("heading", ["PatientID", "Patient ID", " patient_id", "PATIENT-ID", "patient.id", "patientId"])
def test_case_blanks_and_punctuation_of_headings_do_not_count(tmp_path: Path, heading: str) -> None:
    manifest = read(tmp_path, f"Path,{heading}\na.png,p1\n")
    (row,) = manifest
    assert row.patient_id == "p1"
    assert heading == " patient_id" or any(f"{heading!r} is read as 'patient_id'" in note for note in manifest.notes)


def test_a_data_frame_is_read_by_the_same_rules() -> None:
    with pytest.warns(UserWarning, match="'Patient ID' is read as 'patient_id'"):
        manifest = Manifest(pd.DataFrame({"Path": ["a.png"], "Patient ID": [7], "label": ["nan"]}))
    (row,) = manifest
    assert (row.patient_id, row.label) == ("7", None)


@pytest.mark.parametrize(
    ("column", "heading"),
    [
        *[("patient_id", h) for h in ("empi_anon", "subject_id", "anon_patientid", "PTID", "eid", "ID", "patien_id")],
        *[("label", h) for h in ("class", "Finding Labels", "diagnosis", "lable", "y", "BI-RADS")],
        *[("split", h) for h in ("fold", "subset", "dataset_split", "phase")],
        *[("domain", h) for h in ("Manufacturer", "scanner_model", "vendor")],
    ],
)
def test_a_column_that_may_be_meant_is_named(tmp_path: Path, column: str, heading: str) -> None:
    found = notes_of(tmp_path, f"path,{heading}\na.png,1\n")
    assert f"no column {column!r}, but {heading!r}" in found
    assert f"no column {column!r}" not in notes_of(tmp_path, f"path,{column},{heading}\na.png,,1\n")


@pytest.mark.parametrize(
    "heading", ["Patient Age", "patient_sex", "study_id", "image_id", "age", "width", "SOPInstanceUID"]
)
def test_a_column_that_names_no_patients_is_not_taken_for_one(tmp_path: Path, heading: str) -> None:
    assert "patient_id" not in notes_of(tmp_path, f"path,{heading}\na.png,1\n")


@pytest.mark.parametrize("heading", ["filename", "image_path", "Image Index", "paths", "dicom", "url"])
def test_without_a_path_the_message_lists_the_columns_and_how_the_file_was_read(tmp_path: Path, heading: str) -> None:
    with pytest.raises(UsageError, match="no column 'path'") as caught:
        read(tmp_path, f"{heading};Age\na.png;5\n")
    assert f"{heading!r}, 'Age' (UTF-8, separated by semicolons)" in str(caught.value)
    assert f"is it {heading!r}?" in str(caught.value)


def test_two_columns_that_are_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'patient_id' and 'PatientID' are both read as 'patient_id'"):
        read(tmp_path, "path,patient_id,PatientID\na.png,1,2\n")


@pytest.mark.parametrize("missing", sorted(MISSING - {""}))
@pytest.mark.parametrize("column", ["label", "patient_id", "domain", "split"])
def test_a_word_for_nothing_is_missing_and_counted(tmp_path: Path, column: str, missing: str) -> None:
    written = missing.upper()
    manifest = read(tmp_path, f"path,{column}\na.png,{written}\nb.png,{written}\nc.png,\n")
    assert manifest.table[column].isna().all()
    assert f"{column}: 2 cells written {written!r} are missing" in "\n".join(manifest.notes)


@pytest.mark.parametrize("label", ["0", "no finding", "negative", "unknown", "N", "none seen"])
def test_a_class_that_sounds_like_nothing_is_a_class(tmp_path: Path, label: str) -> None:
    assert [row.label for row in read(tmp_path, f"path,label\na.png,{label}\n")] == [label]


@pytest.mark.parametrize(("spelling", "split"), sorted(SPLITS.items()))
def test_a_split_is_taken_in_its_usual_spellings(tmp_path: Path, spelling: str, split: str) -> None:
    manifest = read(tmp_path, f"path,split\na.png,{spelling.capitalize()}\n")
    assert [row.split for row in manifest] == [split]
    assert f"split {spelling.capitalize()!r} is read as {split!r}" in "\n".join(manifest.notes)


def test_whole_numbers_that_were_written_as_fractions_are_the_patients_of_the_headers(tmp_path: Path) -> None:
    assert [r.patient_id for r in read(tmp_path, "path,patient_id\na.png,12.0\nb.png,\nc.png,7.0\n")] == [
        "12",
        None,
        "7",
    ]
    assert [r.patient_id for r in read(tmp_path, "path,patient_id\na.png,12.0\nb.png,7.5\n")] == ["12.0", "7.5"]


def test_patients_that_a_spreadsheet_has_rounded_are_said(tmp_path: Path) -> None:
    found = notes_of(tmp_path, "path,patient_id\na.png,1.23457E+14\nb.png,1.23457E+14\n")
    assert "1 numbers look rounded" in found
    assert "1.23457E+14" not in found  # an identifier is no matter for a message


@pytest.mark.parametrize(
    ("one", "other"), [("Benign", "benign"), ("no finding", "No_Finding"), ("1", "1.0"), ("01", "1")]
)
def test_labels_that_differ_in_writing_alone_are_said(tmp_path: Path, one: str, other: str) -> None:
    assert "differ only in how they are written" in notes_of(tmp_path, f"path,label\na.png,{one}\nb.png,{other}\n")


@pytest.mark.parametrize(("one", "other"), [("ER+", "ER-"), ("1-2", "12"), ("<5", ">5"), ("a", "b"), ("-1", "1")])
def test_other_labels_are_not(tmp_path: Path, one: str, other: str) -> None:
    assert notes_of(tmp_path, f"path,label\na.png,{one}\nb.png,{other}\n") == ""


def test_a_plain_manifest_gives_no_note(tmp_path: Path) -> None:
    text = "path,domain,label,patient_id,split,age\na.png,X,A,1,train,5\nb.png,X,B,2,test,6\n"
    (tmp_path / "m.csv").write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Manifest.read(tmp_path / "m.csv").select(splits=["test"]).notes == ()


def test_backslashes_are_slashes_unless_a_file_is_called_so(tmp_path: Path) -> None:
    manifest = read(tmp_path, "path\nimages\\deep\\a.png\n")
    assert [row.path for row in manifest] == [tmp_path / "images" / "deep" / "a.png"]
    (tmp_path / "images\\b.png").touch()
    assert [row.path for row in read(tmp_path, "path\nimages\\b.png\n")] == [tmp_path / "images\\b.png"]


@pytest.mark.parametrize("url", ["https://host/a.png", "s3://bucket/a.png", "file:///a.png"])
def test_addresses_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match=r"paths are addresses .* in 1 of 2 rows"):
        read(tmp_path, f"path\na.png\n{url}\n")


@pytest.mark.parametrize("other", ["./images/a.png", "images//a.png", "images/../images/a.png", "images\\a.png"])
def test_one_file_by_two_names_is_refuse_twice(tmp_path: Path, other: str) -> None:
    with pytest.raises(UsageError, match="listed twice"):
        read(tmp_path, f"path\nimages/a.png\n{other}\n")


def test_an_absolute_path_and_a_relative_one_are_one_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="listed twice"):
        read(tmp_path, f"path\na.png\n{tmp_path}/a.png\n")


NAME = st.lists(st.sampled_from(["a", "b", ".", "..", "", "c.png"]), min_size=1, max_size=4).map("/".join)


@given(st.lists(NAME.filter(bool), max_size=5))
def test_files_are_compared_by_their_absolute_path(names: list[str]) -> None:
    keys = [os.path.abspath(name) for name in names]
    if len(set(keys)) == len(keys):
        refuse_twice(names)
    else:
        with pytest.raises(UsageError, match="listed twice"):
            refuse_twice(names)


@pytest.mark.parametrize("error", ["#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#num!", "#NULL!"])
def test_what_a_spreadsheet_could_not_compute_is_missing_and_said(tmp_path: Path, error: str) -> None:
    manifest = read(tmp_path, f"path,label\na.png,{error}\nb.png,A\n")
    assert manifest.column("label") == [None, "A"]
    assert f"label: 1 cell written {error!r} is missing" in "\n".join(manifest.notes)


@pytest.mark.parametrize("column", ["label", "patient_id", "domain"])
@pytest.mark.parametrize("word", ["unknown", "Missing", "-9", "999", "not available"])
def test_a_name_that_may_say_that_nothing_is_known_is_taken_and_said(tmp_path: Path, column: str, word: str) -> None:
    manifest = read(tmp_path, f"path,{column}\na.png,{word}\nb.png,{word}\nc.png,x1\n")
    assert manifest.column(column) == [word, word, "x1"]
    assert f"{column}: 2 cells {word!r}, which is a name" in "\n".join(manifest.notes)


def test_patients_that_differ_in_case_or_leading_zeros_alone_are_counted_and_not_shown(tmp_path: Path) -> None:
    notes = notes_of(tmp_path, "path,patient_id\na.png,0077123\nb.png,77123\nc.png,p5\nd.png,P5\ne.png,9\n")
    assert "patient_id: 2 of 5 differ from another one only in case or leading zeros" in notes
    assert "77123" not in notes
    assert "leading zeros" not in notes_of(tmp_path, "path,patient_id\na.png,10\nb.png,100\nc.png,1\n")


def test_labels_that_hold_several_others_are_said(tmp_path: Path) -> None:
    notes = notes_of(tmp_path, "path,label\na.png,Effusion|Mass\nb.png,Mass\nc.png,Effusion\n")
    assert "1 label holds several others, as 'Effusion|Mass'" in notes
    assert "class of its own" not in notes_of(tmp_path, "path,label\na.png,BI-RADS 1/2\nb.png,BI-RADS 3\n")
