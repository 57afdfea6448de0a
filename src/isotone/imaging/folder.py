"""Which files of a folder are images, by their name or, where that tells nothing, by their first bytes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from isotone.errors import RadiographError
from isotone.imaging.opening.first_bytes import START, first_element
from isotone.imaging.opening.regular_file import open_regular
from isotone.imaging.raster.read_raster import SUFFIXES as RASTER_SUFFIXES

SUFFIXES = {".dcm", ".dicom", ".ima", "", *RASTER_SUFFIXES}
"""What images are called, in lower case; DICOM files often have no suffix."""
UNREAD_SUFFIXES = {".bmp", ".gif", ".webp", ".jp2", ".j2k", ".jxl", ".pgm"}
"""Suffixes of images in formats that are not read: refused by name, so that none is missing in silence."""
GIT = ".git"


def images_in(folder: Path, left_out: Callable[[Path], object] = lambda path: None) -> Iterator[Path]:
    """The files of a folder that may be images, in depth, in the order of their names; reading tells (`no_image`).

    All that is named like an image, pipes included, so that reading can refuse them by name; and whatever else is
    DICOM: archives name files after their UIDs, of which the last number would be the suffix. Links to files are
    followed; links to folders are not, which could lead in a circle, but those that lead out of the folder are listed,
    so that reading refuses them. Last come the subfolders that cannot be looked into, for the same reason. `left_out`
    gets the other files; what git keeps for itself is not looked at, since git-annex links to it.
    """
    closed: list[Path] = []
    for above, subfolders, names in os.walk(folder, onerror=lambda error: closed.append(Path(error.filename))):
        subfolders[:] = sorted(name for name in subfolders if name != GIT)
        yield from (path for name in subfolders if _leads_out(path := Path(above, name), folder))
        for path in (Path(above, name) for name in sorted(names)):
            if path.suffix.lower() in SUFFIXES or is_unread_image(path) or _is_dicom(path):
                yield path
            else:
                left_out(path)
    yield from closed


def is_unread_image(path: Path) -> bool:
    """Whether a name says that a file is an image of a format that is not read, or one within gzip (``a.dcm.gz``)."""
    suffix = path.suffix.lower()
    packed = suffix == ".gz" and Path(path.stem).suffix.lower() in SUFFIXES - {""}
    return packed or suffix in UNREAD_SUFFIXES


def _leads_out(path: Path, folder: Path) -> bool:
    """Whether a subfolder is a link to somewhere else."""
    return path.is_symlink() and not path.resolve().is_relative_to(folder.resolve())


def _is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do, with preamble or without; also where it cannot be read: nobody knows."""
    try:
        with open_regular(path) as file:
            return first_element(file.read(START), os.fstat(file.fileno()).st_size) is not None
    except RadiographError as error:
        return error.code == "E_READ" and path.exists()
    except OSError:
        return True
