"""From an image to what a classifier looks at; needs no torch, so that reading processes stay light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isotone.imaging.radiograph import Radiograph
from isotone.imaging.resize import to_square


@dataclass(frozen=True)
class Prepare:
    """Resize an image to a classifier's input; picklable.

    Parameters
    ----------
    image_size : int
        Side of the square input, in pixels.
    """

    image_size: int

    def __call__(self, radiograph: Radiograph) -> NDArray[np.float32]:
        """Presentation values in [0, 1], float32 of shape (image_size, image_size)."""
        return to_square(radiograph.pixels, self.image_size)
