"""Reading DICOM: every encoding, polarity, padding, sign and window, pinned to pydicom and to real files."""

from __future__ import annotations

import logging
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence
from pydicom.uid import JPEGBaseline8Bit

from dicoms import LOSSLESS, LOSSY, encoded, pixels, radiograph, write
from isotone.errors import RadiographError
from isotone.imaging.dicom.read_dicom import read_dicom
from isotone.imaging.dicom.warning_codes import Warned
from isotone.imaging.grey_levels.grayscale import stored_values
from isotone.imaging.grey_levels.presentation import read_presentation
from isotone.imaging.inspect import inspect
from isotone.imaging.read import read_header, read_radiograph

SHARED = Path(__file__).parents[3] / "shared" / "data" / "dicom"
REAL = sorted(SHARED.glob("*.dcm"))
needs_shared = pytest.mark.skipif(not REAL, reason="needs the real DICOM files of ../shared")


def table(entries, first, bits) -> Sequence:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", [int(n) for n in entries])
    return Sequence([item])


@pytest.mark.parametrize("name", LOSSLESS)
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_every_lossless_encoding_gives_the_stored_values(tmp_path, name, bits):
    path = write(encoded(radiograph(bits=bits), LOSSLESS[name]), tmp_path / "a.dcm")
    image = read_radiograph(path)
    np.testing.assert_array_equal(image.stored, pixels(bits))
    assert image.header.transfer_syntax == LOSSLESS[name]
    assert image.header.warnings == ()


@pytest.mark.parametrize("name", LOSSLESS)
def test_an_odd_number_of_bytes_is_read_without_its_padding(tmp_path, name):
    stored = pixels(8, rows=33, columns=35).astype(np.uint8)
    path = write(encoded(radiograph(stored, bits=8), LOSSLESS[name]), tmp_path / "a.dcm")
    np.testing.assert_array_equal(read_radiograph(path).stored, stored)


def test_big_endian_bytes_in_words_are_swapped_and_read_without_their_padding(tmp_path):
    stored = pixels(8, rows=33, columns=35).astype(np.uint8)
    ds = encoded(radiograph(stored, bits=8), LOSSLESS["big-endian"])
    ds["PixelData"].VR = "OW"
    ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
    np.testing.assert_array_equal(read_radiograph(write(ds, tmp_path / "a.dcm")).stored, stored)


@pytest.mark.parametrize("name", LOSSY)
def test_every_lossy_encoding_comes_near_the_stored_values(tmp_path, name):
    bits = 8 if LOSSY[name] == JPEGBaseline8Bit else 12
    image = read_radiograph(write(encoded(radiograph(bits=bits), LOSSY[name]), tmp_path / "a.dcm"))
    assert np.abs(image.stored.astype(int) - pixels(bits)).mean() < 0.01 * 2**bits


@pytest.mark.parametrize("name", ["explicit", "implicit", "big-endian", "rle", "jpeg-lossless-sv1", "jpeg-2000"])
def test_signed_values_are_shifted_so_that_the_smallest_possible_is_zero(tmp_path, name):
    stored = pixels(12).astype(np.int16) - 2048
    image = read_radiograph(write(encoded(radiograph(stored), LOSSLESS[name]), tmp_path / "a.dcm"))
    np.testing.assert_array_equal(image.stored, pixels(12))
    assert image.header.signed


