"""Every metric of a result row, once: its field in ``results.json``, its name for people, and how it is worked out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from isotone.data.class_order import ordinal_ranks
from isotone.evaluation import metrics

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

PairedField = Literal["auc", "worst_group_accuracy"]
Share = tuple[str, Floats, Bools]
"""A class, a share with its bootstrap draws, shape (1 + draws,), and the images (n,) that it is a share of."""


@dataclass(frozen=True, eq=False)
class Cell:
    """What one method made the classifier say of some images: all that a metric needs.

    Attributes
    ----------
    classes : tuple of str
    labels : int array of shape (n,)
    probabilities : array of shape (n, C)
    patients : int array of shape (n,)
    counts : int array of shape (1 + draws, n)
        How often each image counts: once, then as often as each resample has it.
    thresholds : mapping of class to float or None
        Frozen on the reference.
    """

    classes: tuple[str, ...]
    labels: Ints
    probabilities: Floats
    patients: Ints
    counts: NDArray[np.uint16]
    thresholds: Mapping[str, float | None]

    @property
    def weights(self) -> Floats:
        """The counts as the metrics take them; not kept, for they are large."""
        return self.counts.astype(np.float64)

    @cached_property
    def predicted(self) -> Ints:
        """The class called for each image, shape (n,)."""
        return np.asarray(self.probabilities.argmax(1))

    @cached_property
    def matrices(self) -> Floats:
        """The confusion matrix, then those of the resamples, shape (1 + draws, C, C)."""
        return metrics.confusion(self.labels, self.predicted, len(self.classes), self.weights)

    def people(self, part: Bools) -> int:
        """Patients of the images where `part` (n,) is True."""
        return len(np.unique(self.patients[part]))


@dataclass(frozen=True)
class Paired:
    """A number with an interval, by which methods are compared.

    Attributes
    ----------
    field : str
        Of `isotone.evaluation.results.ResultRow`, beside those with the suffixes ``_ci`` and ``_gain``.
    title : str
        Its name on pages and in sentences.
    of : callable
        Of a `Cell`: its values, shape (1 + draws,), and the number of patients on whom the first one rests.
    """

    field: PairedField
    title: str
    of: Callable[[Cell], tuple[Floats, int]]


@dataclass(frozen=True)
class Metric:
    """A number that describes a method on a domain.

    Attributes
    ----------
    field, title : str
        As `Paired` has them.
    kind : str
        "share": a share for each class, with its interval in the field with the suffix ``_ci``. "class": a number for
        each class. "number": one number.
    of : callable
        Of a `Cell`. "share": its `Share` for each class that has one. "class": an array of shape (C,). "number": a
        float. Undefined ones are NaN.
    """

    field: str
    title: str
    kind: Literal["share", "class", "number"]
    of: Callable[[Cell], Any]


def auc(cell: Cell) -> tuple[Floats, int]:
    """Macro one-versus-rest AUC.

    It rests on as many pairs of a positive and a negative as share no patient: where none is out of order, these are
    n of n.
    """
    each = [cell.labels == c for c in range(len(cell.classes))]
    fewest = min(min(cell.people(part), cell.people(~part)) for part in each if part.any())
    return metrics.macro_auc(cell.labels, cell.probabilities, cell.weights), fewest


def worst_group_accuracy(cell: Cell) -> tuple[Floats, int]:
    """The lowest recall; it rests on the patients of that class. With one class alone it is undefined, as an AUC."""
    if len(np.unique(cell.labels)) < 2:
        return np.full(len(cell.counts), np.nan), 0
    values, recall = metrics.worst_group_accuracy(cell.matrices), metrics.recalls(cell.matrices[0])
    return values, min(cell.people(cell.labels == c) for c in np.flatnonzero(recall == values[0]))


def _recall(cell: Cell) -> Iterator[Share]:
    for i, name in enumerate(cell.classes):
        yield name, metrics.recalls(cell.matrices)[:, i], cell.labels == i


def _precision(cell: Cell) -> Iterator[Share]:
    for i, name in enumerate(cell.classes):
        yield name, metrics.precisions(cell.matrices)[:, i], cell.predicted == i


def _at_threshold(cell: Cell, *, sensitivity: bool) -> Iterator[Share]:
    weights = cell.weights
    for i, name in enumerate(cell.classes):
        if (threshold := cell.thresholds.get(name)) is not None:
            positive = cell.labels == i
            both = metrics.sensitivity_specificity(positive, cell.probabilities[:, i], threshold, weights)
            yield (name, both[0], positive) if sensitivity else (name, both[1], ~positive)


def _kappa(cell: Cell) -> float:
    ranks = ordinal_ranks(cell.classes) if len(cell.classes) > 2 else None
    return float("nan") if ranks is None else metrics.quadratic_kappa(cell.labels, cell.predicted, ranks)


PAIRED = (Paired("auc", "AUC", auc), Paired("worst_group_accuracy", "worst-group accuracy", worst_group_accuracy))
"""Those by which methods are compared."""

METRICS = (
    Metric("auc_per_class", "AUC", "class", lambda cell: metrics.auc_per_class(cell.labels, cell.probabilities)[0]),
    Metric("accuracy_per_class", "recall", "share", _recall),
    Metric("precision_per_class", "precision", "share", _precision),
    Metric("quadratic_kappa", "quadratic kappa", "number", _kappa),
    Metric("brier", "Brier", "number", lambda cell: metrics.brier(cell.labels, cell.probabilities)),
    Metric(
        "expected_calibration_error",
        "calibration error",
        "number",
        lambda cell: metrics.expected_calibration_error(cell.labels, cell.probabilities),
    ),
    Metric("sensitivity", "sensitivity", "share", lambda cell: _at_threshold(cell, sensitivity=True)),
    Metric("specificity", "specificity", "share", lambda cell: _at_threshold(cell, sensitivity=False)),
)
"""The others that follow from scores alone, in the order of the report's table."""
