"""Intervals and decisions by resampling patients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.uint16]
Verdict = Literal["better", "not worse", "worse", "undecided"]

DRAWS = 4000
"""So many that the smallest p-value survives Holm's rule over a hundred comparisons."""
LEAST_PATIENTS = 5
"""With fewer patients no interval is given."""
MARGIN = 0.02
"""How much worse, in AUC or in accuracy, still counts as "not worse": the margin of non-inferiority."""


def patient_weights(patients: Sequence[object], *, draws: int = DRAWS, seed: int = 0) -> Counts:
    """How often each image occurs in each resample, patients drawn with replacement.

    All images of a patient go together (Field and Welsh, "Bootstrapping clustered data", J R Stat Soc B 69 (2007)
    369). Using one matrix for two methods makes their comparison paired.

    Returns
    -------
    uint16 array of shape (draws, n)
    """
    _, index = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    count = int(index.max()) + 1
    rng = np.random.default_rng(seed)
    drawn: Counts = rng.multinomial(count, np.full(count, 1 / count), draws).astype(np.uint16)
    return drawn[:, index]


def interval(draws: Floats, level: float = 0.95) -> tuple[float, float] | None:
    """Percentile interval of a bootstrap distribution; None where a tenth of the draws or more is undefined."""
    known = draws[~np.isnan(draws)]
    if len(known) < 0.9 * len(draws):
        return None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def p_value(differences: Floats) -> float | None:
    """Two-sided p-value of "no difference" from the draws of a difference; at least 1 / (draws + 1).

    None where `interval` is None, and where nothing ever differs: then there is nothing to test.
    """
    known = differences[~np.isnan(differences)]
    if len(known) < 0.9 * len(differences) or not known.any():
        return None
    tail = min((known <= 0).sum(), (known >= 0).sum())
    return float(min(1.0, 2 * (tail + 1) / (len(known) + 1)))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P-values adjusted for their number by Holm's step-down rule (Scand J Stat 6 (1979) 65); None stays None."""
    known = [i for i, p in enumerate(p_values) if p is not None]
    order = sorted(known, key=lambda i: p_values[i] or 0.0)
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(order) - rank) * (p_values[i] or 0.0)))
        adjusted[i] = running
    return adjusted


def verdict(difference_ci: tuple[float, float] | None, adjusted_p: float | None) -> Verdict:
    """What a paired difference shows: "better", "worse", "not worse" or "undecided".

    Better and worse need an adjusted p below 0.05; not worse, an interval above −`MARGIN`. A difference that is
    merely not significant is undecided.
    """
    if difference_ci is None:
        return "undecided"
    low, high = difference_ci
    if adjusted_p is not None and adjusted_p < 0.05 and (low > 0 or high < 0):
        return "better" if low > 0 else "worse"
    return "not worse" if low >= -MARGIN else "undecided"
