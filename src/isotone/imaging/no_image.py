"""Which files of a folder are no images at all: left out and counted, while damaged images are refused.

This is the one place that decides. By its name and first bytes: what no suffix calls an image and what does not begin
as DICOM does; what macOS writes beside a file (``._IM1``). By its header: a DICOM object without pixel data whose SOP
class is none of images (presentation states, structured reports, DICOMDIR, documents, plans). An object of an image's
class without pixel data, a ``.dcm`` file that is not DICOM and a PNG that is not PNG are damaged images; and what is
named like an image of another format is refused too.
"""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import FileDataset
from pydicom.uid import UID

from isotone.errors import IsotoneError
from isotone.imaging.dicom.part10 import open_part10
from isotone.imaging.folder import is_unread_image

DICOM_SUFFIXES = {".dcm", ".dicom", ".ima"}
OF_AN_IMAGE = ("Rows", "Columns", "BitsAllocated", "PhotometricInterpretation")
"""Elements that no object has but an image, whatever its SOP class."""


def is_no_image(path: Path, error: IsotoneError) -> bool:
    """Whether a refusal only says that a file, found in a folder, is no image.

    Parameters
    ----------
    path : Path
    error : IsotoneError
        What `isotone.imaging.read.read_header` or `read_radiograph` raised.
    """
    if error.code in ("E_NOT_DICOM", "E_RASTER") and path.name.startswith("._"):
        return True
    if error.code == "E_NOT_DICOM":
        return path.suffix.lower() not in DICOM_SUFFIXES and not is_unread_image(path)
    return error.code == "E_NO_PIXELS" and _is_other_object(path)


def _is_other_object(path: Path) -> bool:
    try:
        with open_part10(path) as file:
            return not _is_of_images(file.dataset) and not any(keyword in file.dataset for keyword in OF_AN_IMAGE)
    except IsotoneError:
        return False


def _is_of_images(header: FileDataset) -> bool:
    stated = header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID") or ""
    return "Image Storage" in UID(str(stated)).name


def how_many(count: int) -> str:
    """The one line that counts the files of folders which are no images."""
    return "1 file is no image" if count == 1 else f"{count} files are no images"
