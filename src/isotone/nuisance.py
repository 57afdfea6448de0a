"""The part of an image's deviation in tone that says nothing of its label, and so can be taken back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from isotone.brightness import FOLDS, held_out

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Nuisance:
    """What the deviations of labelled images tell.

    Attributes
    ----------
    part : float64 array of shape (k, k)
        Deviations, shape (n, k), times it are what may be taken back.
    gain, error : float
        Log-loss that deviations save whoever guesses the labels of held-out patients, against guessing by the shares
        of the classes alone; and its standard error.
    """

    part: Floats
    gain: float
    error: float

    @property
    def tells(self) -> bool:
        """Whether deviations tell the label: they save more than a standard error."""
        return self.gain > self.error

    @classmethod
    def fit(cls, deviations: Floats, labels: NDArray[np.str_], patients: NDArray[np.intp], seed: int) -> Nuisance:
        """All of a deviation, unless deviations tell the label; then what leaves the means of the classes apart.

        An oblique projection: along the discriminants of Fisher (1936, doi:10.1111/j.1469-1809.1936.tb02137.x) a
        deviation is left as it is; the rest, uncorrelated with them within the classes, may go. Of one class alone, or
        of fewer images of a class than there are folds, nothing may.

        Parameters
        ----------
        deviations : float64 array of shape (n, k)
        labels : array of shape (n,) of str
        patients : integer array of shape (n,)
        seed : int
            Of the folds of patients.
        """
        classes, true, counts = np.unique(labels, return_inverse=True, return_counts=True)
        size = deviations.shape[1]
        if len(classes) < 2 or counts.min() < FOLDS:
            return cls(np.zeros((size, size)), 0.0, 0.0)
        found = cls(np.eye(size), *_saved(deviations, true, counts / counts.sum(), patients, seed))
        if found.tells:
            centres = np.stack([deviations[true == c].mean(0) for c in range(len(classes))])
            within = deviations - centres[true]
            apart = centres - deviations.mean(0)
            towards = np.linalg.lstsq(within.T @ within / len(within), apart.T, rcond=None)[0]
            kept = towards @ np.linalg.pinv(apart @ towards, hermitian=True) @ apart
            found = replace(found, part=found.part - kept)
        return found


def _saved(
    deviations: Floats, true: NDArray[np.intp], shares: Floats, patients: NDArray[np.intp], seed: int
) -> tuple[float, float]:
    """Log-loss that deviations save, and its standard error over patients."""
    from sklearn.linear_model import LogisticRegression  # the train half
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression())
    said = held_out(model, deviations, true, patients, seed, proba=True)[np.arange(len(true)), true]
    number = np.unique(patients, return_inverse=True)[1]
    each = np.bincount(number, weights=np.log(np.maximum(said, 1e-6) / shares[true])) / np.bincount(number)
    return float(each.mean()), float(each.std() / np.sqrt(len(each)))
