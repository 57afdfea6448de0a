"""Piecewise-linear standardisation of Nyúl and Udupa."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isotone.baselines.anatomy import AnatomyBaseline
from isotone.baselines.grey_levels import GreyLevels
from isotone.errors import IsotoneError
from isotone.imaging.radiograph import Radiograph

Floats = NDArray[np.float64]

LANDMARKS = np.array([1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99], np.float64)
"""Percentiles of the published variant with deciles (L4)."""


class Nyul(AnatomyBaseline[Floats]):
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

    def transform(self, radiograph: Radiograph) -> Radiograph:
        """The standardised image, its outermost lines continued beyond the landmarks, clipped to [0, 1].

        Raises
        ------
        RadiographError
            E_EMPTY_IMAGE: fewer than two grey levels.
        IsotoneError
            E_USAGE: not fitted.
        """
        levels, standard = self._compared(radiograph)
        x, index = np.unique(levels.percentiles(LANDMARKS), return_inverse=True)
        # Landmarks that coincide (a large background) share the mean of their standard values.
        y = np.bincount(index, standard) / np.bincount(index)
        if len(x) < 2:
            x, y = np.append(x, x[0] + 1), np.append(y, y[0] + 1)
        return radiograph.map_tone(lambda tone: _lines(tone, x, y))

    def _keep(self, reference: Sequence[GreyLevels]) -> Floats:
        return standard_landmarks(reference)

    def _to_json(self, kept: Floats) -> Any:
        return kept.tolist()

    def _from_json(self, entry: Any) -> Floats:
        found = np.asarray(entry, np.float64)
        if found.shape != LANDMARKS.shape or not np.isfinite(found).all():
            raise ValueError("no landmarks")
        return found


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
