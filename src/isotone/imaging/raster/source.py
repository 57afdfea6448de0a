"""A PNG, TIFF or JPEG file that has been opened but not decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from isotone.errors import RadiographError

ORIENTATION = 274
"""Tag of TIFF and EXIF: how to turn or mirror the pixels before they are shown; 1, as they are."""


@dataclass(frozen=True)
class RasterSource:
    """What the file says of itself.

    Attributes
    ----------
    format : str
        "png", "tiff" or "jpeg".
    rows, columns : int
    bits : int
        Of each sample.
    inverted : bool
        The file says that 0 is white.
    lossy : bool
        The file is compressed as JPEG is.
    ours : bool
        isotone made it.
    decode : callable
        → array of shape (rows, columns) or (rows, columns, channels): grey, grey and alpha, RGB, or RGB and alpha.
    """

    format: str
    rows: int
    columns: int
    bits: int
    decode: Callable[[], NDArray[Any]]
    inverted: bool = False
    lossy: bool = False
    ours: bool = False


def refuse_turned(orientation: object) -> None:
    """Refuse pixels that are to be turned or mirrored: half of all programs do that, the others do not.

    Raises
    ------
    RadiographError
        E_RASTER.
    """
    if orientation in range(2, 9):
        raise RadiographError(
            "E_RASTER",
            f"the file asks for its pixels to be turned or mirrored (Orientation {orientation})",
            next_step="Turn the pixels themselves, for example by magick IN -auto-orient OUT, or delete the tag.",
        )
