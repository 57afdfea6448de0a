"""What is written is read back before it counts as done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGLSLossless, RLELossless

from dicoms import LOSSLESS, encoded, pixels, radiograph, write
from harmonizers import deliver_one, scanner_harmonizer
from isotone._runtime.files import TEMPORARY
from isotone.data.manifests.manifest import Manifest
from isotone.deployment.apply import apply
from isotone.deployment.dicom_objects.read_back import confirm_copy, confirm_png
from isotone.deployment.restore import Task, restore_file
from isotone.errors import IsotoneError
from isotone.imaging.read import read_radiograph

WAYS = [(syntax, deliver) for syntax in ("explicit", "big-endian", "jpeg-ls") for deliver in ("pixels", "voi-lut")]


def damage(monkeypatch, at: float, change=lambda byte: byte ^ 1) -> None:
    """Let the disk spoil one byte of every file, `at` of its length, before it is read back."""
    for name in ("confirm_dicom", "confirm_copy"):
        module = __import__("isotone.deployment.dicom_objects.write", fromlist=[name])
        confirm = getattr(module, name)

        def spoilt(path: Path, *rest: object, confirm=confirm) -> None:
            data = bytearray(path.read_bytes())
            place = min(int(at * len(data)), len(data) - 1)
            data[place] = change(data[place])
            path.write_bytes(data)
            confirm(path, *rest)

        monkeypatch.setattr(module, name, spoilt)


@pytest.mark.parametrize(("syntax", "deliver"), WAYS)
@pytest.mark.parametrize("at", [0.02, 0.6, 0.98], ids=["header", "pixels", "later"])
def test_one_changed_byte_anywhere_refuses_the_image_and_leaves_no_file(tmp_path, monkeypatch, syntax, deliver, at):
    source = write(encoded(radiograph(pixels(rows=300, columns=200)), LOSSLESS[syntax]), tmp_path / "source.dcm")
    damage(monkeypatch, at)
    with pytest.raises(IsotoneError) as refusal:
        deliver_one(source, tmp_path / "out", deliver)
    assert refusal.value.code == "E_WRITTEN"
    assert not [*(tmp_path / "out").glob("*.dcm")]
    assert not [*(tmp_path / "out").glob(f"{TEMPORARY}*")]


def test_a_file_that_ends_early_or_goes_on_behind_its_end_is_refused(tmp_path, monkeypatch):
    module = __import__("isotone.deployment.dicom_objects.write", fromlist=["confirm_dicom"])
    confirm, source = module.confirm_dicom, write(radiograph(), tmp_path / "source.dcm")
    for change in (lambda data: data[:-2], lambda data: data[:200], lambda data: b"", lambda data: data + bytes(8)):

        def spoilt(path: Path, *rest: object, change=change) -> None:
            path.write_bytes(change(path.read_bytes()))
            confirm(path, *rest)

        monkeypatch.setattr(module, "confirm_dicom", spoilt)
        with pytest.raises(IsotoneError, match="E_WRITTEN"):
            deliver_one(source, tmp_path / "out")


@pytest.mark.parametrize("deliver", ["pixels", "gsps"])
def test_the_run_counts_what_does_not_read_back_as_refused_and_does_it_again(tmp_path, monkeypatch, deliver):
    write(radiograph(), tmp_path / "source.dcm")
    manifest = Manifest.from_paths([tmp_path / "source.dcm"])
    harmonizer = scanner_harmonizer(*manifest.domains)
    with monkeypatch.context() as patch:
        # Of a state the end is the table of its last image.
        damage(patch, 0.5 if deliver == "pixels" else 0.9)
        report = apply(harmonizer, manifest, tmp_path / "out", deliver=deliver, workers=0, quiet=True)
    assert [error.code for error in report.refused] == ["E_WRITTEN"]
    assert report.harmonized == 0
    again = apply(harmonizer, manifest, tmp_path / "out", deliver=deliver, workers=0, quiet=True)
    assert (again.harmonized, again.refused) == (1, [])


def test_a_restored_image_is_read_back_too(tmp_path, monkeypatch):
    path, _ = deliver_one(write(radiograph(), tmp_path / "source.dcm"), tmp_path / "out")
    damage(monkeypatch, 0.6)
    with pytest.raises(IsotoneError, match="E_WRITTEN"):
        restore_file(Task(path, tmp_path / "back.dcm"))
    assert not (tmp_path / "back.dcm").exists()


def test_a_png_or_a_copy_that_differs_is_refused(tmp_path):
    Image.fromarray(pixels()).save(tmp_path / "a.png")
    confirm_png(tmp_path / "a.png", pixels())
    for wrong in (pixels() + np.uint16(1), pixels().astype(np.int32), pixels()[1:]):
        with pytest.raises(IsotoneError, match="E_WRITTEN"):
            confirm_png(tmp_path / "a.png", wrong)
    (tmp_path / "a").write_bytes(bytes(300_000))
    with (tmp_path / "a").open("rb") as source:
        for wrong in (bytes(299_999), bytes(300_001), bytes(299_999) + b"\1"):
            (tmp_path / "b").write_bytes(wrong)
            with pytest.raises(IsotoneError, match="E_WRITTEN"):
                confirm_copy(tmp_path / "b", source)
        (tmp_path / "b").write_bytes(bytes(300_000))
        confirm_copy(tmp_path / "b", source)


def item(data: bytes) -> bytes:
    return b"\xfe\xff\x00\xe0" + len(data).to_bytes(4, "little") + data


def frame(syntax: str = "jpeg-ls") -> bytes:
    """A compressed frame of odd length."""
    value = encoded(radiograph(), LOSSLESS[syntax]).PixelData
    data = value[value.index(item(b"")[:4], 8) + 8 :].rstrip(b"\0")
    return data if len(data) % 2 else data + b"\0"


THIRD = len(frame()) // 3 // 2 * 2
BENT = {
    "odd": [b"", frame()],
    "odd-first": [b"", frame()[: THIRD + 1], frame()[THIRD + 1 :] + bytes(1 - len(frame()[THIRD + 1 :]) % 2)],
    "table-of-fragments": [
        np.array([0, THIRD + 8], "<u4").tobytes(),
        frame()[:THIRD],
        frame()[THIRD:] + b"\0",
    ],
    "table-from-elsewhere": [np.array([12], "<u4").tobytes(), frame() + b"\0"],
}


def bent(items: list[bytes], tail: bytes = b"", syntax: UID = JPEGLSLossless, **attributes: bytes) -> bytes:
    """A file whose pixel data are these items, the offset table first."""
    ds = radiograph(modality="CR")
    ds.file_meta.TransferSyntaxUID = syntax
    for keyword, value in attributes.items():
        ds.add_new(keyword, "OV", value)
    del ds.PixelData
    stream = pydicom.filebase.DicomBytesIO()
    ds.preamble = bytes(128)
    pydicom.dcmwrite(stream, ds, enforce_file_format=True)
    value = b"".join(map(item, items)) + b"\xfe\xff\xdd\xe0" + bytes(4)
    return stream.getvalue() + b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + value + tail


def conformant(path: Path) -> None:
    """By PS3.5 A.4: an offset table that is empty or says 0, even fragments, a delimiter, nothing behind it."""
    data = path.read_bytes()
    at, items = data.rindex(b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff") + 12, []
    while data[at : at + 4] == b"\xfe\xff\x00\xe0":
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        assert length % 2 == 0
        items.append(data[at + 8 : at + 8 + length])
        at += 8 + length
    assert data[at:] == b"\xfe\xff\xdd\xe0" + bytes(4)
    assert items[0] in (b"", bytes(4))
    assert len(items) > 1


@pytest.mark.parametrize("kind", BENT)
def test_a_copy_of_a_bent_encapsulation_is_by_the_standard_and_comes_back(tmp_path, kind):
    source = tmp_path / "source.dcm"
    source.write_bytes(bent(BENT[kind]))
    before = read_radiograph(source)
    path, _ = deliver_one(source, tmp_path / "out", "voi-lut")
    conformant(path)
    np.testing.assert_array_equal(read_radiograph(path).stored, before.stored)
    assert not restore_file(Task(path, tmp_path / "back.dcm")).shortfall
    conformant(tmp_path / "back.dcm")
    np.testing.assert_array_equal(read_radiograph(tmp_path / "back.dcm").stored, before.stored)


@pytest.mark.parametrize("right", [True, False])
def test_an_extended_offset_table_stays_where_it_is_right_and_goes_where_it_is_wrong(tmp_path, right):
    whole = frame() + b"\0"
    length = (len(whole) + (0 if right else 2)).to_bytes(8, "little")
    source = tmp_path / "source.dcm"
    source.write_bytes(bent([b"", whole], ExtendedOffsetTable=bytes(8), ExtendedOffsetTableLengths=length))
    path, _ = deliver_one(source, tmp_path / "out", "voi-lut")
    assert ("ExtendedOffsetTable" in pydicom.dcmread(path)) == right
    conformant(path)


def test_what_fills_up_a_file_stays_behind(tmp_path):
    padding = b"\xfc\xff\xfc\xffOB\0\0" + (64).to_bytes(4, "little") + bytes(64)
    source = tmp_path / "source.dcm"
    source.write_bytes(bent([b"", frame() + b"\0"], tail=padding))
    path, _ = deliver_one(source, tmp_path / "out", "voi-lut")
    assert 0xFFFCFFFC not in pydicom.dcmread(path)
    conformant(path)


def test_an_rle_frame_in_two_fragments_becomes_one(tmp_path):
    whole = frame("rle")
    source = tmp_path / "source.dcm"
    source.write_bytes(bent([b"", whole[:1000], whole[1000:] + bytes(len(whole) % 2)], syntax=RLELossless))
    path, _ = deliver_one(source, tmp_path / "out", "voi-lut")
    conformant(path)
    assert pydicom.dcmread(path).PixelData == encapsulate([whole])


def test_a_native_copy_is_in_explicit_vr_with_the_same_bytes(tmp_path):
    for bits in (8, 12):
        source = write(encoded(radiograph(bits=bits), LOSSLESS["implicit"]), tmp_path / "source.dcm")
        path, _ = deliver_one(source, tmp_path / f"{bits}", "voi-lut")
        after = pydicom.dcmread(path)
        assert after.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert after["PixelData"].VR == "OW"
        assert after.PixelData == pydicom.dcmread(source).PixelData
