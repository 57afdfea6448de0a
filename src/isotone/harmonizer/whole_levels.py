"""Float images that are whole numbers over 2**bits − 1, as those of radiographs are: looked up, not computed."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isotone.curves.tone_curve import ToneCurve
from isotone.imaging.grey_levels.lookup import gather

LARGEST = np.array([[2**bits - 1] for bits in range(8, 17)])
"""Largest stored values that are tried; the levels of 1, 2 and 4 bits are among those of 8."""
SAMPLE = 256
"""Pixels, evenly spread, that tell the bits; the whole image is then compared with the levels of those bits."""


def looked_up(image: NDArray[Any], curve: ToneCurve, inverted: bool) -> NDArray[Any] | None:
    """A float image through a curve by a table, to the same bits as by the curve itself.

    Parameters
    ----------
    image : float32 or float64 array of any shape
        Another type has no table.
    curve : ToneCurve
    inverted : bool
        0 is white.

    Returns
    -------
    array of the shape and type of `image`, or None
        None: not every pixel is a level ``k / (2**bits − 1)``, rounded to its type, of one number of bits.
    """
    if image.dtype.str not in {"<f4", "<f8"}:
        return None
    sample, largest = image.reshape(-1)[:: image.size // SAMPLE or 1], LARGEST.astype(image.dtype)
    fits = (_stored(sample, largest).astype(image.dtype) / largest == sample).all(1)
    for most in largest[fits, 0]:
        stored = _stored(image, most)
        if np.array_equal(stored.astype(image.dtype) / most, image):
            return gather(_mapped(curve, int(most), image.dtype.str, inverted), stored)
    return None


def _stored(levels: NDArray[Any], largest: Any) -> NDArray[np.uint16]:
    """The nearest whole numbers; what is no number, or beyond the range, becomes some other one."""
    with np.errstate(invalid="ignore"):
        nearest: NDArray[np.uint16] = (levels * largest + levels.dtype.type(0.5)).astype(np.uint16)
    return nearest


@lru_cache(maxsize=32)
def _mapped(curve: ToneCurve, largest: int, dtype: str, inverted: bool) -> NDArray[Any]:
    levels = np.arange(largest + 1, dtype=dtype) / np.dtype(dtype).type(largest)
    found: NDArray[Any] = through_curve(levels, curve, inverted)
    found.setflags(write=False)
    return found


def through_curve(image: Any, curve: ToneCurve, inverted: bool) -> Any:
    """An array or tensor of grey levels through a curve, step by step."""
    return 1 - curve(1 - image) if inverted else curve(image)
