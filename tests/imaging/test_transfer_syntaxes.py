"""Pixel data that are something else than their transfer syntax says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from dicoms import LOSSLESS, LOSSY, encoded, pixels, radiograph, write
from harmonizers import deliver_one
from isotone.deployment.restore import Task, restore_file
from isotone.errors import RadiographError
from isotone.imaging.read import read_header, read_radiograph

SHOWN = {name: (LOSSLESS | LOSSY)[name] for name in ("jpeg-ls", "jpeg-ls-near", "jpeg-2000", "jpeg-2000-lossy")}
SHOWN |= {name: (LOSSLESS | LOSSY)[name] for name in ("htj2k", "htj2k-lossy", "jpeg-extended")}
SHOWN |= {"jpeg-lossless": JPEGLossless, "jpeg-lossless-sv1": JPEGLossless}
"""Frames that tell what they are, and the transfer syntax that they tell."""


def stating(ds: Dataset, stated: UID, path: Path) -> Path:
    """A file that states this transfer syntax, and is encoded in its own."""
    own = ds.file_meta.TransferSyntaxUID
    data = write(ds, path).read_bytes()
    value = data.index(own.encode()), len(own) + len(own) % 2
    other = stated.encode() + b"\0" * (len(stated) % 2)
    head, tail = data[: value[0] - 2], data[sum(value) :]
    path.write_bytes(head + len(other).to_bytes(2, "little") + other + tail)
    return path


def assert_same(path: Path, right: Path, found: UID) -> None:
    image = read_radiograph(path)
    np.testing.assert_array_equal(image.stored, read_radiograph(right).stored)
    assert "W_HEADER" in image.header.codes
    assert image.header.transfer_syntax == read_header(path).transfer_syntax == found


@pytest.mark.parametrize("stated", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless])
@pytest.mark.parametrize("name", SHOWN)
def test_a_frame_that_tells_what_it_is_is_read_whatever_the_transfer_syntax(tmp_path, name, stated):
    ds = encoded(radiograph(), (LOSSLESS | LOSSY)[name])
    right = write(ds, tmp_path / "right.dcm")
    assert_same(stating(ds, stated, tmp_path / "a.dcm"), right, SHOWN[name])


@pytest.mark.parametrize("stated", [JPEGLSLossless, JPEG2000Lossless, JPEGLosslessSV1, RLELossless, JPEGBaseline8Bit])
@pytest.mark.parametrize("own", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_native_pixel_data_are_read_under_a_compressed_transfer_syntax(tmp_path, own, stated):
    ds = encoded(radiograph(), own)
    right = write(ds, tmp_path / "right.dcm")
    found = ExplicitVRLittleEndian if own == DeflatedExplicitVRLittleEndian else own
    assert_same(stating(ds, stated, tmp_path / "a.dcm"), right, found)


@pytest.mark.parametrize("stated", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_deflated_data_set_is_read_under_a_plain_transfer_syntax(tmp_path, stated):
    ds = encoded(radiograph(), DeflatedExplicitVRLittleEndian)
    right = write(ds, tmp_path / "right.dcm")
    assert_same(stating(ds, stated, tmp_path / "a.dcm"), right, stated)


@pytest.mark.parametrize("name", ["jpeg-lossless", "implicit"])
@pytest.mark.parametrize("deliver", ["pixels", "voi-lut"])
def test_what_is_derived_of_it_states_the_right_transfer_syntax_and_is_restored(tmp_path, name, deliver):
    ds = encoded(radiograph(), LOSSLESS[name])
    path = stating(ds, JPEGLSLossless if name == "implicit" else ExplicitVRLittleEndian, tmp_path / "a.dcm")
    target, outcome = deliver_one(path, tmp_path / "out", deliver)
    assert outcome.status == "harmonized"
    derived = pydicom.dcmread(target)
    assert derived["PixelData"].is_undefined_length == derived.file_meta.TransferSyntaxUID.is_compressed
    restore_file(Task(target, tmp_path / "back.dcm"))
    np.testing.assert_array_equal(read_radiograph(tmp_path / "back.dcm").stored, pixels())
    assert "W_HEADER" not in read_header(tmp_path / "back.dcm").codes


@pytest.mark.parametrize("name", ["rle", "encapsulated", "raw"])
def test_pixel_data_that_do_not_tell_what_they_are_are_refused_with_advice(tmp_path, name):
    ds, stated = radiograph(), ExplicitVRLittleEndian
    if name == "rle":
        ds = encoded(ds, RLELossless)
    elif name == "encapsulated":
        value = pydicom.encaps.encapsulate([ds.PixelData])
        ds = encoded(ds, JPEGLSLossless)
        ds["PixelData"]._value = value
    else:  # a frame that was not encapsulated
        frame = next(pydicom.encaps.generate_frames(encoded(ds, JPEGLSLossless).PixelData, number_of_frames=1))
        ds["PixelData"], stated = DataElement(0x7FE00010, "OB", frame), JPEGLSLossless
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = stating(ds, stated, tmp_path / "a.dcm")
    for read in (read_header, read_radiograph):
        with pytest.raises(RadiographError, match="not what the transfer syntax says") as refused:
            read(path)
        assert refused.value.code == "E_CODEC"
        assert "TransferSyntaxUID" in refused.value.next_step


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("name", ["jpeg", "jpeg-lossless", "jpeg-ls", "jpeg-2000"])
def test_a_frame_of_8_bits_in_an_image_of_more_is_read_as_it_is_and_said(tmp_path, name, bits):
    ds = encoded(radiograph(bits=8), (LOSSLESS | LOSSY)[name])
    right = read_radiograph(write(ds, tmp_path / "right.dcm")).stored
    if bits > 8:
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, bits, bits - 1
    path = write(ds, tmp_path / "a.dcm")
    np.testing.assert_array_equal(read_radiograph(path).stored, right)
    assert read_header(path).codes == (("W_PRECISION",) if bits > 8 else ())
