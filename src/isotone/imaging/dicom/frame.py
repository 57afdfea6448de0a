"""From pixel data to stored values: every size is checked before anything is decoded, every value after."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MPEGTransferSyntaxes,
)

from isotone.errors import RadiographError
from isotone.imaging.codecs.codecs import CODECS, shown_syntax
from isotone.imaging.codecs.codestream import has_end
from isotone.imaging.codecs.lossy import HEADER
from isotone.imaging.dicom.element_value import value_of
from isotone.imaging.dicom.fragments import Fragments
from isotone.imaging.dicom.header_values import PHOTOMETRIC, coded
from isotone.imaging.dicom.part10 import Part10File
from isotone.imaging.dicom.sop_classes import SEVERAL_FRAMES
from isotone.imaging.dicom.warning_codes import Warned
from isotone.imaging.radiograph import Stored

MAX_PIXELS = 120_000_000
"""Largest image that is decoded; the largest mammography detectors have about 30 million pixels."""
NATIVE = {
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
}
"""Transfer syntaxes with uncompressed pixel data."""
PIXEL_DATA = 0x7FE00010
MAX_EXCESS = 2**16
"""Bytes that native pixel data may be too long by (PS3.5 8.1.1): what fills up the largest common block of a disk.

More, half a frame, or a whole number of columns may be the pixels of another image than the header describes.
"""


@dataclass(frozen=True)
class Layout:
    """How the pixel data of greyscale frames are laid out (PS3.3 C.7.6.3), checked for consistency.

    Attributes
    ----------
    rows, columns : int
        Size in pixels, at most `MAX_PIXELS` in all.
    allocated, bits, high_bit : int
        BitsAllocated (8 or 16), BitsStored (1 to 16), HighBit.
    signed : bool
        PixelRepresentation 1.
    syntax : UID
        Transfer syntax, in `NATIVE` or `CODECS`.
    frames : int
        How many there are.
    """

    rows: int
    columns: int
    allocated: int
    bits: int
    high_bit: int
    signed: bool
    syntax: UID
    frames: int = 1

    @property
    def length(self) -> int:
        """Bytes of an uncompressed frame."""
        return self.rows * self.columns * self.allocated // 8


def read_layout(file: Part10File) -> Layout:
    """The layout that a header describes, checked against the pixel data's length.

    Raises
    ------
    RadiographError
        E_NO_PIXELS, E_UNSUPPORTED, E_CODEC, E_GEOMETRY, E_TRUNCATED.
    """
    header, path = file.dataset, file.path
    if file.pixel is None:
        raise RadiographError("E_NO_PIXELS", "the object has no pixel data", file=path)
    _refuse_unsupported(header, file.pixel.tag, path)
    if value_of(header, "SamplesPerPixel") is None:  # it can be nothing else, and other programs want it said
        header.SamplesPerPixel = 1
        file.codes.append("W_HEADER")
    syntax = _syntax(file)
    numbers = {
        keyword: _integer(header, keyword, path)
        for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation")
    }
    rows, columns, allocated, bits, representation = numbers.values()
    high_bit = _integer(header, "HighBit", path, default=bits - 1)
    if not (rows > 0 and columns > 0 and rows * columns <= MAX_PIXELS):
        raise RadiographError("E_GEOMETRY", f"{rows} × {columns} pixels", file=path)
    if not (allocated in (8, 16) and 1 <= bits <= high_bit + 1 <= allocated and representation in (0, 1)):
        raise RadiographError(
            "E_GEOMETRY", f"{bits} bits stored in {allocated}, high bit {high_bit}, is no greyscale image", file=path
        )
    layout = Layout(rows, columns, allocated, bits, high_bit, representation == 1, syntax)
    _check_precision(file, layout)
    frames = _integer(header, "NumberOfFrames", path, default=1) or 1
    if frames < 1:
        raise RadiographError("E_GEOMETRY", f"{frames} frames", file=path)
    layout = replace(layout, frames=frames)
    _check_length(file, layout)
    if frames > 1 and str(value_of(header, "SOPClassUID") or "") not in SEVERAL_FRAMES:
        raise RadiographError(
            "E_UNSUPPORTED",
            f"{frames} frames of an object that is not among the X-ray images with several",
            file=path,
            next_step="Hand over one frame as an object of its own, or the object under the SOP class that it has.",
        )
    return layout


def _syntax(file: Part10File) -> UID:
    """The transfer syntax: as stated, unless the pixel data show by themselves that they are something else."""
    meta, path = file.dataset.file_meta, file.path
    stated = UID(str(value_of(meta, "TransferSyntaxUID") or ImplicitVRLittleEndian))
    if stated in MPEGTransferSyntaxes:
        raise RadiographError("E_UNSUPPORTED", "a video", file=path)
    if stated not in NATIVE and stated not in CODECS:
        name = stated.name if stated.name != stated else "a transfer syntax without a name"
        raise RadiographError("E_CODEC", f"no decoder for {name}", file=path)
    codec, native = CODECS.get(stated), file.fragments is None
    if native and codec is None:
        return stated
    shown = shown_syntax(file.start_of_frame(HEADER))
    if not native and codec is not None and (shown is None or CODECS[shown].decode is codec.decode):
        return stated
    found = shown if not native else None if shown else file.plain  # a bare frame is no image
    if found is None:
        raise RadiographError(
            "E_CODEC",
            f"the pixel data are not what the transfer syntax says, {stated.name}",
            file=path,
            next_step="Correct TransferSyntaxUID (0002,0010), or fetch the file in Explicit VR Little Endian.",
        )
    file.codes.append("W_HEADER")
    meta.TransferSyntaxUID = found
    return found


def _refuse_unsupported(header: Dataset, tag: int, path: Path) -> None:
    if tag != PIXEL_DATA:
        raise RadiographError("E_UNSUPPORTED", "floating-point pixel data", file=path)
    photometric = str(value_of(header, "PhotometricInterpretation") or "").strip().upper()
    if _integer(header, "SamplesPerPixel", path, default=1) != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        kind = coded(photometric, PHOTOMETRIC) if photometric else "unnamed"
        named = photometric in PHOTOMETRIC
        step = None if named else "Put MONOCHROME1 (0 is white) or MONOCHROME2 into its PhotometricInterpretation."
        raise RadiographError(
            "E_UNSUPPORTED", f"photometric interpretation {kind}, not greyscale", file=path, next_step=step
        )


def _integer(header: Dataset, keyword: str, path: Path, default: int | None = None) -> int:
    try:
        value = value_of(header, keyword)
        return int(default if value is None and default is not None else value)
    except Exception:  # pydicom raises many types for malformed numbers
        step = f"Fetch the file again, or put the right {keyword} into its header."
        raise RadiographError("E_GEOMETRY", f"{keyword} is missing or no number", file=path, next_step=step) from None


def _check_precision(file: Part10File, layout: Layout) -> None:
    """Say that a frame of 8 bits is an image of more: it will be dark, and one of both is wrong."""
    codec = CODECS.get(layout.syntax)
    if codec is None or codec.size is None or not codec.marked or layout.bits <= 8:
        return
    with suppress(ValueError):  # what is damaged is refused when it is decoded
        if codec.size(file.start_of_frame(HEADER)).precision <= 8:
            file.codes.append("W_PRECISION")


def _check_length(file: Part10File, layout: Layout) -> None:
    if file.pixel is None:
        return
    if file.fragments is None:
        _check_native(file, file.pixel.length, layout)
    else:
        _check_fragments(file, file.fragments, layout)


def _check_fragments(file: Part10File, fragments: Fragments, layout: Layout) -> None:
    frames, most = layout.frames, 2 * layout.length + 2**16
    if len(fragments.pieces) < frames or fragments.length > most * frames:
        raise RadiographError("E_GEOMETRY", "header and compressed pixel data disagree", file=file.path)
    if not fragments.closed and not CODECS[layout.syntax].marked:
        raise RadiographError("E_TRUNCATED", "the compressed pixel data have no end", file=file.path)
    if frames == 1 and (found := fragments.frames(file.peek)) > 1:
        raise RadiographError(
            "E_UNSUPPORTED",
            f"{found} frames, though NumberOfFrames says 1",
            file=file.path,
            next_step="Put the right NumberOfFrames into its header.",
        )
    parted = fragments.by_frame(file.peek, frames)
    if parted is None or any(sum(length for _, length in pieces) > most for pieces in parted):
        raise RadiographError("E_GEOMETRY", "nothing tells which fragment belongs to which frame", file=file.path)
    if not fragments.is_sound(file.peek, parted):
        file.codes.append("W_PACKING")


def _check_native(file: Part10File, found: int, layout: Layout) -> None:
    """Refuse a length that may be that of another image; a few bytes more fill it up (PS3.5 8.1.1)."""
    length = layout.length * layout.frames
    excess = found - length - length % 2
    column = layout.rows * layout.allocated // 8
    filled = excess <= MAX_EXCESS and 2 * excess < layout.length and excess % column != 0
    if found not in (length, length + length % 2) and not (excess > 0 and filled and layout.frames == 1):
        raise RadiographError("E_GEOMETRY", f"{found} bytes of pixel data instead of {length}", file=file.path)
    if length > file.available:
        raise RadiographError("E_TRUNCATED", "the pixel data are incomplete", file=file.path)
    if excess > 0:
        file.codes.append("W_PACKING")


def decode(frame: bytes, layout: Layout, path: Path, warned: Warned) -> Stored:
    """The stored values of a frame.

    Parameters
    ----------
    frame : bytes
        As it lies in the file, compressed or not; what fills it up may follow.
    layout : Layout
        From `read_layout`.
    path : Path
        For messages.
    warned : Warned
        Takes W_HIGHBIT, W_HIGHBITS, W_SIGN and W_OVERSHOOT; with W_LOSSY in it, the frame is known to be lossy.

    Returns
    -------
    uint8 or uint16 array of shape (rows, columns)
        Without the bits that BitsStored excludes; signed values shifted by ``2**(bits − 1)``.

    Raises
    ------
    RadiographError
        E_GEOMETRY, E_UNSUPPORTED, E_TRUNCATED, E_DECODE, E_CODEC, E_RANGE.
    """
    codec = CODECS.get(layout.syntax)
    try:
        words = _native(frame, layout) if codec is None else _decompressed(frame, layout, path)
    except RadiographError:
        raise
    except ImportError:
        name = layout.syntax.name
        raise RadiographError("E_CODEC", f"this build of imagecodecs lacks {name}", file=path) from None
    except Exception:  # codecs raise types of their own
        raise RadiographError("E_DECODE", "the compressed pixel data are damaged", file=path) from None
    words = words.reshape(layout.rows, layout.columns)
    exact = codec is None or codec.size is None
    if exact and layout.high_bit >= layout.bits:
        words = _brought_down(words, layout, warned)
    lossy = codec is not None and (codec.lossy or "W_LOSSY" in warned)
    return _within_bits(words, layout, exact, lossy, path, warned)


def _brought_down(words: NDArray[np.unsignedinteger], layout: Layout, warned: Warned) -> NDArray[np.unsignedinteger]:
    """Values from the upper bits of their words, where HighBit says they are (PS3.5 8.1.1 of 2013 and before).

    Some writers state the high bit of the word for that of values that lie at the bottom. Then bits below the stated
    ones are set, and no value is larger than BitsStored allows: shifting would lose bits, so HighBit is not believed.
    """
    below = layout.high_bit + 1 - layout.bits
    if np.any(words & words.dtype.type(2**below - 1)):
        if words.max() < 2**layout.bits or (layout.signed and _is_extended(words, layout.bits)):
            warned.add("W_HIGHBIT")
            return words
        warned.add("W_HIGHBITS")
    words = words >> words.dtype.type(below)
    if layout.signed and layout.high_bit == layout.allocated - 1:
        sign = words.dtype.type(2 ** (layout.bits - 1))
        words = (words ^ sign) - sign
    return words


def _is_extended(words: NDArray[np.unsignedinteger], bits: int) -> bool:
    """Whether signed values of `bits` bits have their sign in every bit above those."""
    values = words.view(f"i{words.dtype.itemsize}")
    low, top = int(values.min()), int(values.max())
    half = 1 << bits - 1
    return -half <= low and top < half


def _native(frame: bytes, layout: Layout) -> NDArray[np.unsignedinteger]:
    order = ">" if layout.syntax == ExplicitVRBigEndian else "<"
    words = np.frombuffer(frame, f"{order}u{layout.allocated // 8}", layout.rows * layout.columns)
    return words if words.dtype.isnative else words.astype(words.dtype.newbyteorder("="))


def _decompressed(frame: bytes, layout: Layout, path: Path) -> NDArray[np.unsignedinteger]:
    codec = CODECS[layout.syntax]
    check_frame(frame, layout, path)
    words = codec.decode(frame, np.dtype(f"<u{layout.allocated // 8}"), layout.length)
    if words.size != layout.rows * layout.columns or words.dtype.itemsize > 2:
        raise RadiographError("E_DECODE", "the compressed pixel data are damaged", file=path)
    return words.view(f"u{words.dtype.itemsize}")


def check_frame(frame: bytes, layout: Layout, path: Path) -> None:
    """Refuse a compressed frame whose own header disagrees with the object's, or that has no end.

    Raises
    ------
    RadiographError
        E_TRUNCATED, E_GEOMETRY, E_UNSUPPORTED.
    """
    codec = CODECS[layout.syntax]
    if codec.marked and not has_end(frame):  # decoders make up what lies behind a cut
        raise RadiographError("E_TRUNCATED", "the compressed frame has no end", file=path)
    if codec.size is not None:
        size = codec.size(frame)
        if (size.rows, size.columns) != (layout.rows, layout.columns) or size.precision > layout.allocated:
            raise RadiographError("E_GEOMETRY", "header and compressed frame differ in size", file=path)
        if size.components != 1:
            raise RadiographError("E_UNSUPPORTED", "the compressed frame is in colour", file=path)


def _within_bits(
    words: NDArray[np.unsignedinteger], layout: Layout, exact: bool, lossy: bool, path: Path, warned: Warned
) -> Stored:
    """Unused bits away, signed values shifted up; refuse what no encoder of such an image can have written."""
    limit = 2**layout.bits - 1
    if layout.signed:
        values = words.view(f"i{words.dtype.itemsize}")
        low, top = -(2 ** (layout.bits - 1)), int(values.max())
        # Decoders differ in whether they extend the sign, so a compressed value may also be the bare bits.
        beyond = int(values.min()) < low or top > (-low - 1 if exact else limit)
    else:
        top = int(words.max())
        beyond = top > limit
    numbers = beyond and exact and not layout.signed and _are_numbers(words, limit)
    if beyond and exact and not numbers:
        warned.add("W_SIGN" if layout.signed and int(words.max()) <= limit else "W_HIGHBITS")
    elif beyond and (lossy or numbers) and not layout.signed and top <= limit + limit // 4:
        warned.add("W_OVERSHOOT")
        words = np.minimum(words, words.dtype.type(limit))
    elif beyond:
        raise RadiographError("E_RANGE", "pixel values exceed BitsStored", file=path)
    if layout.signed:
        words = (words & words.dtype.type(limit)) ^ words.dtype.type(2 ** (layout.bits - 1))
    elif beyond and exact and not numbers:
        words = words & words.dtype.type(limit)
    return words


def _are_numbers(words: NDArray[np.unsignedinteger], limit: int) -> bool:
    """Whether the bits above are those of larger values: without them, neighbours differ more. Overlays differ less."""
    own = words & words.dtype.type(limit)
    rough, smooth = (np.abs(np.diff(values.astype(np.int32), axis=1)).sum(dtype=np.int64) for values in (own, words))
    return bool(rough > smooth)


def refuse_empty(stored: Stored, padding: tuple[int, int] | None, path: Path) -> None:
    """Refuse an image that has a single value, padding apart.

    Raises
    ------
    RadiographError
        E_EMPTY_IMAGE.
    """
    for some in (stored[::16, ::16], stored):  # the first look decides for nearly every image
        values = some
        if padding is not None:
            values = some[(some < padding[0]) | (some > padding[1])]
        if values.size and values.min() < values.max():
            return
    raise RadiographError("E_EMPTY_IMAGE", "every pixel has the same value or is padding", file=path)
