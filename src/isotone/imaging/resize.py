"""The one way in which images are resized: antialiased bilinear interpolation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def to_square(pixels: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Resize to a square; the aspect ratio is not kept.

    Bilinear with a support that grows with the reduction (Pillow's ``BILINEAR``), so that fine texture is averaged
    and not aliased.

    Parameters
    ----------
    pixels : float32 array of shape (rows, columns)
        Grey levels in [0, 1].
    size : int
        Side of the square in pixels.

    Returns
    -------
    float32 array of shape (size, size)
        In [0, 1].
    """
    image = Image.fromarray(np.ascontiguousarray(pixels, np.float32))
    small = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), np.float32)
    return np.clip(small, 0, 1)  # the weights sum to 1 only within rounding
