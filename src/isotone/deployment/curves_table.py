"""``curves.csv``: a line for each image of a folder's runs, which people and spreadsheets read, and `restore`."""

from __future__ import annotations

import csv
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from isotone.errors import UsageError
from isotone.safe_text import from_inert, inert

CURVES = "curves.csv"
COLUMNS = (
    "file",
    "status",
    "code",
    "coefficients",
    "min_slope",
    "max_slope",
    "levels_kept",
    "clipped_share",
    "warnings",
    "output",
)


def refuse_foreign_table(folder: Path) -> None:
    """Refuse to take the place of somebody else's file of that name.

    Raises
    ------
    UsageError
        It is a link, or no table of isotone.
    """
    path = folder / CURVES
    try:
        ours = stat.S_ISREG(path.lstat().st_mode) and is_table(path)
    except FileNotFoundError:
        return
    except OSError:
        ours = False
    if not ours:
        raise UsageError("this is no table of isotone", file=path, next_step="Move it away, or name another output=.")


def inputs_by_output(folder: Path) -> dict[str, str]:
    """The input of each file that the last whole run lists, as far as it can be read."""
    return {from_inert(row["output"]): from_inert(row["file"]) for row in _rows(folder / CURVES)}


def rows_of(folder: Path) -> Iterator[dict[str, str]]:
    """The lines of a folder's table, with the names of files as they are."""
    for row in _rows(folder / CURVES):
        yield row | {name: from_inert(row[name]) for name in ("file", "output")}


def passed_through(paths: Iterable[Path]) -> set[Path]:
    """Which images are copies of images that stay as they are, by the tables of the runs that put them there."""
    tables: dict[Path, set[str]] = {}
    found = set()
    for path in paths:
        whole = path.absolute()
        folder = next((above for above in whole.parents if is_table(above / CURVES)), None)
        if folder is None:
            continue
        if folder not in tables:
            tables[folder] = {row["output"] for row in _rows(folder / CURVES) if _is_copy(row)}
        if inert(whole.relative_to(folder)) in tables[folder]:
            found.add(path)
    return found


def _is_copy(row: dict[str, str]) -> bool:
    """Those that are gone by now have no curve either."""
    gone = row["status"] == "gone" and not row["levels_kept"] and row["output"] != ""
    return gone or row["status"] in ("reference", "kept")


def is_table(table: Path) -> bool:
    """Whether a file is a table of isotone."""
    try:
        with table.open(encoding="utf-8", errors="replace") as file:
            return file.readline(256).rstrip("\r\n") == ",".join(COLUMNS)
    except OSError:
        return False


def _rows(table: Path) -> Iterator[dict[str, str]]:
    if not is_table(table):  # no run has ended here
        return
    with table.open(newline="", encoding="utf-8", errors="replace") as file:
        yield from csv.DictReader(file, restval="")
