"""A file that is read within bounds, and data that are inflated within bounds."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO

from isotone.errors import RadiographError

MAX_HEADER = 64 * 2**20
"""Bytes before the pixel data, and after them."""
SMALL_HEADER = 256 * 2**10
"""Bytes of a header that may be parsed outside a worker process: real ones have 2 to 100 kB, and one of this size that
is all elements takes about a second."""
max_header: ContextVar[int] = ContextVar("max_header", default=MAX_HEADER)
"""Bytes of a header in this context: `MAX_HEADER`, or `SMALL_HEADER`."""
MAX_INFLATED = 128 * 2**20
"""Bytes that a deflated file may inflate to, and more than any detector's image has."""
WRAPPERS, WRAPPED = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x1f\x8b\x08"), 47
"""First bytes of zlib's (RFC 1950) and gzip's (RFC 1952) wrappers, and what makes zlib detect either."""
MAX_CHUNK = 2**16
"""Reads up to this size may end short: pydicom scans for delimiters in such chunks."""
BLOCK = 2**16
"""Bytes of the file that are fetched at once: most headers have fewer, and each question to the system where a file
stands takes as long as two elements."""
BEGINNING, LENGTH = 8, 4
"""Bytes that the parser reads at a time of every element: tag and VR or length; and the length where it comes apart."""


@contextmanager
def small_headers() -> Iterator[None]:
    """Within the context a header beyond `SMALL_HEADER`, or a deflated one, is refused by E_LENGTH or E_BOMB.

    Whoever reads headers in a process without limits of time and memory then has bounded work.
    """
    token = max_header.set(SMALL_HEADER)
    try:
        yield
    finally:
        max_header.reset(token)


class BoundedFile:
    """The part of a file's interface that pydicom's parser uses, refusing reads beyond the end."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        self._at = file.tell()
        self.size = file.seek(0, io.SEEK_END)
        self._block, self._first = b"", 0
        self.limit = max_header.get()
        self.short = False

    def tell(self) -> int:
        """Offset of what is read next."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to an offset from the start of the file, or from here (`io.SEEK_CUR`)."""
        self._at = offset if whence == io.SEEK_SET else self._at + offset
        return self._at

    def read(self, size: int) -> bytes:
        """Read `size` bytes, or up to the end where `size` is small."""
        end = self._at + size
        if size > MAX_CHUNK and end > self.size:
            raise RadiographError("E_LENGTH", "an element is longer than the file", file=self._path)
        if end > self.limit:
            raise RadiographError("E_LENGTH", "the header is larger than any real one", file=self._path)
        start = self._at - self._first
        if start < 0 or start + size > len(self._block):
            self._file.seek(self._at)
            self._block, self._first, start = self._file.read(max(size, BLOCK)), self._at, 0
        data = self._block[start : start + size]
        self._at += len(data)
        if size == LENGTH and len(data) < size:
            raise RadiographError("E_TRUNCATED", "the file ends within an element", file=self._path)
        # Where an element would begin, nothing is the end of the file, and zeros fill it up.
        begins = size == BEGINNING
        self.short |= len(data) < size and (any(data) if begins else bool(data) or size > BEGINNING)
        return data

    def peek(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset` on, whatever the limit; the position stays."""
        size = max(0, min(size, self.size - offset))
        start = offset - self._first
        if start >= 0 and start + size <= len(self._block):
            return self._block[start : start + size]
        self._file.seek(offset)
        return self._file.read(size)

    def rest(self) -> bytes:
        """Everything from here to the end, which is at most `MAX_INFLATED`."""
        if self.size > MAX_INFLATED or max_header.get() < MAX_HEADER:
            raise RadiographError("E_BOMB", "the deflated data are too large", file=self._path)
        return self.peek(self._at, self.size)


def inflate(data: bytes, path: Path) -> bytes:
    """A deflated data set (PS3.5 A.5), also with the header of zlib or gzip before it, which some writers leave there.

    Raises
    ------
    RadiographError
        E_DECODE, E_BOMB, E_TRUNCATED.
    """
    inflater = _inflater(data)
    try:
        inflated = inflater.decompress(data, MAX_INFLATED)
    except zlib.error:
        raise RadiographError("E_DECODE", "the deflated data are damaged", file=path) from None
    if inflater.unconsumed_tail:
        raise RadiographError("E_BOMB", "the file inflates beyond 128 MB", file=path)
    if not inflater.eof:
        raise RadiographError("E_TRUNCATED", "the deflated data are incomplete", file=path)
    return inflated


def inflated_start(data: bytes) -> bytes:
    """What the start of deflated data inflates to, as many bytes at most; empty where they are not deflated."""
    inflater = _inflater(data)
    try:
        return inflater.decompress(data, len(data))
    except zlib.error:
        return b""


def _inflater(data: bytes) -> zlib._Decompress:
    return zlib.decompressobj(WRAPPED if data.startswith(WRAPPERS) else -zlib.MAX_WBITS)
