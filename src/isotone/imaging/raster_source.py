"""A PNG, TIFF or JPEG file that has been opened but not decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


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
