"""The value of a pixel data element: what is written piece by piece, one frame in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from isotone.errors import RadiographError
from isotone.imaging.dicom.frames import Frames
from isotone.imaging.grey_levels.lookup import gather, gathered
from isotone.imaging.radiograph import Stored

PIECE = 2**18
"""Bytes at a time, which then fit into a core's cache."""
Words = NDArray[np.unsignedinteger]
"""Pixel words, of 8 or 16 bits, little-endian."""
SAMPLED = 509
"""One in so many looked-up values is looked up again; a prime, so that it is in step with no rows."""


class PixelValue(Protocol):
    """Bytes that are not in memory as a whole."""

    @property
    def vr(self) -> str:
        """OB or OW."""
        ...

    @property
    def length(self) -> int:
        """Number of bytes of native pixel data; of compressed ones it is told by writing them."""
        ...

    @property
    def again(self) -> bool:
        """Whether the pieces can be had again at no cost, so that what is read back is compared byte by byte.

        If not, a checksum of them must do.
        """
        ...

    def pieces(self) -> Iterator[bytes | memoryview]:
        """The bytes, an even number of them; the next piece may overwrite the last."""
        ...


@dataclass(frozen=True, eq=False)
class Mapped:
    """The stored values of frames through a table.

    Attributes
    ----------
    frames : iterable of integer array
        Decoded, one by one.
    table : array of Words
        Word of each stored value.
    count : int
        Values of all frames together.
    """

    frames: Iterable[Stored]
    table: Words
    count: int
    again: bool = False

    @property
    def vr(self) -> str:
        return "OB" if self.table.itemsize == 1 else "OW"

    @property
    def length(self) -> int:
        size = self.count * self.table.itemsize
        return size + size % 2

    def pieces(self) -> Iterator[bytes | memoryview]:
        for stored in self.frames:
            yield from mapped(self.table, stored)
        yield bytes(self.count * self.table.itemsize % 2)


def mapped(table: Words, stored: Stored) -> Iterator[memoryview]:
    """One frame through a table, in pieces of which the next overwrites the last.

    A sample is looked up again by plain indexing: all of it would take too long.

    Raises
    ------
    RadiographError
        E_WRITTEN: the values differ.
    """
    indices, at = stored.reshape(-1), 0
    for piece in gathered(table, stored):
        _compare(piece, table, indices[at : at + len(piece)])
        at += len(piece)
        yield piece.data.cast("B")


def looked_up(table: Words, stored: Stored) -> Words:
    """The same as one array.

    Raises
    ------
    RadiographError
        As `mapped`.
    """
    words = gather(table, stored)
    _compare(words.reshape(-1), table, stored.reshape(-1))
    return words


def _compare(words: Words, table: Words, indices: NDArray[np.integer]) -> None:
    if not np.array_equal(words[::SAMPLED], table[indices[::SAMPLED]]):
        raise RadiographError("E_WRITTEN", "looked up twice, its values differ")


@dataclass(frozen=True)
class Held:
    """Bytes that somebody has in memory, an odd one padded."""

    data: bytes
    vr: str
    again: bool = True

    @property
    def length(self) -> int:
        return len(self.data) + len(self.data) % 2

    def pieces(self) -> Iterator[bytes | memoryview]:
        whole = memoryview(self.data)
        yield from (whole[at : at + PIECE] for at in range(0, len(whole), PIECE))
        yield bytes(len(whole) % 2)


@dataclass(frozen=True)
class Region:
    """Bytes as they lie in the source, an odd one padded."""

    frames: Frames
    offset: int
    size: int
    vr: str
    again: bool = True

    @property
    def length(self) -> int:
        return self.size + self.size % 2

    def pieces(self) -> Iterator[bytes | memoryview]:
        end = self.offset + self.size
        for at in range(self.offset, end, PIECE):
            yield self.frames.bytes_at(at, min(PIECE, end - at))
        yield bytes(self.size % 2)


def checksum(piece: bytes | memoryview, before: int = 0) -> int:
    """CRC-32 of a piece behind others; libdeflate takes a quarter of zlib's time."""
    return imagecodecs.deflate_crc32(piece, before)  # type: ignore[arg-type]
