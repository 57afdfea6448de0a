"""Whether a compressed frame has lost anything, as its own header tells: transfer syntaxes are not always right.

What no header tells remains unknown: JPEG 2000 with the reversible transform may have been cut at a rate.
"""

from __future__ import annotations

from contextlib import suppress
from struct import error as StructError
from struct import unpack_from

from isotone.imaging.codecs.codestream import SOF, START_OF_SCAN, codestream_start, jpeg_segments

HEADER = 2**18
"""Bytes of a frame in which its header is looked for; application segments before it are seldom so long."""
LOSSLESS_SOF = {0xC3, 0xC7, 0xCB, 0xCF, 0xF7}
"""Start-of-frame markers of the lossless processes (T.81 table B.1) and of JPEG-LS (T.87 C.1.1)."""
JPEG_LS = 0xF7
COD, COC, START_OF_TILE = 0xFF52, 0xFF53, 0xFF90
"""Coding style of the image, and of a component, and the end of the main header (T.800 A.2)."""
IRREVERSIBLE = 0
"""The 9-7 wavelet transform (T.800 table A.20)."""


def jpeg_is_lossy(start: bytes) -> bool:
    """Whether a JPEG or JPEG-LS frame is lossy: by its process, its point transform, or JPEG-LS's NEAR.

    Parameters
    ----------
    start : bytes
        The first `HEADER` bytes of the frame. Where they tell nothing, False.
    """
    frame = 0
    with suppress(ValueError, StructError, IndexError):
        for code, at in jpeg_segments(start):
            if code in SOF:
                frame = code
            if code in SOF - LOSSLESS_SOF:
                return True
            if code == START_OF_SCAN:  # T.81 B.2.3, T.87 C.2.3
                near, _, shift = unpack_from(">BBB", start, at + 5 + 2 * start[at + 4])
                return bool(shift & 15) or (frame == JPEG_LS and near > 0)
    return False


def jpeg2000_is_lossy(start: bytes) -> bool:
    """Whether a JPEG 2000 or HTJ2K codestream has gone through the irreversible transform (T.800 A.6.1, A.6.2).

    Parameters
    ----------
    start : bytes
        As above.
    """
    transform = -1
    with suppress(ValueError, StructError, IndexError):
        at = codestream_start(start) + 2
        while True:
            marker, length = unpack_from(">HH", start, at)
            if marker == START_OF_TILE:
                break
            if marker == COD:
                transform = start[at + 13]
            elif marker == COC:  # there is but one component, so this goes before what the image says
                return start[at + 10] == IRREVERSIBLE
            at += 2 + max(2, length)
    return transform == IRREVERSIBLE
