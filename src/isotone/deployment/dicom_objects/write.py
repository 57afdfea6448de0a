"""Writing a dataset that was read from somebody's file, odd values included; or the file as it is."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset, validate_file_meta
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite, write_dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID

from isotone._runtime.files import replace_file
from isotone._version import __version__
from isotone.deployment.dicom_objects.pixel_value import Held, PixelValue, checksum
from isotone.deployment.dicom_objects.read_back import Written, confirm_copy, confirm_dicom
from isotone.deployment.dicom_objects.transfer_syntax import encoding_of, is_encapsulated
from isotone.errors import IsotoneError, RadiographError
from isotone.imaging.opening.regular_file import open_regular

PIXEL_DATA = 0x7FE00010
TRAILING_PADDING = 0xFFFCFFFC
UNDEFINED, DELIMITER = 0xFFFFFFFF, b"\xfe\xff\xdd\xe0\0\0\0\0"
"""Length, and end, of encapsulated pixel data (PS3.5 A.4)."""
IMPLEMENTATION = UID("2.25.301843871446131853071217270474126903518")

WORDS = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
"""Bytes of a word in values whose byte order is that of the transfer syntax, and which pydicom hands on as they are."""


def write_dicom(
    dataset: Dataset, transfer_syntax: UID, target: Path, pixels: PixelValue | None = None, made: Iterable[BaseTag] = ()
) -> None:
    """Write a dataset as a DICOM file, whole or not at all, and read it back.

    Parameters
    ----------
    dataset : Dataset
        As read; pixel data, if it has any, in the form that the transfer syntax wants.
    transfer_syntax : UID
    target : Path
    pixels : PixelValue, optional
        Pixel data in place of the dataset's.
    made : iterable of tag
        Elements whose values isotone has made, to be compared when the file is read back.

    Raises
    ------
    RadiographError
        E_UNSUPPORTED: some value of the header cannot be written. E_WRITTEN: the file does not read back as meant.
        What the pixel data raise while they are decoded.
    IsotoneError
        E_WRITE.
    """
    encoding, meta = encoding_of(transfer_syntax), file_meta_of(dataset, transfer_syntax)
    parse_all(dataset, transfer_syntax)
    dataset.file_meta = meta
    dataset.preamble = bytes(128)  # a hostile one would be copied through (PS3.10 7.5)
    rest = Dataset()
    for tag in [tag for tag in list(dataset.keys()) if tag >= PIXEL_DATA]:
        rest[tag] = dataset.pop(tag)
    rest.pop(TRAILING_PADDING, None)  # it filled up the source's file, not this one
    element = rest.pop(PIXEL_DATA, None)
    if pixels is None and element is not None:
        pixels = Held(cast(bytes, element.value), _vr(element, dataset, transfer_syntax))
    with replace_file(target) as temporary:
        try:
            head, tail = DicomBytesIO(), DicomBytesIO()
            validate_file_meta(meta)  # dcmwrite would refuse transfer syntaxes that it does not know
            meta.FileMetaInformationGroupLength = 0  # which it computes
            dcmwrite(head, dataset, implicit_vr=encoding[0], little_endian=encoding[1], force_encoding=True)
            tail.is_implicit_VR, tail.is_little_endian = encoding
            write_dataset(tail, rest)
            with temporary.open("wb") as file:
                written = _write(file, head.getvalue(), pixels, transfer_syntax, tail.getvalue())
        except Exception as error:  # as below
            if isinstance(error, IsotoneError) or (isinstance(error, OSError) and error.errno is not None):
                raise
            raise _unwritable("some value") from None
        confirm_dicom(temporary, written, transfer_syntax, dataset, rest, made)


def copy_file(path: Path, target: Path) -> None:
    """Copy a file byte for byte, whole or not at all, and compare the copy.

    Raises
    ------
    RadiographError
        E_NOT_REGULAR, E_READ, E_WRITTEN.
    IsotoneError
        E_WRITE.
    """
    with open_regular(path) as source, replace_file(target) as temporary:
        with temporary.open("wb") as copy:
            shutil.copyfileobj(source, copy, 2**20)
        confirm_copy(temporary, source)


def _vr(element: DataElement | RawDataElement, dataset: Dataset, syntax: UID) -> str:
    """OB or OW (PS3.5 A.1 to A.4); bytes in words of big endian keep what they are."""
    if is_encapsulated(syntax):
        return "OB"
    narrow = element.VR == "OB" or (element.VR != "OW" and dataset.get("BitsAllocated") == 8)
    return "OB" if narrow else "OW"


def _write(file: BinaryIO, head: bytes, pixels: PixelValue | None, syntax: UID, tail: bytes) -> Written:
    """Write the whole file, the pixel data element (PS3.5 7.1) piece by piece: pydicom would copy it three times."""
    crc = length = 0
    if pixels is not None:
        implicit, little = encoding_of(syntax)
        order = "<" if little else ">"
        head += struct.pack(f"{order}HH", PIXEL_DATA >> 16, PIXEL_DATA & 0xFFFF)
        head += b"" if implicit else pixels.vr.encode() + bytes(2)
        head += struct.pack(f"{order}I", UNDEFINED if is_encapsulated(syntax) else pixels.length)
    file.write(head)
    if pixels is not None:
        for piece in pixels.pieces():
            file.write(piece)
            length += len(piece)
            crc = 0 if pixels.again else checksum(piece, crc)
        if is_encapsulated(syntax):
            file.write(DELIMITER)
    file.write(tail)
    return Written(head, pixels, length, crc, tail)


def file_meta_of(dataset: Dataset, transfer_syntax: UID) -> FileMetaDataset:
    """The file meta information (PS3.10 7.1) of what isotone writes."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID")
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID")
    meta.TransferSyntaxUID = transfer_syntax
    meta.ImplementationClassUID = IMPLEMENTATION
    meta.ImplementationVersionName = f"ISOTONE_{__version__}"[:16]
    return meta


def parse_all(dataset: Dataset, transfer_syntax: UID) -> None:
    """Parse every element where the encoding changes: what is still raw bytes would be written in the old one.

    Raises
    ------
    RadiographError
        E_UNSUPPORTED: a value cannot be parsed.
    """
    if dataset.original_encoding in (encoding_of(transfer_syntax), (None, None)):
        return
    swap = dataset.original_encoding[1] is False
    for tag in list(dataset.keys()):
        dataset[tag] = element_of(dataset, tag)
    if swap:
        for element in dataset.iterall():
            size = WORDS.get(element.VR)
            if (
                size
                and element.tag != PIXEL_DATA
                and isinstance(element.value, bytes)
                and len(element.value) % size == 0
            ):
                element.value = np.frombuffer(element.value, f">u{size}").astype(f"<u{size}").tobytes()


def element_of(dataset: Dataset, tag: BaseTag) -> DataElement:
    """The element, parsed.

    Raises
    ------
    RadiographError
        E_UNSUPPORTED: its value cannot be parsed.
    """
    try:
        return dataset[tag]
    except Exception:  # whatever pydicom's many converters raise; their messages quote values
        raise _unwritable(f"element {tag}") from None


def _unwritable(what: str) -> RadiographError:
    return RadiographError(
        "E_UNSUPPORTED",
        f"{what} of its header breaks the rules of its type",
        next_step="Correct the header in the source (dciodvfy names the element).",
    )
