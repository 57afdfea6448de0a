"""What a cell of a manifest means: which spellings are missing values, which are splits, which file a path names."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from isotone.errors import UsageError

MISSING = frozenset(
    {"", "nan", "-nan", "na", "n/a", "n.a.", "#n/a", "#na", "<na>", "none", "null", "nil", "nat", "-", "--", "?", "."}
)
"""Cells that say nothing, in lower case: as pandas, R, SQL, SAS, Weka and spreadsheets write them."""
SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Spellings of a split, in lower case."""
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
ROUNDED = re.compile(r"\d(?:[.,]\d+)?E\+\d+")
FLOATED = re.compile(r"\d+\.0")

Cells = list[str | None]


def without_missing(name: str, cells: Sequence[str | None], notes: list[str]) -> Cells:
    """The cells of a column, None where they are missing; a note counts those that were written as a word.

    Parameters
    ----------
    name : str
        Of the column.
    cells : sequence of str or None
    notes : list of str
        Gets a sentence for each spelling.
    """
    meaning = {cell: _meaning(cell) for cell in set(cells)}
    words = {cell for cell, meant in meaning.items() if cell and meant is None and cell.strip()}
    if words:
        counts = Counter(cell for cell in cells if cell in words)
        notes += [f"{name}: {_cells(n)} written {cell!r} {_are(n)} missing" for cell, n in sorted(counts.items())]
    return [meaning[cell] for cell in cells]


def splits_of(cells: Cells, notes: list[str]) -> Cells:
    """The cells of column `split` as "train", "val" and "test"; a note says which other spellings were taken.

    Raises
    ------
    UsageError
        E_MANIFEST: another word.
    """
    taken: dict[str | None, str | None] = {None: None}
    for cell in sorted(c for c in set(cells) if c is not None):
        split = SPLITS.get(cell.lower())
        if split is None:
            raise UsageError(
                f"unknown split {cell!r}",
                code="E_MANIFEST",
                next_step="Use train, val or test, or leave the column out.",
            )
        taken[cell] = split
        if cell != split:
            notes.append(f"split {cell!r} is read as {split!r}")
    return [taken[cell] for cell in cells]


def patients_of(cells: Cells, notes: list[str]) -> Cells:
    """The cells of column `patient_id`; whole numbers that were written as fractions (``12.0``) are whole again.

    pandas writes a column of whole numbers like that where one is missing, while an image's header has ``12``.
    A note tells of numbers that a spreadsheet has rounded (``1.2E+14``): they hold several patients each.
    """
    known = [cell for cell in set(cells) if cell is not None]
    rounded = sum(ROUNDED.fullmatch(cell) is not None for cell in known)
    if rounded:
        notes.append(
            f"patient_id: {rounded} numbers look rounded by a spreadsheet (as 1.2E+14): each may hold several patients"
        )
    if known and all(FLOATED.fullmatch(cell) for cell in known):
        notes.append("patient_id: numbers written with .0 are read as whole numbers")
        return [cell and cell[:-2] for cell in cells]
    return cells


def alike_labels(cells: Iterable[str | None]) -> list[str]:
    """A note for each set of labels that differ in case, blanks or punctuation alone, or are the same number."""
    groups: dict[object, list[str]] = {}
    for label in sorted({cell for cell in cells if cell is not None}):
        groups.setdefault(_core(label), []).append(label)
    return [
        f"the labels {', '.join(map(repr, group))} differ only in how they are written, and are {len(group)} classes"
        for group in groups.values()
        if len(group) > 1
    ]


def located(cells: Sequence[str], folder: str) -> list[str]:
    """Paths as they are written in a manifest → paths of files, from the folder of the manifest.

    A backslash is read as a slash, unless the system separates folders by backslashes or has a file of that very name.

    Raises
    ------
    UsageError
        E_MANIFEST: a URL.
    """
    text = "\n".join(cells)
    if "://" in text and (urls := [cell for cell in cells if URL.match(cell)]):
        scheme = urls[0].partition("://")[0]
        raise UsageError(
            f"{len(urls)} paths are addresses ({scheme}://…), not files",
            code="E_MANIFEST",
            next_step="Fetch the images, and list their files.",
        )
    if "\\" in text and os.sep == "/":
        cells = [
            c if "\\" not in c or os.path.lexists(os.path.join(folder, c)) else c.replace("\\", "/") for c in cells
        ]
    prefix = os.path.join(folder, "") if folder != "." else ""
    if _may_be_absolute(text):
        return [cell if os.path.isabs(cell) else prefix + cell for cell in cells]
    return [prefix + cell for cell in cells]


def listed_twice(paths: Sequence[str]) -> str | None:
    """A path that names the same file as one before it, however each is written; links are not followed."""
    text = "/".join(["", *paths, ""])
    keys: Sequence[str] = paths
    if os.sep != "/" or any(part in text for part in ("//", "/./", "/../")):  # "//": an absolute path, too
        keys = [os.path.abspath(path) for path in paths]
    if len(set(keys)) == len(keys):
        return None
    seen: set[str] = set()
    for path, key in zip(paths, keys, strict=True):
        if key in seen:
            return path
        seen.add(key)
    return None


def _may_be_absolute(lines: str) -> bool:
    return os.sep != "/" or lines.startswith("/") or "\n/" in lines


def _meaning(cell: str | None) -> str | None:
    text = "" if cell is None else cell.strip()
    return None if text.lower() in MISSING else text


def _core(label: str) -> object:
    try:
        return float(label)
    except ValueError:
        return re.sub(r"(?<=[^\W\d])[\s_-]+(?=[^\W\d])", "", label.casefold())


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
