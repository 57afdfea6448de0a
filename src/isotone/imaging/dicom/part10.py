"""DICOM Part 10 files, parsed by pydicom within bounds that pydicom does not have.

Nothing is allocated for a length that the file cannot hold, nothing is inflated or nested without limit, and a file
that ends early is not mistaken for one without pixels.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from struct import error as StructError
from struct import unpack_from
from typing import BinaryIO, cast

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filereader import data_element_generator, read_dataset, read_sequence
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from isotone.errors import IsotoneError, RadiographError
from isotone.imaging.dicom.element_value import value_of
from isotone.imaging.dicom.fragments import Fragments, find_fragments, start_of
from isotone.imaging.opening.bounded_file import MAX_HEADER, BoundedFile, inflate, inflated_start, max_header
from isotone.imaging.opening.first_bytes import PREAMBLE, PREFIX, START, first_element, is_element, is_little_endian
from isotone.imaging.opening.source import Source, name_of, open_source

MAX_DEPTH = 32
"""Levels of sequences; real objects have fewer than ten."""
LEVEL = 16
"""Bytes that a level takes at least: the header of an item, and that of an element in it."""
UNDEFINED = 0xFFFFFFFF
BEGINNING = 2**12
"""Bytes of a data set that tell whether it is deflated."""
PLAIN = {
    (True, True): ImplicitVRLittleEndian,
    (False, True): ExplicitVRLittleEndian,
    (False, False): ExplicitVRBigEndian,
}
"""Transfer syntaxes that say nothing but this: implicit VR, little-endian."""
FROM_META = {"SOPClassUID": "MediaStorageSOPClassUID", "SOPInstanceUID": "MediaStorageSOPInstanceUID"}
"""What the file meta information repeats (PS3.10 7.1), and from where it is taken if the data set lacks it."""
PIXEL_GROUP = 0x7FE0
GREY_GROUPS = {0x0028, 0x2050, 0x5200}
"""Groups that say how pixels are to be read: image, presentation and functional groups."""
FRAGMENT = 8
"""Bytes that the smallest fragment of pixel data takes: there are no more of them than elements in a header."""
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
        Codes of warnings (`isotone.imaging.dicom.warning_codes`): W_HEADER for an encoding other than the transfer
        syntax says, W_PACKING.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.pixel: PixelElement | None = None
        self.codes: list[str] = []
        self._file = BoundedFile(file, path)
        preamble = self._preamble()
        meta = FileMetaDataset(self._parse(False, True, lambda tag, vr, length: tag >> 16 != 2))
        syntax = value_of(meta, "TransferSyntaxUID") or ImplicitVRLittleEndian
        start = self._file.peek(self._file.tell(), BEGINNING)
        stated, plain = syntax == DeflatedExplicitVRLittleEndian, is_element(start, self._file.size)
        if stated if plain else not stated and is_element(inflated_start(start), self._file.size):
            syntax = ExplicitVRLittleEndian if plain else DeflatedExplicitVRLittleEndian
            self.codes.append("W_HEADER")
        if syntax == DeflatedExplicitVRLittleEndian:
            self._file = BoundedFile(io.BytesIO(inflate(self._file.rest(), path)), path)
        body = self._parse(syntax == ImplicitVRLittleEndian, self._is_little(syntax), self._at_pixels)
        if self.pixel is None and self._file.short:
            raise RadiographError("E_TRUNCATED", "the file ends within its header", file=path)
        _check_depth(body, path)
        # Files exist that are not encoded as their transfer syntax says; pydicom has found out.
        self._implicit, self._little = (bool(found) for found in body.original_encoding)
        if syntax in PLAIN.values():
            meta.TransferSyntaxUID = self.plain
        for keyword, repeated in FROM_META.items():
            if not value_of(body, keyword) and value_of(meta, repeated):
                setattr(body, keyword, meta[repeated].value)
        self.dataset = FileDataset(str(path), body, preamble, meta, self._implicit, self._little)
        self.dataset.set_original_encoding(self._implicit, self._little, body.original_character_set)
        self.available = self._file.size - (self.pixel.offset if self.pixel else 0)

    def _preamble(self) -> bytes | None:
        start = self._file.peek(0, START)
        offset = first_element(start, self._file.size)
        if offset is None:
            raise RadiographError("E_NOT_DICOM", "not a DICOM file", file=self.path)
        self._file.seek(offset)
        return start[:PREAMBLE] if offset >= PREAMBLE else None

    def _is_little(self, syntax: str) -> bool:
        stated = syntax != ExplicitVRBigEndian
        little = is_little_endian(self._file.peek(self._file.tell(), 2), stated)
        if little != stated:
            self.codes.append("W_HEADER")
        return little

    def _parse(self, implicit: bool, little: bool, stop_when: Callable[[BaseTag, str | None, int], bool]) -> Dataset:
        self._file.limit = self._file.tell() + max_header.get()
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
        return find_fragments(self._file.peek, self.pixel.offset, self.path, most=max_header.get() // FRAGMENT)

    @property
    def plain(self) -> UID:
        """The transfer syntax of uncompressed pixels in the encoding that was found."""
        return PLAIN[self._implicit, self._little]

    def start_of_frame(self, length: int) -> bytes:
        """The first bytes of the pixel data; empty where there are none."""
        if self.fragments is not None:
            return start_of(self.fragments.pieces, self._file.peek, length)
        return b"" if self.pixel is None else self._file.peek(self.pixel.offset, min(length, self.pixel.length))

    def peek(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes of the file (of deflated ones, inflated) from `offset` on."""
        return self._file.peek(offset, size)

    def with_rest(self) -> FileDataset:
        """The dataset with the elements that follow the pixel data, but without these."""
        if self.pixel is not None:
            native = self.pixel.offset + self.pixel.length
            self.dataset.update(self._behind(native if self.fragments is None else self.fragments.end))
        return self.dataset

    def pixels(self, length: int) -> DataElement:
        """The pixel data of one frame.

        Check their size before: see `isotone.imaging.dicom.frame`. Fragments that are packed otherwise than PS3.5 A.4
        says come along as one.

        Parameters
        ----------
        length : int
            Bytes of native pixel data that belong to the image: not always all of them do.
        """
        if self.pixel is None:
            raise RadiographError("E_NO_PIXELS", "the object has no pixel data", file=self.path)
        if self.fragments is None:
            value = self.peek(self.pixel.offset, length + length % 2)
            return DataElement(self.pixel.tag, self.pixel.vr or "OW", value)
        value = self.fragments.value(self.peek)
        return DataElement(self.pixel.tag, self.pixel.vr or "OB", value, is_undefined_length=True)

    @contextmanager
    def _ends_early(self) -> Iterator[None]:
        """Tell a file that ends within a sequence from one that is damaged."""
        try:
            yield
        except (OSError, EOFError, StructError):
            self._file.short |= self._file.tell() >= self._file.size
            if not self._file.short:
                raise

    def _may_follow(self, tail: bytes) -> bool:
        """Whether bytes behind the pixel data begin with an element: one that comes later, or that has a name at all.

        Else they are not of this file: a boundary of a web answer, for example.
        """
        if len(tail) < 4:
            return True
        group, number = unpack_from("<HH" if self._little else ">HH", tail)
        return group >= PIXEL_GROUP or dictionary_has_tag((group, number))

    def _refuse_another(self, tail: bytes) -> None:
        """Refuse two objects in one file: one of them would be lost."""
        if PREFIX in (tail[: len(PREFIX)], tail[PREAMBLE : PREAMBLE + len(PREFIX)]) or tail[:2] == b"\2\0":
            raise RadiographError(
                "E_UNSUPPORTED",
                "another DICOM object follows in the same file",
                file=self.path,
                next_step="Fetch both again, each in a file of its own.",
            )

    def _refuse_late(self, tag: BaseTag) -> None:
        """Refuse elements after the pixel data that change how these are read."""
        if tag in PIXEL_TAGS:
            raise RadiographError("E_UNSUPPORTED", "the pixel data come twice", file=self.path)
        if tag.group in GREY_GROUPS:
            raise RadiographError(
                "E_UNSUPPORTED",
                "elements that say how to read the pixels lie behind them",
                file=self.path,
                next_step="Bring its elements into their order first, for example by dcmconv IN OUT.",
            )

    def _behind(self, end: int) -> Dataset:
        """The elements that follow the pixel data; what fills the file up behind them is none."""
        rest = Dataset()
        tail = self._file.peek(end, MAX_HEADER)
        if not tail.strip(tail[:1]):
            return rest
        self._refuse_another(tail)
        if not self._may_follow(tail):
            self.codes.append("W_PACKING")
            return rest
        self._file.seek(end)
        self._file.limit, self._file.short = end + MAX_HEADER, False
        # Not `read_dataset`: it would guess the encoding again.
        elements = data_element_generator(cast(BinaryIO, self._file), self._implicit, self._little)
        with self._ends_early():
            for element in elements:
                if element.tag == 0:  # what fills the file up has one value
                    left = self._file.peek(self._file.tell(), MAX_HEADER)
                    self.codes += ["W_PACKING"] if left.strip(left[:1]) else []
                    break
                self._refuse_late(element.tag)
                if isinstance(element, RawDataElement) and element.length != UNDEFINED:
                    self._file.short |= element.value_tell + element.length > self._file.size
                rest[element.tag] = element
        if self._file.short:
            raise RadiographError("E_TRUNCATED", "the file ends within an element after the pixel data", file=self.path)
        _check_depth(rest, self.path)
        return rest


@contextmanager
def open_part10(source: Source) -> Iterator[Part10File]:
    """Open a DICOM file and read its header.

    Whatever pydicom raises in the body of the context becomes an error of isotone.

    Parameters
    ----------
    source : Path or InMemory
        A regular file, or its bytes; with preamble or without.

    Raises
    ------
    RadiographError
        E_READ, E_NOT_REGULAR, E_NOT_DICOM, E_TRUNCATED, E_LENGTH, E_DEPTH, E_BOMB.
    """
    path = name_of(source)
    with open_source(source) as file, refusing(path):
        yield Part10File(path, file)


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Turn whatever is raised in the body while a file is read into an error of isotone."""
    try:
        yield
    except Exception as error:  # pydicom raises ten types, and its messages quote header values
        raise _refusal(error, path) from None


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


def _check_depth(dataset: Dataset, path: Path) -> None:
    """Refuse deep nesting; sequences that pydicom has left unparsed are parsed on the side, not in place."""
    waiting = [(dataset, 1)]
    while waiting:
        parent, depth = waiting.pop()
        for element in list(parent.values()):
            if isinstance(element, RawDataElement) and len(element.value or b"") < LEVEL * (MAX_DEPTH - depth):
                continue
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
