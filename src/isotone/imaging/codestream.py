"""The size that a compressed frame claims for itself, read before any decoder allocates for it."""

from __future__ import annotations

from dataclasses import dataclass
from struct import error as StructError
from struct import unpack_from

SOF = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""Start-of-frame markers of JPEG (ITU-T T.81 table B.1) and JPEG-LS (T.87 C.1.1)."""
STANDALONE = {0x01, *range(0xD0, 0xD9)}
"""Markers without a segment."""


@dataclass(frozen=True)
class FrameSize:
    """Size of a compressed frame: rows, columns, components, and bits of each sample."""

    rows: int
    columns: int
    components: int
    precision: int


def jpeg_size(frame: bytes) -> FrameSize:
    """Size of a JPEG or JPEG-LS frame (T.81 B.2.2).

    Raises
    ------
    ValueError
        No start-of-frame segment.
    """
    if frame[:2] != b"\xff\xd8":
        raise ValueError("no start of image")
    at = 2
    try:
        while True:
            marker, code = unpack_from(">BB", frame, at)
            if marker != 0xFF:
                raise ValueError("a marker is missing")
            if code == 0xFF:  # fill byte
                at += 1
            elif code in STANDALONE:
                at += 2
            elif code in SOF:
                precision, rows, columns, components = unpack_from(">BHHB", frame, at + 4)
                return FrameSize(rows, columns, components, precision)
            else:
                at += 2 + max(2, unpack_from(">H", frame, at + 2)[0])
    except StructError:
        raise ValueError("no start of frame") from None


def jpeg2000_size(frame: bytes) -> FrameSize:
    """Size of a JPEG 2000 or HTJ2K codestream, bare or in a JP2 box (T.800 A.5.1).

    Raises
    ------
    ValueError
        No SIZ segment, or one that describes no image.
    """
    start = 0 if frame[:4] == b"\xff\x4f\xff\x51" else frame.find(b"\xff\x4f\xff\x51")
    if start < 0:
        raise ValueError("no codestream")
    try:
        right, bottom, left, top = unpack_from(">4I", frame, start + 8)
        components, depth = unpack_from(">HB", frame, start + 40)
    except StructError:
        raise ValueError("the codestream ends within its header") from None
    return FrameSize(bottom - top, right - left, components, (depth & 0x7F) + 1)
