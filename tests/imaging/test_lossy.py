"""What a frame's own header tells: whether it has lost anything; and the transfer syntaxes since 2023."""

from __future__ import annotations

import zlib

import imagecodecs
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.encaps import encapsulate
from pydicom.uid import UID, HTJ2KLosslessRPCL, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless

from dicoms import LOSSLESS, LOSSY, encoded, pixels, radiograph, write
from harmonizers import CURVE, deliver_one
from isotone.errors import RadiographError
from isotone.imaging.codecs.codestream import FrameSize
from isotone.imaging.codecs.jpegxl import jpegxl_is_lossy, jpegxl_size
from isotone.imaging.codecs.lossy import jpeg2000_is_lossy, jpeg_is_lossy
from isotone.imaging.read import read_header, read_radiograph

GREY, GREY8 = pixels(), pixels(8).astype(np.uint8)
XL_LOSSLESS, XL_JPEG, XL = (UID(f"1.2.840.10008.1.2.4.{n}") for n in (110, 111, 112))
DEFLATED, UNCOMPRESSED = UID("1.2.840.10008.1.2.8.1"), UID("1.2.840.10008.1.2.1.98")


def with_frame(path, syntax: UID, frame: bytes, **attributes: object):
    ds = radiograph(**attributes)
    # pydicom writes no transfer syntax that it does not know, so one of the same length stands in.
    ds.file_meta.TransferSyntaxUID = HTJ2KLosslessRPCL if len(syntax) > 22 else JPEGLSLossless
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    path = write(ds, path)
    old, new = (uid.encode() + b"\0" * (len(uid) % 2) for uid in (ds.file_meta.TransferSyntaxUID, syntax))
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    return path


