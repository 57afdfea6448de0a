"""One decoder per transfer syntax, all from imagecodecs (BSD): the same pixels whatever else is installed.

pydicom picks a decoder by what it finds, GDCM first; libjpeg's bindings return wrong JPEG-LS pixels without a word
where data are damaged; and none of its permissive decoders reads JPEG Lossless or 12-bit JPEG Extended.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
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

from isotone.imaging.codecs.codestream import CODESTREAM, SOF, FrameSize, jpeg2000_size, jpeg_segments, jpeg_size
from isotone.imaging.codecs.htj2k import htj2k_decode
from isotone.imaging.codecs.jpegxl import jpegxl_is_lossy, jpegxl_size
from isotone.imaging.codecs.lossy import JPEG_LS, jpeg2000_is_lossy, jpeg_is_lossy

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
    method : str or None
        LossyImageCompressionMethod of lossy frames (PS3.3 C.7.6.1.1.5.1).
    is_lossy : callable or None
        The first `isotone.imaging.codecs.lossy.HEADER` bytes of a frame → whether it has lost anything; None: it
        cannot.
    """

    decode: Callable[[bytes, np.dtype[Any], int], Pixels]
    size: Callable[[bytes], FrameSize] | None
    lossy: bool = False
    method: str | None = None
    is_lossy: Callable[[bytes], bool] | None = None

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


def _htj2k(frame: bytes, dtype: np.dtype[Any], length: int) -> Pixels:
    return htj2k_decode(frame)


def _rle(frame: bytes, dtype: np.dtype[Any], length: int) -> Pixels:
    return np.frombuffer(imagecodecs.dicomrle_decode(frame, dtype=dtype, out=length), dtype)


def _jpegxl(frame: bytes, dtype: np.dtype[Any], length: int) -> Pixels:
    return imagecodecs.jpegxl_decode(frame, numthreads=1)


def _deflated(frame: bytes, dtype: np.dtype[Any], length: int) -> Pixels:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    words = inflater.decompress(frame, length + length % 2 + 1)  # one more than there may be
    if not length <= len(words) <= length + length % 2 or not inflater.eof:
        raise ValueError("inflates to another length")
    return np.frombuffer(words[:length], dtype)


def _as_it_is(frame: bytes, dtype: np.dtype[Any], length: int) -> Pixels:
    if not length <= len(frame) <= length + length % 2:
        raise ValueError("has another length")
    return np.frombuffer(frame[:length], dtype)


_JPEG = Codec(_jpeg, jpeg_size, method="ISO_10918_1", is_lossy=jpeg_is_lossy)
_JPEG_LS = Codec(_jpegls, jpeg_size, method="ISO_14495_1", is_lossy=jpeg_is_lossy)
_JPEG_2000 = Codec(_jpeg2000, jpeg2000_size, method="ISO_15444_1", is_lossy=jpeg2000_is_lossy)
_HTJ2K = replace(_JPEG_2000, decode=_htj2k, method="ISO_15444_15")
_JPEG_XL = Codec(_jpegxl, jpegxl_size, method="ISO_18181_1", is_lossy=jpegxl_is_lossy)
JPEGXLLossless, JPEGXLJPEGRecompression, JPEGXL = (UID(f"1.2.840.10008.1.2.4.{n}") for n in (110, 111, 112))
DeflatedImageFrame, EncapsulatedUncompressed = UID("1.2.840.10008.1.2.8.1"), UID("1.2.840.10008.1.2.1.98")
"""Transfer syntaxes that pydicom has no keyword for (PS3.5 10.17 to 10.20, A.4.11)."""

EXTENDED = 0x40
"""Bit of the first byte of Rsiz that tells of capabilities beyond part 1 (T.800 A.5.1), those of HTJ2K (T.814)."""
PROCESSES = {0xC0: JPEGBaseline8Bit, 0xC1: JPEGExtended12Bit, 0xC3: JPEGLossless}
"""Transfer syntax of each start-of-frame marker of JPEG that has one (T.81 table B.1)."""
CODECS: dict[UID, Codec] = {
    JPEGBaseline8Bit: replace(_JPEG, lossy=True),
    JPEGExtended12Bit: replace(_JPEG, lossy=True),
    JPEGLossless: _JPEG,
    JPEGLosslessSV1: _JPEG,
    JPEGLSLossless: _JPEG_LS,
    JPEGLSNearLossless: replace(_JPEG_LS, lossy=True),
    JPEG2000Lossless: _JPEG_2000,
    JPEG2000: replace(_JPEG_2000, lossy=True),
    HTJ2KLossless: _HTJ2K,
    HTJ2KLosslessRPCL: _HTJ2K,
    HTJ2K: replace(_HTJ2K, lossy=True),
    JPEGXLLossless: _JPEG_XL,
    JPEGXLJPEGRecompression: replace(_JPEG_XL, lossy=True, is_lossy=lambda start: True),  # it was a lossy JPEG before
    JPEGXL: replace(_JPEG_XL, lossy=True),
    RLELossless: Codec(_rle, None),
    DeflatedImageFrame: Codec(_deflated, None),
    EncapsulatedUncompressed: Codec(_as_it_is, None),
}
"""Every encapsulated transfer syntax that is read."""


def shown_syntax(start: bytes) -> UID | None:
    """The transfer syntax of a JPEG, JPEG-LS or JPEG 2000 frame, as its own header tells; None of all else.

    Parameters
    ----------
    start : bytes
        The first `isotone.imaging.codecs.lossy.HEADER` bytes of the frame.
    """
    if start.startswith(CODESTREAM):
        high_throughput = bool(start[6:7]) and bool(start[6] & EXTENDED)
        lossy, lossless = (HTJ2K, HTJ2KLossless) if high_throughput else (JPEG2000, JPEG2000Lossless)
        return lossy if jpeg2000_is_lossy(start) else lossless
    with suppress(ValueError):
        code = next(code for code, _ in jpeg_segments(start) if code in SOF)
        if code == JPEG_LS:
            return JPEGLSNearLossless if jpeg_is_lossy(start) else JPEGLSLossless
        return PROCESSES.get(code)
    return None
