"""What a cell of a manifest means: which spellings are missing values, which are splits, which file a path names."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from isotone.errors import UsageError

COLUMNS = ("path", "domain", "label", "patient_id", "split")
MISSING = frozenset(
    {"", "nan", "-nan", "na", "n/a", "n.a.", "#n/a", "#na", "<na>", "none", "null", "nil", "nat", "-", "--", "?", "."}
)
"""Cells that say nothing, in lower case: as pandas, R, SQL, SAS, Weka and spreadsheets write them."""
ERRORS = frozenset({"#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!"})
"""What a spreadsheet writes into a cell that it could not compute, in lower case: missing, too."""
MISSING |= ERRORS
UNSAID = frozenset(
    {
        *("unknown", "unk", "missing", "undefined", "unspecified", "unlabeled", "unlabelled", "uncertain", "tbd"),
        *("not available", "not known", "not specified", "no label", "anonymous", "anonymized", "anonymised"),
        *("-9", "-99", "-999", "-999.0", "999", "9999"),
    }
)
"""Cells that say nothing in some tables and something in others, in lower case: they are names, and a note says so."""
LONGEST = max(map(len, MISSING | UNSAID))
"""Characters; a longer cell is not looked up."""
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
SEVERAL = re.compile(r"\s*[|;,/+&]\s*")
FLOATED = re.compile(r"\d+\.0")

Cells = list[str | None]
Columns = dict[str, list[Any]]
"""A table of images: the cells of each column, all of one length; None: missing."""


def cleaned(
    columns: Mapping[str, Sequence[str]], rows: int, notes: list[str], lines: Sequence[int] | None = None
) -> dict[str, Cells]:
    """What the cells of the five columns mean.

    Parameters
    ----------
    columns : mapping of name to `rows` strings
        Without blanks at their ends; a column may be lacking.
    rows : int
    notes : list of str
        Gets a sentence for each thing to know.
    lines : sequence of int, optional
        Line of the file for each row, for messages.

    Raises
    ------
    UsageError
        E_MANIFEST: no row, a row without a path, or an unknown split.
    """
    if not rows:
        raise UsageError("the manifest lists no image", code="E_MANIFEST")
    found: dict[str, Cells] = {
        name: without_missing(name, columns[name], notes) if name in columns else [None] * rows for name in COLUMNS
    }
    if None in found["path"]:
        row = found["path"].index(None)
        where = f"row {row}" if lines is None else f"line {lines[row]}"
        raise UsageError(f"{where} has no path", code="E_MANIFEST")
    found["split"] = splits_of(found["split"], notes)
    found["patient_id"] = patients_of(found["patient_id"], notes)
    for name in ("domain", "label", "patient_id"):
        notes += perhaps_missing(name, found[name])
    notes += alike_patients(found["patient_id"]) + alike_labels(found["label"]) + joint_labels(found["label"])
    return found


def without_missing(name: str, cells: Sequence[str], notes: list[str]) -> Cells:
    """The cells of a column, None where they are missing; a note counts those that were written as a word.

    Parameters
    ----------
    name : str
        Of the column.
    cells : sequence of str
        Without blanks at their ends.
    notes : list of str
        Gets a sentence for each spelling.
    """
    missing = {cell for cell in set(cells) if len(cell) <= LONGEST and cell.lower() in MISSING}
    if not missing:
        return list(cells)
    if words := missing - {""}:
        counts = Counter(cell for cell in cells if cell in words)
        notes += [f"{name}: {_cells(n)} written {cell!r} {_are(n)} missing" for cell, n in sorted(counts.items())]
    return [None if cell in missing else cell for cell in cells]


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


def perhaps_missing(name: str, cells: Iterable[str | None]) -> list[str]:
    """A note for each cell that may say that something is not known (`UNSAID`), and is a name here."""
    counts = Counter(cells)
    words = sorted(cell for cell in counts if cell is not None and len(cell) <= LONGEST and cell.lower() in UNSAID)
    return [f"{name}: {_cells(counts[c])} {c!r}, which is a name: leave empty what is not known" for c in words]


def alike_patients(cells: Iterable[str | None]) -> list[str]:
    """A note where patients differ in case or leading zeros alone, as a spreadsheet leaves them; none is shown."""
    known = {cell for cell in cells if cell is not None}
    alike = len(known) - len({cell.lower().lstrip("0") for cell in known})
    if not alike:
        return []
    return [
        f"patient_id: {alike} of {len(known)} differ from another one only in case or leading zeros, and are patients "
        "of their own"
    ]


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


def joint_labels(cells: Iterable[str | None]) -> list[str]:
    """A note where labels look like several findings in one cell (``Effusion|Mass``), of which one is a label, too."""
    labels = {cell for cell in cells if cell is not None}
    joint = sorted(c for c in labels if len(parts := SEVERAL.split(c)) > 1 and not labels.isdisjoint(parts))
    if not joint:
        return []
    count = "1 label holds" if len(joint) == 1 else f"{len(joint)} labels hold"
    return [f"{count} several others, as {joint[0]!r}: each is a class of its own"]


def located(paths: Sequence[str], folder: str) -> list[str]:
    """Paths as they are written in a table → paths from the working directory, by way of the table's folder.

    A backslash is read as a slash, unless the system separates folders by backslashes or has a file of that very name.

    Raises
    ------
    UsageError
        E_MANIFEST: a URL.
    """
    return _joined(_slashed(paths, folder), folder)


def file_names(cells: Sequence[str | None], folder: str) -> Cells:
    """The column of paths of a manifest, `located`; missing ones stay so.

    Raises
    ------
    UsageError
        E_MANIFEST: a URL, or two paths of one file.
    """
    paths = _slashed([cell for cell in cells if cell is not None], folder)
    refuse_twice(paths, folder)
    rest = iter(_joined(paths, folder))
    return [None if cell is None else next(rest) for cell in cells]


def _slashed(paths: Sequence[str], folder: str) -> Sequence[str]:
    text = "\n".join(paths)
    if "://" in text and (urls := [path for path in paths if URL.match(path)]):
        scheme = urls[0].partition("://")[0]
        raise UsageError(
            f"paths are addresses ({scheme}://…) in {len(urls)} of {len(paths)} rows",
            code="E_MANIFEST",
            next_step="Fetch the images, and list their files.",
        )
    if "\\" not in text or os.sep != "/":
        return paths
    return [p if os.path.lexists(os.path.join(folder, p)) else p.replace("\\", "/") for p in paths]


def _joined(paths: Sequence[str], folder: str) -> list[str]:
    prefix = os.path.join(folder, "") if folder != "." else ""
    drives = os.sep != "/"
    return [p if p.startswith("/") or (drives and os.path.isabs(p)) else prefix + p for p in paths]


def refuse_twice(paths: Sequence[str], folder: str = "") -> None:
    """Refuse two paths of one file, absolute or from `folder`, however each is written; links are not followed.

    Raises
    ------
    UsageError
        E_MANIFEST.
    """
    text = "/".join(["", *paths, ""])
    keys: Sequence[str] = paths
    if os.sep != "/" or any(part in text for part in ("//", "/./", "/../")):  # "//": an absolute path, too
        keys = [os.path.abspath(os.path.join(folder, path)) for path in paths]
    if len(set(keys)) == len(keys):
        return
    seen: set[str] = set()
    for path, key in zip(paths, keys, strict=True):
        if key in seen:
            raise UsageError(f"{path} is listed twice", code="E_MANIFEST", next_step="List or name each image once.")
        seen.add(key)


def _core(label: str) -> object:
    try:
        return float(label)
    except ValueError:
        return re.sub(r"(?<=[^\W\d])[\s_-]+(?=[^\W\d])", "", label.casefold())


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
