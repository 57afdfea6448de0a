"""Files, bytes and data sets → `Header` or `Radiograph`, whatever their format."""

from __future__ import annotations

import io
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import Dataset

from isotone.imaging.dicom.encoded import encoded
from isotone.imaging.dicom.read_dicom import open_dicom, read_dicom_header
from isotone.imaging.opening.source import InMemory, Source
from isotone.imaging.radiograph import Header, Radiograph
from isotone.imaging.raster.read_raster import raster_kind, read_raster, read_raster_header

Readable = str | PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Dataset


def read_header(image: Readable, *, domain: str | None = None, inverted: bool | None = None) -> Header:
    """What an image's file says of it; no pixel is decoded.

    Parameters
    ----------
    image, domain, inverted
        As for `read_radiograph`.

    Raises
    ------
    TypeError
        As `read_radiograph`.
    RadiographError
        Whatever the header alone gives reason to refuse, with the codes of `read_radiograph`.
    """
    source = source_of(image)
    if raster_kind(source) is not None:
        return read_raster_header(source, domain=domain, inverted=inverted)
    return read_dicom_header(source, domain=domain, inverted=inverted)


def read_radiograph(
    image: Readable,
    *,
    domain: str | None = None,
    inverted: bool | None = None,
    window: str | None = None,
) -> Radiograph:
    """Read one image.

    Files named ``.png``, ``.tif``, ``.tiff``, ``.jpg`` or ``.jpeg`` are read as such, all others as DICOM; of what
    has no name the first bytes tell.

    Parameters
    ----------
    image : path, bytes, binary file or pydicom.Dataset
        A regular file, or a link to one; the bytes of a file; a file opened in binary mode, which is read from where it
        stands to its end, and stays open; or a data set, which is not changed.
    domain : str, optional
        Name of the scanner where the header has none.
    inverted : bool, optional
        Polarity as the user knows it, whatever the file says: True, 0 is white (in DICOM: the largest output of the
        Modality LUT is black); False, 0 is black. Default: as a DICOM or TIFF file says; 0 is black in PNG and JPEG.
    window : str, optional
        Of several windows or VOI LUTs of a DICOM file the one with this explanation, which `Radiograph.display` then
        shows; default: the first. The curve is over the full range in any case.

    Returns
    -------
    Radiograph
        Of several frames the middle one; at full range, with what is odd about it in ``header.warnings``.

    Raises
    ------
    TypeError
        Not one of these; for arrays there is `Radiograph.from_array`.
    RadiographError
        The image is refused; the codes are keys of `isotone.errors.CODES`.

    Examples
    --------
    >>> import isotone
    >>> image = isotone.read_radiograph("phantom/images/alder/P0001/LCC.dcm")
    >>> image.stored.shape, image.header.domain
    ((64, 51), 'Alder Mammo One')
    >>> with open("phantom/images/alder/P0001/LCC.dcm", "rb") as file:
    ...     isotone.read_radiograph(file).stored.shape
    (64, 51)
    """
    source = source_of(image)
    if raster_kind(source) is not None:
        return read_raster(source, domain=domain, inverted=inverted)
    with open_dicom(source, domain=domain, inverted=inverted, window=window) as opened:
        return opened.radiograph


def source_of(image: Readable) -> Source:
    """Where the bytes of an image come from.

    Raises
    ------
    TypeError
        As `read_radiograph`.
    RadiographError
        E_UNSUPPORTED: a data set that cannot be written as a file.
    """
    if isinstance(image, str | PathLike):
        return Path(image)
    if isinstance(image, bytes | bytearray | memoryview):
        return InMemory(bytes(image))
    if isinstance(image, Dataset):
        return encoded(image)
    if callable(getattr(image, "read", None)):
        data = b"" if isinstance(image, io.TextIOBase) else image.read()
        if not isinstance(data, bytes) or isinstance(image, io.TextIOBase):
            raise TypeError('open the file in binary mode: open(path, "rb")')
        named = getattr(image, "name", None)
        return InMemory(data, Path(named) if isinstance(named, str) and named else Path("file"))
    raise TypeError(
        "an image is read from a path, bytes, a binary file or a pydicom.Dataset, "
        f"not from {type(image).__name__}; for arrays there is Radiograph.from_array"
    )
