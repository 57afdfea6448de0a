"""The value of a pixel data element: what is written piece by piece, and what a piece read back is compared with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from isotone.imaging.grey_levels.lookup import gathered
from isotone.imaging.radiograph import Stored

PIECE = 2**18
"""Bytes at a time, which then fit into a core's cache."""
SAMPLED = 509
"""One in so many looked-up values is looked up again; a prime, so that it is in step with no rows."""


class PixelValue(Protocol):
    """Bytes that are not in memory as a whole."""

    @property
    def length(self) -> int:
        """Number of bytes."""
        ...

    def pieces(self) -> Iterator[memoryview]:
        """The bytes, `PIECE` at a time; the next piece may overwrite the last."""
        ...

    @property
    def exact(self) -> bool:
        """Whether `agrees` compares every byte, so that no checksum is needed."""
        ...

    def agrees(self, read: bytes, at: int) -> bool:
        """Whether bytes that were read at this place are those meant."""
        ...


class Mapped(NamedTuple):
    """Stored values through a little-endian table of 16 bits."""

    table: NDArray[np.uint16]
    stored: Stored

    @property
    def length(self) -> int:
        return self.stored.size * 2

    @property
    def exact(self) -> bool:
        return False

    def pieces(self) -> Iterator[memoryview]:
        yield from (piece.data.cast("B") for piece in gathered(*self))

    def agrees(self, read: bytes, at: int) -> bool:
        """By plain indexing, of a sample: to look all of them up again takes a third of the whole delivery's time."""
        values = np.frombuffer(read, "<u2")
        meant = self.stored.reshape(-1)[at // 2 : at // 2 + len(values) : SAMPLED]
        return np.array_equal(values[::SAMPLED], self.table[meant])


class Copied(NamedTuple):
    """Bytes as they are, an odd one padded."""

    data: bytes

    @property
    def length(self) -> int:
        return len(self.data) + len(self.data) % 2

    @property
    def exact(self) -> bool:
        return True

    def pieces(self) -> Iterator[memoryview]:
        whole = memoryview(self.data)
        yield from (whole[at : at + PIECE] for at in range(0, len(whole), PIECE))
        yield memoryview(bytes(len(whole) % 2))

    def agrees(self, read: bytes, at: int) -> bool:
        meant = self.data[at : at + len(read)]
        return read == (meant if len(meant) == len(read) else meant + b"\0")


def checksum(piece: bytes | memoryview, before: int = 0) -> int:
    """CRC-32 of a piece behind others; libdeflate takes a quarter of zlib's time."""
    return imagecodecs.deflate_crc32(piece, before)  # type: ignore[arg-type]
