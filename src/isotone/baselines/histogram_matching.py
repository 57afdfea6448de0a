"""Each image's grey levels onto those of the pooled reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np

from isotone.baselines.baseline import Baseline
from isotone.baselines.grey_levels import Anatomy, GreyLevels
from isotone.errors import IsotoneError
from isotone.imaging.radiograph import Radiograph


class HistogramMatching(Baseline):
    """Cumulative histogram of each image onto that of all reference images together.

    The rule is scikit-image's ``match_histograms``: a grey level below which a share p of the image lies
    becomes the grey level below which the share p of the reference lies, interpolated linearly.

    Parameters
    ----------
    foreground : bool
        Match the pixels of the anatomy alone, where most images of the reference show air beside it (the rule of the
        fit); those outside go through the same curve, led straight to black and white beyond the anatomy's ends. An
        image in which no air is told is matched as a whole with whole images (`isotone.baselines.grey_levels`).
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
        self.foreground = foreground
        self._looked_at = Anatomy(foreground, GreyLevels.pooled)
        self.fitted = False
        self.name = "histogram-matching" if foreground else "histogram-matching-all-pixels"

    def fit(self, reference: Iterable[Radiograph]) -> Self:
        """Pool the grey levels of the reference, each image with the same weight.

        Raises
        ------
        IsotoneError
            E_DATA: no image.
        """
        self._looked_at.fit(reference)
        self.fitted = True
        return self

    def transform(self, radiograph: Radiograph) -> Radiograph:
        """The matched image.

        Raises
        ------
        RadiographError
            E_EMPTY_IMAGE: fewer than two grey levels.
        IsotoneError
            E_USAGE: not fitted.
        """
        self._refuse_unfitted()
        return match(radiograph, *self._looked_at.of(radiograph))

    def learned(self) -> dict[str, Any]:
        """What was learned of anatomy and of whole images."""
        self._refuse_unfitted()
        return self._looked_at.learned(GreyLevels.to_json)

    def remember(self, learned: Mapping[str, Any]) -> None:
        """Take it in the place of a fit."""
        self._looked_at.remember(learned, GreyLevels.from_json)
        self.fitted = True

    def _refuse_unfitted(self) -> None:
        if not self.fitted:
            raise IsotoneError("E_USAGE", f"{self.name} is not fitted", next_step="Call fit(reference) first.")


def match(radiograph: Radiograph, levels: GreyLevels, reference: GreyLevels) -> Radiograph:
    """The image through the curve that leads `levels` onto `reference`, and straight to black and white beyond."""
    matched = np.interp(levels.cumulative, reference.cumulative, reference.values)
    x = np.concatenate([[-1e-9], levels.values, [1 + 1e-9]])
    y = np.concatenate([[0.0], matched, [1.0]])
    return radiograph.map_tone(lambda tone: np.interp(tone, x, y))