def test_the_full_range_is_that_of_the_possible_values_not_of_the_used_ones(tmp_path):
    stored = (pixels(12) // 4 + 500).astype(np.uint16)
    image = read_radiograph(write(radiograph(stored), tmp_path / "a.dcm"))
    np.testing.assert_allclose(image.pixels, stored / 4095, atol=1e-7)


@pytest.mark.parametrize("modality", ["MG", "DX", "CR"])
def test_a_monochrome1_copy_of_an_image_gives_identical_presentation_pixels(tmp_path, modality):
    # A window is stated before the inversion, so its mirror image belongs to the copy (LINEAR_EXACT has one).
    window = {"VOILUTFunction": "LINEAR_EXACT", "WindowCenter": 1000, "WindowWidth": 800}
    mirrored = window | {"WindowCenter": 4095 - 1000}
    plain = read_radiograph(write(radiograph(modality=modality, **window), tmp_path / "a.dcm"))
    copy = radiograph(4095 - pixels(), modality=modality, inverted=True, **mirrored)
    negative = read_radiograph(write(copy, tmp_path / "b.dcm"))
    assert negative.header.inverted
    np.testing.assert_allclose(negative.pixels, plain.pixels, atol=1e-7)
    np.testing.assert_allclose(negative.displayed().pixels, plain.displayed().pixels, atol=1e-6)


def test_presentation_lut_shape_wins_over_the_photometric_interpretation(tmp_path):
    ds = radiograph(modality="CR", inverted=True, PresentationLUTShape="IDENTITY")
    image = read_radiograph(write(ds, tmp_path / "a.dcm"))
    assert not image.header.inverted
    assert image.header.warnings[0].startswith("W_POLARITY")


def test_a_negative_rescale_slope_inverts(tmp_path):
    ds = radiograph(modality="CR", RescaleSlope="-1", RescaleIntercept="4095")
    image = read_radiograph(write(ds, tmp_path / "a.dcm"))
    np.testing.assert_allclose(image.pixels, 1 - pixels() / 4095, atol=1e-6)


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("limit", [None, 30])
def test_padding_is_a_range_of_stored_values_in_either_direction(tmp_path, inverted, limit):
    ds = radiograph(modality="CR", inverted=inverted)
    ends = [4095, 4060] if inverted else [0, 30]  # for MONOCHROME1 the limit lies below the value
    ds.add_new("PixelPaddingValue", "US", ends[0])
    if limit is not None:
        ds.add_new("PixelPaddingRangeLimit", "US", ends[1])
    image = read_radiograph(write(ds, tmp_path / "a.dcm"))
    low, high = sorted(ends) if limit is not None else [ends[0]] * 2
    assert image.padding == (low, high)
    np.testing.assert_array_equal(image.valid, (pixels() < low) | (pixels() > high))


def test_padding_of_a_signed_image_is_shifted_with_it(tmp_path):
    ds = radiograph(pixels().astype(np.int16) - 2048, modality="CR")
    ds.add_new("PixelPaddingValue", "SS", -2048)
    assert read_radiograph(write(ds, tmp_path / "a.dcm")).padding == (0, 0)


def test_of_a_table_and_a_window_the_table_is_taken(tmp_path):
    ds = radiograph(VOILUTSequence=table(range(0, 65536, 16), 0, 16), WindowCenter=100, WindowWidth=50)
    image = read_radiograph(write(ds, tmp_path / "a.dcm"))
    assert image.header.window == "VOI LUT of 4096 entries"
    np.testing.assert_allclose(image.display, np.arange(0, 65536, 16) / 65535)


def test_of_several_windows_the_first_is_taken_and_said(tmp_path):
    ds = radiograph(modality="CR", WindowCenter=[1000, 2000], WindowWidth=[500, 900])
    image = read_radiograph(write(ds, tmp_path / "a.dcm"))
    assert image.header.window == "LINEAR 1000/500 (first of 2)"


def test_the_window_or_table_that_was_taken_has_the_name_that_the_file_gives_it(tmp_path):
    names = {
        "WindowCenter": [1000, 2000],
        "WindowWidth": [500, 900],
        "WindowCenterWidthExplanation": ["NORMAL", "HARD"],
    }
    write(radiograph(modality="CR", **names), tmp_path / "a.dcm")
    assert read_radiograph(tmp_path / "a.dcm").header.explanation == "NORMAL"
    assert "window LINEAR 1000/500 (first of 2) NORMAL;" in next(inspect([tmp_path / "a.dcm"], workers=0)).line()
    lut = table(range(0, 65536, 16), 0, 16)
    lut[0].LUTExplanation = "Doe^Jane's"
    header = read_header(write(radiograph(VOILUTSequence=lut, **names), tmp_path / "b.dcm"))
    assert header.explanation.startswith("an unknown value (")
    assert "Jane" not in header.explanation


def test_a_window_that_is_the_identity_is_no_display_table(tmp_path):
    image = read_radiograph(write(radiograph(), tmp_path / "a.dcm"))
    assert image.header.window == "LINEAR 2048/4096"
    assert image.display is None


@given(
    st.booleans(),
    st.sampled_from([(1.0, 0.0), (0.5, 10.0), (-2.0, 3.0)]),
    st.floats(-3000, 5000),
    st.floats(1, 5000),
    st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
)
def test_rescale_then_window_equals_pydicoms(signed, rescale, center, width, function):
    slope, intercept = rescale
    stored = stored_values(12, signed)
    ds = radiograph(
        stored.astype(np.int16 if signed else np.uint16).reshape(64, 64),
        modality="CR",
        RescaleSlope=f"{slope:g}",
        RescaleIntercept=f"{intercept:g}",
        WindowCenter=f"{center:.6g}",
        WindowWidth=f"{width:.6g}",
        VOILUTFunction=function,
    )
    tables = read_presentation(ds, 12, signed, Path("a.dcm"), Warned())
    with np.errstate(over="ignore"):
        theirs = apply_voi_lut(apply_modality_lut(stored.astype(np.int32), ds), ds)
    # pydicom puts the window's 0 at the smallest stored value, which a negative slope makes the largest output.
    zero, one = (end * slope + intercept for end in (stored[0], stored[-1]))
    ours = tables.tone if tables.display is None else tables.display
    np.testing.assert_allclose(ours, (theirs - zero) / (one - zero), atol=1e-9)  # nearer is no display table


@pytest.mark.skipif(shutil.which("dcm2pnm") is None, reason="needs DCMTK's dcm2pnm")
@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("slope", ["1", "-1"])
@pytest.mark.parametrize(("function", "center", "width"), [("LINEAR", 1000, 700), ("SIGMOID", 1500, 900)])
def test_the_display_equals_dcmtks_within_one_level_of_16_bits(tmp_path, inverted, slope, function, center, width):
    ds = radiograph(modality="CR", inverted=inverted, VOILUTFunction=function, WindowWidth=width)
    ds.RescaleSlope, ds.RescaleIntercept, ds.WindowCenter = slope, "10", center * int(slope)
    path = write(ds, tmp_path / "a.dcm")
    subprocess.run(["dcm2pnm", "+Wi", "1", "+opw", path, tmp_path / "a.pgm"], check=True, capture_output=True)
    theirs = np.asarray(Image.open(tmp_path / "a.pgm")).astype(float)
    ours = read_radiograph(path).displayed().pixels * 65535.0
    assert np.ptp(theirs) > 60000
    np.testing.assert_allclose(ours, theirs, atol=1.01)  # it cuts off where we would round


def test_a_modality_table_equals_pydicoms(tmp_path):
    curve = np.rint(np.sqrt(np.arange(4096) / 4095) * 65535).astype(int)
    ds = radiograph(pixels().astype(np.int16) - 2048, modality="CR", ModalityLUTSequence=table(curve, -2048, 16))
    path = write(ds, tmp_path / "a.dcm")
    theirs = apply_modality_lut(pydicom.dcmread(path).pixel_array, pydicom.dcmread(path))
    np.testing.assert_allclose(read_radiograph(path).pixels, theirs / 65535, atol=1e-6)


def test_a_table_of_65536_entries_is_described_by_zero(tmp_path):
    ds = radiograph(pixels(16), bits=16, VOILUTSequence=table([], 0, 16))
    ds.VOILUTSequence[0].add_new("LUTData", "OW", np.arange(65535, -1, -1).astype(np.uint16).tobytes())
    image = read_radiograph(write(ds, tmp_path / "a.dcm"))
    np.testing.assert_allclose(image.display, np.linspace(1, 0, 65536), atol=1e-12)


def test_table_data_as_words_are_read_like_numbers(tmp_path):
    ds = radiograph(VOILUTSequence=table(range(0, 65536, 16), 0, 16))
    ds.VOILUTSequence[0].add_new("LUTData", "OW", np.arange(0, 65536, 16, np.uint16).tobytes())
    image = read_radiograph(write(ds, tmp_path / "a.dcm"))
    np.testing.assert_allclose(image.display, np.arange(0, 65536, 16) / 65535)


def test_values_in_the_upper_bits_of_the_word_are_brought_down(tmp_path):
    ds = radiograph((pixels() << 4).astype(np.uint16), HighBit=15)
    np.testing.assert_array_equal(read_radiograph(write(ds, tmp_path / "a.dcm")).stored, pixels())


def test_bits_above_those_stored_are_ignored_and_said(tmp_path):
    image = read_radiograph(write(radiograph(pixels() | np.uint16(0x8000)), tmp_path / "a.dcm"))
    np.testing.assert_array_equal(image.stored, pixels())
    assert image.header.warnings[0].startswith("W_HIGHBITS")


def test_native_values_that_need_more_bits_than_stored_are_refused_not_folded(tmp_path):
    with pytest.raises(RadiographError) as refusal:
        read_radiograph(write(radiograph(pixels(), BitsStored=10, HighBit=9), tmp_path / "a.dcm"))
    assert refusal.value.code == "E_RANGE"


def test_native_values_slightly_beyond_the_bits_are_clipped_and_said(tmp_path):
    stored = pixels()
    stored[20:30, 20:30] = 4200
    image = read_radiograph(write(radiograph(stored), tmp_path / "a.dcm"))
    np.testing.assert_array_equal(image.stored, np.minimum(stored, 4095))
    assert image.header.codes == ("W_OVERSHOOT",)


def test_an_overlay_in_the_bit_above_is_ignored(tmp_path):
    overlay = np.zeros((48, 64), np.uint16)
    overlay[10:30, 10:12] = 0x1000
    image = read_radiograph(write(radiograph(pixels() | overlay), tmp_path / "a.dcm"))
    np.testing.assert_array_equal(image.stored, pixels())
    assert image.header.codes == ("W_HIGHBITS",)


def test_the_header_names_scanner_and_acquisition_and_hashes_the_detector(tmp_path):
    header = read_header(write(radiograph(vendor="ge", DetectorID="SECRET"), tmp_path / "a.dcm"))
    assert header.domain == "GE MEDICAL SYSTEMS Senograph 2000D ADS_17.4.5"
    assert (header.modality, header.body_part, header.view, header.laterality) == ("MG", "BREAST", "CC", "L")
    assert header.intent == "FOR PRESENTATION"
    assert len(header.detector) == 16
    assert "SECRET" not in repr(header)
    assert "P-1" not in repr(header)


@pytest.mark.parametrize("stated", [None, "", "FOR PRESENTATION", "DOE^JANE"])
@pytest.mark.parametrize("modality", ["MG", "DX"])
def test_the_sop_class_says_what_an_image_is_for_whatever_the_attribute_says(tmp_path, modality, stated):
    ds = radiograph(modality=modality, intent="FOR PROCESSING", PresentationIntentType=stated)
    header = read_header(write(ds, tmp_path / "a.dcm"))
    assert header.intent == "FOR PROCESSING"
    contradicted = any(line.startswith("W_INTENT") for line in header.warnings)
    assert contradicted == (stated == "FOR PRESENTATION")


@pytest.mark.parametrize(("stated", "read"), [(None, None), ("FOR PROCESSING", "FOR PROCESSING"), ("DOE^JANE", None)])
def test_where_the_sop_class_does_not_say_it_the_attribute_counts_if_it_is_one_of_the_two_terms(tmp_path, stated, read):
    ds = radiograph(modality="CR")
    ds.PresentationIntentType = stated
    assert read_header(write(ds, tmp_path / "a.dcm")).intent == read


def test_codes_that_are_none_are_replaced_by_marks_that_tell_them_apart(tmp_path):
    planted = {"Modality": "DOE JANE", "BodyPartExamined": "Doe^Jane", "ViewPosition": "b. 1950", "Laterality": "J."}
    header = read_header(write(radiograph(ImageLaterality=None, **planted), tmp_path / "a.dcm"))
    found = (header.modality, header.body_part, header.view, header.laterality)
    assert all(value.startswith("an unknown value (") for value in found)
    assert len({*found}) == 4
    assert not any(text in repr(header) for text in planted.values())
    again = read_header(write(radiograph(seed=1, **planted), tmp_path / "b.dcm"))
    assert (again.modality, again.view) == (header.modality, header.view)


def test_the_users_domain_counts_only_where_the_header_has_none(tmp_path):
    named = write(radiograph(), tmp_path / "a.dcm")
    unnamed = write(radiograph(Manufacturer="", ManufacturerModelName=""), tmp_path / "b.dcm")
    assert read_radiograph(named, domain="mine").header.domain == "HOLOGIC, Inc. Selenia Dimensions"
    assert read_radiograph(unnamed, domain="mine").header.domain == "mine"
    assert read_radiograph(unnamed).header.domain is None


@pytest.mark.parametrize("name", LOSSLESS)
def test_the_header_alone_says_what_reading_says(tmp_path, name):
    path = write(encoded(radiograph(), LOSSLESS[name]), tmp_path / "a.dcm")
    assert read_header(path) == read_radiograph(path).header


@pytest.mark.parametrize("name", ["explicit", "jpeg-ls", "deflated"])
def test_the_dataset_comes_along_whole(tmp_path, name):
    ds = encoded(radiograph(), LOSSLESS[name])
    ds.add_new(0xFFFCFFFC, "OB", b"trailing")
    path = write(ds, tmp_path / "a.dcm")
    _, dataset = read_dicom(path)
    assert dataset == pydicom.dcmread(path)
    assert dataset.file_meta == pydicom.dcmread(path).file_meta


@pytest.mark.parametrize("name", ["explicit", "jpeg-ls"])
@pytest.mark.parametrize("zeros", [1, 2, 7, 8, 9, 128])
def test_zeros_that_fill_a_file_up_do_not_harm(tmp_path, name, zeros):
    path = write(encoded(radiograph(), LOSSLESS[name]), tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes() + bytes(zeros))
    np.testing.assert_array_equal(read_radiograph(path).stored, pixels())


def test_an_implicit_length_that_looks_like_letters_is_a_length(tmp_path):
    stored = pixels(rows=33, columns=257)  # 16,962 bytes: 0x4242, "BB"
    path = write(encoded(radiograph(stored), LOSSLESS["implicit"]), tmp_path / "a.dcm")
    np.testing.assert_array_equal(read_radiograph(path).stored, stored)


def test_an_encoding_other_than_the_transfer_syntax_says_is_found_out(tmp_path):
    path = write(radiograph(), tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0\0\0"))
    image = read_radiograph(path)
    np.testing.assert_array_equal(image.stored, pixels())
    assert image.header.warnings == ("W_HEADER: a header value breaks the rules of its type",)


def test_pydicoms_warnings_and_log_lines_reach_nobody(tmp_path, caplog):
    ds = radiograph(SpecificCharacterSet="ISO_IR 192", PatientID="PLANTED")
    write(ds, tmp_path / "a.dcm")
    data = (tmp_path / "a.dcm").read_bytes().replace(b"PLANTED", b"PL\xff\xfeTED")
    (tmp_path / "a.dcm").write_bytes(data.replace(b"CS\x04\x00LEFT", b"CS\x04\x00left"))
    with warnings.catch_warnings(), caplog.at_level(logging.DEBUG):
        warnings.simplefilter("error")
        header = read_header(tmp_path / "a.dcm")
    assert any(line.startswith("W_CHARSET") for line in header.warnings)
    assert not caplog.records


def test_of_two_headers_with_the_same_odd_value_both_warn(tmp_path):
    path = write(radiograph(SpecificCharacterSet="ISO_IR 192", Manufacturer="PLANTED"), tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes().replace(b"PLANTED", b"PL\xff\xfeTED"))
    first, second = read_header(path), read_header(path)
    assert first.codes
    assert second.codes == first.codes


def test_images_of_one_scanner_share_their_tables_which_nobody_changes(tmp_path):
    images = [read_radiograph(write(radiograph(seed=seed), tmp_path / f"{seed}.dcm")) for seed in (0, 1)]
    assert images[0].tone is images[1].tone
    with pytest.raises(ValueError, match="read-only"):
        images[0].tone[0] = 1


@needs_shared
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_real_files_are_read(path):
    image = read_radiograph(path)  # all of them can be decoded
    assert image.stored.max() < 2**image.header.bits_stored
    assert 0 <= image.tone.min() < image.tone.max() <= 1
    assert read_header(path).domain == image.header.domain


@needs_shared
@pytest.mark.parametrize("image", ["RG2", "RG3", "XA1"])
def test_the_lossless_encodings_of_one_real_image_give_the_same_pixels(image):
    plain = read_radiograph(SHARED / f"{image}_UNC.dcm")
    np.testing.assert_array_equal(plain.stored, pydicom.dcmread(SHARED / f"{image}_UNC.dcm").pixel_array)
    for encoding in ("RLE", "JPLL", "JLSL", "J2KR"):
        other = read_radiograph(SHARED / f"{image}_{encoding}.dcm")
        np.testing.assert_array_equal(other.stored, plain.stored)
        np.testing.assert_array_equal(other.tone, plain.tone)


@needs_shared
@pytest.mark.parametrize("image", ["RG2", "RG3", "XA1"])
def test_12_bit_jpeg_of_a_real_image_comes_near_its_pixels(image):
    plain = read_radiograph(SHARED / f"{image}_UNC.dcm")
    lossy = read_radiograph(SHARED / f"{image}_JPLY.dcm")
    assert np.abs(lossy.stored.astype(int) - plain.stored).mean() < 0.01 * 2**plain.header.bits_stored


def test_of_several_windows_the_one_with_the_wanted_explanation_is_taken(tmp_path):
    windows = {"WindowCenter": [500, 2000], "WindowWidth": [800, 3000]}
    path = write(radiograph(**windows, WindowCenterWidthExplanation=["NARROW", "wide open"]), tmp_path / "a.dcm")
    first, second = (read_radiograph(path, window=name) for name in ("narrow", " Wide Open"))
    assert first.header.window == "LINEAR 500/800 (first of 2)"
    assert second.header.window == "LINEAR 2000/3000 (number 2 of 2)"
    assert not np.array_equal(first.display, second.display)
    np.testing.assert_array_equal(first.display, read_radiograph(path).display)
    np.testing.assert_array_equal(first.tone, second.tone)
    with pytest.raises(RadiographError, match="E_UNSUPPORTED"):
        read_radiograph(path, window="bone")
