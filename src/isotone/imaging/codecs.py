"""One decoder per transfer syntax, all from imagecodecs (BSD): the same pixels whatever else is installed.

pydicom picks a decoder by what it finds, GDCM first; libjpeg's bindings return wrong JPEG-LS pixels without a word
where data are damaged; and none of its permissive decoders reads JPEG Lossless or 12-bit JPEG Extended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from isotone.imaging.codestream import FrameSize, jpeg2000_size, jpeg_size

Pixels = NDArray[Any]


@dataclass(frozen=True)
class Codec:
    """How to read one transfer syntax.

    Attributes
    ----------
    decode : callable
        Frame, type of a stored word and length in bytes of the decoded frame → array of shape (rows, columns), or
        flat.
    size : callable or None
        Frame → the size that it claims; None: the encoding claims none.
    lossy : bool
        Decoded values may overshoot BitsStored.
    """

    decode: Callable[[bytes, np.dtype[Any], int], Pixels]
    size: Callable[[bytes], FrameSize] | None
    lossy: bool = False

    @property
    def marked(self) -> bool:
        """A marker ends each frame."""
        return self.size in (jpeg_size, jpeg2000_size)


def _jpeg(frame: bytes, dtype: np.dtype[Any], length: int) -> Pixels:
    return imagecodecs.jpeg8_decode(frame)


def _jpegls(frame: bytes, dtype: np.dtype[Any], length: int) -> Pixels:
    return imagecodecs.jpegls_decode(frame)


def _jpeg2000(frame: bytes, dtype: np.dtype[Any], length: int) -> Pixels:
    return imagecodecs.jpeg2k_decode(frame, numthreads=1)


def _rle(frame: bytes, dtype: np.dtype[Any], length: int) -> Pixels:
    return np.frombuffer(imagecodecs.dicomrle_decode(frame, dtype=dtype, out=length), dtype)


CODECS: dict[UID, Codec] = {
    JPEGBaseline8Bit: Codec(_jpeg, jpeg_size, lossy=True),
    JPEGExtended12Bit: Codec(_jpeg, jpeg_size, lossy=True),
    JPEGLossless: Codec(_jpeg, jpeg_size),
    JPEGLosslessSV1: Codec(_jpeg, jpeg_size),
    JPEGLSLossless: Codec(_jpegls, jpeg_size),
    JPEGLSNearLossless: Codec(_jpegls, jpeg_size, lossy=True),
    JPEG2000Lossless: Codec(_jpeg2000, jpeg2000_size),
    JPEG2000: Codec(_jpeg2000, jpeg2000_size, lossy=True),
    HTJ2KLossless: Codec(_jpeg2000, jpeg2000_size),
    HTJ2KLosslessRPCL: Codec(_jpeg2000, jpeg2000_size),
    HTJ2K: Codec(_jpeg2000, jpeg2000_size, lossy=True),
    RLELossless: Codec(_rle, None),
}
"""Every compressed transfer syntax that is read."""
