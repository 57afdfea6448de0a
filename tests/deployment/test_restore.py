"""The way back: records, undoing, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit, JPEGExtended12Bit

from dicoms import LOSSLESS, encoded, pixels, radiograph, write
from harmonizers import CURVE, deliver_one
from isotone.deployment.record import Record
from isotone.deployment.restore import Backwards, Task, restore, restore_file
from isotone.errors import IsotoneError
from isotone.imaging.own_files import CREATOR, GROUP
from isotone.imaging.read import read_radiograph


def test_restore_refuses_what_isotone_did_not_deliver_or_what_was_tampered_with(tmp_path):
    foreign = write(radiograph(), tmp_path / "foreign.dcm")
    Image.fromarray(pixels(8).astype(np.uint8)).save(tmp_path / "foreign.png")
    path, _ = deliver_one(foreign, tmp_path / "out")
    files = [foreign, tmp_path / "foreign.png"]
    for number, change in enumerate((lambda b: b | {"schema": 99}, lambda b: b | {"table": "AAAA"}, lambda b: {})):
        ds = pydicom.dcmread(path)
        block = ds.private_block(GROUP, CREATOR)
        block[0x01].value = json.dumps(change(json.loads(block[0x01].value)))
        files.append(write(ds, tmp_path / f"tampered-{number}.dcm"))
    report = restore(files, tmp_path / "back", workers=0, quiet=True)
    assert [error.code for error in report.refused] == ["E_RESTORE"] * 5
    assert report.summary() == "0 restored exactly, 0 in part, 0 copied, 5 refused"


def test_restore_mirrors_the_tree_and_says_how_many_pixels_it_could_not_bring_back(tmp_path):
    for name, bits in (("a/fine.dcm", 12), ("b/c/coarse.dcm", 16)):
        source = tmp_path / "source" / name
        source.parent.mkdir(parents=True)
        write(radiograph(bits=bits), source)
        deliver_one(source, tmp_path / "out" / Path(name).parent)
    report = restore([tmp_path / "out"], tmp_path / "back", workers=0, quiet=True)
    assert report.restored == 2
    assert [path.name for path in report.inexact] == ["coarse.dcm"]
    assert report.summary().endswith("1 restored exactly, 1 in part, 0 copied, 0 refused")
    for name in ("a/fine.dcm", "b/c/coarse.dcm"):
        wrong = read_radiograph(tmp_path / "back" / name).stored != read_radiograph(tmp_path / "source" / name).stored
        said = report.inexact.get(tmp_path / "out" / name, "0 pixels")
        assert wrong.sum() <= int(said.split()[0])


def undone(delivered: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, int]:
    backwards = Backwards.of(table)
    return backwards.origin[delivered], backwards.lost(delivered)


@pytest.mark.slow
@given(st.lists(st.integers(0, 65535), min_size=2, max_size=300), st.data())
def test_undo_finds_the_one_origin_of_every_value_that_has_one(values, data):
    table = np.array(values, np.uint16)
    stored = np.array(data.draw(st.lists(st.integers(0, len(values) - 1), min_size=1)))
    back, lost = undone(table[stored], table)
    ambiguous = np.array([values.count(values[i]) > 1 for i in stored])
    np.testing.assert_array_equal(back[~ambiguous], stored[~ambiguous])
    np.testing.assert_array_equal(table[back], table[stored])
    assert lost == ambiguous.sum()


def test_undo_takes_the_nearest_origin_of_a_value_that_a_lossy_archive_changed():
    table = np.array([0, 100, 200], np.uint16)
    back, lost = undone(np.array([0, 90, 120, 65535], np.uint16), table)
    assert back.tolist() == [0, 1, 1, 2]
    assert lost == 3


@given(st.integers(1, 2**12), st.integers(0, 2**32 - 1))
def test_a_record_survives_json(entries, seed):
    table = np.random.default_rng(seed).integers(0, 2**16, entries).astype(np.uint16)
    record = Record(CURVE, "name", "0" * 64, "pixels", table)
    again = Record.from_json(record.to_json())
    np.testing.assert_array_equal(again.table, table)
    assert (again.curve, again.harmonizer, again.digest, again.deliver) == (CURVE, "name", "0" * 64, "pixels")


@given(st.text(max_size=300))
def test_no_text_breaks_the_reader_of_records(text):
    with pytest.raises(IsotoneError):
        Record.from_json(text)


def converted(path: Path, *syntaxes: str) -> Path:
    """The file through other transfer syntaxes, as programs write it that know no private element."""
    for syntax in syntaxes:
        ds = pydicom.dcmread(path)
        ds.file_meta.TransferSyntaxUID = syntax
        pydicom.dcmwrite(path, ds, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)
    return path


SIGNED = (pixels(12).astype(np.int32) - 2048).astype(np.int16)


@pytest.mark.parametrize("deliver", ["pixels", "voi-lut"])
@pytest.mark.parametrize("back", [(), (ExplicitVRLittleEndian,)], ids=["implicit", "and-back"])
@pytest.mark.parametrize("kind", ["unsigned", "signed"])
def test_an_archive_that_stores_with_implicit_vr_does_not_prevent_restoring(tmp_path, deliver, back, kind):
    ds = radiograph() if kind == "unsigned" else radiograph(SIGNED, modality="CR")
    table = Dataset()
    first = 0 if kind == "unsigned" else -2048
    table.add_new("LUTDescriptor", "SS" if first else "US", [2, first, 16])
    table.add_new("LUTData", "OW", bytes(4))
    ds.VOILUTSequence = [table]
    ds.add_new("SmallestImagePixelValue", "SS" if first else "US", first)
    source = write(ds, tmp_path / "source.dcm")
    path = converted(deliver_one(source, tmp_path / "out", deliver)[0], ImplicitVRLittleEndian, *back)
    if back:
        assert pydicom.dcmread(path).private_block(GROUP, CREATOR)[0x02].VR == "UN"
    assert not restore_file(Task(path, tmp_path / "back.dcm")).shortfall
    again, before = pydicom.dcmread(tmp_path / "back.dcm"), pydicom.dcmread(source)
    assert {e.tag for e in again} == {e.tag for e in before}
    assert again.SOPInstanceUID == before.SOPInstanceUID
    np.testing.assert_array_equal(again.pixel_array, before.pixel_array)
    assert again.VOILUTSequence[0].LUTDescriptor[1] in (first, first % 2**16)
    assert (again["SmallestImagePixelValue"].VR, again.SmallestImagePixelValue) == ("SS" if first else "US", first)


@pytest.mark.parametrize("element", [0x01, 0x02, 0x03])
@pytest.mark.parametrize("value", [b"", b"\0", b"\xfe\xff\x00\xe0\xff\xff\xff\x7f", b"\xff" * 30, bytes(4000)])
def test_a_private_block_of_nonsense_bytes_is_a_damaged_record(tmp_path, element, value):
    path, _ = deliver_one(write(radiograph(), tmp_path / "source.dcm"), tmp_path / "out")
    ds = pydicom.dcmread(path)
    block = ds.private_block(GROUP, CREATOR)
    del block[element]
    block.add_new(element, "UN", value)
    bad = write(ds, tmp_path / "bad.dcm")
    report = restore([bad], tmp_path / "back", workers=0, quiet=True)
    refusals = [error.code for error in report.refused]
    assert refusals == ["E_RESTORE"] or (element == 0x03 and not refusals)  # some are tags, or none


def below(stored: np.ndarray) -> Dataset:
    return radiograph((stored << np.uint16(4)) | np.uint16(5), modality="CR", HighBit=15)


def overshooting() -> Dataset:
    noise = np.random.default_rng(0).integers(0, 2, (48, 64)).astype(np.uint16)
    return encoded(radiograph(noise * np.uint16(1023), bits=10, modality="CR"), JPEGExtended12Bit)


def unsaid() -> Dataset:
    ds = encoded(radiograph(bits=8, modality="CR"), JPEGBaseline8Bit)
    del ds.LossyImageCompressionRatio, ds.LossyImageCompressionMethod
    ds.LossyImageCompression = "00"
    return ds


INEXACT = {
    "above": (lambda: radiograph(pixels() | np.uint16(0x8000)), "bits outside BitsStored are gone"),
    "below": (lambda: below(pixels()), "bits outside BitsStored are gone"),
    "overshoot": (overshooting, "values beyond BitsStored were clipped"),
    "lossy": (unsaid, "that it was compressed with loss is said now"),
}


@pytest.mark.parametrize("kind", INEXACT)
def test_what_is_not_the_source_again_is_a_new_object_and_counted_as_such(tmp_path, kind):
    build, why = INEXACT[kind]
    source = write(build(), tmp_path / "source.dcm")
    path, _ = deliver_one(source, tmp_path / "out")
    report = restore([path], tmp_path / "back", workers=0, quiet=True)
    assert report.summary() == f"{path}: {why}\n0 restored exactly, 1 in part, 0 copied, 0 refused"
    before, after = pydicom.dcmread(source), pydicom.dcmread(tmp_path / "back" / "source.dcm")
    assert after.SOPInstanceUID != before.SOPInstanceUID
    assert after.SeriesInstanceUID != before.SeriesInstanceUID
    assert after.ImageType[0] == "DERIVED"
    assert why in after.DerivationDescription
    lossy = before.file_meta.TransferSyntaxUID.is_encapsulated
    assert after.LossyImageCompression == ("01" if lossy else before.LossyImageCompression)
    again = restore([path], tmp_path / "back", workers=0, quiet=True)  # resumed, from the journal
    assert again.summary() == report.summary()


def test_overlays_in_empty_bits_thumbnails_and_signatures_come_back(tmp_path):
    ds = radiograph(modality="CR")
    for number, vr, value in ((0x10, "US", 48), (0x11, "US", 64), (0x100, "US", 16), (0x102, "US", 12)):
        ds.add_new(0x60000000 + number, vr, value)
    icon = Dataset()
    icon.Rows = icon.Columns = 2
    icon.BitsAllocated, icon.PixelData = 8, b"\0\1\2\3"
    ds.IconImageSequence = [icon]
    ds.DigitalSignaturesSequence = [Dataset()]
    source = write(ds, tmp_path / "source.dcm")
    path, _ = deliver_one(source, tmp_path / "out")
    assert 0x60000102 not in pydicom.dcmread(path)
    assert not restore_file(Task(path, tmp_path / "back.dcm")).shortfall
    assert pydicom.dcmread(tmp_path / "back.dcm") == pydicom.dcmread(source)


@pytest.mark.parametrize("kind", ["changed", "lossless"])
def test_pixels_that_an_archive_changed_under_a_voi_lut_are_no_exact_way_back(tmp_path, kind):
    source = write(radiograph(), tmp_path / "a.dcm")
    path, _ = deliver_one(source, tmp_path / "out", "voi-lut")
    stored = pydicom.dcmread(path)
    if kind == "changed":
        stored.PixelData = (stored.pixel_array + np.uint16(1)).tobytes()
        write(stored, path)
    else:
        write(encoded(stored, LOSSLESS["jpeg-lossless"]), path)
    report = restore([tmp_path / "out"], tmp_path / "back", workers=0, quiet=True)
    back = pydicom.dcmread(tmp_path / "back" / path.name)
    assert list(report.inexact) == ([path] if kind == "changed" else [])
    assert (back.SOPInstanceUID == pydicom.dcmread(source).SOPInstanceUID) == (kind == "lossless")


@pytest.mark.parametrize("keyword", ["Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "PixelData"])
@pytest.mark.parametrize("where", ["replaced", "added"])
def test_a_record_that_would_change_the_shape_of_the_image_is_damaged(tmp_path, keyword, where):
    path, _ = deliver_one(write(radiograph(), tmp_path / "source.dcm"), tmp_path / "out")
    ds = pydicom.dcmread(path)
    block = ds.private_block(GROUP, CREATOR)
    if where == "added":
        block[0x03].value = [*block[0x03].value, pydicom.tag.Tag(keyword)]
    else:
        kind, value = (
            ("OW", b"ab") if keyword == "PixelData" else ("IS", 7) if keyword == "NumberOfFrames" else ("US", 7)
        )
        block[0x02].value[0].add_new(keyword, kind, value)
    report = restore([write(ds, tmp_path / "bad.dcm")], tmp_path / "back", workers=0, quiet=True)
    assert [error.code for error in report.refused] == ["E_RESTORE"]


@pytest.mark.parametrize("deliver", [None, 1, [], "else"])
def test_a_record_of_no_delivery_of_ours_is_damaged(deliver):
    body = json.loads(Record(CURVE, "name", "0" * 64, "pixels").to_json()) | {"deliver": deliver}
    with pytest.raises(IsotoneError, match="E_RESTORE"):
        Record.from_json(json.dumps(body))
