"""HTJ2K by OpenJPH, in less than half of OpenJPEG's time, wherever that is sure to tell of damage.

imagecodecs drops OpenJPH's errors on the way through a codestream and hands on what memory held, and OpenJPH fills up a
cut one without an error. So the tile-parts have to be whole, a dropped error is caught where Python reports it, and
whatever is not sure OpenJPEG decides. So it does of lossy codestreams, where the two round differently.
"""

from __future__ import annotations

import sys
from struct import error as StructError
from struct import unpack_from
from threading import Lock
from typing import Any

import imagecodecs
from numpy.typing import NDArray

from isotone.imaging.codecs.codestream import codestream_start
from isotone.imaging.codecs.lossy import jpeg2000_is_lossy

START_OF_TILE, END = 0xFF90, 0xFFD9
"""Markers of a tile-part's header and of the end of the codestream (T.800 A.4)."""
_alone = Lock()
"""For Python has one hook for all threads."""


def htj2k_decode(frame: bytes) -> NDArray[Any]:
    """The pixels of an HTJ2K codestream, bare or in a JP2 box.

    Raises
    ------
    Exception
        Of the decoder's own: it is damaged.
    """
    pixels = _by_openjph(frame) if _is_whole(frame) and not jpeg2000_is_lossy(frame) else None
    return imagecodecs.jpeg2k_decode(frame, numthreads=1) if pixels is None else pixels


def _by_openjph(frame: bytes) -> NDArray[Any] | None:
    """The pixels; None where it had anything to complain of."""
    dropped: list[object] = []
    with _alone:
        before, sys.unraisablehook = sys.unraisablehook, dropped.append
        try:
            pixels = imagecodecs.htj2k_decode(frame)
        except Exception:  # codecs raise types of their own
            return None
        finally:
            sys.unraisablehook = before
    return None if dropped else pixels


def _is_whole(frame: bytes) -> bool:
    """Whether its tile-parts say how long they are (T.800 A.4.2), and the last one ends where the codestream does."""
    try:
        at, tiles = codestream_start(frame) + 2, 0
        while True:
            marker, length = unpack_from(">HH", frame + bytes(2), at)
            if marker == END:
                return tiles > 0
            if marker == START_OF_TILE:
                (length,), tiles = unpack_from(">I", frame, at + 6), tiles + 1
                at += length
            else:
                at += 2 + length
            if length < 2:  # 0: up to the end, wherever that is
                return False
    except (StructError, ValueError):
        return False
