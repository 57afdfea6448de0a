"""Piecewise-linear standardisation of Nyúl and Udupa."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from isotone.baselines.baseline import Baseline
from isotone.baselines.grey_levels import Anatomy, GreyLevels
from isotone.errors import IsotoneError
from isotone.imaging.radiograph import Radiograph

Floats = NDArray[np.float64]

LANDMARKS = np.array([1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99], np.float64)
"""Percentiles of the published variant with deciles (L4)."""


class Nyul(Baseline):
    """Landmark percentiles of each image's foreground onto the standard landmarks of the reference.

    Nyúl, Udupa and Zhang, "New variants of a method of MRI scale standardization", IEEE Trans Med Imaging 19
    (2000) 143: each reference image is stretched so that its 1st and 99th percentile fall on the ends of the
    standard scale, and its landmarks are averaged. The ends here are the mean 1st and 99th percentile of the
    reference, so that the standard scale is the one the classifier knows.

    Parameters
    ----------
    foreground : bool
        Landmarks of the anatomy alone, where most images of the reference show air beside it (the rule of the fit);
        those of an image in which no air is told go onto those of whole images. False: of all pixels, padding excluded.

    Examples
    --------
    >>> import isotone
    >>> reference = isotone.read_radiograph("phantom/images/alder/P0001/LCC.dcm")
    >>> image = isotone.read_radiograph("phantom/images/birch/P0010/LCC.dcm")
    >>> matched = isotone.Nyul().fit([reference]).transform(image)
    >>> bool(abs(matched.pixels.mean() - reference.pixels.mean()) < abs(image.pixels.mean() - reference.pixels.mean()))
    True
    """

    name = "nyul"

    def __init__(self, *, foreground: bool = True) -> None:
        self.foreground = foreground
        self._looked_at = Anatomy(foreground, standard_landmarks)
        self.fitted = False

    def fit(self, reference: Iterable[Radiograph]) -> Self:
        """Average the landmarks of the reference images.

        Raises
        ------
        IsotoneError
            E_DATA: no image.
        """
        self._looked_at.fit(reference)
        self.fitted = True
        return self

    def transform(self, radiograph: Radiograph) -> Radiograph:
        """The standardised image, its outermost lines continued beyond the landmarks, clipped to [0, 1].

        Raises
        ------
        RadiographError
            E_EMPTY_IMAGE: fewer than two grey levels.
        IsotoneError
            E_USAGE: not fitted.
        """
        self._refuse_unfitted()
        levels, standard = self._looked_at.of(radiograph)
        x, index = np.unique(levels.percentiles(LANDMARKS), return_inverse=True)
        # Landmarks that coincide (a large background) share the mean of their standard values.
        y = np.bincount(index, standard) / np.bincount(index)
        if len(x) < 2:
            x, y = np.append(x, x[0] + 1), np.append(y, y[0] + 1)
        return radiograph.map_tone(lambda tone: _lines(tone, x, y))

    def learned(self) -> dict[str, Any]:
        """What was learned of anatomy and of whole images."""
        self._refuse_unfitted()
        return self._looked_at.learned(np.ndarray.tolist)

    def remember(self, learned: Mapping[str, Any]) -> None:
        """Take it in the place of a fit."""
        self._looked_at.remember(learned, _landmarks)
        self.fitted = True

    def _refuse_unfitted(self) -> None:
        if not self.fitted:
            raise IsotoneError("E_USAGE", "nyul is not fitted", next_step="Call fit(reference) first.")


def standard_landmarks(reference: Sequence[GreyLevels]) -> Floats:
    """The standard landmarks, shape (11,)."""
    landmarks = np.array([levels.percentiles(LANDMARKS) for levels in reference])
    if not len(landmarks):
        raise IsotoneError("E_DATA", "no reference image to fit on")
    low, high = landmarks[:, :1], landmarks[:, -1:]
    if (low == high).all():
        raise IsotoneError("E_DATA", "the reference images show one grey level each")
    keep = (high > low)[:, 0]
    scaled = (landmarks - low)[keep] / (high - low)[keep]
    return np.asarray(low.mean() + (high.mean() - low.mean()) * scaled.mean(0))


def _lines(values: Floats, x: Floats, y: Floats) -> Floats:
    """Straight lines through the points, the first and the last continued."""
    segment = np.searchsorted(x, values, "right").clip(1, len(x) - 1)
    slope = (np.diff(y) / np.diff(x))[segment - 1]
    return np.asarray(y[segment - 1] + slope * (values - x[segment - 1]))


def _landmarks(values: Any) -> Floats:
    found = np.asarray(values, np.float64)
    if found.shape != LANDMARKS.shape or not np.isfinite(found).all():
        raise ValueError("no landmarks")
    return found
