"""Encapsulated pixel data (PS3.5 A.4): where the fragments of a frame lie, also where they break the rules.

A frame is what its fragments give side by side. Offset tables are not believed: of one frame they can say nothing new,
and some list every fragment, or count from somewhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydicom.encaps import encapsulate

from isotone.errors import RadiographError

Peek = Callable[[int, int], bytes]
"""Offset and number of bytes → what the file has there; fewer where it ends."""

ITEM, DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0" + bytes(4)
"""Tag of a fragment, and the sequence delimiter behind the last one."""
MAX_FILLING = 2**16
"""Zeros behind the last fragment, in bytes, that may stand in the place of the delimiter: as many as a disk block."""
SAME = 8
"""Bytes at the start of a compressed frame that are alike in all frames of an object, and nowhere within a frame."""


@dataclass(frozen=True)
class Fragments:
    """Where the pieces of a frame lie.

    Attributes
    ----------
    table : tuple of int
        Offset and length in bytes of the offset table's value.
    pieces : tuple of tuple of int
        Offset and length in bytes of each fragment.
    end : int
        Offset of what follows the pixel data.
    closed : bool
        The delimiter is there; if not, the frame may have been cut.
    """

    table: tuple[int, int]
    pieces: tuple[tuple[int, int], ...]
    end: int
    closed: bool

    @property
    def length(self) -> int:
        """Bytes of the fragments together."""
        return sum(length for _, length in self.pieces)

    def start(self, peek: Peek, length: int) -> bytes:
        """The first bytes of the frame, `length` of them."""
        found = b""
        for offset, size in self.pieces:
            if len(found) >= length:
                break
            found += peek(offset, min(size, length - len(found)))
        return found

    def frames(self, peek: Peek) -> int:
        """How many fragments begin as the first one does, each of which is then a frame of its own."""
        starts = [peek(offset, min(SAME, length)) for offset, length in self.pieces]
        return sum(len(start) == SAME and start == starts[0] for start in starts) or len(starts[:1])

    def is_sound(self, peek: Peek) -> bool:
        """Whether they are packed as the standard says, for one frame."""
        even = all(length % 2 == 0 for _, length in self.pieces)
        return self.closed and even and not any(peek(*self.table)) and self.table[1] <= 4

    def value(self, peek: Peek) -> bytes:
        """The value of the pixel data element, without the delimiter; one fragment where they are not sound."""
        if self.is_sound(peek):
            start = self.table[0] - 8
            return peek(start, self.pieces[-1][0] + self.pieces[-1][1] - start)
        return encapsulate([b"".join(peek(*piece) for piece in self.pieces)], has_bot=False)


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
