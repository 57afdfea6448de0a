"""What every published cohort yields: everything that was found, a sample of it with splits, and what to know."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from isotone.data.manifests.manifest import Manifest
from isotone.data.splits import with_splits
from isotone.errors import IsotoneError, UsageError


@dataclass(frozen=True)
class Cohort:
    """A published collection as isotone uses it.

    Attributes
    ----------
    found : Manifest
        Every image that the cohort's rules admit, before sampling: the counts to print.
    manifest : Manifest
        The sample, patients never in two splits.
    notes : tuple of str
        One line each: what was left out or is missing, and where to get it.
    """

    found: Manifest
    manifest: Manifest
    notes: tuple[str, ...] = ()


def read_published(path: Path, columns: Sequence[str], origin: str) -> pd.DataFrame:
    """Some columns of a published CSV table (plain, gzip or zip), as strings.

    Raises
    ------
    UsageError
        It is not there, not readable, or lacks a column; the message says where to get it.
    """
    try:
        table = pd.read_csv(path, dtype="string", usecols=lambda name: name in columns)
    except FileNotFoundError:
        raise UsageError("no such table", code="E_READ", file=path, next_step=origin) from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError("not readable as a CSV table", code="E_MANIFEST", file=path, next_step=origin) from error
    missing = [name for name in columns if name not in table]
    if missing:
        raise UsageError(f"the table has no column {missing[0]!r}", code="E_MANIFEST", file=path, next_step=origin)
    return table


def sample(
    found: pd.DataFrame,
    origin: str,
    *,
    per_cell: int | None,
    seed: int,
    accept: Callable[[Path], bool] | None = None,
    notes: Iterable[str] = (),
) -> Cohort:
    """One image per patient in each cell of domain and label, at most `per_cell`, dealt into splits by patient.

    Parameters
    ----------
    found : DataFrame
        Columns of a manifest, without split.
    origin : str
        Where to get the images, for the note that some are missing.
    per_cell : int or None
        Patients per domain and label; a cell with fewer than half as many is only tested on, as in the paper's
        Table 1. None: every image of every patient.
    seed : int
        Of the choice and of the splits.
    accept : callable, optional
        Asked of each file before it is taken, and of no more files than needed.
    notes : iterable of str
        Go before those of the sampling.

    Raises
    ------
    IsotoneError
        E_DATA: nothing is left.
    """
    said = list(notes)
    table = found[found["label"].notna()]
    here = np.array([Path(path).is_file() for path in table["path"]], bool)
    if not here.any():
        said.append(f"none of the {len(table)} images is here; the manifest says where they go. {origin}")
        accept = None
    elif not here.all():
        said.append(f"{int((~here).sum())} of the {len(table)} images are missing and left out. {origin}")
        table = table[here]
    if per_cell is None:
        drawn = table if accept is None else table[[accept(Path(path)) for path in table["path"]]]
    else:
        drawn = table.iloc[_choose(table, per_cell, np.random.default_rng(seed), accept)]
        rare = drawn.groupby(["domain", "label"])["path"].transform("size") < per_cell / 2
        drawn = drawn.assign(split=pd.Series("test", drawn.index).where(rare))
    if drawn.empty:
        raise IsotoneError("E_DATA", "no image of this cohort is left", next_step=origin)
    return Cohort(Manifest(found), with_splits(Manifest(drawn), seed), tuple(said))


def _choose(
    table: pd.DataFrame, per_cell: int, rng: np.random.Generator, accept: Callable[[Path], bool] | None
) -> list[int]:
    """Positions of the rows taken, in the order of the table."""
    rows = list(zip(table["domain"], table["label"], table["patient_id"], table["path"], strict=True))
    sizes: Counter[tuple[str, str]] = Counter()
    seen: set[tuple[str, str, str]] = set()
    taken = []
    for position in rng.permutation(len(rows)):
        domain, label, patient, path = rows[position]
        if sizes[domain, label] >= per_cell or (domain, label, patient) in seen:
            continue
        if accept is None or accept(Path(path)):
            sizes[domain, label] += 1
            seen.add((domain, label, patient))
            taken.append(int(position))
    return sorted(taken)
