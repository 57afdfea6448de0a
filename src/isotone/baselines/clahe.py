"""Contrast-limited adaptive histogram equalisation: the one baseline that is no map of grey levels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from isotone.baselines.baseline import Baseline
from isotone.curves.tone_curve import quantize
from isotone.imaging.radiograph import Radiograph


class Clahe(Baseline):
    """Local equalisation by scikit-image, in tiles of an eighth of the image.

    Parameters
    ----------
    clip_limit : float
        Share of a tile's pixels that one grey level may hold before it is cut, 0 to 1.
    """

    name = "clahe"

    def __init__(self, clip_limit: float = 0.01) -> None:
        self.clip_limit = clip_limit

    def transform(self, radiograph: Radiograph) -> Radiograph:
        """The equalised image in 16 bits; what was padding is equalised with the rest, no longer marked."""
        # Half a second that the other baselines need not wait.
        from skimage.exposure import equalize_adapthist

        pixels = equalize_adapthist(radiograph.pixels, clip_limit=self.clip_limit)
        return replace(
            radiograph,
            stored=quantize(np.asarray(pixels, np.float64), 16),
            tone=np.linspace(0, 1, 2**16),
            display=None,
            padding=None,
            header=replace(radiograph.header, bits_stored=16, signed=False),
        )
