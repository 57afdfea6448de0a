"""Each image's grey levels onto those of the pooled reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from isotone.baselines.anatomy import AnatomyBaseline
from isotone.baselines.grey_levels import GreyLevels
from isotone.imaging.radiograph import Radiograph


class HistogramMatching(AnatomyBaseline[GreyLevels]):
    """Cumulative histogram of each image onto that of all reference images together.

    The rule is scikit-image's ``match_histograms``: a grey level below which a share p of the image lies
    becomes the grey level below which the share p of the reference lies, interpolated linearly.

    Parameters
    ----------
    foreground : bool
        Match the pixels of the anatomy alone, where most images of the reference show air beside it (the rule of the
        fit); those outside go through the same curve, led straight to black and white beyond the anatomy's ends. An
        image in which no air is told is matched as a whole with whole images (`isotone.baselines.anatomy`).
        False: all pixels, padding excluded.

    Examples
    --------
    >>> import isotone
    >>> reference = isotone.read_radiograph("phantom/images/alder/P0001/LCC.dcm")
    >>> image = isotone.read_radiograph("phantom/images/birch/P0010/LCC.dcm")
    >>> matched = isotone.HistogramMatching().fit([reference]).transform(image)
    >>> bool(abs(matched.pixels.mean() - reference.pixels.mean()) < abs(image.pixels.mean() - reference.pixels.mean()))
    True
    """

    def __init__(self, *, foreground: bool = True) -> None:
        super().__init__(foreground=foreground)
        self.name = "histogram-matching" if foreground else "histogram-matching-all-pixels"

    def transform(self, radiograph: Radiograph) -> Radiograph:
        """The matched image.

        Raises
        ------
        RadiographError
            E_EMPTY_IMAGE: fewer than two grey levels.
        IsotoneError
            E_USAGE: not fitted.
        """
        return match(radiograph, *self._compared(radiograph))

    def _keep(self, reference: Sequence[GreyLevels]) -> GreyLevels:
        return GreyLevels.pooled(reference)

    def _to_json(self, kept: GreyLevels) -> Any:
        return kept.to_json()

    def _from_json(self, entry: Any) -> GreyLevels:
        return GreyLevels.from_json(entry)


def match(radiograph: Radiograph, levels: GreyLevels, reference: GreyLevels) -> Radiograph:
    """The image through the curve that leads `levels` onto `reference`, and straight to black and white beyond."""
    matched = np.interp(levels.cumulative, reference.cumulative, reference.values)
    x = np.concatenate([[-1e-9], levels.values, [1 + 1e-9]])
    y = np.concatenate([[0.0], matched, [1.0]])
    return radiograph.map_tone(lambda tone: np.interp(tone, x, y))
