"""What was written is read back before anybody hears that it is done: by pydicom, and fragment by fragment.

The file is still the temporary one beside its target, so a failure costs the image and leaves nothing behind.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from isotone.deployment.dicom_objects.pixel_value import PIECE, PixelValue, checksum
from isotone.deployment.dicom_objects.transfer_syntax import encoding_of, is_encapsulated
from isotone.errors import IsotoneError, RadiographError

ALWAYS = [
    Tag(keyword)
    for keyword in (
        "SOPClassUID",
        "SOPInstanceUID",
        "Rows",
        "Columns",
        "PhotometricInterpretation",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
    )
]
"""What nobody can find or show the image without: compared by value, like whatever isotone itself says in the header.

Of the other elements it is asked whether they are there, byte for byte: they are copied as they were, faults included.
"""


class Written(NamedTuple):
    """The bytes of a DICOM file: up to the value of the pixel data, that value, and what follows it.

    Attributes
    ----------
    head : bytes
    pixels : PixelValue or None
    length : int
        Bytes of its pieces, without the delimiter at the end of encapsulated ones.
    crc : int
        `checksum` of the pieces as they went out, 0 of those that are compared exactly.
    tail : bytes
        Without that delimiter.
    """

    head: bytes
    pixels: PixelValue | None
    length: int
    crc: int
    tail: bytes


def confirm_dicom(
    path: Path, written: Written, syntax: UID, meant: Dataset, rest: Dataset, made: Iterable[BaseTag]
) -> None:
    """Read a DICOM file back.

    Parameters
    ----------
    path : Path
    written : Written
        What went into the file.
    syntax : UID
    meant, rest : Dataset
        What that says: everything before the pixel data, and everything after them.
    made : iterable of tag
        Elements of `meant` that isotone has made.

    Raises
    ------
    RadiographError
        E_WRITTEN: the file does not hold that.
    OSError
        It cannot be read.
    """
    with _as_refusal(), path.open("rb") as file:
        _check(file.read(len(written.head)) == written.head)
        file.seek(0)
        found = dcmread(file, stop_before_pixels=True)
        encoding = encoding_of(syntax)
        _check(found.original_encoding == encoding and found.file_meta.TransferSyntaxUID == syntax)
        _check(str(found.file_meta.MediaStorageSOPInstanceUID) == str(found.get("SOPInstanceUID")))
        _check(found.keys() == _written(meant))
        for tag in {*ALWAYS, *made} & meant.keys():
            _check(_same(found[tag].value, meant[tag].value))
        if written.pixels is not None:
            _confirm_pixels(file, syntax, written)
        _check(file.read(len(written.tail) + 1) == written.tail)
        file.seek(-len(written.tail), io.SEEK_END)
        # Not by `dcmread`: it guesses the encoding, here from the first element behind the pixels.
        tail = read_dataset(file, *encoding) if written.tail else Dataset()
        _check(tail.keys() == _written(rest))


def confirm_png(path: Path, pixels: NDArray[Any]) -> None:
    """Decode a PNG by another codec than the one that wrote it.

    Raises
    ------
    RadiographError
        E_WRITTEN: it does not hold these pixels.
    OSError
        It cannot be read.
    """
    data = path.read_bytes()
    with _as_refusal():
        found = imagecodecs.png_decode(data)
        _check(found.dtype == pixels.dtype and np.array_equal(found, pixels))


def confirm_copy(path: Path, source: BinaryIO) -> None:
    """Compare a copy with its source, byte by byte.

    Raises
    ------
    RadiographError
        E_WRITTEN: they differ.
    OSError
        One cannot be read.
    """
    source.seek(0)
    with _as_refusal(), path.open("rb") as copy:
        while piece := source.read(PIECE):
            _check(copy.read(len(piece)) == piece)
        _check(not copy.read(1))


def _confirm_pixels(file: BufferedReader, syntax: UID, written: Written) -> None:
    order: Literal["little", "big"] = "little" if encoding_of(syntax)[1] else "big"
    tag, number = (int.from_bytes(file.read(2), order) for _ in range(2))
    _check((tag, number) == (0x7FE0, 0x0010))
    if not encoding_of(syntax)[0]:
        _check(file.read(4) in (b"OW\0\0", b"OB\0\0"))
    length = int.from_bytes(file.read(4), order)
    _check(length == (0xFFFFFFFF if is_encapsulated(syntax) else written.length))
    start, read = file.tell(), 0
    if written.pixels is not None and written.pixels.again:
        for meant in written.pixels.pieces():
            _check(file.read(len(meant)) == meant)
    else:
        for at in range(0, written.length, PIECE):
            read = checksum(file.read(min(PIECE, written.length - at)), read)
    _check(read == written.crc and file.tell() == start + written.length)
    if is_encapsulated(syntax):
        file.seek(start)
        _check(sum(8 + length for length in _fragments(file)) == written.length)


def _fragments(file: BufferedReader) -> Iterator[int]:
    """Lengths of the items up to the delimiter, the offset table first; the file then stands behind it."""
    while (item := file.read(8))[:4] == b"\xfe\xff\x00\xe0":
        length = int.from_bytes(item[4:], "little")
        _check(length % 2 == 0)
        yield length
        file.seek(length, io.SEEK_CUR)
    _check(item == b"\xfe\xff\xdd\xe0\0\0\0\0")


def _written(dataset: Dataset) -> set[BaseTag]:
    """The tags that a file gets: group lengths are retired, and pydicom leaves them out."""
    return {tag for tag in list(dataset.keys()) if tag.element or tag.group <= 6}


def _same(found: Any, meant: Any) -> bool:
    """Whether two values are the same text or bytes; of the items of a sequence, the bytes and what is nested."""
    if isinstance(meant, Sequence):
        return len(found) == len(meant) and all(map(_same_item, found, meant))
    if isinstance(meant, bytes):
        return bool(found == meant + b"\0" * (len(meant) % 2))
    return str(found).rstrip() == str(meant).rstrip()


def _same_item(found: Dataset, meant: Dataset) -> bool:
    if found.keys() != _written(meant):
        return False
    elements = (meant.get_item(tag) for tag in list(meant.keys()))
    parsed = (e for e in elements if isinstance(e, DataElement) and isinstance(e.value, bytes | Sequence))
    return all(_same(found[element.tag].value, element.value) for element in parsed)


def _check(agrees: bool) -> None:
    if not agrees:
        raise ValueError("not what was meant")


@contextmanager
def _as_refusal() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # pydicom raises many types for what it cannot read
        if isinstance(error, IsotoneError) or (isinstance(error, OSError) and error.errno is not None):
            raise
        raise RadiographError("E_WRITTEN", "what was written does not read back as it was meant") from None
