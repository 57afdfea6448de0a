"""Metrics with their intervals: of a method on some images, and of its difference from another on the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from isotone.evaluation.bootstrap import LEAST_PATIENTS, Counts, interval, p_value, patient_weights
from isotone.evaluation.metric_table import Cell, Paired
from isotone.evaluation.proportions import steady_change, steady_share, unpaired
from isotone.evaluation.scores import NONE, Scores

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Estimate:
    """A metric on some images.

    Attributes
    ----------
    values : array of shape (1 + draws,)
        The point, then its bootstrap draws.
    patients : int
        How many the images come from; with fewer than `LEAST_PATIENTS` there is no interval.
    steady : callable, optional
        The interval by the point, where that is the same in every resample: of no error among ten images the
        bootstrap would say [1, 1].
    fewest : int
        Patients on whom the point rests.
    certain : bool
        It is the difference of equal scores: it differs in no resample.
    """

    values: Floats
    patients: int
    steady: Callable[[float], tuple[float, float]] | None = None
    fewest: int = 0
    certain: bool = False

    @property
    def point(self) -> float | None:
        """None where undefined."""
        return known(self.values[0])

    @property
    def ci(self) -> tuple[float, float] | None:
        """None with too few patients."""
        if self.patients < LEAST_PATIENTS:
            return None
        if self.certain:
            return 0.0, 0.0
        found = interval(self.values[1:])
        if found and found[0] == found[1] and self.steady:
            return self.steady(found[0])
        return found

    @property
    def p(self) -> float | None:
        """Of "zero"; None with too few patients."""
        return p_value(self.values[1:]) if self.patients >= LEAST_PATIENTS else None

    def against(self, other: Estimate) -> Estimate:
        """The difference from an estimate on other images."""
        ends = (other.values[0], other.fewest, self.values[0], self.fewest)
        patients = min(self.patients, other.patients)
        return Estimate(self.values - other.values, patients, lambda _: unpaired(*ends))


def known(value: float) -> float | None:
    """None for NaN."""
    return None if np.isnan(value) else float(value)


class Resampled:
    """A table of scores under one set of resamples: patients go together, and comparisons are paired.

    Parameters
    ----------
    scores : Scores
        An image that a method refused keeps its untouched score.
    thresholds : mapping of class to float or None
        Frozen on the reference.
    seed : int
        Of the resamples.
    """

    def __init__(self, scores: Scores, thresholds: Mapping[str, float | None] | None = None, *, seed: int = 0) -> None:
        self.scores = scores.with_untouched()
        self._thresholds = thresholds or {}
        drawn = patient_weights([int(p) for p in scores.patient], seed=seed)
        self.counts = np.concatenate([np.ones((1, len(scores.label)), drawn.dtype), drawn])
        self._cells: dict[tuple[str, bytes], Cell] = {}
        self._estimates: dict[tuple[str, str, bytes], Estimate] = {}

    def cell(self, method: str, inside: Bools) -> Cell:
        """What a method made the classifier say of the images where `inside` (n,) is True; made once."""
        key = (method, inside.tobytes())
        if key not in self._cells:
            self._cells[key] = self.single(method, inside, self.counts)
        return self._cells[key]

    def single(self, method: str, inside: Bools, counts: Counts | None = None) -> Cell:
        """The same, without resamples."""
        scores, counts = self.scores, self.counts[:1] if counts is None else counts
        told = scores.label[inside], scores.probabilities[method][inside], scores.patient[inside]
        return Cell(scores.classes, *told, counts[:, inside], self._thresholds)

    def estimate(self, metric: Paired, method: str, inside: Bools) -> Estimate:
        """A paired metric of a method on some images; each is worked out once."""
        key = (metric.field, method, inside.tobytes())
        if key not in self._estimates:
            cell = self.cell(method, inside)
            values, fewest = metric.of(cell)
            steady = partial(steady_share, patients=fewest) if fewest else None
            self._estimates[key] = Estimate(values, len(np.unique(cell.patients)), steady, fewest)
        return self._estimates[key]

    def gain(self, metric: Paired, method: str, inside: Bools, other: str = NONE) -> Estimate:
        """The difference of a method from another on the same images."""
        ours, theirs = (self.estimate(metric, m, inside) for m in (method, other))
        fewest = min(ours.fewest, theirs.fewest)
        first, second = (self.scores.probabilities[m][inside] for m in (method, other))
        return Estimate(
            ours.values - theirs.values,
            ours.patients,
            partial(steady_change, patients=fewest) if fewest else None,
            certain=ours.point is not None and np.array_equal(first, second),
        )

    def both(self, domain: str, method: str, other: str = NONE) -> Bools:
        """The images of a domain that two methods scored, shape (n,); none where a method has no score at all."""
        inside = self.scores.domain == domain
        for name in (method, other):
            inside = inside & (self.scores.scored(name) if name in self.scores.probabilities else False)
        return np.asarray(inside)
