"""Writing a dataset that was read from somebody's file, odd values included; or the file as it is."""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import dcmwrite, write_dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID

from isotone._version import __version__
from isotone.errors import RadiographError
from isotone.files import replace_file
from isotone.imaging.gather import gathered
from isotone.imaging.radiograph import Stored
from isotone.imaging.regular import open_regular

PIXEL_DATA = 0x7FE00010
IMPLEMENTATION = UID("2.25.301843871446131853071217270474126903518")


PIECES = 4
"""Pieces of `gathered`, a quarter of a MB each, between two pushes to the disk."""


class Mapped(NamedTuple):
    """Pixel data as they are to be written: little-endian table, and stored values to look up in it."""

    table: NDArray[np.uint16]
    stored: Stored


def write_dicom(dataset: Dataset, transfer_syntax: UID, target: Path, pixels: Mapped | None = None) -> None:
    """Write a dataset as a DICOM file, whole or not at all.

    Parameters
    ----------
    dataset : Dataset
        With its pixel data in the form that the transfer syntax wants; the rest as read.
    transfer_syntax : UID
    target : Path
    pixels : Mapped, optional
        Pixel data in place of the dataset's, for Explicit VR Little Endian. They go straight to the file, piece by
        piece: pydicom would copy them three times on the way.

    Raises
    ------
    RadiographError
        E_UNSUPPORTED: some value of the header cannot be written.
    IsotoneError
        E_WRITE.
    """
    encoding = (transfer_syntax.is_implicit_VR, transfer_syntax.is_little_endian)
    if dataset.original_encoding not in (encoding, (None, None)):
        _parse_all(dataset, swap=dataset.original_encoding[1] is False)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID")
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID")
    meta.TransferSyntaxUID = transfer_syntax
    meta.ImplementationClassUID = IMPLEMENTATION
    meta.ImplementationVersionName = f"ISOTONE_{__version__}"[:16]
    dataset.file_meta = meta
    dataset.preamble = bytes(128)  # a hostile one would be copied through (PS3.10 7.5)
    rest = Dataset()
    if pixels is not None:
        for tag in [tag for tag in list(dataset.keys()) if tag >= PIXEL_DATA]:
            rest[tag] = dataset.pop(tag)
        rest.pop(PIXEL_DATA, None)
    with replace_file(target) as temporary:
        try:
            dcmwrite(temporary, dataset, enforce_file_format=True)
            if pixels is not None:
                _append(temporary, pixels, rest)
        except Exception as error:  # as below
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise _unwritable("some value") from None


def copy_file(path: Path, target: Path) -> None:
    """Copy a file byte for byte, whole or not at all.

    Raises
    ------
    RadiographError
        E_NOT_REGULAR, E_READ.
    IsotoneError
        E_WRITE.
    """
    with open_regular(path) as source, replace_file(target) as temporary, temporary.open("wb") as copy:
        shutil.copyfileobj(source, copy, 2**20)


def _append(path: Path, pixels: Mapped, rest: Dataset) -> None:
    with path.open("ab") as file:
        length = pixels.stored.size * pixels.table.itemsize
        file.write(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, length))  # PS3.5 7.1.2
        for number, piece in enumerate(gathered(*pixels)):
            file.write(piece.data)
            if number % PIECES == PIECES - 1:
                _start_writing(file)
        stream = DicomFileLike(file)
        stream.is_little_endian, stream.is_implicit_VR = True, False
        write_dataset(stream, rest)


def _start_writing(file: BinaryIO) -> None:
    """Let the disk begin with what there is, so that fsync finds most of it done. It will not be read here."""
    if hasattr(os, "posix_fadvise"):  # Linux
        file.flush()
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _parse_all(dataset: Dataset, *, swap: bool) -> None:
    """What is still raw bytes would be written as it is, in the old encoding."""
    for tag in list(dataset.keys()):
        dataset[tag] = element_of(dataset, tag)
    if swap:
        for element in dataset.iterall():
            if element.VR == "OW" and element.tag != PIXEL_DATA and isinstance(element.value, bytes):
                element.value = np.frombuffer(element.value, ">u2").astype("<u2").tobytes()


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
