"""Straight-line baselines: the grey levels are shifted and stretched, and clipped to [0, 1]."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

from isotone.baselines.baseline import Baseline, finite
from isotone.baselines.grey_levels import GreyLevels
from isotone.imaging.radiograph import Radiograph


class FullRange(Baseline):
    """All possible stored values onto [0, 1]: the image as it is read, the paper's first baseline.

    Examples
    --------
    >>> import isotone
    >>> image = isotone.read_radiograph("phantom/images/birch/P0010/LCC.dcm")
    >>> isotone.FullRange().transform(image) is image
    True
    """

    name = "full-range"

    def transform(self, radiograph: Radiograph) -> Radiograph:
        """The same image."""
        return radiograph


class DisplayWindow(Baseline):
    """The image through the display window or VOI LUT of its file, the paper's second baseline.

    Examples
    --------
    >>> import isotone
    >>> image = isotone.read_radiograph("phantom/images/birch/P0010/LCC.dcm")
    >>> shown = isotone.DisplayWindow().transform(image)
    >>> shown.header.window == image.header.window
    True
    """

    name = "display-window"

    def transform(self, radiograph: Radiograph) -> Radiograph:
        """The image as a viewer would show it first; unchanged where the file has no window."""
        return radiograph.displayed()


class MinMax(Baseline):
    """Each image's own smallest and largest grey level, padding excluded, onto 0 and 1."""

    name = "min-max"

    def transform(self, radiograph: Radiograph) -> Radiograph:
        """The image stretched to [0, 1]; padding is clipped to it.

        Raises
        ------
        RadiographError
            E_EMPTY_IMAGE: fewer than two grey levels.
        """
        levels = GreyLevels.of(radiograph)
        return _stretched(radiograph, float(levels.values[0]), float(levels.values[-1]))


class Percentile(Baseline):
    """Two percentiles of each image, padding excluded, onto 0 and 1.

    Parameters
    ----------
    low, high : float
        Percentages; by default 1 and 99.
    """

    name = "percentile"

    def __init__(self, low: float = 1.0, high: float = 99.0) -> None:
        self.low, self.high = low, high

    def transform(self, radiograph: Radiograph) -> Radiograph:
        """The image stretched between its percentiles (its ends, where the percentiles agree) and clipped.

        Raises
        ------
        RadiographError
            E_EMPTY_IMAGE: fewer than two grey levels.
        """
        levels = GreyLevels.of(radiograph)
        low, high = levels.percentiles([self.low, self.high])
        if low == high:
            low, high = levels.values[[0, -1]]
        return _stretched(radiograph, float(low), float(high))


class ZScore(Baseline):
    """Each image's mean and standard deviation onto those of the pooled reference.

    The paper's z-score leaves [0, 1], for which its classifier was not trained; standardising and then giving
    back the mean and deviation of the reference is the same straight line in the units of that classifier.

    Examples
    --------
    >>> import isotone
    >>> reference = isotone.read_radiograph("phantom/images/alder/P0001/LCC.dcm")
    >>> image = isotone.read_radiograph("phantom/images/birch/P0010/LCC.dcm")
    >>> matched = isotone.ZScore().fit([reference]).transform(image)
    >>> bool(abs(matched.pixels.mean() - reference.pixels.mean()) < abs(image.pixels.mean() - reference.pixels.mean()))
    True
    """

    name = "z-score"
    fitted = False

    def fit(self, reference: Iterable[Radiograph]) -> Self:
        """Learn the mean and standard deviation of all reference pixels, padding excluded.

        Raises
        ------
        IsotoneError
            E_DATA: no image.
        """
        pool = GreyLevels.pooled(GreyLevels.of(radiograph) for radiograph in reference)
        self.mean, self.std, self.fitted = pool.mean, pool.std, True
        return self

    def transform(self, radiograph: Radiograph) -> Radiograph:
        """The standardised image, clipped to [0, 1].

        Raises
        ------
        RadiographError
            E_EMPTY_IMAGE: fewer than two grey levels.
        IsotoneError
            E_USAGE: not fitted.
        """
        self.refuse_unfitted()
        levels = GreyLevels.of(radiograph)
        gain = self.std / levels.std
        return radiograph.map_tone(lambda x: self.mean + gain * (x - levels.mean))

    def learned(self) -> dict[str, Any]:
        """Mean and standard deviation of the reference."""
        self.refuse_unfitted()
        return {"mean": self.mean, "std": self.std}

    def remember(self, learned: Mapping[str, Any]) -> None:
        """Take them in the place of a fit."""
        self.mean, self.std = finite(learned["mean"]), finite(learned["std"])
        self.fitted = True


def _stretched(radiograph: Radiograph, low: float, high: float) -> Radiograph:
    return radiograph.map_tone(lambda x: (x - low) / (high - low))
