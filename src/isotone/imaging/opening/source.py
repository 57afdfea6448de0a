"""What an image is read from: a file, or bytes in memory that stand in its place."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from isotone.imaging.opening.regular_file import open_regular

RASTER_STARTS = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"\xff\xd8\xff": "JPEG",
}
"""First bytes of raster files, and what Pillow calls their formats."""


@dataclass(frozen=True)
class InMemory:
    """The bytes of a whole file.

    Attributes
    ----------
    data : bytes
    name : Path
        What messages call it; nothing lies there.
    """

    data: bytes = field(repr=False)
    name: Path = Path("bytes")

    @property
    def raster(self) -> str | None:
        """The format of a raster file, by its first bytes; None: it may be DICOM."""
        return next((kind for start, kind in RASTER_STARTS.items() if self.data.startswith(start)), None)


Source = Path | InMemory


def name_of(source: Source) -> Path:
    """What messages call it."""
    return source if isinstance(source, Path) else source.name


def open_source(source: Source) -> BinaryIO:
    """Open it for reading; the caller closes what is returned.

    Raises
    ------
    RadiographError
        As `isotone.imaging.opening.regular_file.open_regular`.
    """
    return open_regular(source) if isinstance(source, Path) else io.BytesIO(source.data)
