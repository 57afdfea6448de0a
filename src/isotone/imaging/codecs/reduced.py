"""JPEG 2000 at a fraction of its size: what is left of a wavelet transform when its finest levels are not decoded."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.uid import HTJ2K, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, JPEG2000Lossless

from isotone.imaging.codecs.codestream import jpeg2000_size
from isotone.imaging.dicom.frame import Layout, check_frame
from isotone.imaging.radiograph import Stored

JPEG_2000 = {JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K}


def decode_reduced(frame: bytes, layout: Layout, path: Path, side: int) -> tuple[Stored, int] | None:
    """The smoothed stored values of a JPEG 2000 frame at 1 / 2, 1 / 4, … of its size.

    Parameters
    ----------
    frame, layout, path
        As for `decode`.
    side : int
        What the shorter side keeps, at least.

    Returns
    -------
    array and int, or None
        How many rows and columns each pixel stands for; None where only `decode` gives an image, or says why not.

    Raises
    ------
    RadiographError
        As `decode`, for what is told before decoding.
    """
    sides = layout.rows, layout.columns
    times = max(min(sides) // side, 1).bit_length() - 1
    # Two's complement in an unsigned codestream cannot be averaged.
    if times == 0 or layout.syntax not in JPEG_2000 or layout.signed or not pillow_reduces():
        return None
    check_frame(frame, layout, path)
    try:
        words = _low_pass(frame, times)
    except Exception:  # Pillow raises many types: the frame has fewer levels, or is damaged
        return None
    limit = 2**layout.bits - 1
    if words.shape != _rounded_up(sides, 2**times) or words.max() > limit + limit // 4:
        return None
    return np.minimum(words, np.uint16(limit)), 2**times


def _rounded_up(sides: tuple[int, int], step: int) -> tuple[int, ...]:
    return tuple(-(-n // step) for n in sides)


@cache
def pillow_reduces() -> bool:
    """Whether this version of Pillow reduces by what `_low_pass` sets, of which one attribute is private."""
    rows, columns = np.indices((37, 26))
    encoded = BytesIO()
    Image.fromarray((3 * rows + 4 * columns).astype(np.uint8)).save(encoded, "JPEG2000", num_resolutions=3, no_jp2=True)
    try:
        found = _low_pass(encoded.getvalue(), 2)
    except Exception:  # whatever another version raises
        return False
    wanted = (3 * rows + 4 * columns)[::4, ::4]
    return found.shape == wanted.shape and bool((np.abs(found.astype(int) - wanted) <= 4).all())


def _low_pass(frame: bytes, times: int) -> NDArray[np.uint16]:
    """What is left of a frame after `times` halvings, by Pillow: imagecodecs decodes the whole of JPEG 2000.

    Of HTJ2K imagecodecs leaves levels out (`skipres`), but what the filter takes below 0 comes out as nearly white.
    """
    with Image.open(BytesIO(frame), formats=["JPEG2000"]) as image:
        if image.mode not in ("L", "I;16"):
            raise ValueError("not one channel of at most 16 bits")
        # The codec rounds the sides up and Pillow to the nearest, which then refuses what the codec gives.
        image._size = tuple(n << times for n in _rounded_up(image.size, 2**times))  # type: ignore[assignment]
        image.reduce = times  # type: ignore[method-assign, assignment]
        words = np.asarray(image)
    spread = 8 * words.dtype.itemsize - jpeg2000_size(frame).precision  # Pillow uses all bits of a word
    return words.astype(np.uint16) >> np.uint16(spread)
