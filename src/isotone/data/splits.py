"""Patient-grouped, stratified folds for manifests that state no split."""

from __future__ import annotations

import warnings

import numpy as np

from isotone.data.manifest import Manifest
from isotone.errors import IsotoneError

FOLDS = 5
"""One fold tests, one validates, the rest trains."""


def with_splits(manifest: Manifest, seed: int = 0) -> Manifest:
    """The manifest with every row in a split.

    Rows that have one keep it. The others are dealt by patient into five folds, stratified by domain and label:
    the first is "test", the second "val", the rest "train". A patient with rows of both kinds follows the stated split.
    Rows without a patient count as patients of their own.

    Parameters
    ----------
    manifest : Manifest
    seed : int
        Of the shuffle; the same seed and rows give the same splits. Only whoever writes the split down may choose it:
        were it a run's seed, then `evaluate` could test on patients that `train` or `fit` had seen.
    """
    table = manifest.table.copy()
    stated = table.dropna(subset=["patient_id", "split"]).groupby("patient_id")["split"].first()
    table["split"] = table["split"].fillna(table["patient_id"].map(stated).astype("string"))
    open_rows = table.index[table["split"].isna()]
    if len(open_rows):
        part = table.loc[open_rows]
        groups = part["patient_id"].fillna("row " + part["path"])
        strata = part["domain"].fillna("") + "|" + part["label"].fillna("")
        table.loc[open_rows, "split"] = _deal(strata.to_numpy(str), groups.to_numpy(str), seed)
    return Manifest(table)


def _deal(strata: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    try:
        from sklearn.model_selection import StratifiedGroupKFold  # the light half has no scikit-learn
    except ImportError:
        raise IsotoneError("E_EXTRA", "dealing patients into folds needs scikit-learn") from None
    split = np.full(len(strata), "train", dtype=object)
    patients, largest = len(np.unique(groups)), int(np.unique(strata, return_counts=True)[1].max())
    folds = min(FOLDS, patients, largest)
    if folds < 3:
        raise IsotoneError(
            "E_DATA",
            f"{patients} patients with at most {largest} images of a kind cannot be dealt into train, val and test",
            next_step="Add patients, or state the split in the manifest.",
        )
    dealer = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a stratum smaller than the number of folds is no fault
        for name, (_, members) in zip(("test", "val"), dealer.split(strata, strata, groups), strict=False):
            split[members] = name
    return split
