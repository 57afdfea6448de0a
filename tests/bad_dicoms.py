"""The bad-input corpus: one file per fault, made by script, with the code that reading it must give.

`FAULTS` maps a name to a `Fault`; `write_all` writes them. A code E_… is a refusal, W_… a warning on an image that is
read. The faults of a whole run (full disks, killed processes) are tested where runs are.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from dicoms import LOSSLESS, encoded, pixels, radiograph, write


@dataclass(frozen=True)
class Fault:
    """One bad input: its code, how to write it to a path, and the suffix that it needs."""

    code: str
    build: Callable[[Path], object]
    suffix: str = ".dcm"


def write_all(folder: Path) -> Iterator[tuple[str, Fault, Path]]:
    """Write every fault as its own file; yields name, fault and path."""
    for name, fault in FAULTS.items():
        path = folder / f"{name}{fault.suffix}"
        fault.build(path)
        yield name, fault, path


def _bytes(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def _object(syntax: UID = ExplicitVRLittleEndian, /, **attributes: object) -> Callable[[Path], object]:
    """An otherwise sound object with some attributes changed; `stored`, `bits`, … go to `radiograph`."""
    return lambda path: write(encoded(radiograph(**attributes), syntax), path)  # type: ignore[arg-type]


def _changed(change: Callable[[Dataset], object], syntax: UID = ExplicitVRLittleEndian) -> Callable[[Path], object]:
    def build(path: Path) -> None:
        ds = encoded(radiograph(), syntax)
        change(ds)
        write(ds, path)

    return build


def _edited(edit: Callable[[bytes], bytes], syntax: UID = ExplicitVRLittleEndian) -> Callable[[Path], object]:
    """A sound file with its bytes changed."""

    def build(path: Path) -> None:
        write(encoded(radiograph(), syntax), path)
        path.write_bytes(edit(path.read_bytes()))

    return build


def _raw(tag: int, vr: str, value: bytes) -> Callable[[Path], object]:
    """A sound object with one element that pydicom would not let through."""
    return _changed(lambda ds: ds.update({tag: _element(tag, vr, value)}))


def _element(tag: int, vr: str, value: bytes) -> RawDataElement:
    return RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)


def _frame(syntax: UID, frame: bytes | Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """A compressed object with another frame in it."""

    def change(ds: Dataset) -> None:
        value = ds.PixelData
        length = struct.unpack_from("<I", value, 4)[0] + 8  # behind the offset table
        old = value[length + 8 : length + 8 + struct.unpack_from("<I", value, length + 4)[0]]
        ds.PixelData = encapsulate([frame(old) if callable(frame) else frame])
        ds["PixelData"].is_undefined_length = True

    return _changed(change, syntax)


def _inserted(element: bytes) -> Callable[[bytes], bytes]:
    """Put raw bytes before the pixel data of an Explicit VR Little Endian file."""
    return lambda data: data.replace(b"\xe0\x7f\x10\x00OW", element + b"\xe0\x7f\x10\x00OW", 1)


def _deflated_bomb(path: Path) -> None:
    write(encoded(radiograph(), DeflatedExplicitVRLittleEndian), path)
    data = path.read_bytes()
    meta_length = 132 + 12 + struct.unpack_from("<I", data, 140)[0]
    deflater = zlib.compressobj(9, wbits=-15)
    zeros = deflater.compress(bytes(2**24)) + deflater.flush(zlib.Z_FULL_FLUSH)  # can be repeated at will
    path.write_bytes(data[:meta_length] + zeros * 96 + deflater.flush())


def _nested(depth: int, *, defined: bool) -> bytes:
    """A sequence in a sequence in a sequence…"""
    tag = b"\x40\x00\x75\x02SQ\x00\x00"  # RequestAttributesSequence
    if not defined:
        undefined = b"\xff\xff\xff\xff"
        opening = tag + undefined + b"\xfe\xff\x00\xe0" + undefined
        return opening * depth + (b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0") * depth
    value = b""
    for _ in range(depth):
        value = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(value)) + value
        value = tag + struct.pack("<I", len(value)) + value
    return value


def _voi(**attributes: object) -> Sequence:
    item = Dataset()
    for keyword, value in attributes.items():
        item.add_new(keyword, "US", value)
    return Sequence([item])


def _png(array: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def _huge_png() -> bytes:
    """A PNG that claims 60,000 × 60,000 pixels in under 100 bytes."""
    data = _png(pixels(8).astype(np.uint8))
    header = b"IHDR" + struct.pack(">II", 60_000, 60_000) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def _trailing(length: int, value: bytes) -> bytes:
    """An element that comes after pixel data, and that claims a length."""
    return b"\xfc\xff\xfc\xffOB\0\0" + struct.pack("<I", length) + value


def _behind(end: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data + end


def _planted_header() -> bytes:
    """A JP2 file whose image is larger than the object says, behind a box that holds a header of the right size."""
    right = imagecodecs.jpeg2k_encode(pixels(), codecformat="j2k")[:200]
    data = imagecodecs.jpeg2k_encode(pixels(rows=200, columns=300), codecformat="jp2")
    at = data.index(b"jp2c") - 4
    return data[:at] + struct.pack(">I", 8 + len(right)) + b"free" + right + data[at:]


def _irreversible(frame: bytes) -> bytes:
    return imagecodecs.jpeg2k_encode(pixels(), level=90, codecformat="j2k", bitspersample=12)


GREY = pixels(8).astype(np.uint8)
NOISE = np.random.default_rng(0).integers(0, 4096, (48, 64)).astype(np.uint16)
EVIL = b"../../../../tmp/evil"

FAULTS: dict[str, Fault] = {
    # Rows 1 and 2: no DICOM
    "empty": Fault("E_NOT_DICOM", _bytes(b"")),
    "random": Fault("E_NOT_DICOM", _bytes(np.random.default_rng(0).bytes(4096))),
    "random-after-prefix": Fault("E_LENGTH", _bytes(bytes(128) + b"DICM" + np.random.default_rng(1).bytes(4096))),
    "png-named-dcm": Fault("E_NOT_DICOM", _bytes(_png(GREY))),
    "text": Fault("E_NOT_DICOM", _bytes(b"\x08\x00\x05\x00 is how many data sets begin, but not this one" * 20)),
    # Rows 3 and 4: cut files
    "truncated-native": Fault("E_TRUNCATED", _edited(lambda data: data[:-1000])),
    "truncated-header": Fault("E_TRUNCATED", _edited(lambda data: data[:700])),
    "truncated-encapsulated": Fault("E_TRUNCATED", _edited(lambda data: data[:-1000], JPEGLSLossless)),
    "truncated-deflated": Fault("E_TRUNCATED", _edited(lambda data: data[:-1000], DeflatedExplicitVRLittleEndian)),
    "no-end-of-sequence": Fault("W_PACKING", _edited(lambda data: data[:-8], JPEG2000Lossless)),
    "no-end-of-sequence-and-none-of-the-frame": Fault("E_TRUNCATED", _edited(lambda data: data[:-8], RLELossless)),
    **{
        f"cut-behind-pixels-{name}-{syntax}": Fault("E_TRUNCATED", _edited(_behind(end), LOSSLESS[syntax]))
        for syntax in ("explicit", "jpeg-ls")
        for name, end in {
            "value": _trailing(1000, b"ABCDEFGHIJ"),
            "zeros": _trailing(1000, bytes(10)),
            "short-value": _trailing(6, b"AB"),
            "no-value": _trailing(6, b""),
            "length": _trailing(6, b"")[:-2],
            "tag": b"\xfc\xff\xfc\xffOB",
        }.items()
    },
    "lossy-under-a-lossless-syntax": Fault("W_LOSSY", _frame(JPEG2000Lossless, _irreversible)),
    # Rows 5 and 6: sizes
    "65535-squared": Fault("E_GEOMETRY", _object(Rows=65535, Columns=65535)),
    "65535-squared-compressed": Fault(
        "E_GEOMETRY", _changed(lambda ds: ds.update({"Rows": 65535, "Columns": 65535}), JPEG2000Lossless)
    ),
    "100000-frames": Fault("E_GEOMETRY", _object(NumberOfFrames=100_000)),
    "other-size-jpeg-2000": Fault(
        "E_GEOMETRY",
        _frame(JPEG2000Lossless, imagecodecs.jpeg2k_encode(pixels(rows=200, columns=300), codecformat="j2k")),
    ),
    "other-size-jpeg-ls": Fault(
        "E_GEOMETRY", _frame(JPEGLSLossless, imagecodecs.jpegls_encode(pixels(rows=200, columns=300)))
    ),
    "other-size-jpeg-lossless": Fault(
        "E_GEOMETRY",
        _frame(JPEGLosslessSV1, imagecodecs.jpeg8_encode(pixels(rows=200), lossless=True, bitspersample=12)),
    ),
    "no-codestream": Fault("E_DECODE", _frame(JPEG2000Lossless, bytes(400) + b"\xff\xd9")),
    "other-size-behind-a-planted-header": Fault("E_GEOMETRY", _frame(JPEG2000Lossless, _planted_header())),
    # Rows 7 to 9: bombs
    "deflate-bomb": Fault("E_BOMB", _deflated_bomb),
    "element-of-4-gb": Fault(
        "E_LENGTH", _edited(_inserted(b"\x19\x00\x10\x10OB\x00\x00" + struct.pack("<I", 2**32 - 2)))
    ),
    "element-of-4-gb-nested": Fault(
        "E_LENGTH",
        _edited(
            _inserted(
                b"\x40\x00\x75\x02SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
                b"\x19\x00\x10\x10OB\x00\x00" + struct.pack("<I", 2**32 - 2)
            )
        ),
    ),
    "nested-5000-deep": Fault("E_DEPTH", _edited(_inserted(_nested(5000, defined=False)))),
    "nested-5000-deep-defined": Fault("E_DEPTH", _edited(_inserted(_nested(5000, defined=True)))),
    "nested-100-deep": Fault("E_DEPTH", _edited(_inserted(_nested(100, defined=False)))),
    # Rows 10 to 14: damaged frames
    "rle-damage": Fault("E_DECODE", _frame(RLELossless, lambda old: old[:64] + b"\x7f" * (len(old) - 64))),
    "rle-no-segments": Fault("E_DECODE", _frame(RLELossless, bytes(400))),
    "jpeg-2000-beyond-bits-stored": Fault(
        "E_RANGE",
        _frame(JPEG2000Lossless, imagecodecs.jpeg2k_encode(NOISE * np.uint16(16), codecformat="j2k")),
    ),
    "jpeg-2000-lossy-far-beyond": Fault(
        "E_RANGE",
        _frame(JPEG2000, imagecodecs.jpeg2k_encode(NOISE * np.uint16(16), level=60, codecformat="j2k")),
    ),
    "jpeg-ls-cut": Fault("E_TRUNCATED", _frame(JPEGLSLossless, lambda old: old[: len(old) // 2])),
    "jpeg-ls-damage": Fault("E_DECODE", _frame(JPEGLSLossless, lambda old: old[:200] + bytes(100) + b"\xff\xd9")),
    "jpeg-2000-cut": Fault("E_TRUNCATED", _frame(JPEG2000Lossless, lambda old: old[: len(old) // 2])),
    "jpeg-extended-overshoot": Fault(
        "W_OVERSHOOT",
        _object(JPEGExtended12Bit, stored=np.where(NOISE % 2, 1023, 0).astype(np.uint16), bits=10),
    ),
    # Rows 15 to 17: headers that contradict themselves
    "bits-stored-17": Fault("E_GEOMETRY", _object(BitsStored=17, HighBit=16)),
    "no-rows": Fault("E_GEOMETRY", _object(Rows=0)),
    "rows-missing": Fault("E_GEOMETRY", _object(Rows=None)),
    "no-pixels": Fault("E_NO_PIXELS", _object(PixelData=None)),
    "high-bits": Fault("W_HIGHBITS", _object(stored=pixels() | np.uint16(0x8000))),
    "high-bit-15-below": Fault("W_HIGHBIT", _object(HighBit=15)),
    "sign-not-extended": Fault("W_SIGN", _object(stored=((pixels() - 2048) & 0xFFF).astype(np.int16))),
    "bits-allocated-8": Fault("E_GEOMETRY", _object(BitsAllocated=8, BitsStored=8, HighBit=7)),
    "undefined-length-native": Fault(
        "E_GEOMETRY",
        _changed(lambda ds: setattr(ds.file_meta, "TransferSyntaxUID", ExplicitVRLittleEndian), JPEGLSLossless),
    ),
    # Rows 18 to 20 and 23: windows
    "window-width-0": Fault("W_WINDOW", _object(WindowWidth=0)),
    "window-width-negative": Fault("W_WINDOW", _object(WindowWidth=-100)),
    "window-center-infinite": Fault("W_WINDOW", _raw(0x00281050, "DS", b"1e400 ")),
    "window-counts-differ": Fault("W_WINDOW", _object(WindowCenter=[100, 200], WindowWidth=300)),
    "window-function-unknown": Fault("W_WINDOW", _object(VOILUTFunction="LOG")),
    "window-not-a-number": Fault("W_WINDOW", _raw(0x00281050, "DS", b"NaN ")),
    "voi-lut-short": Fault("W_WINDOW", _object(VOILUTSequence=_voi(LUTDescriptor=[4096, 0, 16], LUTData=[0, 1, 2]))),
    "voi-lut-empty-item": Fault("W_WINDOW", _object(VOILUTSequence=_voi())),
    "voi-lut-beside-a-window": Fault("W_WINDOW", _object(VOILUTSequence=_voi(), WindowCenter=900, WindowWidth=1500)),
    "voi-lut-black": Fault("W_WINDOW", _object(VOILUTSequence=_voi(LUTDescriptor=[3, 0, 16], LUTData=[0, 0, 0]))),
    "voi-lut-wrong-depth": Fault(
        "W_TABLE", _object(VOILUTSequence=_voi(LUTDescriptor=[3, 0, 8], LUTData=[0, 2000, 4095]))
    ),
    # Rows 21 and 22
    "rescale-slope-0": Fault("E_RESCALE", _object(RescaleSlope="0")),
    "rescale-infinite": Fault("E_RESCALE", _raw(0x00281052, "DS", b"1e400 ")),
    "constant": Fault("E_EMPTY_IMAGE", _object(stored=np.full((48, 64), 700, np.uint16))),
    "all-padding": Fault(
        "E_EMPTY_IMAGE", _changed(lambda ds: (ds.add_new(0x00280120, "US", 0), ds.add_new(0x00280121, "US", 4095)))
    ),
    "padding-impossible": Fault("W_PADDING", _changed(lambda ds: ds.add_new(0x00280120, "US", 60000))),
    # Row 24: no greyscale frame
    "rgb": Fault(
        "E_UNSUPPORTED",
        _object(SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0, PresentationLUTShape=None),
    ),
    "palette": Fault("E_UNSUPPORTED", _object(PhotometricInterpretation="PALETTE COLOR")),
    "colour-in-jpeg": Fault(
        "E_UNSUPPORTED",
        lambda path: write(_with_frame(imagecodecs.jpeg8_encode(np.stack([GREY] * 3, -1))), path),
    ),
    "mpeg4": Fault(
        "E_UNSUPPORTED",
        _changed(lambda ds: setattr(ds.file_meta, "TransferSyntaxUID", UID("1.2.840.10008.1.2.4.102")), JPEGLSLossless),
    ),
    "two-frames-of-ct": Fault(
        "E_UNSUPPORTED",
        _changed(
            lambda ds: ds.update(
                {"NumberOfFrames": 2, "PixelData": ds.PixelData * 2, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2.1"}
            )
        ),
    ),
    "float-pixels": Fault(
        "E_UNSUPPORTED", _edited(lambda data: data.replace(b"\xe0\x7f\x10\x00OW", b"\xe0\x7f\x08\x00OF"))
    ),
    "unknown-syntax": Fault("E_CODEC", _edited(lambda data: data.replace(b".1.2.4.80", b".1.2.4.89"), JPEGLSLossless)),
    # Rows 25 to 29: odd but readable
    "shape-contradicts-photometric": Fault("W_POLARITY", _object(PhotometricInterpretation="MONOCHROME1")),
    "program-in-preamble": Fault("W_PREAMBLE", lambda path: write(radiograph(), path, preamble=b"MZ" + bytes(126))),
    "uid-path": Fault("W_UID", _raw(0x00080018, "UI", EVIL)),
    "uid-nul": Fault("W_UID", _raw(0x00080018, "UI", b"1.2\x003.4")),
    "uid-10-kb": Fault("W_UID", _raw(0x00080018, "UI", b"1." * 5000)),
    "charset-unknown": Fault("W_CHARSET", _raw(0x00080005, "CS", b"ISO_IR 999")),
    "text-beyond-charset": Fault(
        "W_CHARSET",
        lambda path: (
            write(radiograph(SpecificCharacterSet="ISO_IR 192", ManufacturerModelName="ABCD"), path),
            path.write_bytes(path.read_bytes().replace(b"ABCD", b"A\xe9\xffD")),
        ),
    ),
    # Raster images
    "png-cut": Fault("E_RASTER", _bytes(_png(GREY)[:-300]), ".png"),
    "png-huge": Fault("E_GEOMETRY", _bytes(_huge_png()), ".png"),
    "png-colour": Fault("E_RASTER", _bytes(_png(np.stack([GREY, GREY, 255 - GREY], -1))), ".png"),
    "png-constant": Fault("E_EMPTY_IMAGE", _bytes(_png(np.full((20, 20), 7, np.uint8))), ".png"),
    "png-is-text": Fault("E_RASTER", _bytes(b"not an image"), ".png"),
    "png-two-equal-channels": Fault("W_RGB", _bytes(_png(np.stack([GREY] * 3, -1))), ".png"),
    # Row 37: no regular file
    "link": Fault("E_NOT_REGULAR", lambda path: path.symlink_to("/dev/null")),
    "pipe": Fault("E_NOT_REGULAR", lambda path: os.mkfifo(path)),
    "folder": Fault("E_NOT_REGULAR", lambda path: path.mkdir()),
    "link-to-zeros": Fault("E_NOT_REGULAR", lambda path: path.symlink_to("/dev/zero")),
    "missing": Fault("E_READ", lambda path: None),
}


def _with_frame(frame: bytes) -> Dataset:
    ds = encoded(radiograph(bits=8), JPEGBaseline8Bit)
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].is_undefined_length = True
    return ds
