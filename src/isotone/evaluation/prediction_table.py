"""A table of somebody else's scores: read as it is meant, or refused with the line and the columns that were found."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from isotone.data.manifests.cells import located
from isotone.data.manifests.columns import KNOWN
from isotone.data.manifests.table import TextTable, as_windows, letters, read_table
from isotone.errors import UsageError
from isotone.evaluation.scores import NONE, Floats, named

OFF = 0.02
"""How far the scores of an image may be from adding up to 1: rounding to two digits is not. Raised, columns that are no
class go unseen; chosen here."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Scores by path and method.

    Attributes
    ----------
    classes : tuple of str
        Columns that were read as classes.
    path, method : string arrays of shape (n,)
        Absolute paths.
    scores : array of shape (n, C)
        In [0, 1]; a row of NaN where the table has a row without any score.
    ignored : list of str
        Columns that were not read.
    """

    classes: tuple[str, ...]
    path: NDArray[np.str_]
    method: NDArray[np.str_]
    scores: Floats
    ignored: list[str]

    @property
    def not_adding_up(self) -> int:
        """Rows whose scores do not add up to 1."""
        return int((np.abs(self.scores.sum(axis=1) - 1) > OFF).sum())


def read_predictions(file: Path, labels: Collection[str]) -> Predictions:
    """Read a CSV, TSV or Parquet file with a column `path`, one per class, and optionally `method`.

    Columns of a manifest (domain, split, …) are not read as classes, unless a label is called so. A row without any
    score is an image that the method has none for.

    Parameters
    ----------
    file : path
        As `isotone.data.manifests.table.read_table` reads it; paths in it are absolute or relative to it.
    labels : collection of str
        Of the manifest.

    Raises
    ------
    UsageError
        E_READ, E_MANIFEST: not such a table; the message names the columns, and the line.
    """
    if not file.is_file():
        raise UsageError("no such file of scores", code="E_READ", file=file)
    table = read_table(file)
    meant = {letters(name): name for name in table.columns if letters(name) in ("path", "method")}
    if "path" not in meant:
        raise _refused(
            file, table, "the scores have no column 'path'", "Name the image of each row in a column 'path'."
        )
    others = [name for name in table.columns if name not in meant.values()]
    ignored = [name for name in others if name in KNOWN and name not in labels]
    classes = tuple(name for name in others if name not in ignored)
    lacking = sorted(set(labels) - set(classes))
    if lacking or len(classes) < 2:
        said = f"no column has the scores of class {lacking[0]!r}" if lacking else "fewer than two columns of scores"
        raise _refused(file, table, said, "Give each label of the manifest a column of its name.")
    paths = [os.path.abspath(path) for path in located(table.columns[meant["path"]], str(file.parent))]
    methods = list(map(as_windows, table.columns[meant["method"]])) if "method" in meant else [NONE] * len(paths)
    _refuse_twice(file, table, [*zip(paths, methods, strict=True)])
    return Predictions(classes, np.array(paths), np.array(methods), _numbers(file, table, classes), ignored)


def _numbers(file: Path, table: TextTable, classes: Sequence[str]) -> Floats:
    cells = pd.DataFrame({c: list(map(as_windows, table.columns[c])) for c in classes})
    values: Floats = cells.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    wrong = ~((values >= 0) & (values <= 1)) & ~(cells == "").all(axis=1).to_numpy()[:, None]  # NaN fails too
    if not wrong.any():
        return values
    row, column = np.argwhere(wrong)[0]
    said = (
        f"{int(wrong.any(axis=1).sum())} rows have a score that is no number from 0 to 1, the first on line "
        f"{table.lines[row]} in column {classes[column]!r}"
    )
    sums = values.sum(axis=1)
    if np.isfinite(sums).any() and abs(float(np.nanmedian(sums)) - 100) <= 100 * OFF:
        raise _refused(file, table, f"{said}: they look like percent", "Divide the scores by 100.")
    raise _refused(file, table, said, "Give probabilities, not logits, with a decimal point; or no score.")


def _refuse_twice(file: Path, table: TextTable, keys: Sequence[tuple[str, str]]) -> None:
    first: dict[tuple[str, str], int] = {}
    for line, key in zip(table.lines, keys, strict=True):
        if key in first:
            said = f"an image has two scores by one method, on lines {first[key]} and {line}"
            raise _refused(file, table, said, "Remove one of them, or name their methods in a column 'method'.")
        first[key] = line


def _refused(file: Path, table: TextTable, said: str, next_step: str) -> UsageError:
    found = f"{said} (columns: {named(table.columns)}; {table.written})"
    return UsageError(found, code="E_MANIFEST", file=file, next_step=next_step)
