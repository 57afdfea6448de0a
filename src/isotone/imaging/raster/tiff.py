"""TIFF: the tags by Pillow's parser, the pixels by libtiff, which keeps every bit depth that Pillow has no mode for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from isotone.errors import RadiographError
from isotone.imaging.raster.source import ORIENTATION, RasterSource, refuse_turned

COLUMNS, ROWS, BITS, COMPRESSION, PHOTOMETRIC, DESCRIPTION = 256, 257, 258, 259, 262, 270
SAMPLES, PLANAR, FORMAT = 277, 284, 339
LENGTHS = (279, 325)
"""Bytes of each strip or tile; one of 0 is left out, and would be read as black."""
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
JPEG, SEPARATE, UNSIGNED = 7, 2, 1
BIG = 43
"""Version of a BigTIFF, whose header has 16 bytes instead of 8."""
MAX_PAGES = 16
"""Pages that are counted, each in about two milliseconds: a file can chain them for ever, and one more is enough."""
IMAGEJ_STACK = re.compile(r"ImageJ=.*\bimages=(\d+)", re.DOTALL)
"""ImageJ writes stacks behind one page, and says so in its description."""


def open_tiff(file: BinaryIO) -> RasterSource:
    """What a TIFF file holds, if it is a single greyscale image or may be one.

    Raises
    ------
    RadiographError
        E_RASTER: it is not.
    Exception
        Of many types: the file is damaged.
    """
    header = file.read(16)
    pages = list(islice(_pages(file, header if BIG in header[2:4] else header[:8]), MAX_PAGES))
    tags = pages[0]
    depths = tags.get(BITS, (1,))
    bits, channels = int(depths[0]), int(tags.get(SAMPLES, 1))
    stack = IMAGEJ_STACK.match(str(tags.get(DESCRIPTION, "")))
    images = max(len(pages), int(stack[1]) if stack else 1)
    if images > 1:
        raise RadiographError("E_RASTER", f"{images} pages{' or more' * (images == MAX_PAGES)}")
    if any(kind != UNSIGNED for kind in tags.get(FORMAT, ())):
        raise RadiographError("E_RASTER", "the pixels are signed or floating-point numbers")
    if {*depths} != {bits} or not 2 <= bits <= 16:
        raise RadiographError("E_RASTER", f"{' and '.join(map(str, depths))} bits per sample")
    if tags.get(PHOTOMETRIC) not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB):
        raise RadiographError("E_RASTER", "the image is in colour")
    if any(0 in np.atleast_1d(tags[tag]) for tag in LENGTHS if tag in tags):
        raise RadiographError("E_RASTER", "a part of the image is missing")
    refuse_turned(tags.get(ORIENTATION))
    planar = tags.get(PLANAR) == SEPARATE and channels > 1

    def decode() -> NDArray[Any]:
        file.seek(0)
        pixels = imagecodecs.tiff_decode(file.read(), index=0)
        return np.moveaxis(pixels, 0, -1) if planar else pixels

    return RasterSource(
        "tiff",
        rows=int(tags[ROWS]),
        columns=int(tags[COLUMNS]),
        bits=bits,
        inverted=tags.get(PHOTOMETRIC) == WHITE_IS_ZERO,
        lossy=tags.get(COMPRESSION) == JPEG,
        decode=decode,
    )


def _pages(file: BinaryIO, header: bytes) -> Iterator[ImageFileDirectory_v2]:
    following = ImageFileDirectory_v2(header).next
    while following:
        tags = ImageFileDirectory_v2(header)
        file.seek(following)
        tags.load(file)
        following = tags.next
        yield tags
