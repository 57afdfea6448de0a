"""The size that a compressed frame claims is the one that its decoder will see, wherever another is planted."""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np
import pytest

from dicoms import pixels
from isotone.imaging.codecs.codestream import FrameSize, jpeg2000_size, jpeg_size

GREY = pixels(8).astype(np.uint8)
REAL = FrameSize(rows=48, columns=64, components=1, precision=8)
J2K = imagecodecs.jpeg2k_encode(GREY, codecformat="j2k")
OTHER_J2K = imagecodecs.jpeg2k_encode(pixels(8, rows=20, columns=30).astype(np.uint8), codecformat="j2k")
SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
JPEG = imagecodecs.jpeg8_encode(GREY)
JPEG_LS = imagecodecs.jpegls_encode(GREY)
SOF = b"\xff\xc0\x00\x0b\x08" + struct.pack(">HH", 20, 30) + b"\x01\x01\x11\x00"


def box(kind: bytes, content: bytes, *, long: bool = False) -> bytes:
    if long:
        return struct.pack(">I4sQ", 1, kind, 16 + len(content)) + content
    return struct.pack(">I4s", 8 + len(content), kind) + content


def jp2(*boxes: bytes) -> bytes:
    return SIGNATURE + box(b"ftyp", b"jp2 \0\0\0\0jp2 ") + b"".join(boxes)


def test_a_codestream_is_found_bare_and_in_its_box():
    assert jpeg2000_size(J2K) == REAL
    assert jpeg2000_size(imagecodecs.jpeg2k_encode(GREY, codecformat="jp2")) == REAL
    assert jpeg2000_size(jp2(box(b"jp2c", J2K, long=True))) == REAL
    assert jpeg2000_size(jp2(struct.pack(">I4s", 0, b"jp2c") + J2K)) == REAL  # to the end of the file


@pytest.mark.parametrize("kind", [b"free", b"uuid", b"jp2h", b"xml "])
@pytest.mark.parametrize("long", [False, True])
def test_a_header_planted_in_another_box_is_not_taken_for_the_image(kind, long):
    assert jpeg2000_size(jp2(box(kind, OTHER_J2K, long=long), box(b"jp2c", J2K))) == REAL


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\0\0" + J2K,
        OTHER_J2K[4:] + J2K,
        jp2(),
        jp2(box(b"free", J2K)),
        jp2(box(b"jp2c", b"\0\0" + J2K)),
        jp2(struct.pack(">I4s", 0, b"free"), box(b"jp2c", J2K)),  # a box to the end of the file is the last
        jp2(struct.pack(">I4s", 7, b"free"), box(b"jp2c", J2K)),
        jp2(struct.pack(">I4sQ", 1, b"free", 3), box(b"jp2c", J2K)),
        jp2(struct.pack(">I4sQ", 1, b"free", 2**64 - 1), box(b"jp2c", J2K)),
        jp2(box(b"jp2c", J2K[:30])),
        box(b"jp2c", J2K),
    ],
)
def test_what_is_neither_a_codestream_nor_a_file_of_boxes_has_no_size(frame):
    with pytest.raises(ValueError, match="codestream"):
        jpeg2000_size(frame)


@pytest.mark.parametrize("frame", [JPEG, JPEG_LS])
def test_a_frame_header_planted_in_another_segment_is_not_taken_for_the_image(frame):
    planted = b"\xff\xfe" + struct.pack(">H", 2 + len(SOF)) + SOF
    assert jpeg_size(frame[:2] + planted + frame[2:]) == REAL


@pytest.mark.parametrize("marker", [b"\xff\x00", b"\xff\x02", b"\xff\xbf", b"\xff\xd9", b"\xff\xd8", b"\xff\xda"])
def test_a_marker_that_decoders_skip_otherwise_ends_the_search(marker):
    # libjpeg looks for the next marker right behind FF00, and so would find the real header within.
    with pytest.raises(ValueError, match="marker"):
        jpeg_size(JPEG[:2] + marker + struct.pack(">H", 2 + len(SOF)) + SOF + JPEG[2:])
