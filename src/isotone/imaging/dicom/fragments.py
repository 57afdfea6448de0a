"""Encapsulated pixel data (PS3.5 A.4): where the fragments of each frame lie, also where they break the rules.

A frame is what its fragments give side by side. Offset tables are the last to be believed: of one frame they can say
nothing new, and some list every fragment, or count from somewhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from pydicom.encaps import encapsulate

from isotone.errors import RadiographError

Peek = Callable[[int, int], bytes]
"""Offset and number of bytes → what the file has there; fewer where it ends."""
Pieces = tuple[tuple[int, int], ...]
"""Offset and length in bytes of each fragment."""

ITEM, DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0" + bytes(4)
"""Tag of a fragment, and the sequence delimiter behind the last one."""
MAX_FILLING = 2**16
"""Zeros behind the last fragment, in bytes, that may stand in the place of the delimiter: as many as a disk block."""
SAME = 8
"""Bytes at the start of a compressed frame that are alike in all frames of an object, and nowhere within a frame."""


@dataclass(frozen=True)
class Fragments:
    """Where the pieces of all frames lie.

    Attributes
    ----------
    table : tuple of int
        Offset and length in bytes of the offset table's value.
    pieces : tuple of tuple of int
        Offset and length in bytes of each fragment.
    end : int
        Offset of what follows the pixel data.
    closed : bool
        The delimiter is there; if not, the last frame may have been cut.
    """

    table: tuple[int, int]
    pieces: Pieces
    end: int
    closed: bool

    @property
    def length(self) -> int:
        """Bytes of the fragments together."""
        return sum(length for _, length in self.pieces)

    def frames(self, peek: Peek) -> int:
        """How many fragments begin as the first one does, each of which is then a frame of its own."""
        return len(self._alike(peek))

    def by_frame(self, peek: Peek, frames: int) -> tuple[Pieces, ...] | None:
        """The fragments of each of so many frames; None: nothing tells where a frame begins.

        Each has one, or begins as the first one does, or where the offset table says.
        """
        if len(self.pieces) == frames or frames == 1:
            firsts = list(range(frames))
        else:
            firsts = next((some for some in (self._alike(peek), self._listed(peek)) if len(some) == frames), [])
        ends = [*firsts[1:], len(self.pieces)]
        return tuple(self.pieces[first:end] for first, end in zip(firsts, ends, strict=True)) if firsts else None

    def is_sound(self, peek: Peek, frames: tuple[Pieces, ...]) -> bool:
        """Whether they are packed as the standard says, for these frames (`by_frame`)."""
        even = all(length % 2 == 0 for _, length in self.pieces)
        offsets = np.array([frame[0][0] - self.pieces[0][0] for frame in frames], np.uint64)
        right = bool(offsets[-1] < 2**32) and peek(*self.table) == offsets.astype("<u4").tobytes()
        return self.closed and even and (right or self.table[1] == 0)

    def value(self, peek: Peek) -> bytes:
        """The value of one frame's pixel data element, without the delimiter; one fragment where they are not sound."""
        if self.is_sound(peek, (self.pieces,)):
            start = self.table[0] - 8
            return peek(start, self.pieces[-1][0] + self.pieces[-1][1] - start)
        return encapsulate([b"".join(peek(*piece) for piece in self.pieces)], has_bot=False)

    def _alike(self, peek: Peek) -> list[int]:
        """Numbers of the fragments that begin as the first one does."""
        starts = [peek(offset, min(SAME, length)) for offset, length in self.pieces]
        return [n for n, start in enumerate(starts) if len(start) == SAME and start == starts[0]] or [0]

    def _listed(self, peek: Peek) -> list[int]:
        """Numbers of the fragments that the offset table lists; none where it lists anything else."""
        numbers = {offset - self.pieces[0][0]: n for n, (offset, _) in enumerate(self.pieces)}
        table = np.frombuffer(peek(self.table[0], self.table[1] // 4 * 4), "<u4").tolist()
        found = [numbers.get(offset, -1) for offset in table]
        return found if found[:1] == [0] and all(a < b for a, b in pairwise(found)) else []


def start_of(pieces: Pieces, peek: Peek, length: int) -> bytes:
    """The first bytes of a frame, `length` of them at most."""
    found = b""
    for offset, size in pieces:
        if len(found) >= length:
            break
        found += peek(offset, min(size, length - len(found)))
    return found


def find_fragments(peek: Peek, offset: int, path: Path, *, most: int) -> Fragments:
    """The fragments of encapsulated pixel data.

    Parameters
    ----------
    peek : callable
    offset : int
        Of the pixel data element's value.
    path : Path
        For messages.
    most : int
        Fragments that are looked at.

    Raises
    ------
    RadiographError
        E_LENGTH: there are more. E_TRUNCATED: the file ends within a fragment, or what follows one is neither a
        fragment nor an end.
    """
    found: list[tuple[int, int]] = []
    while True:
        item = peek(offset, 8)
        if item[:4] == DELIMITER[:4] and len(item) == 8:
            end, closed = offset + 8, True
            break
        if item[:4] != ITEM and _is_filling(item, peek, offset):
            end, closed = offset + MAX_FILLING, False
            break
        length = int.from_bytes(item[4:], "little")
        offset += 8
        if item[:4] != ITEM or (length and len(peek(offset + length - 1, 1)) < 1):
            raise RadiographError("E_TRUNCATED", "the compressed pixel data are incomplete", file=path)
        found.append((offset, length))
        if len(found) > most:
            raise RadiographError("E_LENGTH", "the pixel data have more pieces than any real image", file=path)
        offset += length
    if len(found) < 2:
        raise RadiographError("E_TRUNCATED", "the compressed pixel data are incomplete", file=path)
    return Fragments(found[0], tuple(found[1:]), end, closed)


def _is_filling(item: bytes, peek: Peek, offset: int) -> bool:
    """Whether the file ends here, or within the delimiter, or has nothing but zeros left, some writers' delimiter."""
    if len(item) < 8 and DELIMITER.startswith(item):
        return True
    left = peek(offset, MAX_FILLING + 1)
    return len(left) <= MAX_FILLING and not any(left)
