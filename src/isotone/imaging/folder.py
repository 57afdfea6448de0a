"""Which files of a folder are images, by their name or, where that tells nothing, by their first bytes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from isotone.errors import RadiographError
from isotone.imaging.raster import SUFFIXES as RASTER_SUFFIXES
from isotone.imaging.regular import open_regular

SUFFIXES = {".dcm", ".dicom", ".ima", "", *RASTER_SUFFIXES}
"""What images are called, in lower case; DICOM files often have no suffix."""


def images_in(folder: Path, left_out: Callable[[Path], object] = lambda path: None) -> Iterator[Path]:
    """The files of a folder that may be images, in depth, in the order of their names; reading tells (`no_image`).

    All that is named like an image, links and pipes included, so that reading can refuse them by name; and whatever
    else is DICOM: archives name files after their UIDs, of which the last number would be the suffix. Last come the
    subfolders that cannot be looked into, for the same reason. `left_out` gets the other files.
    """
    closed: list[Path] = []
    for above, subfolders, names in os.walk(folder, onerror=lambda error: closed.append(Path(error.filename))):
        subfolders.sort()
        for path in (Path(above, name) for name in sorted(names)):
            if path.suffix.lower() in SUFFIXES or _is_dicom(path):
                yield path
            else:
                left_out(path)
    yield from closed


def _is_dicom(path: Path) -> bool:
    """Whether a file, or what a link leads to, begins as DICOM files do; also where it cannot be read, so nobody knows.

    Reading will say what is wrong with a link.
    """
    try:
        with open_regular(Path(os.path.realpath(path))) as file:
            return file.read(132)[128:] == b"DICM"
    except RadiographError as error:
        return error.code == "E_READ" and path.exists()
    except OSError:
        return True
