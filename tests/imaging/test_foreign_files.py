"""Whatever somebody put into an output folder: nothing foreign is followed, cut, overwritten or swept away."""

from __future__ import annotations

import csv
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from dicoms import pixels, radiograph, write
from harmonizers import scanner_harmonizer
from isotone._runtime.files import sweep
from isotone._runtime.journal import JOURNAL, NAMES
from isotone._runtime.journal_lines import LINES
from isotone._runtime.lock import LOCK
from isotone.data.manifests.manifest import Manifest
from isotone.deployment.apply import ApplyReport, apply
from isotone.deployment.restore import restore
from isotone.errors import IsotoneError, UsageError

HOLOGIC = "HOLOGIC, Inc. Selenia Dimensions"
PRECIOUS = b"years of work\n"


def run(source: Path, out: Path, *, force: bool = True) -> ApplyReport:
    return apply(scanner_harmonizer(HOLOGIC), Manifest.from_paths([source]), out, workers=0, quiet=True, force=force)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for number in range(2):
        write(radiograph(pixels(rows=24, columns=32, seed=number), seed=number), tmp_path / "in" / f"{number}.dcm")
    return tmp_path / "in"


def a_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE images (mine); INSERT INTO images VALUES (1);")


def a_signed_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(f"PRAGMA application_id = {0x49534F54}; CREATE TABLE images (mine);")


CONTENTS = {
    "text": lambda path: path.write_bytes(PRECIOUS),
    "empty": lambda path: path.touch(),
    "a database": a_database,
    "a database with our signature": a_signed_database,
    "json": lambda path: path.write_text('{"key": 1}\n'),
    "a number": lambda path: path.write_text("1\n"),
}


