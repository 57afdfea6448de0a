"""``curves.csv``: a line for each image of a run, which people and spreadsheets read, and `restore`."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from isotone.journal import JOURNAL
from isotone.safe_text import inert

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


def passed_through(paths: Iterable[Path]) -> set[Path]:
    """Which images are copies of reference images, by the tables of the runs that put them there."""
    tables: dict[Path, set[str]] = {}
    found = set()
    for path in paths:
        whole = path.absolute()
        folder = next((above for above in whole.parents if (above / JOURNAL).exists()), None)
        if folder is None:
            continue
        if folder not in tables:
            tables[folder] = _references(folder / CURVES)
        if inert(whole.relative_to(folder)) in tables[folder]:
            found.add(path)
    return found


def _references(table: Path) -> set[str]:
    try:
        with table.open(newline="", encoding="utf-8") as file:
            return {row["output"] for row in csv.DictReader(file) if row["status"] == "reference"}
    except (OSError, ValueError, KeyError, csv.Error):  # no run has ended here, or it is somebody's own table
        return set()
