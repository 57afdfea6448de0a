"""DICOM Part 10 files, parsed by pydicom within bounds that pydicom does not have.

Nothing is allocated for a length that the file cannot hold, nothing is inflated or nested without limit, and a file
that ends early is not mistaken for one without pixels.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, cast

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filereader import data_element_generator, read_dataset, read_sequence
from pydicom.tag import BaseTag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from isotone.errors import IsotoneError, RadiographError
from isotone.imaging.first_bytes import START, is_dicom, is_little_endian
from isotone.imaging.fragments import Fragments, find_fragments
from isotone.imaging.regular import open_regular

MAX_HEADER = 64 * 2**20
"""Bytes before the pixel data, and after them."""
MAX_INFLATED = 128 * 2**20
"""Bytes that a deflated file may inflate to, and more than any detector's image has."""
MAX_DEPTH = 32
"""Levels of sequences; real objects have fewer than ten."""
SMALL_HEADER = 256 * 2**10
"""Bytes of a header that may be parsed outside a worker process: real ones have 2 to 100 kB, and one of this size that
is all elements takes about a second."""
_max_header: ContextVar[int] = ContextVar("max_header", default=MAX_HEADER)
MAX_CHUNK = 2**16
"""Reads up to this size may end short: pydicom scans for delimiters in such chunks."""
BEGINNING, LENGTH = 8, 4
"""Bytes that the parser reads at a time of every element: tag and VR or length; and the length where it comes apart."""
UNDEFINED = 0xFFFFFFFF
PLAIN = {
    (True, True): ImplicitVRLittleEndian,
    (False, True): ExplicitVRLittleEndian,
    (False, False): ExplicitVRBigEndian,
}
"""Transfer syntaxes that say nothing but this: implicit VR, little-endian."""
FROM_META = {"SOPClassUID": "MediaStorageSOPClassUID", "SOPInstanceUID": "MediaStorageSOPInstanceUID"}
"""What the file meta information repeats (PS3.10 7.1), and from where it is taken if the data set lacks it."""
PIXEL_TAGS = {0x7FE00008, 0x7FE00009, 0x7FE00010}
"""Float, double float and integer pixel data."""


@dataclass(frozen=True)
class PixelElement:
    """Where the pixel data lie: tag, VR, length of the value (`UNDEFINED` where encapsulated), offset of the value."""

    tag: int
    vr: str | None
    length: int
    offset: int


