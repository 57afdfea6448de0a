"""Five folds, dealt as the paper did or with its defects mended."""

from __future__ import annotations

from collections import defaultdict
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from isotone.data.splits import FOLDS, folds_of

Preset = Literal["paper", "corrected"]
Split = NDArray[np.str_]

TEST_SHARE = 0.2
"""Of the images of a cell (domain and label), in the paper's Table 1: 100 of 500."""


def deal(table: pd.DataFrame, preset: Preset, seed: int) -> list[Split]:
    """The split of every row in each fold.

    Parameters
    ----------
    table : DataFrame
        Columns `domain`, `label`, `patient_id` and `split`. A cell (domain and label) whose rows are all of split
        "test" is only tested on; otherwise that column is not read.
    preset : {"paper", "corrected"}
        "paper": a fifth of each cell, image by image, is one test set for all folds, and the rest validates by
        fifths; patients may be on both sides. "corrected": patients are dealt into fifths, and fold k tests on the
        k-th and validates on the next; so every image is tested once.
    seed : int

    Returns
    -------
    list of `FOLDS` arrays of str
        "train", "val", "test", or "" for a row that the fold leaves out.
    """
    cell = (table["domain"] + "|" + table["label"]).to_numpy(str)
    scarce = (table["split"] == "test").groupby(cell).transform("all").to_numpy(bool)
    if preset == "paper":
        return _by_image(cell, scarce, np.random.default_rng(seed))
    patients = table["patient_id"].fillna("row " + pd.Series(table.index, table.index).astype(str))
    return _by_patient(cell, scarce, patients.to_numpy(str), seed)


def _by_image(cell: Split, scarce: NDArray[np.bool_], rng: np.random.Generator) -> list[Split]:
    test = scarce.copy()
    part = np.zeros(len(cell), int)
    for name in np.unique(cell[~scarce]):
        members = rng.permutation(np.flatnonzero(cell == name))
        held = round(TEST_SHARE * len(members))
        test[members[:held]] = True
        part[members[held:]] = np.arange(len(members) - held) % FOLDS
    return [np.where(test, "test", np.where(part == k, "val", "train")) for k in range(FOLDS)]


def _by_patient(cell: Split, scarce: NDArray[np.bool_], patients: Split, seed: int) -> list[Split]:
    groups: dict[str, list[str]] = defaultdict(list)
    for patient, stratum in zip(patients, cell, strict=True):
        groups[patient].append(stratum)
    number = folds_of(groups, seed)
    part = np.array([number[patient] for patient in patients])
    folds = []
    for k in range(FOLDS):
        learns = np.where(part == (k + 1) % FOLDS, "val", "train")
        folds.append(np.where(part == k, "test", np.where(scarce, "", learns)))
    return folds