@pytest.mark.parametrize("name", [JOURNAL, LINES])
@pytest.mark.parametrize("kind", sorted(CONTENTS))
def test_a_journal_that_isotone_did_not_write_is_refused_and_left(
    source: Path, tmp_path: Path, name: str, kind: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    CONTENTS[kind](out / name)
    before = (out / name).read_bytes()
    for force in (False, True):
        with pytest.raises(UsageError, match="no journal of isotone") as refusal:
            run(source, out, force=force)
        assert name in str(refusal.value)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {name: before}


@pytest.mark.parametrize(
    ("name", "runs"), [(name, 0) for name in (*NAMES[1:4], LOCK)] + [(name, 1) for name in (*NAMES[2:4], LOCK)]
)
def test_what_sqlite_or_the_lock_would_delete_is_refused_and_left(
    source: Path, tmp_path: Path, name: str, runs: int
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for _ in range(runs):
        run(source, out)
    (out / name).write_bytes(PRECIOUS)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(UsageError) as refusal:
        run(source, out)
    assert name in str(refusal.value)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize("name", [*NAMES, LOCK])
@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_in_the_place_of_what_a_run_keeps_is_not_followed(
    source: Path, tmp_path: Path, name: str, dangling: bool
) -> None:
    out, precious = tmp_path / "out", tmp_path / "precious"
    out.mkdir()
    if not dangling:
        precious.write_bytes(PRECIOUS)
    (out / name).symlink_to(precious)
    with pytest.raises(UsageError):
        run(source, out)
    assert precious.exists() != dangling
    assert dangling or precious.read_bytes() == PRECIOUS
    assert [path.name for path in out.iterdir()] == [name]


@pytest.mark.slow
def test_a_journal_that_was_damaged_is_refused_in_one_line(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(source, out)
    whole = (out / JOURNAL).read_bytes()
    for start in range(100, len(whole), 1500):
        (out / JOURNAL).write_bytes(whole[:start] + b"\xff" * 200 + whole[start + 200 :])
        with suppress(IsotoneError):  # anything else would be a traceback
            run(source, out)
        (out / JOURNAL).unlink(missing_ok=True)
        (out / f"{JOURNAL}-journal").unlink(missing_ok=True)


@pytest.mark.parametrize("foreign", ["file", "link"])
def test_a_table_that_isotone_did_not_write_is_refused_and_left(source: Path, tmp_path: Path, foreign: str) -> None:
    out, mine = tmp_path / "out", tmp_path / "mine.csv"
    out.mkdir()
    mine.write_bytes(PRECIOUS)
    if foreign == "file":
        (out / "curves.csv").write_bytes(PRECIOUS)
    else:
        (out / "curves.csv").symlink_to(mine)
    with pytest.raises(UsageError, match="no table of isotone"):
        run(source, out)
    assert (out / "curves.csv").read_bytes() == mine.read_bytes() == PRECIOUS


@pytest.fixture
def bound(tmp_path: Path) -> Iterator[Path]:
    """The input folder, mounted a second time."""
    other = tmp_path / "bound"
    other.mkdir()
    (tmp_path / "in").mkdir(exist_ok=True)
    if subprocess.run(["mount", "--bind", str(tmp_path / "in"), str(other)], capture_output=True).returncode:
        pytest.skip("may not mount here")
    yield other
    subprocess.run(["umount", str(other)], check=True)


def refused(source: Path, out: Path, images: Path) -> None:
    """Also with --force, and by restore; and every file is as it was."""
    before = {path: path.read_bytes() for path in images.rglob("*.dcm")}
    for call in (lambda: run(source, out), lambda: restore([source], out, force=True, workers=0, quiet=True)):
        with pytest.raises(UsageError):
            call()
    assert {path: path.read_bytes() for path in images.rglob("*.dcm")} == before
    assert not (images / JOURNAL).exists()


def test_an_output_folder_that_is_the_input_folder_under_another_name_is_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(source)
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "link").symlink_to(tmp_path)
    for out in (source, tmp_path / "link", tmp_path / "up" / ".." / "in", tmp_path / "up" / "link" / "in"):
        refused(source, out, source)
        refused(tmp_path / "link", out, source)


def test_an_output_folder_around_the_input_folder_is_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    refused(source, tmp_path / "link", source)
    refused(tmp_path / "link" / "in", tmp_path, source)


def test_an_output_folder_that_is_a_mount_of_the_input_folder_is_refused(source: Path, bound: Path) -> None:
    refused(source, bound, source)
    refused(bound, source, source)


def test_an_output_that_is_an_input_by_another_way_is_refused(source: Path, tmp_path: Path) -> None:
    """The folders differ, and a file in one is a file of the other."""
    out = tmp_path / "out"
    out.mkdir()
    os.link(source / "0.dcm", out / "0.dcm")
    refused(source, out, source)


def test_an_output_folder_inside_the_input_folder_is_not_read_again(source: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(source)
    assert run(source, tmp_path / "link" / "out", force=False).harmonized == 2
    assert run(source, source / "out", force=False).resumed == 2


def test_no_output_goes_through_a_link(source: Path, tmp_path: Path) -> None:
    out, precious = tmp_path / "out", tmp_path / "precious"
    out.mkdir()
    precious.write_bytes(PRECIOUS)
    (out / "0.dcm").symlink_to(precious)
    report = run(source, out)
    assert (report.harmonized, [error.code for error in report.refused]) == (1, ["E_WRITE"])
    assert precious.read_bytes() == PRECIOUS
    assert (out / "0.dcm").is_symlink()


def test_an_input_that_is_named_like_a_temporary_file_is_kept(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    names = (".isotone-x.dcm", ".isotone-part-abcd1234.dcm", ".isotone-lock", ".isotone-part-abcd1234/a.dcm")
    for seed, name in enumerate(names, 5):
        (source / name).parent.mkdir(exist_ok=True)
        write(radiograph(pixels(rows=24, columns=32, seed=seed), seed=seed), source / name)
    for done in ("harmonized", "resumed"):
        assert getattr(run(source, out), done) == 6
        with (out / "curves.csv").open(newline="", encoding="utf-8") as file:
            written = [row["output"] for row in csv.DictReader(file)]
        assert len(set(written)) == 6
        assert all((out / name).is_file() for name in written)


def test_only_what_isotone_was_writing_is_swept(tmp_path: Path) -> None:
    mine = (".isotone-notes.txt", ".isotone-part-.dcm", "isotone-part-abcd1234.dcm", ".isotone-part-abcd1234x.dcm")
    for name in mine:
        (tmp_path / name).touch()
    (tmp_path / "deep").mkdir()
    for name in (
        ".isotone-part-abcd_234.dcm",
        "deep/.isotone-part-abcd1234",
        "deep/.isotone-part-zzzzzzzz.sqlite-journal",
    ):
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == sorted([*mine, "deep"])
