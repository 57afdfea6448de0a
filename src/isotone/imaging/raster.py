"""PNG, TIFF and JPEG → `Header` and `Radiograph`.

Such files have lost polarity, window and scanner: 0 is taken as black and the full range as 2ⁿ levels, unless the
user says otherwise. Three channels that are equal everywhere are one grey channel, as some archives write it (a few
files of ChestX-ray14 among them); any other colour image is refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isotone.errors import IsotoneError, RadiographError
from isotone.imaging.frame import MAX_PIXELS, refuse_empty
from isotone.imaging.ours import record_in
from isotone.imaging.radiograph import Header, Radiograph
from isotone.imaging.regular import open_regular
from isotone.imaging.warned import Warned

SUFFIXES = {".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""Suffixes of raster files, and what Pillow calls their formats."""
BITS = {"L": 8, "RGB": 8, "RGBA": 8, "I;16": 16, "I;16L": 16, "I;16B": 16}
"""Pillow's modes that are read, and their bits per sample."""
BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0


def read_raster_header(path: Path, *, domain: str | None = None, inverted: bool = False) -> Header:
    """What a PNG, TIFF or JPEG file says of its image; no pixel is decoded."""
    with _opened(path) as image:
        return _header(image, path, domain, inverted, Warned())


def read_raster(path: Path, *, domain: str | None = None, inverted: bool = False) -> Radiograph:
    """A PNG, TIFF or JPEG image of 8 to 16 bits.

    Raises
    ------
    RadiographError
        As `isotone.imaging.read.read_radiograph`.
    """
    warned = Warned()
    with _opened(path) as image:
        stored = _one_channel(np.asarray(image), path, warned)
        header = _header(image, path, domain, inverted, warned)
    if stored.max() > 2**header.bits_stored - 1:
        raise RadiographError("E_RANGE", "pixels exceed the bits per sample", file=path)
    refuse_empty(stored, None, path)
    tone = np.linspace(0, 1, 2**header.bits_stored)
    return Radiograph(stored, 1 - tone if header.inverted else tone, header)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """An image whose mode and size are fit to be decoded."""
    try:
        with open_regular(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of size, which is checked here, and of odd metadata
            with Image.open(file, formats=[SUFFIXES[path.suffix.lower()]]) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise RadiographError("E_GEOMETRY", f"{image.height} × {image.width} pixels", file=path)
                if image.mode not in BITS:
                    raise RadiographError("E_RASTER", f"a {image.mode} image is not greyscale", file=path)
                if getattr(image, "n_frames", 1) > 1:
                    raise RadiographError("E_RASTER", f"{image.n_frames} pages", file=path)  # type: ignore[attr-defined]
                yield image
    except IsotoneError:
        raise
    except Image.DecompressionBombError:
        raise RadiographError("E_GEOMETRY", "the image is too large", file=path) from None
    except Exception:  # Pillow's plugins raise many types; "truncated" is but a word in one of their messages
        raise RadiographError("E_RASTER", "not a readable PNG, TIFF or JPEG", file=path) from None


def _header(image: Image.Image, path: Path, domain: str | None, inverted: bool, warned: Warned) -> Header:
    if record_in(image) is not None:
        warned.add("W_HARMONIZED")
    bits = BITS[image.mode]
    tags = getattr(image, "tag_v2", {})
    if image.format == "TIFF" and bits == 16:
        bits = int(tags.get(BITS_PER_SAMPLE, (16,))[0])
        # Pillow itself inverts such files at 8 bits, but not beyond.
        inverted ^= tags.get(PHOTOMETRIC) == WHITE_IS_ZERO
    return Header(
        path=path,
        format=str(image.format).lower(),
        domain=domain,
        bits_stored=bits,
        rows=image.height,
        columns=image.width,
        inverted=inverted,
        warnings=warned.lines(),
    )


def _one_channel(pixels: NDArray[Any], path: Path, warned: Warned) -> NDArray[np.uint8] | NDArray[np.uint16]:
    if pixels.ndim == 3:
        grey = pixels[..., 0]
        if not all(np.array_equal(grey, pixels[..., k]) for k in (1, 2)):
            raise RadiographError("E_RASTER", "the image is in colour", file=path)
        if pixels.shape[2] == 4 and pixels[..., 3].min() < 255:
            raise RadiographError("E_RASTER", "the image is partly transparent", file=path)
        warned.add("W_RGB")
        pixels = np.ascontiguousarray(grey)
    return pixels if pixels.dtype == np.uint8 else pixels.astype(np.uint16, copy=False)
