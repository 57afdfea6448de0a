"""PNG, TIFF and JPEG → `Header` and `Radiograph`.

Such files have lost window and scanner, and all but TIFF their polarity: 0 is taken as black and the full range as 2ⁿ
levels, unless the user says otherwise. Three channels that are equal everywhere are one grey channel, as some archives
write it (a few files of ChestX-ray14 among them), and an alpha channel that is opaque everywhere is none; any other
colour or transparent image is refused. No bit is lost on the way: what Pillow would read at 8 bits is read by another.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isotone.errors import IsotoneError, RadiographError
from isotone.imaging.dicom.frame import MAX_PIXELS, refuse_empty
from isotone.imaging.dicom.warning_codes import Warned
from isotone.imaging.opening.source import Source, name_of, open_source
from isotone.imaging.own_files import record_in
from isotone.imaging.radiograph import Header, Radiograph
from isotone.imaging.raster.source import ORIENTATION, RasterSource, refuse_turned
from isotone.imaging.raster.tiff import open_tiff

SUFFIXES = {".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""Suffixes of raster files, and what Pillow calls their formats."""
BITS = {"L": 8, "LA": 8, "RGB": 8, "RGBA": 8, "I;16": 16, "I;16L": 16, "I;16B": 16}
"""Pillow's modes that are read, and their bits per sample."""
DEPTH, COLOUR_TYPE = 24, 25
"""Where a PNG file states bits per sample and its kind of colour (PNG 11.2.2)."""
GREY_TYPE = 0
PARTLY = "the image is partly transparent"


def raster_kind(source: Source) -> str | None:
    """What Pillow calls the format of a raster file: by its suffix, of bytes by the first of them; None: another."""
    return SUFFIXES.get(source.suffix.lower()) if isinstance(source, Path) else source.raster


def read_raster_header(source: Source, *, domain: str | None = None, inverted: bool | None = None) -> Header:
    """What a PNG, TIFF or JPEG file says of its image; no pixel is decoded."""
    with _opened(source) as opened:
        return _header(opened, name_of(source), domain, inverted, Warned())


def read_raster(source: Source, *, domain: str | None = None, inverted: bool | None = None) -> Radiograph:
    """A PNG, TIFF or JPEG image of 2 to 16 bits.

    Raises
    ------
    RadiographError
        As `isotone.imaging.read.read_radiograph`.
    """
    path, warned = name_of(source), Warned()
    with _opened(source) as opened:
        stored = _one_channel(opened, path, warned)
        header = _header(opened, path, domain, inverted, warned)
    if stored.max() > 2**header.bits_stored - 1:
        raise RadiographError("E_RANGE", "pixels exceed the bits per sample", file=path)
    refuse_empty(stored, None, path)
    tone = np.linspace(0, 1, 2**header.bits_stored)
    return Radiograph(stored, 1 - tone if header.inverted else tone, header)


@contextmanager
def _opened(source: Source) -> Iterator[RasterSource]:
    """An image whose kind and size are fit to be decoded."""
    path = name_of(source)
    try:
        with open_source(source) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of size, which is checked here, and of odd metadata
            kind = raster_kind(source)
            if kind is None:
                raise RadiographError("E_RASTER", "not a readable PNG, TIFF or JPEG")
            opened = open_tiff(file) if kind == "TIFF" else _open(file, kind)
            if not 0 < opened.rows * opened.columns <= MAX_PIXELS:
                raise RadiographError("E_GEOMETRY", f"{opened.rows} × {opened.columns} pixels", file=path)
            yield opened
    except IsotoneError as error:
        raise RadiographError(error.code, error.what, file=path, next_step=error.next_step) from None
    except Image.DecompressionBombError:
        raise RadiographError("E_GEOMETRY", "the image is too large", file=path) from None
    except Exception:  # Pillow's plugins raise many types; "truncated" is but a word in one of their messages
        raise RadiographError("E_RASTER", "not a readable PNG, TIFF or JPEG", file=path) from None


def _open(file: BinaryIO, kind: str) -> RasterSource:
    start = file.read(COLOUR_TYPE + 1)
    file.seek(0)
    image = Image.open(file, formats=[kind])
    if image.mode not in BITS:
        raise RadiographError("E_RASTER", f"a {image.mode} image is not greyscale")
    if getattr(image, "n_frames", 1) > 1:
        raise RadiographError("E_RASTER", f"{image.n_frames} pages")  # type: ignore[attr-defined]
    refuse_turned(_orientation(image))
    # Pillow has no mode for more than one channel of 16 bits, and drops eight of them.
    deep = kind == "PNG" and start[DEPTH] == 16 and start[COLOUR_TYPE] != GREY_TYPE

    def decode() -> NDArray[Any]:
        if deep:
            file.seek(0)
            return imagecodecs.png_decode(file.read())
        pixels = np.asarray(image)
        refuse_turned(_orientation(image))  # a PNG may say it behind its pixels
        if _has_level(pixels, image, start):
            raise RadiographError("E_RASTER", PARTLY)
        return pixels

    return RasterSource(
        kind.lower(),
        rows=image.height,
        columns=image.width,
        bits=16 if deep else BITS[image.mode],
        lossy=kind == "JPEG",
        ours=record_in(image) is not None,
        decode=decode,
    )


def _has_level(pixels: NDArray[Any], image: Image.Image, start: bytes) -> bool:
    """Whether a pixel has the one level or colour that a PNG calls transparent (PNG 11.3.2.1)."""
    level = image.info.get("transparency") if image.mode in ("L", "I;16", "RGB") else None
    if level is None:
        return False
    scale = 255 // (2 ** min(start[DEPTH], 8) - 1)  # Pillow brings 2 and 4 bits to 8, but not this level
    return bool(np.any(np.all(np.atleast_3d(pixels) == np.multiply(level, scale), axis=2)))


def _orientation(image: Image.Image) -> object:
    exif = Image.Exif()
    try:
        exif.load(
            image.info.get("exif", b"")
        )  # Pillow's getexif would decode a PNG first, or remember that it had none
        return exif.get(ORIENTATION)
    except Exception:  # damaged, in one of many ways; the pixels may be sound
        return None


def _header(source: RasterSource, path: Path, domain: str | None, inverted: bool | None, warned: Warned) -> Header:
    if source.ours:
        warned.add("W_HARMONIZED")
    return Header(
        path=path,
        format=source.format,
        domain=domain,
        bits_stored=source.bits,
        rows=source.rows,
        columns=source.columns,
        inverted=source.inverted if inverted is None else inverted,
        lossy=source.lossy,
        warnings=warned.lines(),
    )


def _one_channel(source: RasterSource, path: Path, warned: Warned) -> NDArray[np.uint8] | NDArray[np.uint16]:
    pixels = source.decode()
    if pixels.ndim == 3:
        channels = pixels.shape[2]
        grey = pixels[..., 0]
        if channels > 4 or not all(np.array_equal(grey, pixels[..., k]) for k in (1, 2) if channels > 2):
            raise RadiographError("E_RASTER", "the image is in colour", file=path)
        if channels in (2, 4) and pixels[..., -1].min() < 2**source.bits - 1:
            raise RadiographError("E_RASTER", PARTLY, file=path)
        warned.add("W_RGB")
        pixels = np.ascontiguousarray(grey)
    if pixels.shape != (source.rows, source.columns) or pixels.dtype.kind != "u":
        raise RadiographError("E_RASTER", "not a readable PNG, TIFF or JPEG", file=path)
    return pixels if pixels.dtype == np.uint8 else pixels.astype(np.uint16, copy=False)
