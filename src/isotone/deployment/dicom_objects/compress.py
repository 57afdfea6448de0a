"""Lossless compression of the pixels that a delivery makes: one encoder for each choice, each frame decoded again."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import imagecodecs
import numpy as np
from pydicom.pixels.encoders.base import JPEGLSLosslessEncoder
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

from isotone.deployment.dicom_objects.pixel_value import Words, looked_up
from isotone.errors import RadiographError
from isotone.imaging.codecs.codecs import CODECS
from isotone.imaging.radiograph import Stored

Compress = Literal["none", "rle", "jpeg-ls", "htj2k", "jpeg2000", "same"]
"""Values of `--compress`. Without one, compressed sources get `DEFAULT`, native ones "none"."""
DEFAULT = "jpeg-ls"
"""For sources that were compressed: the smallest of all, in less time than JPEG 2000 (docs/deliveries.md)."""

SEGMENTS = 15
"""Places for offsets of segments in the header of an RLE frame (PS3.5 G.5)."""


@dataclass(frozen=True)
class Encoder:
    """How frames of one transfer syntax are made.

    Attributes
    ----------
    syntax : UID
    encode : callable
        Words of shape (rows, columns), and how many bits of each are stored → frame.
    """

    syntax: UID
    encode: Callable[[Words, int], bytes]

    def frames(self, decoded: Iterable[Stored], table: Words, bits: int) -> Iterator[bytes]:
        """The compressed frames of stored values through a table, one by one.

        Raises
        ------
        RadiographError
            E_WRITTEN: a frame decodes to other values.
        """
        kind = table.dtype
        for stored in decoded:
            words = looked_up(table, stored)
            frame = bytes(self.encode(words, bits))
            again = CODECS[self.syntax].decode(frame, kind, words.nbytes).reshape(words.shape)
            if not np.array_equal(again, words):
                raise RadiographError("E_WRITTEN", "a compressed frame decodes to other values")
            yield frame


def _rle(words: Words, bits: int) -> bytes:
    """A segment for each byte of the words, the most significant first, no run beyond its row (PS3.5 G)."""
    planes = words.astype(words.dtype.newbyteorder(">")).view(np.uint8).reshape(*words.shape, words.itemsize)
    segments = [
        bytes(imagecodecs.packbits_encode(np.ascontiguousarray(planes[..., n]), axis=-1)) for n in range(words.itemsize)
    ]
    segments = [segment + bytes(len(segment) % 2) for segment in segments]
    offsets = np.cumsum([64, *map(len, segments[:-1])]).tolist()
    header = struct.pack(f"<{1 + SEGMENTS}L", len(segments), *offsets, *[0] * (SEGMENTS - len(segments)))
    return header + b"".join(segments)


def _jpegls(words: Words, bits: int) -> bytes:
    if bits == 8 * words.itemsize:
        return bytes(imagecodecs.jpegls_encode(words))
    described: dict[str, Any] = {  # imagecodecs knows no other numbers of bits
        "rows": words.shape[0],
        "columns": words.shape[1],
        "number_of_frames": 1,
        "samples_per_pixel": 1,
        "bits_allocated": 8 * words.itemsize,
        "bits_stored": bits,
        "pixel_representation": 0,
        "photometric_interpretation": "MONOCHROME2",
    }
    return bytes(JPEGLSLosslessEncoder.encode(words, **described))


def _htj2k(words: Words, bits: int) -> bytes:
    if bits != 8 * words.itemsize:
        raise RadiographError(
            "E_UNSUPPORTED",
            f"HTJ2K is written with 8 or 16 bits, not with {bits}",
            next_step='Use compress="jpeg-ls" with bits="same".',
        )
    return bytes(imagecodecs.htj2k_encode(words))


def _jpeg2000(words: Words, bits: int) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(words, codecformat="j2k", bitspersample=bits, numthreads=1))


def _jpeg_lossless(words: Words, bits: int) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(words, lossless=True, bitspersample=bits))


ENCODERS = {
    "rle": Encoder(RLELossless, _rle),
    "jpeg-ls": Encoder(JPEGLSLossless, _jpegls),
    "htj2k": Encoder(HTJ2KLossless, _htj2k),
    "jpeg2000": Encoder(JPEG2000Lossless, _jpeg2000),
    "jpeg-lossless": Encoder(JPEGLosslessSV1, _jpeg_lossless),
}
KIN = {
    RLELossless: "rle",
    JPEGLSLossless: "jpeg-ls",
    JPEGLSNearLossless: "jpeg-ls",
    HTJ2KLossless: "htj2k",
    HTJ2KLosslessRPCL: "htj2k",
    HTJ2K: "htj2k",
    JPEG2000Lossless: "jpeg2000",
    JPEG2000: "jpeg2000",
    JPEGLossless: "jpeg-lossless",
    JPEGLosslessSV1: "jpeg-lossless",
    JPEGBaseline8Bit: "jpeg-lossless",
    JPEGExtended12Bit: "jpeg-lossless",
}
"""The lossless encoder of a source's own family; of others (JPEG XL, deflated frames) there is none here."""


def encoder_for(asked: Compress | None, source: UID) -> Encoder | None:
    """The encoder of a delivery; None: its pixels stay uncompressed.

    Parameters
    ----------
    asked : str or None
        "same": the lossless codec of the source's family; without one, the same as None. None: `DEFAULT` if the
        source is compressed.
    source : UID
        Transfer syntax of the source.
    """
    if asked == "none" or (asked in (None, "same") and source not in CODECS):
        return None
    if asked == "same":
        return ENCODERS[KIN.get(source, DEFAULT)]
    return ENCODERS[asked or DEFAULT]
