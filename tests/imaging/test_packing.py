"""One image however its file is packed: without preamble, filled up, in odd fragments, in another byte order."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.filewriter import dcmwrite
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from dicoms import LOSSLESS, encoded, pixels, radiograph, write
from harmonizers import deliver_one
from isotone.errors import RadiographError
from isotone.imaging.dicom.read_dicom import read_dicom
from isotone.imaging.dicom.warning_codes import caught_warnings
from isotone.imaging.read import read_header, read_radiograph

DELIMITER = b"\xfe\xff\xdd\xe0" + bytes(4)
PIXELS = b"\xe0\x7f\x10\x00"
MARKED = {"jpeg-lossless-sv1": JPEGLosslessSV1, "jpeg-ls": JPEGLSLossless, "jpeg-2000": JPEG2000Lossless}
FRAMES = {
    "jpeg-lossless-sv1": imagecodecs.jpeg8_encode(pixels(), lossless=True, bitspersample=12),
    "jpeg-ls": imagecodecs.jpegls_encode(pixels()),
    "jpeg-2000": imagecodecs.jpeg2k_encode(pixels(), codecformat="j2k", bitspersample=12),
}


def item(data: bytes) -> bytes:
    return b"\xfe\xff\x00\xe0" + struct.pack("<I", len(data)) + data


def compressed(path: Path, name: str, *fragments: bytes, table: tuple[int, ...] = (), end: bytes = DELIMITER) -> Path:
    """A file with these fragments, whatever the standard says of them."""
    write(encoded(radiograph(), MARKED[name]), path)
    head = path.read_bytes().split(PIXELS + b"OB")[0]
    offsets = b"".join(struct.pack("<I", offset) for offset in table)
    path.write_bytes(head + PIXELS + b"OB\0\0\xff\xff\xff\xff" + b"".join(map(item, (offsets, *fragments))) + end)
    return path


def native(path: Path, excess: bytes, **attributes: object) -> Path:
    """A file whose pixel data are longer than the image."""
    ds = radiograph(**attributes)
    ds.PixelData = ds.PixelData + excess
    return write(ds, path)


def assert_read(path: Path, *codes: str) -> None:
    """The pixels are those of the plain file, and warnings have these codes; the header alone knows them too."""
    image = read_radiograph(path)
    np.testing.assert_array_equal(image.stored, pixels())
    assert image.header.codes == codes
    assert read_header(path) == image.header


@pytest.mark.parametrize("intent", ["FOR PRESENTATION", "FOR PROCESSING"])
@pytest.mark.parametrize("name", ["explicit", "implicit", "big-endian", "deflated", "jpeg-ls"])
def test_a_file_without_preamble_is_read_like_one_with_it(tmp_path, name, intent):
    path = write(encoded(radiograph(intent=intent), LOSSLESS[name]), tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[132:])
    assert_read(path)
    assert read_header(path).intent == intent


@pytest.mark.parametrize("name", ["explicit", "implicit", "big-endian"])
def test_a_bare_data_set_is_read(tmp_path, name):
    path = write(encoded(radiograph(), LOSSLESS[name]), tmp_path / "a.dcm")
    data = path.read_bytes()
    path.write_bytes(data[144 + struct.unpack_from("<I", data, 140)[0] :])
    np.testing.assert_array_equal(read_radiograph(path).stored, pixels())


@pytest.mark.parametrize("name", ["explicit", "implicit"])
def test_a_prefix_without_preamble_and_a_preamble_without_prefix_are_enough(tmp_path, name):
    path = write(encoded(radiograph(), LOSSLESS[name]), tmp_path / "a.dcm")
    data = path.read_bytes()
    for start in (b"DICM", bytes(128)):
        path.write_bytes(start + data[132:])
        assert_read(path)


@pytest.mark.parametrize("wbits", [15, 31], ids=["zlib", "gzip"])
def test_deflated_data_may_have_the_wrapper_that_the_standard_forbids(tmp_path, wbits):
    path = write(encoded(radiograph(), LOSSLESS["deflated"]), tmp_path / "a.dcm")
    data = path.read_bytes()
    meta = 144 + struct.unpack_from("<I", data, 140)[0]
    deflater = zlib.compressobj(wbits=wbits)
    body = zlib.decompress(data[meta:], wbits=-15)
    path.write_bytes(data[:meta] + deflater.compress(body) + deflater.flush())
    assert_read(path)
    path.write_bytes(data[:meta] + body)  # nor need they be deflated
    assert_read(path, "W_HEADER")


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400))
def test_random_bytes_are_no_dicom(tmp_path, data):
    path = tmp_path / "a.dcm"
    path.write_bytes(data)
    with pytest.raises(RadiographError, match="E_NOT_DICOM"):
        read_radiograph(path)


@pytest.mark.parametrize("value", [b"", b"\0\0", b"1.2.840.10008.1.2\0"])
@pytest.mark.parametrize("name", ["explicit", "implicit", "big-endian"])
def test_a_transfer_syntax_that_is_empty_or_wrong_is_that_of_the_data_set(tmp_path, name, value):
    path = write(encoded(radiograph(), LOSSLESS[name]), tmp_path / "a.dcm")
    data = path.read_bytes()
    at = data.index(b"\x02\x00\x10\x00UI") + 6
    old = struct.unpack_from("<H", data, at)[0]
    path.write_bytes(data[:at] + struct.pack("<H", len(value)) + value + data[at + 2 + old :])
    image = read_radiograph(path)
    np.testing.assert_array_equal(image.stored, pixels())
    assert image.header.transfer_syntax == LOSSLESS[name]
    with caught_warnings():
        assert read_dicom(path)[1].file_meta.TransferSyntaxUID == LOSSLESS[name]


@pytest.mark.parametrize("name", ["explicit", "implicit"])
def test_a_byte_order_other_than_the_transfer_syntax_says_is_found_out(tmp_path, name):
    path = write(encoded(radiograph(), LOSSLESS[name]), tmp_path / "a.dcm")
    ds = encoded(radiograph(), LOSSLESS["big-endian"])
    big = write(ds, tmp_path / "b.dcm").read_bytes()
    little = path.read_bytes()
    meta, body = (144 + struct.unpack_from("<I", data, 140)[0] for data in (little, big))
    path.write_bytes(little[:meta] + big[body:])
    image = read_radiograph(path)
    np.testing.assert_array_equal(image.stored, pixels())
    assert "W_HEADER" in image.header.codes


def test_the_length_of_the_file_meta_information_is_not_believed(tmp_path):
    path = write(radiograph(), tmp_path / "a.dcm")
    data = path.read_bytes()
    for length in (0, 4, 2**31):
        path.write_bytes(data[:140] + struct.pack("<I", length) + data[144:])
        assert_read(path)


def test_uids_that_only_the_file_meta_information_has_are_taken_from_there(tmp_path):
    ds = radiograph()
    wanted = str(ds.SOPClassUID), str(ds.SOPInstanceUID)
    del ds.SOPClassUID, ds.SOPInstanceUID
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds.preamble = bytes(128)
        dcmwrite(tmp_path / "a.dcm", ds, enforce_file_format=True)
    image, dataset = read_dicom(tmp_path / "a.dcm")
    assert (dataset.SOPClassUID, dataset.SOPInstanceUID) == wanted
    assert image.header.instance_uid == wanted[1]
    assert image.header.intent == "FOR PRESENTATION"
    assert "W_NO_UID" not in image.header.codes


@pytest.mark.parametrize("fill", [b"\0", b"\xff", b" "])
@pytest.mark.parametrize("name", ["explicit", "implicit", "jpeg-ls"])
@pytest.mark.parametrize("length", [1, 7, 8, 100, 512])
def test_what_fills_a_file_up_behind_its_data_set_is_no_part_of_it(tmp_path, name, length, fill):
    path = write(encoded(radiograph(), LOSSLESS[name]), tmp_path / "a.dcm")
    plain = pydicom.dcmread(path)
    path.write_bytes(path.read_bytes() + fill * length)
    assert_read(path)
    assert read_dicom(path)[1] == plain


@pytest.mark.parametrize("name", ["explicit", "jpeg-ls"])
def test_zeros_behind_elements_that_follow_the_pixels_are_no_part_of_the_data_set(tmp_path, name):
    ds = encoded(radiograph(), LOSSLESS[name])
    ds.add_new(0xFFFCFFFC, "OB", bytes(64))
    path = write(ds, tmp_path / "a.dcm")
    plain = pydicom.dcmread(path)
    path.write_bytes(path.read_bytes() + bytes(512))
    assert_read(path)
    assert read_dicom(path)[1] == plain


@pytest.mark.parametrize("name", ["explicit", "big-endian", "jpeg-ls"])
def test_what_follows_the_pixels_and_can_be_no_element_is_left_out_and_said(tmp_path, name):
    path = write(encoded(radiograph(), LOSSLESS[name]), tmp_path / "a.dcm")
    plain = pydicom.dcmread(path)
    path.write_bytes(path.read_bytes() + b"\r\n--boundary of a web answer--\r\n")
    image, dataset = read_dicom(path)
    np.testing.assert_array_equal(image.stored, pixels())
    assert image.header.codes == ("W_PACKING",)
    assert dataset == plain


@pytest.mark.parametrize("cut", [1, 4, 8, 9, 20, 40])
@pytest.mark.parametrize("undefined", [True, False])
def test_a_file_that_ends_within_a_sequence_behind_the_pixels_is_called_incomplete(tmp_path, cut, undefined):
    ds, inner = radiograph(), pydicom.Dataset()
    inner.PatientComments = "free text" * 9
    block = ds.private_block(0x7FE1, "SOMEBODY", create=True)
    block.add_new(3, "SQ", [inner])
    block[3].is_undefined_length = undefined
    path = write(ds, tmp_path / "a.dcm")
    np.testing.assert_array_equal(read_radiograph(path).stored, pixels())
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(RadiographError, match="E_TRUNCATED"):
        read_radiograph(path)


def test_a_header_behind_the_pixels_is_not_left_unread_in_silence(tmp_path):
    path = write(radiograph(WindowCenter="900"), tmp_path / "a.dcm")
    data = path.read_bytes()
    window, begin = data.index(b"\x28\x00\x50\x10DS"), data.index(PIXELS + b"OW")
    path.write_bytes(data[:window] + data[begin:] + data[window:begin])
    with pytest.raises(RadiographError, match="lie behind them") as refused:
        read_radiograph(path)
    assert "dcmconv" in refused.value.next_step


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "monochrome2", "MONOCHROME1"])
@pytest.mark.parametrize("deliver", ["pixels", "voi-lut"])
def test_what_is_derived_says_its_samples_and_polarity_as_other_programs_want_them(tmp_path, photometric, deliver):
    ds = radiograph(inverted=photometric == "MONOCHROME1", SamplesPerPixel=None)
    ds.PhotometricInterpretation = photometric
    target, outcome = deliver_one(write(ds, tmp_path / "a.dcm"), tmp_path / "out", deliver)
    assert "W_HEADER" in outcome.warnings
    derived = pydicom.dcmread(target)
    assert derived.pixel_array.shape == pixels().shape
    assert derived.PhotometricInterpretation == photometric.upper()


@pytest.mark.parametrize("name", ["explicit", "jpeg-ls"])
@pytest.mark.parametrize("begin", [0, 128, 132])
def test_a_second_object_in_the_same_file_is_not_lost_in_silence(tmp_path, name, begin):
    path = write(encoded(radiograph(), LOSSLESS[name]), tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes() + write(radiograph(seed=1), tmp_path / "b.dcm").read_bytes()[begin:])
    with pytest.raises(RadiographError, match="another DICOM object follows"):
        read_radiograph(path)


@pytest.mark.parametrize("zeros", [8, 9, 14, 512])
@pytest.mark.parametrize("name", ["explicit", "implicit", "jpeg-ls"])
def test_what_follows_zeros_behind_the_pixels_is_left_out_and_said(tmp_path, name, zeros):
    path = write(encoded(radiograph(), LOSSLESS[name]), tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes() + bytes(zeros) + b"something else")
    image = read_radiograph(path)
    np.testing.assert_array_equal(image.stored, pixels())
    assert image.header.codes == ("W_PACKING",)


def test_pixel_data_that_come_twice_are_refused(tmp_path):
    path = write(radiograph(), tmp_path / "a.dcm")
    data = path.read_bytes()
    path.write_bytes(data + data[data.index(PIXELS + b"OW") :])
    with pytest.raises(RadiographError, match="E_UNSUPPORTED"):
        read_radiograph(path)


def test_bytes_behind_deflated_data_are_ignored(tmp_path):
    path = write(encoded(radiograph(), LOSSLESS["deflated"]), tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes() + bytes(513))
    assert_read(path)


@pytest.mark.parametrize("excess", [bytes(2), bytes(510), b"\x07\x01" * 25, b"\xff" * 1000])
def test_native_pixel_data_that_are_a_little_too_long_are_read_and_cut(tmp_path, excess):
    path = native(tmp_path / "a.dcm", excess)
    assert_read(path, "W_PACKING")
    assert read_dicom(path)[1].PixelData == radiograph().PixelData


def test_native_pixel_data_that_may_be_of_another_size_are_refused(tmp_path):
    half, column = 48 * 64, 48 * 2
    for excess in (half, 2 * half, column, 3 * column):
        with pytest.raises(RadiographError, match="E_GEOMETRY"):
            read_header(native(tmp_path / "a.dcm", bytes(excess)))
    with pytest.raises(RadiographError, match="E_GEOMETRY"):
        read_header(native(tmp_path / "a.dcm", bytes(2 * half + 2), NumberOfFrames=2))
    large = np.tile(pixels(), (20, 20))
    with pytest.raises(RadiographError, match="E_GEOMETRY"):
        read_header(native(tmp_path / "a.dcm", bytes(2**16 + 2), stored=large))


@pytest.mark.parametrize("name", MARKED)
@pytest.mark.parametrize("fill", [bytes(40), bytes(4001), b"\xff" * 40, b" " * 40, b"\0\xff" * 20])
def test_what_follows_the_end_of_image_is_ignored(tmp_path, name, fill):
    frame = FRAMES[name] + fill
    assert_read(compressed(tmp_path / "a.dcm", name, frame + b"\0" * (len(frame) % 2)))


@pytest.mark.parametrize("name", MARKED)
def test_a_frame_may_lie_in_many_fragments_whatever_the_offset_table_says(tmp_path, name):
    frame = FRAMES[name] + b"\0" * (len(FRAMES[name]) % 2)
    pieces = [frame[:1000], frame[1000:1500], frame[1500:]]
    for table in ((), (0,)):
        assert_read(compressed(tmp_path / "a.dcm", name, *pieces, table=table))
    for table in ((0, 1008, 1516), (12,), (0, 0), (2**32 - 2,)):
        path = compressed(tmp_path / "a.dcm", name, *pieces, table=table)
        assert_read(path, "W_PACKING")
        assert pydicom.dcmread(path).PixelData != read_dicom(path)[1].PixelData


@pytest.mark.parametrize("name", MARKED)
def test_odd_fragments_are_put_together_without_a_byte_between(tmp_path, name):
    frame = FRAMES[name]
    for pieces in ([frame[:1001], frame[1001:]], [frame + b"\0" * (1 - len(frame) % 2)]):
        path = compressed(tmp_path / "a.dcm", name, *pieces)
        assert_read(path, "W_PACKING")
        write(read_dicom(path)[1], tmp_path / "b.dcm")
        assert_read(tmp_path / "b.dcm")


@pytest.mark.parametrize("name", MARKED)
@pytest.mark.parametrize("end", [b"", bytes(8), bytes(512), DELIMITER[:3]])
def test_without_a_delimiter_the_end_of_image_tells_that_a_frame_is_whole(tmp_path, name, end):
    frame = FRAMES[name] + b"\0" * (len(FRAMES[name]) % 2)
    path = compressed(tmp_path / "a.dcm", name, frame, end=end)
    assert_read(path, "W_PACKING")
    write(read_dicom(path)[1], tmp_path / "b.dcm")
    assert_read(tmp_path / "b.dcm")
    with pytest.raises(RadiographError, match="E_TRUNCATED"):
        read_radiograph(compressed(tmp_path / "a.dcm", name, frame[:2000], end=end))


@pytest.mark.parametrize("name", MARKED)
def test_a_frame_without_its_end_of_image_may_be_cut_and_is_refused(tmp_path, name):
    frame = FRAMES[name][: FRAMES[name].rindex(b"\xff\xd9")]
    with pytest.raises(RadiographError, match="E_TRUNCATED"):
        read_radiograph(compressed(tmp_path / "a.dcm", name, frame + b"\0" * (len(frame) % 2)))


@pytest.mark.parametrize("syntax", [*MARKED.values(), RLELossless])
def test_a_second_frame_that_the_header_does_not_count_is_refused(tmp_path, syntax):
    ds = encoded(radiograph(), syntax)
    fragment = ds.PixelData[8 + struct.unpack_from("<I", ds.PixelData, 4)[0] :]
    ds.PixelData = item(b"") + fragment * 2
    ds["PixelData"].is_undefined_length = True
    with pytest.raises(RadiographError, match=r"2 frames, though NumberOfFrames says 1 \[E_UNSUPPORTED\]"):
        read_header(write(ds, tmp_path / "a.dcm"))
