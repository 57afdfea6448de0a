"""A table of text from a file: its compression, encoding and delimiter are found, or the refusal says what was."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from isotone.errors import IsotoneError, UsageError

NAMES = (".csv", ".tsv", ".parquet")
COMPRESSED = (".gz", ".bz2", ".xz", ".zip")
MOST_BYTES = 2**30
"""Bytes of text that a table may have once it is decompressed: about ten million rows. Above it a compressed file is
more likely an attack, and each byte takes about ten of memory."""
WINDOWS = "windows-1252"
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
OPENERS: dict[bytes, Callable[[IO[bytes]], io.BufferedIOBase]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
"""Byte order marks; the longer of two that begin alike comes first."""


@dataclass(frozen=True)
class TextTable:
    """The cells of a table as text, stripped of blanks around them.

    Attributes
    ----------
    columns : dict of heading to list of str
        All of one length.
    lines : sequence of int
        Line of the file on which each row ends, from 1; of Parquet, the number of the row.
    written : str
        How the file is written, for messages: encoding and delimiter.
    encoding : str
        "utf-8", "utf-16", "windows-1252" …; in the latter, cells hold bytes that are not UTF-8 as surrogates
        (PEP 383), because a path may be such bytes: `as_windows` turns them into text.
    """

    columns: dict[str, list[str]]
    lines: Sequence[int]
    written: str
    encoding: str


def is_manifest(path: str | Path) -> bool:
    """Whether a file is a manifest by its name: CSV, TSV or Parquet, the former two compressed or not."""
    name = Path(path).name.lower()
    for suffix in COMPRESSED:
        name = name.removesuffix(suffix)
    return name.endswith(NAMES)


def read_table(path: Path) -> TextTable:
    """Read a CSV, TSV or Parquet file as text.

    The delimiter is the one of comma, semicolon, tab and vertical bar that gives the heading a column `path`, or else
    the most columns; the first line may state it (``sep=;``). The encoding is UTF-8, what a byte order mark says,
    UTF-16 without a mark, or Windows-1252 where the bytes are not UTF-8. Compression is found by the first bytes: gzip,
    bzip2, xz, or a zip archive that holds one table. Rows without any text and columns without a heading are left out.

    Raises
    ------
    UsageError
        E_READ: no such file. E_MANIFEST: anything else that keeps it from being read.
    IsotoneError
        E_EXTRA: Parquet needs pyarrow.
    """
    try:
        raw = _decompressed(path)
        if raw.startswith(b"PAR1"):
            return _parquet(raw)
        return _parsed(*_decoded(raw))
    except UsageError as error:
        raise UsageError(error.what, code=error.code, file=path, next_step=error.next_step) from None
    except IsotoneError as error:
        raise IsotoneError(error.code, error.what, file=path) from None
    except FileNotFoundError:
        raise UsageError("no such manifest", code="E_READ", file=path) from None
    except OSError as error:
        raise UsageError("cannot be read", code="E_READ", file=path) from error


def as_windows(cell: str) -> str:
    """Text of a cell whose bytes are not UTF-8, as Windows-1252; any other cell as it is.

    Raises
    ------
    UsageError
        Not that either.
    """
    try:
        return cell if cell.isascii() or _is_text(cell) else cell.encode("utf-8", "surrogateescape").decode("cp1252")
    except UnicodeDecodeError:
        raise UsageError(
            "neither UTF-8 nor Windows-1252", code="E_MANIFEST", next_step="Save the manifest as UTF-8."
        ) from None


def _is_text(cell: str) -> bool:
    return not any("\udc80" <= character <= "\udcff" for character in cell)


def _decompressed(path: Path) -> bytes:
    with path.open("rb") as file:
        raw = _bounded(file)
    inside = io.BytesIO(raw)
    try:
        if raw.startswith(b"PK\x03\x04"):
            return _one_member(inside)
        for magic, opener in OPENERS.items():
            if raw.startswith(magic):
                return _bounded(opener(inside))
    except (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError) as error:
        # RuntimeError: encrypted; its subclass NotImplementedError: compressed in a way that zipfile does not know
        raise UsageError(
            f"cannot be decompressed ({type(error).__name__})",
            code="E_MANIFEST",
            next_step="Decompress it with the program that made it.",
        ) from None
    return raw


def _one_member(file: IO[bytes]) -> bytes:
    with zipfile.ZipFile(file) as archive:
        names = [m for m in archive.namelist() if not m.endswith("/") and not m.startswith("__MACOSX")]
        if "xl/workbook.xml" in names or "content.xml" in names:
            raise UsageError("a spreadsheet, not a table of text", code="E_MANIFEST", next_step="Save it as CSV.")
        if len(names) != 1:
            raise UsageError(
                f"a zip archive of {len(names)} files",
                code="E_MANIFEST",
                next_step="Give the table itself, or an archive that holds nothing else.",
            )
        with archive.open(names[0]) as inside:
            return _bounded(inside)


def _bounded(file: IO[bytes] | io.BufferedIOBase) -> bytes:
    raw = file.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise UsageError(
            f"more than {MOST_BYTES >> 20} MiB of text", code="E_MANIFEST", next_step="Split it into several manifests."
        )
    return raw


def _parquet(raw: bytes) -> TextTable:
    try:
        from pyarrow import parquet
    except ImportError:
        raise IsotoneError("E_EXTRA", "Parquet needs pyarrow") from None
    try:
        table = parquet.ParquetFile(io.BytesIO(raw)).read()
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors and OSErrors
        raise UsageError("not readable as Parquet", code="E_MANIFEST") from error
    names = [name for name in table.column_names if not name.startswith("__index_level_")]  # pandas' own
    _refuse_twice(names)
    columns = {
        name: ["" if cell is None or cell != cell else str(cell).strip() for cell in table[name].to_pylist()]
        for name in names
    }
    return TextTable(columns, range(1, table.num_rows + 1), "Parquet", "parquet")


def _decoded(raw: bytes) -> tuple[str, str]:
    for mark, name in MARKS:
        if raw.startswith(mark):
            return _strictly(raw, name), name.removesuffix("-sig")
    if raw[:2].count(0) == 1 and len(raw) > 1:  # one of the two bytes of an ASCII letter
        wide = "utf-16-be" if raw[0] == 0 else "utf-16-le"
        return _strictly(raw, wide), wide
    try:
        return raw.decode(), "utf-8"
    except UnicodeDecodeError:
        return raw.decode(errors="surrogateescape"), WINDOWS


def _strictly(raw: bytes, encoding: str) -> str:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        raise UsageError(
            f"begins as {encoding.upper()} and is not", code="E_MANIFEST", next_step="Save the manifest as UTF-8."
        ) from None


def _parsed(text: str, encoding: str) -> TextTable:
    if not text.strip("\ufeff \r\n\t"):
        raise UsageError("an empty file", code="E_MANIFEST")
    if "\0" in text:
        raise UsageError("holds NUL characters, so it is no table of text", code="E_MANIFEST")
    stated = re.match(r"sep=(.)\r?\n", text)
    delimiter = stated[1] if stated else _delimiter(text)
    body = text[stated.end() :] if stated else text
    skipped = 1 if stated else 0
    shown = DELIMITERS.get(delimiter, repr(delimiter))
    reader = csv.reader(_lines_of(body), delimiter=delimiter, strict=True, skipinitialspace=True)
    heading: list[str] = []
    cells: list[str] = []
    lines: list[int] = []
    try:
        for row in reader:
            if not (row and row[0].strip()) and not any(map(str.strip, row)):
                continue
            if not heading:
                heading = row
                continue
            if len(row) != len(heading):
                row = _of_width(row, len(heading), reader.line_num + skipped, shown)
            cells += row
            lines.append(reader.line_num + skipped)
    except csv.Error as error:
        raise UsageError(
            f"line {reader.line_num + skipped}: {error}",
            code="E_MANIFEST",
            next_step=f"Close the quotation marks of this line. Columns were read as separated by {shown}.",
        ) from None
    del text, body, reader  # as large as the cells, which are about to be copied
    names = [as_windows(name.strip("\ufeff \t\xa0")) for name in heading]
    _refuse_twice([name for name in names if name])
    columns = {name: [cell.strip() for cell in cells[i :: len(names)]] for i, name in enumerate(names) if name}
    return TextTable(columns, lines, f"{encoding.upper()}, separated by {shown}", encoding)


def _lines_of(text: str) -> Iterable[str]:
    """Lines with their ends, as the csv module wants them; `io.StringIO` would hold four bytes for each character."""
    raw = io.BytesIO(text.encode(errors="surrogatepass"))
    return io.TextIOWrapper(raw, "utf-8", errors="surrogatepass", newline="")


def _of_width(row: list[str], width: int, line: int, delimiter: str) -> list[str]:
    """A row without blank cells beyond the heading."""
    if len(row) < width or any(cell.strip() for cell in row[width:]):
        cells = "1 cell" if len(row) == 1 else f"{len(row)} cells"
        raise UsageError(
            f"line {line} has {cells}, the heading has {width}",
            code="E_MANIFEST",
            next_step=f"Give each row a cell for each column, in quotation marks where it holds {delimiter}.",
        )
    return row[:width]


def _delimiter(text: str) -> str:
    heading = next(line for line in _lines_of(text) if line.strip("\ufeff \t\r\n"))

    def found(delimiter: str) -> tuple[bool, int]:
        names = next(csv.reader([heading], delimiter=delimiter))
        return "path" in {letters(name) for name in names}, len(names)

    return max(DELIMITERS, key=found)


def letters(heading: str) -> str:
    """The letters and digits of a heading in lower case, by which it is compared with others."""
    return "".join(filter(str.isalnum, heading.casefold()))


def _refuse_twice(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"two columns are called {name!r}", code="E_MANIFEST", next_step="Rename or remove one of them."
            )
