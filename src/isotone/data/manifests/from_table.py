"""From a table, a file's or a user's, to the clean columns of a manifest."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isotone.data.manifests.cells import COLUMNS, MISSING, Columns, cleaned, file_names, without_missing
from isotone.data.manifests.columns import known_columns
from isotone.data.manifests.table import WINDOWS, as_windows, read_table
from isotone.errors import UsageError

PATHS = ["path", "oracle_path"]
"""Columns of paths; the second names the same image as the reference scanner would have written it (simulations)."""
TRUE, FALSE = ("true", "yes", "1"), ("false", "no", "0")


def columns_of_file(source: Path) -> tuple[Columns, list[str]]:
    """The cleaned table of a file, its paths from the working directory; and notes."""
    found = read_table(source)
    names, notes = known_columns(list(found.columns), found.written)
    columns = {names.get(heading, heading): cells for heading, cells in found.columns.items()}
    folder = str(source.parent)
    if found.encoding == WINDOWS:
        notes.append("not UTF-8: read as Windows-1252")
        for name, own in columns.items():
            columns[name] = [
                c if name in PATHS and os.path.lexists(os.path.join(folder, c)) else as_windows(c) for c in own
            ]
    cells: Columns = {name: [*own] for name, own in columns.items()}
    cells |= cleaned(columns, len(found.lines), notes, found.lines)
    for name in PATHS:
        if name in columns:
            paths = cells[name] if name in COLUMNS else without_missing(name, columns[name], notes)
            cells[name] = file_names(paths, folder)
    if "inverted" in cells:
        cells["inverted"] = truths(columns["inverted"])
    return cells, notes


def listed_cells(cells: Any) -> list[Any]:
    """The cells of a column, None where pandas or a user has NaN, NA or NaT."""
    known = cells.astype(object).where(cells.notna(), None).tolist() if hasattr(cells, "notna") else cells
    return [None if cell != cell else cell for cell in known]


def texts(cells: Sequence[Any]) -> list[str]:
    """Cells as text without blanks at its ends; empty where they are missing."""
    return ["" if cell is None else str(cell).strip() for cell in cells]


def truths(cells: Sequence[str]) -> list[bool | None]:
    """What the cells of column `inverted` say.

    Raises
    ------
    UsageError
        E_MANIFEST: another word than true, false and their like.
    """
    unknown = {cell.lower() for cell in set(cells)} - {*MISSING, *TRUE, *FALSE}
    if unknown:
        raise UsageError(
            f"inverted is {sorted(unknown)[0]!r}", code="E_MANIFEST", next_step="Use true or false, or leave it empty."
        )
    return [True if cell.lower() in TRUE else False if cell.lower() in FALSE else None for cell in cells]


def refuse_straddling(columns: Columns) -> None:
    """Refuse a patient who is in two splits.

    Raises
    ------
    UsageError
        E_MANIFEST.
    """
    split_of: dict[str, str] = {}
    straddling = set()
    for patient, split in zip(columns["patient_id"], columns["split"], strict=True):
        if patient is not None and split is not None and split_of.setdefault(patient, split) != split:
            straddling.add(patient)
    if straddling:
        count = len(straddling)
        raise UsageError(
            "1 patient is in two splits" if count == 1 else f"{count} patients are in two splits",
            code="E_MANIFEST",
            next_step="Give each patient one split, or leave the column 'split' out.",
        )
