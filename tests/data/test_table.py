"""A table's compression, encoding and delimiter are found, or the refusal says what was."""

import bz2
import csv
import gzip
import io
import lzma
import os
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isotone.data.manifests import table as manifest_table
from isotone.data.manifests.manifest import Manifest
from isotone.data.manifests.table import is_manifest, read_table
from isotone.errors import UsageError
from make_images import write_png

TEXT = "path,label\nimages/a.png,Größe\n"
READ = {"path": ["images/a.png"], "label": ["Größe"]}


def read(folder: Path, content: bytes, name: str = "m.csv") -> dict[str, list[str]]:
    (folder / name).write_bytes(content)
    return read_table(folder / name).columns


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_an_encoding_is_found(tmp_path: Path, encoding: str) -> None:
    assert read(tmp_path, TEXT.encode(encoding)) == READ


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    assert read(tmp_path, TEXT.replace(",", delimiter).encode()) == READ


@pytest.mark.parametrize("delimiter", [";", "#"])
def test_the_first_line_may_state_the_delimiter(tmp_path: Path, delimiter: str) -> None:
    text = f"sep={delimiter}\r\n" + TEXT.replace(",", delimiter)
    assert read(tmp_path, text.encode("utf-8-sig")) == READ
    with pytest.raises(UsageError, match="line 5 has 1 cell"):
        read(tmp_path, (text + "\nb.png\n").encode())


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_on_any_system(tmp_path: Path, end: str) -> None:
    assert read(tmp_path, TEXT.replace("\n", end).encode()) == READ


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)])
def test_a_compressed_table_is_a_manifest(tmp_path: Path, suffix: str, pack: object) -> None:
    write_png(tmp_path / "images" / "a.png")
    path = tmp_path / f"m.csv{suffix}"
    path.write_bytes(pack(TEXT.encode()))  # type: ignore[operator]
    assert read_table(path).columns == READ
    (row,) = Manifest.from_paths([path])
    assert row.path == tmp_path / "images" / "a.png"


def test_a_zip_archive_holds_one_table(tmp_path: Path) -> None:
    path = tmp_path / "m.csv.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("__MACOSX/._m.csv", b"\0")
        archive.writestr("m.csv", TEXT)
    assert read_table(path).columns == READ
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("n.csv", TEXT)
    with pytest.raises(UsageError, match="a zip archive of 2 files"):
        read_table(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "")
    with pytest.raises(UsageError, match=r"a spreadsheet.*Save it as CSV"):
        read_table(path)


@pytest.mark.parametrize(
    "name", ["m.csv", "M.CSV", "m.tsv", "m.parquet", "m.csv.gz", "m.tsv.zip", "m.csv.xz", "m.2026.csv.bz2"]
)
def test_a_manifest_is_known_by_its_name(name: str) -> None:
    assert is_manifest(Path("folder.png") / name)


@pytest.mark.parametrize("name", ["m.dcm", "csv", "m.gz", "m.csv.png", "m.txt", "1.2.840"])
def test_other_files_are_no_manifests(name: str) -> None:
    assert not is_manifest(Path("folder.csv") / name)


def test_bytes_that_are_not_utf8_are_windows_1252(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes("path,label,größe\nimages/ä.png,Größe,“1”\n".encode("cp1252"))
    with pytest.warns(UserWarning, match="read as Windows-1252"):
        manifest = Manifest.read(tmp_path / "m.csv")
    (row,) = manifest
    assert (row.path.name, row.label) == ("ä.png", "Größe")
    assert manifest.table["größe"].tolist() == ["“1”"]


def test_a_file_name_that_is_not_utf8_is_written_and_read_again(tmp_path: Path) -> None:
    name = os.fsdecode("größe-\x81.png".encode("latin-1"))
    try:
        write_png(tmp_path / name)
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    Manifest.from_paths([tmp_path]).write(tmp_path / "m.csv")
    with pytest.warns(UserWarning, match="not UTF-8"):
        (row,) = Manifest.read(tmp_path / "m.csv")
    assert row.path == tmp_path / name


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"path,label\na.png\n", "line 2 has 1 cell, the heading has 2"),
        (b"path,label\na.png,A\nb.png,A,B\n", "line 3 has 3 cells, the heading has 2"),
        (b"label,path\n1,A,a.png\n2,B,b.png\n", "line 2 has 3 cells"),
        (b'path,label\n"a.png,A\nb.png,B\n', "line 3: unexpected end of data"),
        (b"path,label\n" + b"a" * 200_000 + b",A\n", "line 2: field larger"),
        (b"path,label\na.png,A\0\n", "NUL characters"),
        (bytes(128) + b"DICM" + bytes(40), "NUL characters"),
        (b"path,path\na.png,b.png\n", "two columns are called 'path'"),
        (b"path,age,age\na.png,1,2\n", "two columns are called 'age'"),
        (b"\n \n", "an empty file"),
        (b"\xef\xbb\xbf", "an empty file"),
        (b"path,label\na.png,\x81\xff\n", "neither UTF-8 nor Windows-1252"),
        (b"\x1f\x8b\x08\0 not gzip", "cannot be decompressed"),
        (b"PK\x03\x04 not zip", "cannot be decompressed"),
        (b"PAR1 not Parquet", "not readable as Parquet"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "m.csv").write_bytes(content)
    with pytest.raises(UsageError, match=message) as caught:
        Manifest.read(tmp_path / "m.csv")
    assert caught.value.file == str(tmp_path / "m.csv")
    assert len(str(caught.value)) < 400


def test_blank_rows_blank_ends_and_columns_without_heading_are_left_out(tmp_path: Path) -> None:
    assert read(tmp_path, b",path,label,\n0,a.png,A\n".replace(b"A\n", b"A,\n") + b"\n,,,\n1,b.png,B,,,\n") == {
        "path": ["a.png", "b.png"],
        "label": ["A", "B"],
    }


def test_a_row_that_is_blank_but_for_its_number_has_no_path(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(b",path,label\n0,a.png,A\n\n1,,\n")
    with pytest.raises(UsageError, match="line 4 has no path"):
        Manifest.read(tmp_path / "m.csv")


def test_quoted_cells_keep_delimiters_line_breaks_and_percent_signs(tmp_path: Path) -> None:
    columns = read(tmp_path, b'path, label\n"a,b%20.png", "A\nB"\n')
    assert columns == {"path": ["a,b%20.png"], "label": ["A\nB"]}


def test_a_table_that_inflates_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_table, "MOST_BYTES", 2**20)
    (tmp_path / "m.csv.gz").write_bytes(gzip.compress(b"path\n" + b"a.png\n" * 2**18))
    with pytest.raises(UsageError, match="more than 1 MiB"):
        read_table(tmp_path / "m.csv.gz")


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@pytest.mark.slow
@given(
    rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6),
    delimiter=st.sampled_from(list(manifest_table.DELIMITERS)),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
@settings(deadline=None)
def test_what_csv_writes_is_read(rows: list[tuple[str, str]], delimiter: str, encoding: str, end: str) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("path", "label"), *rows])
    with tempfile.TemporaryDirectory() as folder:
        columns = read(Path(folder), text.getvalue().encode(encoding))
    kept = [(a.strip(), b.strip()) for a, b in rows if a.strip() or b.strip()]
    assert list(zip(columns["path"], columns["label"], strict=True)) == kept


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda b: b"path,label\n" + b))
@settings(deadline=None)
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder, suppress(UsageError):
        read(Path(folder), content)