def deflated(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(data) + deflater.flush()


@pytest.mark.parametrize("name", LOSSLESS)
def test_a_lossless_encoding_is_not_lossy_unless_the_header_says_so(tmp_path, name):
    path = write(encoded(radiograph(), LOSSLESS[name]), tmp_path / "a.dcm")
    assert not read_header(path).lossy
    path = write(encoded(radiograph(LossyImageCompression="01"), LOSSLESS[name]), tmp_path / "a.dcm")
    assert read_header(path).lossy


@pytest.mark.parametrize("name", LOSSY)
def test_a_lossy_encoding_is_lossy_even_if_the_header_denies_it(tmp_path, name):
    ds = encoded(radiograph(bits=8 if name == "jpeg" else 12), LOSSY[name])
    ds.LossyImageCompression = "00"
    header = read_header(write(ds, tmp_path / "a.dcm"))
    assert header.lossy
    assert header.codes == ()


@pytest.mark.parametrize(
    ("syntax", "frame", "bits"),
    [
        (JPEGLosslessSV1, imagecodecs.jpeg8_encode(GREY8, level=95), 8),
        (JPEGLSLossless, imagecodecs.jpegls_encode(GREY, level=2), 12),
        (JPEG2000Lossless, imagecodecs.jpeg2k_encode(GREY, level=90, codecformat="j2k", bitspersample=12), 12),
        (HTJ2KLosslessRPCL, imagecodecs.htj2k_encode(GREY, level=0.001, reversible=False), 12),
        (XL_LOSSLESS, imagecodecs.jpegxl_encode(GREY8, distance=1.0), 8),
    ],
    ids=["jpeg", "jpeg-ls", "jpeg-2000", "htj2k", "jpeg-xl"],
)
def test_a_lossy_frame_under_a_lossless_transfer_syntax_is_lossy_and_said(tmp_path, syntax, frame, bits):
    path = with_frame(tmp_path / "a.dcm", syntax, frame, bits=bits)
    header = read_header(path)
    assert (header.lossy, header.codes) == (True, ("W_LOSSY",))


@pytest.mark.parametrize("deliver", ["pixels", "voi-lut"])
@pytest.mark.parametrize(
    ("syntax", "frame", "bits", "method"),
    [
        (JPEGLosslessSV1, imagecodecs.jpeg8_encode(GREY8, level=95), 8, "ISO_10918_1"),
        (JPEGLSLossless, imagecodecs.jpegls_encode(GREY, level=2), 12, "ISO_14495_1"),
        (JPEG2000Lossless, imagecodecs.jpeg2k_encode(GREY, level=90, codecformat="j2k"), 12, "ISO_15444_1"),
        (JPEGLSLossless, imagecodecs.jpegls_encode(GREY), 12, None),
    ],
    ids=["jpeg", "jpeg-ls", "jpeg-2000", "lossless"],
)
def test_what_is_derived_from_a_lossy_frame_says_so(tmp_path, deliver, syntax, frame, bits, method):
    path = with_frame(tmp_path / "a.dcm", syntax, frame, bits=bits)
    made = pydicom.dcmread(deliver_one(path, tmp_path / "out", deliver)[0])
    assert made.LossyImageCompression == ("01" if method else "00")
    assert made.get("LossyImageCompressionMethod") == method


def test_a_frame_newer_than_pydicom_is_delivered_as_pixels_and_as_voi_lut(tmp_path):
    path = with_frame(tmp_path / "a.dcm", XL_LOSSLESS, imagecodecs.jpegxl_encode(GREY, lossless=True))
    made, _ = deliver_one(path, tmp_path / "pixels")
    expected = CURVE(GREY / 4095)
    np.testing.assert_allclose(read_radiograph(made).pixels, expected, atol=2e-5)
    made, _ = deliver_one(path, tmp_path / "voi-lut", "voi-lut")
    np.testing.assert_array_equal(read_radiograph(made).stored, GREY)


def test_the_point_transform_of_jpeg_lossless_loses_bits():
    frame = imagecodecs.jpeg8_encode(GREY, lossless=True, bitspersample=12)
    scan = frame.index(b"\xff\xda")
    assert not jpeg_is_lossy(frame)
    assert jpeg_is_lossy(frame[: scan + 9] + b"\x02" + frame[scan + 10 :])


@given(st.binary(max_size=100))
def test_damaged_headers_tell_nothing(data):
    for look in (jpeg_is_lossy, jpeg2000_is_lossy, jpegxl_is_lossy):
        for start in (b"", b"\xff\xd8", b"\xff\x4f\xff\x51", b"\xff\x0a"):
            assert look(start + data) in (False, True)


@pytest.mark.parametrize("syntax", [XL_LOSSLESS, XL])
@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("container", [False, True])
def test_jpeg_xl_is_read(tmp_path, syntax, bits, container):
    stored = pixels(bits).astype(np.uint8 if bits == 8 else np.uint16)
    frame = imagecodecs.jpegxl_encode(stored, lossless=True, bitspersample=bits, usecontainer=container)
    image = read_radiograph(with_frame(tmp_path / "a.dcm", syntax, frame, bits=bits))
    np.testing.assert_array_equal(image.stored, stored)
    assert (image.header.lossy, image.header.codes) == (False, ())


def test_lossy_jpeg_xl_comes_near_and_is_lossy(tmp_path):
    frame = imagecodecs.jpegxl_encode(GREY8, distance=0.5)
    for syntax in (XL_JPEG, XL):
        image = read_radiograph(with_frame(tmp_path / "a.dcm", syntax, frame, bits=8))
        assert image.header.lossy
        assert np.abs(image.stored.astype(int) - GREY8).mean() < 3


@pytest.mark.parametrize("shape", [(8, 8), (40, 64), (48, 64), (513, 9), (256, 2000), (300, 400), (160, 90)])
@pytest.mark.parametrize("container", [False, True])
def test_the_size_of_a_jpeg_xl_frame_is_found(shape, container):
    frame = imagecodecs.jpegxl_encode(np.zeros(shape, np.uint16), lossless=True, usecontainer=container)
    assert jpegxl_size(frame) == FrameSize(*shape, 1, 0)


def test_a_jpeg_xl_frame_of_another_size_cut_or_in_colour_is_refused(tmp_path):
    other = imagecodecs.jpegxl_encode(pixels(rows=200), lossless=True)
    whole = imagecodecs.jpegxl_encode(GREY, lossless=True)
    colour = imagecodecs.jpegxl_encode(np.stack([GREY8] * 3, -1), lossless=True)
    for frame, code in (
        (other, "E_GEOMETRY"),
        (whole[:-200], "E_DECODE"),
        (b"no frame", "E_DECODE"),
        (colour, "E_DECODE"),
    ):
        with pytest.raises(RadiographError, match=code):
            read_radiograph(with_frame(tmp_path / "a.dcm", XL_LOSSLESS, frame))


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("shape", [(48, 64), (33, 35)])
def test_deflated_and_encapsulated_uncompressed_frames_are_read(tmp_path, bits, shape):
    stored = pixels(bits, rows=shape[0], columns=shape[1])
    data = stored.astype(np.uint8 if bits == 8 else "<u2").tobytes()
    for syntax, frame in ((DEFLATED, deflated(data)), (UNCOMPRESSED, data)):
        image = read_radiograph(with_frame(tmp_path / "a.dcm", syntax, frame, stored=stored, bits=bits))
        np.testing.assert_array_equal(image.stored, stored)
        assert (image.header.lossy, image.header.codes) == (False, ())


@pytest.mark.parametrize(
    "frame", [deflated(bytes(2**20)), deflated(bytes(100)), deflated(GREY.tobytes())[:-9], b"\7" * 99]
)
def test_a_deflated_frame_of_another_length_or_damaged_is_refused(tmp_path, frame):
    with pytest.raises(RadiographError, match="E_DECODE"):
        read_radiograph(with_frame(tmp_path / "a.dcm", DEFLATED, frame))


@pytest.mark.parametrize("number", ["4.92", "4.94", "4.204", "4.60", "7.1", "4.999"])
def test_what_has_no_decoder_is_refused_with_advice_that_works_for_all(tmp_path, number):
    path = with_frame(tmp_path / "a.dcm", UID(f"1.2.840.10008.1.2.{number}"), b"\xff\xd8 and more")
    with pytest.raises(RadiographError, match=r"Explicit VR Little Endian|single-frame") as caught:
        read_header(path)
    assert caught.value.code in ("E_CODEC", "E_UNSUPPORTED")
