"""Derived images, VOI LUT copies and the way back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless

from bad_dicoms import FAULTS
from dicoms import LOSSLESS, LOSSY, encoded, pixels, radiograph, write
from harmonizers import CURVE, NARROW, change, deliver_one, scanner_harmonizer
from isotone._version import __version__
from isotone.curves.tone_curve import ToneCurve
from isotone.deployment.deliver import Delivery, Job
from isotone.deployment.record import INTENDED_USE, Record
from isotone.deployment.restore import Task, restore, restore_file
from isotone.errors import RadiographError
from isotone.harmonizer.mappers import ScannerMapper
from isotone.imaging.own_files import CREATOR, GROUP, is_ours
from isotone.imaging.read import read_radiograph

SHARED = Path(__file__).parents[3] / "shared" / "data" / "dicom"


def signed_pixels() -> np.ndarray:
    return (pixels(12).astype(np.int32) - 2048).astype(np.int16)


KINDS = {
    "monochrome2": {},
    "monochrome1": {"inverted": True},
    "eight-bit": {"bits": 8},
    "sixteen-bit": {"bits": 16},
    "signed": {"stored": signed_pixels(), "modality": "CR", "RescaleIntercept": "0", "RescaleSlope": "1"},
    "rescaled": {"modality": "CR", "RescaleIntercept": "-10", "RescaleSlope": "0.5"},
    "negative-slope": {"modality": "CR", "RescaleIntercept": "4095", "RescaleSlope": "-1"},
    "inverse-shape": {"inverted": True, "modality": "DX"},
    "for-processing": {"intent": "FOR PROCESSING"},
    "high-bit": {"stored": pixels(12) << np.uint16(4), "HighBit": 15, "modality": "CR"},
}


@pytest.fixture(params=KINDS)
def source(request, tmp_path) -> Path:
    return write(radiograph(**KINDS[request.param]), tmp_path / "source.dcm")


@pytest.mark.parametrize("curve", [CURVE, NARROW], ids=["steps", "affine"])
def test_a_derived_image_reads_as_the_harmonized_tone_to_half_a_level_of_16_bits(source, tmp_path, curve):
    path, _ = deliver_one(source, tmp_path / "out", curve=curve)
    wanted = read_radiograph(source).map_tone(curve)
    got = read_radiograph(path)
    wanted64 = wanted.tone[wanted.stored]
    assert np.abs(got.tone[got.stored] - wanted64).max() <= 0.5 / 65535 + 1e-12
    assert got.header.bits_stored == 16
    assert got.display is None  # the window is the identity


def test_both_polarities_of_one_image_give_exactly_equal_presentation_values(tmp_path):
    stored = pixels(12)
    one = write(radiograph(stored), tmp_path / "2.dcm")
    other = write(radiograph(np.uint16(4095) - stored, inverted=True), tmp_path / "1.dcm")
    a, b = (read_radiograph(deliver_one(path, tmp_path / "out")[0]) for path in (one, other))
    assert b.header.photometric == "MONOCHROME1"
    np.testing.assert_array_equal(a.stored, 65535 - b.stored)


@pytest.mark.parametrize(
    ("kind", "deliver"),
    [(k, d) for k in KINDS for d in ("pixels", "voi-lut") if (k, d) != ("for-processing", "voi-lut")],
)
def test_restore_gives_back_the_file_as_it_was(kind, tmp_path, deliver):
    source = write(radiograph(**KINDS[kind]), tmp_path / "source.dcm")
    before = pydicom.dcmread(source)
    path, outcome = deliver_one(source, tmp_path / "out", deliver)
    lost = restore_file(Task(path, tmp_path / "back.dcm")).lost
    after = pydicom.dcmread(tmp_path / "back.dcm")
    exact = deliver == "voi-lut" or outcome.levels_kept == 2**before.BitsStored
    assert (lost == 0) == exact
    if exact:
        del after.file_meta, before.file_meta
        assert after == before
    else:
        kept = np.abs(after.pixel_array.astype(int) - before.pixel_array) > 0
        assert 0 < kept.sum() <= lost
        assert after.SOPInstanceUID != before.SOPInstanceUID
        assert after.ImageType[0] == "DERIVED"


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_every_lossless_encoding_gives_the_same_derived_pixels_and_the_same_restored_ones(tmp_path, syntax):
    plain = write(radiograph(), tmp_path / "plain.dcm")
    source = write(encoded(radiograph(), LOSSLESS[syntax]), tmp_path / f"{syntax}.dcm")
    wanted, got = (deliver_one(path, tmp_path / "out")[0] for path in (plain, source))
    np.testing.assert_array_equal(pydicom.dcmread(got).pixel_array, pydicom.dcmread(wanted).pixel_array)
    compressed = LOSSLESS[syntax].is_encapsulated
    assert pydicom.dcmread(got).file_meta.TransferSyntaxUID == (
        JPEGLSLossless if compressed else ExplicitVRLittleEndian
    )
    assert not restore_file(Task(got, tmp_path / "back.dcm")).shortfall
    np.testing.assert_array_equal(read_radiograph(tmp_path / "back.dcm").stored, pixels())


def test_the_header_says_where_the_image_comes_from_and_what_for(tmp_path):
    source = write(radiograph(SeriesDescription="L CC", SeriesNumber=3), tmp_path / "source.dcm")
    before, after = (pydicom.dcmread(p) for p in (source, deliver_one(source, tmp_path / "out")[0]))
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "SOPClassUID", "ViewPosition", "ImageLaterality"):
        assert after[keyword] == before[keyword]
    for keyword in ("Manufacturer", "ManufacturerModelName", "AcquisitionDate", "PixelIntensityRelationship"):
        assert after[keyword] == before[keyword]  # downstream programs key on the scanner
    assert after.SOPInstanceUID == after.file_meta.MediaStorageSOPInstanceUID != before.SOPInstanceUID
    assert after.SeriesInstanceUID != before.SeriesInstanceUID
    assert (after.SeriesNumber, after.SeriesDescription) == (9003, f"L CC | {INTENDED_USE}")
    assert list(after.ImageType) == ["DERIVED", *before.ImageType[1:]]
    assert INTENDED_USE in after.DerivationDescription
    assert "0.500000, -0.300000, 0.600000, -0.200000" in after.DerivationDescription
    assert after.DerivationCodeSequence[-1].CodingSchemeDesignator == "99ISOTONE"
    assert after.CodingSchemeIdentificationSequence[-1].CodingSchemeDesignator == "99ISOTONE"
    [reference] = after.SourceImageSequence
    assert reference.ReferencedSOPInstanceUID == before.SOPInstanceUID
    assert reference.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    [equipment] = after.ContributingEquipmentSequence
    assert (equipment.Manufacturer, equipment.SoftwareVersions) == ("isotone", __version__)
    assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    assert (after.BitsStored, after.HighBit, after.BitsAllocated, after.PixelRepresentation) == (16, 15, 16, 0)
    assert (after.WindowCenter, after.WindowWidth) == (32768, 65536)
    record = Record.from_json(after.private_block(GROUP, CREATOR)[0x01].value)
    assert record.curve == CURVE
    assert record.digest == scanner_harmonizer("any").digest


def test_uids_and_pixels_depend_on_source_model_and_delivery_alone(tmp_path):
    source = write(radiograph(), tmp_path / "source.dcm")
    first = pydicom.dcmread(deliver_one(source, tmp_path / "1")[0])
    again = pydicom.dcmread(deliver_one(source, tmp_path / "2")[0])
    others = [
        pydicom.dcmread(deliver_one(source, tmp_path / "3", curve=ToneCurve([0.5]))[0]),
        pydicom.dcmread(deliver_one(source, tmp_path / "4", "voi-lut")[0]),
    ]
    dates = {e.tag for e in first if e.keyword.endswith(("Date", "Time"))}
    for element in first:
        if element.tag not in dates and element.keyword != "ContributingEquipmentSequence":
            assert again[element.tag] == element
    assert len({ds.SOPInstanceUID for ds in (first, *others)}) == 3
    assert len({ds.SeriesInstanceUID for ds in (first, *others)}) == 3
    assert all(ds.SOPInstanceUID.is_valid for ds in (first, *others))


def test_padding_goes_through_the_table(tmp_path):
    stored = pixels(12)
    stored[:5] = 7
    plain, ranged = Dataset(), Dataset()
    plain.add_new("PixelPaddingValue", "US", 7)
    ranged.add_new("PixelPaddingValue", "US", 7)
    ranged.add_new("PixelPaddingRangeLimit", "US", 9)
    for padding, curve in ((plain, CURVE), (ranged, CURVE), (ranged, NARROW)):
        ds = radiograph(stored)
        ds.update(padding)
        source = write(ds, tmp_path / "source.dcm")
        got = read_radiograph(deliver_one(source, tmp_path / "out", curve=curve)[0])
        wanted = read_radiograph(source)
        if curve is CURVE:
            np.testing.assert_array_equal(got.valid, wanted.valid)
        assert not got.valid[:5].any()
        back = tmp_path / "back.dcm"
        restore_file(Task(tmp_path / "out" / "source.dcm", back))
        assert pydicom.dcmread(back).PixelPaddingValue == 7


def test_what_is_true_of_the_old_pixels_alone_is_gone(tmp_path):
    ds = radiograph(pixels(12) | np.uint16(0x8000), modality="CR")
    ds.add_new("SmallestImagePixelValue", "US", 0)
    ds.add_new("LargestImagePixelValue", "US", 4095)
    ds.IconImageSequence = ds.DigitalSignaturesSequence = ds.MACParametersSequence = [Dataset()]
    ds.VOILUTFunction, ds.WindowCenterWidthExplanation = "SIGMOID", "soft"
    ds.add_new(0x60000010, "US", 48)
    ds.add_new(0x60000011, "US", 64)
    ds.add_new(0x60000102, "US", 15)  # an overlay in the highest bit of the pixel data
    ds.add_new(0x60020010, "US", 48)
    ds.add_new(0x60023000, "OW", bytes(384))  # one of its own
    source = write(ds, tmp_path / "source.dcm", preamble=b"MZ" + bytes(126))
    path, outcome = deliver_one(source, tmp_path / "out")
    after = pydicom.dcmread(path)
    gone = ["SmallestImagePixelValue", "LargestImagePixelValue", "IconImageSequence", "VOILUTFunction"]
    gone += ["DigitalSignaturesSequence", "MACParametersSequence", "WindowCenterWidthExplanation"]
    assert not [keyword for keyword in gone if keyword in after]
    assert 0x60000102 not in after
    assert 0x60023000 in after
    assert path.read_bytes()[:128] == bytes(128)
    assert set(outcome.warnings) == {"W_HIGHBITS", "W_PREAMBLE"}


def test_words_of_any_size_change_their_byte_order_with_the_transfer_syntax(tmp_path):
    ds = encoded(radiograph(), LOSSLESS["big-endian"])
    words = {"OW": "u2", "OF": "f4", "OL": "u4", "OD": "f8", "OV": "u8"}
    block, item = ds.private_block(0x0019, "SOMEBODY", create=True), Dataset()
    inner = item.private_block(0x0019, "SOMEBODY", create=True)
    for number, (vr, word) in enumerate(words.items(), 1):
        for some in (block, inner):
            some.add_new(number, vr, np.arange(6).astype(f">{word}").tobytes())
    block.add_new(9, "SQ", [item])
    target, _ = deliver_one(write(ds, tmp_path / "a.dcm"), tmp_path / "out")
    derived = pydicom.dcmread(target).private_block(0x0019, "SOMEBODY")
    for some in (derived, derived[9].value[0].private_block(0x0019, "SOMEBODY")):
        for number, word in enumerate(words.values(), 1):
            np.testing.assert_array_equal(np.frombuffer(some[number].value, f"<{word}"), np.arange(6))


def test_what_follows_the_pixel_data_still_follows_them(tmp_path):
    ds = radiograph(modality="CR")
    ds.private_block(0x7FE1, "VENDOR", create=True).add_new(1, "LO", "after")
    source = write(ds, tmp_path / "source.dcm")
    path, _ = deliver_one(source, tmp_path / "out")
    after = pydicom.dcmread(path)
    assert after.private_block(0x7FE1, "VENDOR")[1].value == "after"
    assert list(after.keys()) == sorted(after.keys())
    assert not restore_file(Task(path, tmp_path / "back.dcm")).shortfall
    assert pydicom.dcmread(tmp_path / "back.dcm") == pydicom.dcmread(source)


@pytest.mark.parametrize("syntax", LOSSY)
def test_what_was_lossy_stays_lossy(tmp_path, syntax):
    ds = encoded(radiograph(bits=8 if syntax == "jpeg" else 12), LOSSY[syntax])
    if syntax in ("jpeg", "jpeg-extended", "jpeg-ls-near"):  # where the transfer syntax itself says so
        del ds.LossyImageCompression, ds.LossyImageCompressionRatio, ds.LossyImageCompressionMethod
    after = pydicom.dcmread(deliver_one(write(ds, tmp_path / "source.dcm"), tmp_path / "out")[0])
    assert after.LossyImageCompression == "01"
    assert after.LossyImageCompressionRatio > 0
    assert after.LossyImageCompressionMethod


@pytest.mark.parametrize("syntax", [*LOSSLESS, *LOSSY])
def test_the_voi_lut_copy_keeps_every_byte_of_the_pixel_data(tmp_path, syntax):
    ds = encoded(radiograph(bits=8 if syntax == "jpeg" else 12), (LOSSLESS | LOSSY)[syntax])
    source = write(ds, tmp_path / "source.dcm")
    path, _ = deliver_one(source, tmp_path / "out", "voi-lut")
    before, after = pydicom.dcmread(source), pydicom.dcmread(path)
    assert after.PixelData == before.PixelData
    if before.file_meta.TransferSyntaxUID.is_encapsulated:
        assert after.file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID
    assert "WindowCenter" not in after
    assert after.SOPInstanceUID != before.SOPInstanceUID


def test_the_voi_lut_copy_displays_as_the_derived_image_reads(source, tmp_path):
    if pydicom.dcmread(source).get("PresentationIntentType") == "FOR PROCESSING":
        with pytest.raises(RadiographError, match="E_UNSUPPORTED"):
            deliver_one(source, tmp_path / "out", "voi-lut")
        return
    wanted = read_radiograph(source).map_tone(NARROW)
    path, _ = deliver_one(source, tmp_path / "out", "voi-lut", curve=NARROW)
    got = read_radiograph(path).displayed()
    assert np.abs(got.tone - wanted.tone).max() <= 0.5 / 65535 + 1e-12


@pytest.mark.parametrize(
    ("name", "deliver"),
    [
        (name, deliver)
        for name, fault in FAULTS.items()
        for deliver in ("pixels", "voi-lut")
        if fault.code.startswith("W_") and (fault.suffix == ".dcm" or deliver == "pixels")
    ],
)
def test_what_is_read_with_a_warning_is_delivered_with_it_and_restored(tmp_path, name, deliver):
    fault = FAULTS[name]
    source = tmp_path / f"source{fault.suffix}"
    fault.build(source)
    path, outcome = deliver_one(source, tmp_path / "out", deliver)
    assert fault.code in outcome.warnings
    back = tmp_path / f"back{fault.suffix}"
    assert restore_file(Task(path, back)).lost == 0
    np.testing.assert_array_equal(read_radiograph(back).stored, read_radiograph(source).stored)


def test_a_header_value_that_cannot_be_written_is_not_quoted_in_the_refusal(tmp_path):
    ds = radiograph(modality="CR")
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    source = write(ds, tmp_path / "source.dcm")
    data = source.read_bytes()
    # AcquisitionDuration (FD, eight bytes) with four, in implicit VR, so that writing explicit VR must look at it
    bad = b"\x18\x00\x73\x90" + (4).to_bytes(4, "little") + b"MANY"
    at = data.index(b"\x20\x00\x0d\x00")  # StudyInstanceUID comes next
    source.write_bytes(data[:at] + bad + data[at:])
    with pytest.raises(RadiographError) as refusal:
        deliver_one(source, tmp_path / "out")
    assert refusal.value.code == "E_UNSUPPORTED"
    assert "MANY" not in str(refusal.value)
    assert not [*(tmp_path / "out").glob("*.dcm")]


def test_what_isotone_delivered_is_not_harmonized_again(tmp_path):
    source = write(radiograph(), tmp_path / "source.dcm")
    for deliver in ("pixels", "voi-lut"):
        path, _ = deliver_one(source, tmp_path / deliver, deliver)
        with pytest.raises(RadiographError, match="E_ALREADY"):
            deliver_one(path, tmp_path / "again")
        ds = pydicom.dcmread(path)
        ds.remove_private_tags()  # as some archives do
        assert is_ours(ds)
    Image.fromarray(pixels(16)).save(tmp_path / "raster.png")
    path, _ = deliver_one(tmp_path / "raster.png", tmp_path / "png")
    with pytest.raises(RadiographError, match="E_ALREADY"):
        deliver_one(path, tmp_path / "again")


@pytest.mark.parametrize("deliver", ["pixels", "voi-lut"])
def test_an_image_harmonized_twice_is_restored_twice(tmp_path, deliver):
    source = write(radiograph(), tmp_path / "source.dcm")
    once, _ = deliver_one(source, tmp_path / "once", deliver)
    twice, _ = deliver_one(once, tmp_path / "twice", deliver, allow=["harmonized"])
    assert restore([twice], tmp_path / "back", quiet=True, workers=0).restored == 1
    assert restore([tmp_path / "back" / "source.dcm"], tmp_path / "first", quiet=True, workers=0).restored == 1
    np.testing.assert_array_equal(read_radiograph(tmp_path / "first" / "source.dcm").stored, pixels())


@pytest.mark.parametrize(("suffix", "bits"), [("png", 8), ("png", 16), ("tif", 8), ("tif", 16), ("jpg", 8)])
def test_raster_files_become_png_of_16_bits_and_come_back(tmp_path, suffix, bits):
    source = tmp_path / f"source.{suffix}"
    Image.fromarray(pixels(bits).astype(np.uint8 if bits == 8 else np.uint16)).save(source)
    before = read_radiograph(source)
    path, outcome = deliver_one(source, tmp_path / "out")
    got = read_radiograph(path)
    assert got.header.bits_stored == 16
    assert np.abs(got.pixels - before.map_tone(CURVE).pixels).max() <= 0.5 / 65535 + 1e-7
    lost = restore_file(Task(path, tmp_path / "back.png")).lost
    back = read_radiograph(tmp_path / "back.png")
    assert (lost == 0) == (outcome.levels_kept == 2**bits)
    assert back.header.bits_stored == bits
    assert np.count_nonzero(back.stored != before.stored) <= lost


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data/dicom")
def test_real_files_come_back_with_their_headers(tmp_path):
    for source in sorted(SHARED.glob("*.dcm")):
        path, outcome = deliver_one(source, tmp_path / "out")
        back = tmp_path / "back.dcm"
        lost = restore_file(Task(path, back)).lost
        before, after = (pydicom.dcmread(p, stop_before_pixels=True) for p in (source, back))
        if outcome.levels_kept == 2**before.BitsStored:
            assert lost == 0
            # Bits above BitsStored do not come back: such an image is another one, and says so.
            dropped = any(warning.startswith("W_HIGHBITS") for warning in outcome.warnings)
            assert ({e.tag for e in before} == {e.tag for e in after}) != dropped
            np.testing.assert_array_equal(read_radiograph(back).stored, read_radiograph(source).stored)


def test_an_encapsulated_copy_is_still_decoded_alike(tmp_path):
    source = write(encoded(radiograph(), JPEGLSLossless), tmp_path / "source.dcm")
    path, _ = deliver_one(source, tmp_path / "out", "voi-lut")
    np.testing.assert_array_equal(read_radiograph(path).stored, read_radiograph(source).stored)


def test_one_source_through_two_tables_makes_two_objects_in_two_series(tmp_path):
    harmonizer = scanner_harmonizer("A", "B")
    change(harmonizer, "B", mapper=ScannerMapper(NARROW))
    source = write(radiograph(), tmp_path / "source.dcm")
    for deliver in ("pixels", "voi-lut"):
        made = {}
        for domain in "AB":
            target = f"{deliver}-{domain}.dcm"
            Delivery(harmonizer, tmp_path, deliver)(Job(source, domain, target, target))
            made[domain] = pydicom.dcmread(tmp_path / target)
        assert made["A"].SOPInstanceUID != made["B"].SOPInstanceUID
        assert made["A"].SeriesInstanceUID != made["B"].SeriesInstanceUID


@pytest.mark.parametrize("intent", ["FOR PROCESSING", None, "", "FOR PRESENTATION"])
def test_an_image_for_processing_by_its_class_has_no_window_in_any_delivery(tmp_path, intent):
    ds = radiograph(intent="FOR PROCESSING", WindowCenter=2048, WindowWidth=4096, WindowCenterWidthExplanation="all")
    ds.PresentationIntentType = intent
    if intent is None:
        del ds.PresentationIntentType
    source = write(ds, tmp_path / "source.dcm")
    path, _ = deliver_one(source, tmp_path / "out")
    after = pydicom.dcmread(path)
    assert not [k for k in ("WindowCenter", "WindowWidth", "WindowCenterWidthExplanation") if k in after]
    assert not restore_file(Task(path, tmp_path / "back.dcm")).shortfall
    assert pydicom.dcmread(tmp_path / "back.dcm") == pydicom.dcmread(source)
    with pytest.raises(RadiographError, match="E_UNSUPPORTED"):
        deliver_one(source, tmp_path / "out", "voi-lut")


@pytest.mark.parametrize("deliver", ["pixels", "voi-lut"])
def test_an_intercept_without_slope_does_not_stay_beside_the_identity(tmp_path, deliver):
    source = write(radiograph(modality="CR", RescaleIntercept="-1024"), tmp_path / "source.dcm")
    path, _ = deliver_one(source, tmp_path / "out", deliver)
    after = pydicom.dcmread(path)
    assert (after.RescaleIntercept, after.RescaleSlope, after.RescaleType) == (0, 1, "US")
    assert not restore_file(Task(path, tmp_path / "back.dcm")).shortfall
    assert pydicom.dcmread(tmp_path / "back.dcm") == pydicom.dcmread(source)


def test_what_the_old_values_meant_is_not_said_of_the_new_ones_and_comes_back(tmp_path):
    ds, item = radiograph(modality="CR"), Dataset()
    item.add_new("RealWorldValueFirstValueMapped", "US", 0)
    item.add_new("RealWorldValueLastValueMapped", "US", 4095)
    ds.RealWorldValueMappingSequence = [item]
    source = write(ds, tmp_path / "source.dcm")
    path, _ = deliver_one(source, tmp_path / "out")
    assert "RealWorldValueMappingSequence" not in pydicom.dcmread(path)
    assert not restore_file(Task(path, tmp_path / "back.dcm")).shortfall
    assert pydicom.dcmread(tmp_path / "back.dcm") == pydicom.dcmread(source)
