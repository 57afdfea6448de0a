"""The size that a compressed frame claims for itself, read before any decoder allocates for it.

It is read where the decoder will read it: on the way through markers and boxes, never by searching, which would find
what somebody has planted in a comment.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from struct import error as StructError
from struct import unpack_from

SOF = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""Start-of-frame markers of JPEG (ITU-T T.81 table B.1) and JPEG-LS (T.87 C.1.1)."""
START_OF_SCAN = 0xDA
STANDALONE = {0x01, *range(0xD0, 0xD8)}
"""Markers without a segment."""
SEGMENTS = {0xC4, 0xCC, 0xDB, 0xDC, 0xDD, *range(0xE0, 0xF0), 0xF8, 0xFE}
"""Markers of segments that may come before the frame header: tables, applications' own, JPEG-LS parameters, comments.

No other: some decoders look on right behind what they do not know, instead of skipping a segment.
"""
END_OF_IMAGE = b"\xff\xd9"
"""Last marker of JPEG and JPEG-LS (T.81 table B.1), and of JPEG 2000, where it ends the codestream (T.800 A.2)."""
MAX_JUNK = 16
"""Bytes of any kind that may follow it; of one kind, or zeros and FF, there may be any number."""
CODESTREAM, SIGNATURE = b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n"
"""First bytes of a JPEG 2000 codestream (T.800 A.4.1, A.5.1) and of a file with one in a box (T.800 I.5.1)."""


@dataclass(frozen=True)
class FrameSize:
    """Size of a compressed frame: rows, columns, components, and bits of each sample."""

    rows: int
    columns: int
    components: int
    precision: int


def has_end(frame: bytes) -> bool:
    """Whether a frame has its last marker, whatever it is filled up with behind that."""
    bare = frame.rstrip(b"\0\xff")
    return any(END_OF_IMAGE in some[-MAX_JUNK:] for some in (frame, bare, bare.rstrip(bare[-1:])))


def jpeg_segments(frame: bytes) -> Iterator[tuple[int, int]]:
    """Code and offset of each marker of a JPEG or JPEG-LS frame up to its first scan (T.81 B.1.1).

    Raises
    ------
    ValueError
        The frame ends before, or has what decoders do not agree about.
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
            elif code in SOF | SEGMENTS | {START_OF_SCAN}:
                yield code, at
                at += 2 + max(2, unpack_from(">H", frame, at + 2)[0])
            else:
                raise ValueError("a marker that has no place before the first scan")
    except StructError:
        raise ValueError("no start of frame") from None


def jpeg_size(frame: bytes) -> FrameSize:
    """Size of a JPEG or JPEG-LS frame (T.81 B.2.2).

    Raises
    ------
    ValueError
        No start-of-frame segment.
    """
    for code, at in jpeg_segments(frame):
        if code in SOF:
            try:
                precision, rows, columns, components = unpack_from(">BHHB", frame, at + 4)
            except StructError:
                break
            return FrameSize(rows, columns, components, precision)
        if code == START_OF_SCAN:
            raise ValueError("a marker that has no place before the start of frame")
    raise ValueError("no start of frame")


def jpeg2000_size(frame: bytes) -> FrameSize:
    """Size of a JPEG 2000 or HTJ2K codestream, bare or in a JP2 box (T.800 A.5.1).

    Raises
    ------
    ValueError
        No SIZ segment, or one that describes no image.
    """
    start = codestream_start(frame)
    try:
        right, bottom, left, top = unpack_from(">4I", frame, start + 8)
        components, depth = unpack_from(">HB", frame, start + 40)
    except StructError:
        raise ValueError("the codestream ends within its header") from None
    return FrameSize(bottom - top, right - left, components, (depth & 0x7F) + 1)


def codestream_start(frame: bytes) -> int:
    """Offset of the codestream, bare or in a JP2 box.

    Raises
    ------
    ValueError
        There is none.
    """
    start = find_box(frame, b"jp2c")[0] if frame.startswith(SIGNATURE) else 0
    if frame[start : start + 4] != CODESTREAM:
        raise ValueError("no codestream")
    return start


def find_box(frame: bytes, *kinds: bytes) -> tuple[int, bytes]:
    """Offset of the contents of the first box of one of these kinds, and which (T.800 I.4; JPEG XL has the same boxes).

    Raises
    ------
    ValueError
        There is none.
    """
    at = 0
    with suppress(StructError):
        while at < len(frame):
            length, kind = unpack_from(">I4s", frame, at)
            head = 8
            if length == 1:
                (length,), head = unpack_from(">Q", frame, at + 8), 16
            if kind in kinds:
                return at + head, kind
            if length < head:  # 0: to the end of the file
                break
            at += length
    raise ValueError("no box with a codestream")