class Part10File:
    """An open DICOM file whose header has been read and whose pixel data have been found but not read.

    Attributes
    ----------
    dataset : FileDataset
        Everything before the pixel data. Its transfer syntax is the one that was found, where it is one of `PLAIN`;
        SOP class and instance UID are those of the file meta information where it has none of its own.
    pixel : PixelElement or None
        None: there are none.
    available : int
        Bytes in the file from the start of the pixel value on.
    codes : list of str
        Codes of warnings (`isotone.imaging.warned`): W_HEADER for a byte order other than the transfer syntax says,
        W_PACKING.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.pixel: PixelElement | None = None
        self.codes: list[str] = []
        self._file = _BoundedFile(file, path)
        preamble = self._preamble()
        meta = FileMetaDataset(self._parse(False, True, lambda tag, vr, length: tag >> 16 != 2))
        syntax = meta.get("TransferSyntaxUID") or ImplicitVRLittleEndian
        if syntax == DeflatedExplicitVRLittleEndian:
            self._file = _BoundedFile(io.BytesIO(_inflate(self._file.rest(), path)), path)
        body = self._parse(syntax == ImplicitVRLittleEndian, self._is_little(syntax), self._at_pixels)
        if self.pixel is None and self._file.short:
            raise RadiographError("E_TRUNCATED", "the file ends within its header", file=path)
        _check_depth(body, path)
        # Files exist that are not encoded as their transfer syntax says; pydicom has found out.
        self._implicit, self._little = (bool(found) for found in body.original_encoding)
        if syntax in PLAIN.values():
            meta.TransferSyntaxUID = PLAIN[self._implicit, self._little]
        for keyword, repeated in FROM_META.items():
            if not body.get(keyword) and meta.get(repeated):
                setattr(body, keyword, meta[repeated].value)
        self.dataset = FileDataset(str(path), body, preamble, meta, self._implicit, self._little)
        self.dataset.set_original_encoding(self._implicit, self._little, body.original_character_set)
        self.available = self._file.size - (self.pixel.offset if self.pixel else 0)

    def _preamble(self) -> bytes | None:
        start = self._file.peek(0, START)
        if not is_dicom(start, self._file.size):
            raise RadiographError("E_NOT_DICOM", "not a DICOM file", file=self.path)
        if start[128:] != b"DICM":
            return None
        self._file.seek(START)
        return start[:128]

    def _is_little(self, syntax: str) -> bool:
        stated = syntax != ExplicitVRBigEndian
        little = is_little_endian(self._file.peek(self._file.tell(), 2), stated)
        if little != stated:
            self.codes.append("W_HEADER")
        return little

    def _parse(self, implicit: bool, little: bool, stop_when: Callable[[BaseTag, str | None, int], bool]) -> Dataset:
        self._file.limit = self._file.tell() + _max_header.get()
        return read_dataset(cast(BinaryIO, self._file), implicit, little, stop_when=stop_when)

    def _at_pixels(self, tag: int, vr: str | None, length: int) -> bool:
        if tag in PIXEL_TAGS:
            self.pixel = PixelElement(tag, vr, length, self._file.tell())
        return tag in PIXEL_TAGS

    @cached_property
    def fragments(self) -> Fragments | None:
        """Where encapsulated pixel data lie; None: native ones, or none.

        Raises
        ------
        RadiographError
            E_TRUNCATED: the file ends within them.
        """
        if self.pixel is None or self.pixel.length != UNDEFINED:
            return None
        found = find_fragments(self._file.peek, self.pixel.offset, self.path)
        if not found.is_sound(self._file.peek):
            self.codes.append("W_PACKING")
        return found

    def start_of_frame(self, length: int) -> bytes:
        """The first bytes of a compressed frame; empty where there is none."""
        return b"" if self.fragments is None else self.fragments.start(self._file.peek, length)

    def frames(self) -> int:
        """How many compressed frames the fragments hold, at least."""
        return 0 if self.fragments is None else self.fragments.frames(self._file.peek)

    def with_pixels(self, length: int | None = None) -> FileDataset:
        """The whole dataset, pixel data and what follows them included.

        Check their size before: see `isotone.imaging.frame`. Fragments that are packed otherwise than PS3.5 A.4 says
        come along as one.

        Parameters
        ----------
        length : int, optional
            Bytes of native pixel data that belong to the image, if not all of them do.
        """
        if self.pixel is None:
            return self.dataset
        if self.fragments is None:
            end = self.pixel.offset + self.pixel.length
            value = self._file.peek(self.pixel.offset, self.pixel.length if length is None else length + length % 2)
            is_undefined, vr = False, self.pixel.vr or "OW"
        else:
            end, value, is_undefined, vr = self.fragments.end, self.fragments.value(self._file.peek), True, "OB"
        element = DataElement(self.pixel.tag, self.pixel.vr or vr, value, is_undefined_length=is_undefined)
        self.dataset[self.pixel.tag] = element
        self.dataset.update(self._behind(end))
        return self.dataset

    def _behind(self, end: int) -> Dataset:
        """The elements that follow the pixel data; what fills the file up behind them is none."""
        rest = Dataset()
        tail = self._file.peek(end, MAX_HEADER)
        if not tail.strip(tail[:1]):
            return rest
        self._file.seek(end)
        self._file.limit, self._file.short = end + MAX_HEADER, False
        # Not `read_dataset`: it would guess the encoding again.
        for element in data_element_generator(cast(BinaryIO, self._file), self._implicit, self._little):
            if element.tag == 0:
                break
            if isinstance(element, RawDataElement) and element.length != UNDEFINED:
                self._file.short |= element.value_tell + element.length > self._file.size
            rest[element.tag] = element
        if self._file.short:
            raise RadiographError("E_TRUNCATED", "the file ends within an element after the pixel data", file=self.path)
        _check_depth(rest, self.path)
        return rest


@contextmanager
def open_part10(path: Path) -> Iterator[Part10File]:
    """Open a DICOM file and read its header.

    Whatever pydicom raises in the body of the context becomes an error of isotone.

    Parameters
    ----------
    path : Path
        A regular file, with preamble or without.

    Raises
    ------
    RadiographError
        E_READ, E_NOT_REGULAR, E_NOT_DICOM, E_TRUNCATED, E_LENGTH, E_DEPTH, E_BOMB.
    """
    with open_regular(path) as file:
        try:
            yield Part10File(path, file)
        except Exception as error:  # pydicom raises ten types, and its messages quote header values
            raise _refusal(error, path) from None


@contextmanager
def small_headers() -> Iterator[None]:
    """Within the context a header beyond `SMALL_HEADER`, or a deflated one, is refused by E_LENGTH or E_BOMB.

    Whoever reads headers in a process without limits of time and memory then has bounded work.
    """
    token = _max_header.set(SMALL_HEADER)
    try:
        yield
    finally:
        _max_header.reset(token)


def _refusal(error: BaseException | None, path: Path) -> IsotoneError:
    """What stopped the parser, looked for behind the exceptions that pydicom raises in reply."""
    while error is not None:
        if isinstance(error, IsotoneError):
            return error
        if isinstance(error, RecursionError):
            return RadiographError("E_DEPTH", "sequences are nested too deeply", file=path)
        if isinstance(error, MemoryError):
            return RadiographError("E_LENGTH", "the file needs more memory than there is", file=path)
        if isinstance(error, OSError) and error.errno is not None:
            return RadiographError("E_READ", error.strerror or "cannot be read", file=path)
        error = error.__context__
    return RadiographError("E_NOT_DICOM", "the header cannot be parsed", file=path)


class _BoundedFile:
    """The part of a file's interface that pydicom's parser uses, refusing reads beyond the end."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        self.tell, self.seek = file.tell, file.seek
        here = file.tell()
        self.size = file.seek(0, io.SEEK_END)
        file.seek(here)
        self.limit = _max_header.get()
        self.short = False

    def read(self, size: int) -> bytes:
        """Read `size` bytes, or up to the end where `size` is small."""
        if size > MAX_CHUNK and self.tell() + size > self.size:
            raise RadiographError("E_LENGTH", "an element is longer than the file", file=self._path)
        if self.tell() + size > self.limit:
            raise RadiographError("E_LENGTH", "the header is larger than any real one", file=self._path)
        data = self._file.read(size)
        if size == LENGTH and len(data) < size:
            raise RadiographError("E_TRUNCATED", "the file ends within an element", file=self._path)
        # Where an element would begin, nothing is the end of the file, and zeros fill it up.
        begins = size == BEGINNING
        self.short |= len(data) < size and (any(data) if begins else bool(data) or size > BEGINNING)
        return data

    def peek(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset` on, whatever the limit; the position stays."""
        here = self.tell()
        self.seek(offset)
        data = self._file.read(max(0, min(size, self.size - offset)))
        self.seek(here)
        return data

    def rest(self) -> bytes:
        """Everything from here to the end, which is at most `MAX_INFLATED`."""
        if self.size > MAX_INFLATED or _max_header.get() < MAX_HEADER:
            raise RadiographError("E_BOMB", "the deflated data are too large", file=self._path)
        return self._file.read()


def _inflate(data: bytes, path: Path) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(data, MAX_INFLATED)
    except zlib.error:
        raise RadiographError("E_DECODE", "the deflated data are damaged", file=path) from None
    if inflater.unconsumed_tail:
        raise RadiographError("E_BOMB", "the file inflates beyond 128 MB", file=path)
    if not inflater.eof:
        raise RadiographError("E_TRUNCATED", "the deflated data are incomplete", file=path)
    return inflated


def _check_depth(dataset: Dataset, path: Path) -> None:
    """Refuse deep nesting; sequences that pydicom has left unparsed are parsed on the side, not in place."""
    waiting = [(dataset, 1)]
    while waiting:
        parent, depth = waiting.pop()
        for element in list(parent.elements()):
            items = _items(element, parent)
            if items and depth > MAX_DEPTH:
                raise RadiographError("E_DEPTH", "sequences are nested too deeply", file=path)
            waiting += [(item, depth + 1) for item in items]


def _items(element: DataElement | RawDataElement, parent: Dataset) -> list[Dataset]:
    if isinstance(element, DataElement):
        return list(element.value) if element.VR == "SQ" else []
    vr = element.VR
    if vr is None:
        with suppress(KeyError):  # private elements are in no dictionary
            vr = dictionary_VR(element.tag)
    if vr != "SQ" or not element.value:
        return []
    try:
        return list(
            read_sequence(
                io.BytesIO(element.value),
                element.is_implicit_VR,
                element.is_little_endian,
                len(element.value),
                parent.original_character_set,
            )
        )
    except RecursionError:
        raise
    except Exception:  # malformed in one of many ways, and perhaps never needed
        return []
