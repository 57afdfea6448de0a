"""The table of images: what it takes, and what it refuses in one line."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import dicoms
from isotone.data.manifests.manifest import Manifest
from isotone.data.splits import with_splits
from isotone.errors import IsotoneError, UsageError
from make_images import write_png


def table(rows: int = 12, **columns: object) -> pd.DataFrame:
    return pd.DataFrame({"path": [f"{i}.png" for i in range(rows)], **columns})


def test_a_csv_is_read_relative_to_itself(tmp_path: Path) -> None:
    write_png(tmp_path / "images" / "a.png")
    (tmp_path / "m.csv").write_text("path,label,age\nimages/a.png,B,52\n")
    manifest = Manifest.read(tmp_path / "m.csv", domain="X")
    (row,) = manifest
    assert row.path == tmp_path / "images" / "a.png"
    assert (row.domain, row.label, row.patient_id, row.split) == ("X", "B", None, None)
    assert manifest.table["age"].tolist() == ["52"]


@pytest.mark.parametrize("yes", ["true", "True", " yes", "1"])
def test_the_user_says_where_0_is_white(tmp_path: Path, yes: str) -> None:
    for name in ("a.png", "b.png", "c.png"):
        write_png(tmp_path / name)
    (tmp_path / "m.csv").write_text(f"path,inverted\na.png,{yes}\nb.png,no\nc.png,\n")
    manifest = Manifest.read(tmp_path / "m.csv")
    assert [row.inverted for row in manifest] == [True, False, None]
    manifest.write(tmp_path / "again.csv")
    assert list(Manifest.from_paths([tmp_path / "again.csv"])) == list(manifest)
    assert all(row.inverted for row in Manifest.from_paths([tmp_path], inverted=True))
    assert not any(row.inverted for row in Manifest.from_paths([tmp_path]))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    before = Manifest(table(label="A", domain="X", patient_id=[str(i // 2) for i in range(12)], split="train"))
    before.columns["path"] = [str(tmp_path / p) for p in before.columns["path"]]
    before.write(tmp_path / "m.csv")
    assert list(Manifest.read(tmp_path / "m.csv")) == list(before)


def test_file_names_like_formulas_or_missing_cells_are_written_as_file_names(tmp_path: Path) -> None:
    names = ["=1+2.png", "@x.png", "-1.png", "nan", "NA", "plain.png"]
    Manifest(pd.DataFrame({"path": [str(tmp_path / name) for name in names]})).write(tmp_path / "m.csv")
    starts = [line[0] for line in (tmp_path / "m.csv").read_text().splitlines()[1:]]
    assert starts == [".", ".", ".", ".", ".", "p"]
    assert [row.path for row in Manifest.read(tmp_path / "m.csv")] == [tmp_path / name for name in names]


def test_parquet_is_read_like_csv(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    table(3, label="A").to_parquet(tmp_path / "m.parquet")
    assert len(Manifest.read(tmp_path / "m.parquet")) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file"),
        (b"\xff\xfe\x00\x01garbage", "begins as UTF-16 and is not"),
        (b"label\nA\n", "no column 'path'"),
        (b"path\n", "lists no image"),
        (b"path,label\n,A\n", "line 2 has no path"),
        (b"path,split\na.png,holdout\n", "unknown split 'holdout'"),
        (b"path\na.png\na.png\n", "listed twice"),
        (b"path,inverted\na.png,maybe\n", "inverted is 'maybe'"),
        (b"path,patient_id,split\na.png,1,train\nb.png,1,test\n", "1 patient is in two splits"),
    ],
)
def test_an_unusable_manifest_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message) as caught:
        Manifest.read(path)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_folders_files_and_manifests_go_together(tmp_path: Path) -> None:
    for name in ("one/a.png", "one/deep/b.png", "c.png", "two/d.png"):
        write_png(tmp_path / name)
    (tmp_path / "one" / "notes.txt").write_text("not an image")
    (tmp_path / "two" / "m.csv").write_text("path,label\nd.png,A\n")
    manifest = Manifest.from_paths([tmp_path / "one", tmp_path / "c.png", tmp_path / "two" / "m.csv"])
    assert sorted(row.path.name for row in manifest) == ["a.png", "b.png", "c.png", "d.png"]


def test_a_path_that_does_not_exist_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        Manifest.from_paths([tmp_path / "nothing"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no image"):
        Manifest.from_paths([tmp_path / "empty"])


def test_an_unknown_domain_names_those_there_are() -> None:
    manifest = Manifest(table(domain="X"))
    with pytest.raises(UsageError, match=r"'Y'.*X"):
        manifest.select(domains=["Y"])


def test_dicom_headers_fill_domain_and_patient(tmp_path: Path) -> None:
    dataset = dicoms.radiograph(vendor="fuji")
    dataset.PatientID = "p1"
    dicoms.write(dataset, tmp_path / "a.dcm")
    (row,) = Manifest.from_paths([tmp_path])
    assert (row.domain, row.patient_id) == ("FUJIFILM Corporation Clearview CSm", "p1")


def test_patients_never_straddle_the_folds() -> None:
    rng = np.random.default_rng(0)
    patients = rng.integers(0, 40, 120).astype(str)
    manifest = Manifest(
        table(120, domain=rng.choice(["X", "Y"], 120), label=rng.choice(["A", "B"], 120), patient_id=patients)
    )
    dealt = with_splits(manifest, seed=3).table
    assert dealt.groupby("patient_id")["split"].nunique().max() == 1
    assert set(dealt["split"]) == {"train", "val", "test"}
    assert dealt["split"].equals(with_splits(manifest, seed=3).table["split"])
    assert not dealt["split"].equals(with_splits(manifest, seed=4).table["split"])


def test_folds_keep_the_shares_of_domain_and_label() -> None:
    labels = ["A"] * 50 + ["B"] * 150
    manifest = Manifest(table(200, label=labels, patient_id=[str(i) for i in range(200)]))
    shares = with_splits(manifest).table.groupby("split")["label"].value_counts(normalize=True)
    assert all(shares[split, "A"] == pytest.approx(0.25, abs=0.03) for split in ("train", "val", "test"))


def test_a_stated_split_stays_and_its_patient_follows() -> None:
    split = ["test", None, *[None] * 10]
    patients = ["1", "1", *[str(i) for i in range(2, 12)]]
    dealt = with_splits(Manifest(table(12, patient_id=patients, split=split))).table
    assert dealt["split"].tolist()[:2] == ["test", "test"]


def test_two_patients_cannot_be_dealt() -> None:
    with pytest.raises(IsotoneError, match="2 patients"):
        with_splits(Manifest(table(8, patient_id=["1", "2"] * 4)))


def test_an_image_without_header_needs_no_domain(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
    (row,) = Manifest.from_paths([tmp_path / "a.png"])
    assert row.domain is None


def test_a_file_name_that_is_not_utf8_is_listed_like_any_other(tmp_path: Path) -> None:
    name = os.fsdecode(b"scan-\xff.png")
    try:
        write_png(tmp_path / name)
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    assert [row.path.name for row in Manifest.from_paths([tmp_path])] == [name]


def test_a_selection_that_is_empty_says_what_was_sought() -> None:
    manifest = Manifest(table(domain="X", split="train", label=None))
    with pytest.raises(UsageError, match="no labelled row of split val or test in domain X"):
        manifest.select(domains=["X"], splits=["val", "test"], labelled=True)


def test_where_no_image_has_a_label_the_way_to_labels_is_named(tmp_path: Path) -> None:
    manifest = Manifest(pd.DataFrame({"path": ["a.png"], "split": "train"}))
    with pytest.raises(UsageError) as caught:
        manifest.select(splits=["train"], labelled=True)
    assert "isotone manifest FOLDER" in str(caught.value)


def test_a_file_that_is_named_beside_its_folder_is_refused_with_advice_for_the_command_line(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png")
    with pytest.raises(UsageError, match=r"listed twice.*name each image once"):
        Manifest.from_paths([tmp_path, tmp_path / "a.png"])
