"""The numbers by which epochs are chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike

LEAST = 30
"""Validation images of a class from which on worst-group accuracy chooses the epoch. With fewer an untrained network
scores well by chance (on 16 to 30 images `train` kept epoch 0 or 1 of 20). Raised, the paper's rule applies to fewer
cohorts; the paper has 80."""

MARGIN = 0.01
"""Nats of cross-entropy. A network that learns nothing more still gains a thousandth now and then. Raised, training
ends earlier, also on the plateau before it learns to tell the scanners apart (docs/results_gdce.md)."""


def worst_group_accuracy(labels: Sequence[str], predicted: ArrayLike) -> float:
    """The lowest recall over the classes that are present.

    Parameters
    ----------
    labels, predicted : sequence of n strings

    Returns
    -------
    float
        In [0, 1].
    """
    truth, guess = np.asarray(labels), np.asarray(predicted)
    return float(min((guess[truth == c] == c).mean() for c in np.unique(truth)))


@dataclass(frozen=True)
class Criterion:
    """By which number of an epoch's row the epoch is chosen.

    Attributes
    ----------
    name : str
        "worst_group_accuracy", the paper's, or "val_loss" (cross-entropy, the lowest is best), which is smoother.
    """

    name: Literal["worst_group_accuracy", "val_loss"]

    @classmethod
    def of(cls, labels: Sequence[str]) -> Self:
        """The paper's, unless a class has fewer than `LEAST` of these validation images.

        >>> Criterion.of(["B"] * 30 + ["C"] * 29).name
        'val_loss'
        """
        return cls("val_loss") if min(Counter(labels).values()) < LEAST else cls("worst_group_accuracy")

    @property
    def margin(self) -> float:
        """How much better counts as better where training waits for it."""
        return MARGIN if self.name == "val_loss" else 0.0

    def __call__(self, row: Mapping[str, float]) -> float:
        """Larger is better."""
        return -row["val_loss"] if self.name == "val_loss" else row["worst_group_accuracy"]


WORST_GROUP = Criterion("worst_group_accuracy")
