"""Class-balanced batches, and pairs of them from two domains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]


def balanced_batches(
    labels: Sequence[str], batch_size: int, rng: np.random.Generator, *, per_class: int | None = None
) -> list[Indices]:
    """Shuffled batches in which every class is as frequent as every other, to within one image.

    Parameters
    ----------
    labels : sequence of n strings
    batch_size : int
    rng : numpy.random.Generator
    per_class : int, optional
        Images that each class gives; default: as many as the smallest class has (the paper's rule). A class
        that has fewer gives some twice.

    Returns
    -------
    list of index arrays
        Each of `batch_size`; what is left over is dropped, unless there is no full batch at all.
    """
    named = np.asarray(labels)
    classes, counts = np.unique(named, return_counts=True)
    take = int(counts.min()) if per_class is None else per_class
    columns = [_take(np.flatnonzero(named == c), take, rng) for c in classes]
    # Class after class in turn, so that every stretch of the sequence is balanced.
    sequence = np.stack(columns, axis=1).ravel()
    full = len(sequence) // batch_size
    batches = np.split(sequence[: full * batch_size], full) if full else [sequence]
    # Within a batch the order is random: pairs of two domains' batches must not always join the same classes.
    return [rng.permutation(batch) for batch in batches]


def paired_batches(
    source: Sequence[str], reference: Sequence[str], batch_size: int, rng: np.random.Generator
) -> list[tuple[Indices, Indices]]:
    """Class-balanced batches of both domains, zipped: the smallest class of either sets their number.

    Parameters
    ----------
    source, reference : sequence of strings
        Labels of the two domains.
    batch_size : int
        Images from each domain.
    rng : numpy.random.Generator

    Returns
    -------
    list of pairs of index arrays
        Both of a pair have the same length.
    """
    pairs = zip(balanced_batches(source, batch_size, rng), balanced_batches(reference, batch_size, rng), strict=False)
    return [(s[: len(r)], r[: len(s)]) for s, r in pairs]


def _take(members: Indices, count: int, rng: np.random.Generator) -> Indices:
    rounds = -(-count // len(members))
    return np.concatenate([rng.permutation(members) for _ in range(rounds)])[:count]
