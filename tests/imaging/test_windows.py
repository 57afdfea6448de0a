"""Which window or VOI LUT is taken, wherever it stands and whatever else is broken; polarity as the user knows it."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from dicoms import LOSSLESS, encoded, pixels, radiograph, write
from isotone.errors import RadiographError
from isotone.imaging.grey_levels import grayscale
from isotone.imaging.read import read_header, read_radiograph

VALUES = np.arange(4096.0)
GAMMA = np.rint(4095 * (VALUES / 4095) ** 0.6).astype(int)
CLASSES = {"projection": "1.2.840.10008.5.1.4.1.1.13.1.4", "tomosynthesis": "1.2.840.10008.5.1.4.1.1.13.1.3"}


def table(entries, depth: int, first: int = 0, *, vr: str = "US") -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries) % 65536, first, depth])
    words = np.asarray(entries).astype("<u2")
    item.add_new("LUTData", vr, words.tolist() if vr == "US" else words.tobytes())
    return item


def items(**attributes: object) -> Sequence:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return Sequence([item])


def shown(path) -> np.ndarray:
    image = read_radiograph(path)
    return image.displayed().tone


@pytest.mark.parametrize("name", ["explicit", "implicit", "big-endian", "deflated", "jpeg-ls"])
@pytest.mark.parametrize("groups", ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"])
@pytest.mark.parametrize("sop_class", CLASSES.values(), ids=CLASSES)
def test_window_and_rescale_of_an_enhanced_image_are_in_its_functional_groups(tmp_path, name, groups, sop_class):
    window = items(WindowCenter="400", WindowWidth="700", VOILUTFunction="LINEAR_EXACT")
    rescale = items(RescaleSlope="0.5", RescaleIntercept="-10", RescaleType="US")
    ds = radiograph(SOPClassUID=sop_class, NumberOfFrames=1, WindowCenter=None, WindowWidth=None)
    del ds.RescaleSlope, ds.RescaleIntercept
    setattr(ds, groups, items(FrameVOILUTSequence=window, PixelValueTransformationSequence=rescale))
    path = write(encoded(ds, LOSSLESS[name]), tmp_path / "a.dcm")
    assert read_header(path).window == "LINEAR_EXACT 400/700"
    expected = grayscale.window(VALUES * 0.5 - 10, 400, 700, "LINEAR_EXACT")
    np.testing.assert_allclose(shown(path), expected, atol=1e-12)


def test_a_table_in_the_functional_groups_is_used_too(tmp_path):
    ds = radiograph(NumberOfFrames=1, WindowCenter=None, WindowWidth=None)
    ds.SharedFunctionalGroupsSequence = items(FrameVOILUTSequence=items(VOILUTSequence=Sequence([table(GAMMA, 12)])))
    np.testing.assert_allclose(shown(write(ds, tmp_path / "a.dcm")), GAMMA / 4095)


@pytest.mark.parametrize("depth", [13, 16])
@pytest.mark.parametrize("largest", [4095, 3000])
def test_a_table_that_ends_far_below_its_stated_depth_is_scaled_by_its_largest_entry(tmp_path, depth, largest):
    entries = GAMMA * largest // 4095
    path = write(radiograph(modality="CR", VOILUTSequence=Sequence([table(entries, depth)])), tmp_path / "a.dcm")
    assert read_header(path).codes == ("W_TABLE",)
    np.testing.assert_allclose(shown(path), entries / largest)


def test_a_table_that_uses_more_than_half_of_its_depth_is_read_as_stated(tmp_path):
    entries = GAMMA * 3000 // 4095
    path = write(radiograph(modality="CR", VOILUTSequence=Sequence([table(entries, 12)])), tmp_path / "a.dcm")
    assert read_header(path).codes == ()
    np.testing.assert_allclose(shown(path), entries / 4095)


@pytest.mark.parametrize("vr", ["OW", "OB", "UN"])
def test_table_data_are_read_whatever_their_representation(tmp_path, vr):
    path = write(radiograph(VOILUTSequence=Sequence([table(GAMMA, 12, vr=vr)])), tmp_path / "a.dcm")
    np.testing.assert_allclose(shown(path), GAMMA / 4095)


@pytest.mark.parametrize(
    "functions", [["SIGMOID", "SIGMOID"], ["SIGMOID", "LINEAR"], ["sigmoid"], ["SIGMOID", ""]], ids=str
)
def test_a_voi_function_for_each_window_is_read(tmp_path, functions):
    ds = radiograph(WindowCenter=["1200", "1400"], WindowWidth=["1000", "900"])
    value = "\\".join(functions).encode()
    value += b" " * (len(value) % 2)
    ds[0x00281056] = RawDataElement(Tag(0x00281056), "CS", len(value), value, 0, False, True)
    path = write(ds, tmp_path / "a.dcm")
    assert read_header(path).window == "SIGMOID 1200/1000 (first of 2)"


@pytest.mark.parametrize(
    "broken",
    [
        {"VOILUTSequence": Sequence([Dataset()])},
        {"VOILUTSequence": Sequence([table([0, 1, 2], 16)])},
        {"VOILUTSequence": Sequence([table(GAMMA * 0, 12)])},
    ],
    ids=["empty", "short", "black"],
)
def test_beside_a_table_that_cannot_be_used_the_window_is_taken(tmp_path, broken):
    if "LUTDescriptor" in broken["VOILUTSequence"][0]:
        broken["VOILUTSequence"][0].LUTDescriptor[0] = 4096
    path = write(radiograph(WindowCenter="900", WindowWidth="1500", **broken), tmp_path / "a.dcm")
    header = read_header(path)
    assert (header.window, header.codes) == ("LINEAR 900/1500", ("W_WINDOW",))
    np.testing.assert_allclose(shown(path), grayscale.window(VALUES, 900, 1500))


def test_of_several_tables_or_windows_the_first_that_can_be_used_is_taken(tmp_path):
    tables = Sequence([Dataset(), table(GAMMA, 12)])
    first = read_header(write(radiograph(VOILUTSequence=tables), tmp_path / "a.dcm"))
    assert first.window == "VOI LUT of 4096 entries (number 2 of 2)"
    second = read_header(write(radiograph(WindowCenter=[100, 900], WindowWidth=[0, 1500]), tmp_path / "b.dcm"))
    assert (second.window, second.codes) == ("LINEAR 900/1500 (number 2 of 2)", ("W_WINDOW",))


@pytest.mark.parametrize(("center", "width"), [(b" 900 ", b"1500"), (b"900\\", b"1500\\"), (b"900 \\ ", b"1500")])
def test_blanks_and_a_backslash_too_many_are_no_window_more(tmp_path, center, width):
    ds = radiograph()
    for tag, value in ((0x00281050, center), (0x00281051, width)):
        value += b" " * (len(value) % 2)
        ds[tag] = RawDataElement(Tag(tag), "DS", len(value), value, 0, False, True)
    assert read_header(write(ds, tmp_path / "a.dcm")).window == "LINEAR 900/1500"


@pytest.mark.parametrize(
    ("center", "width", "taken"),
    [
        (b"900\\\\1200 ", b"\\700\\800 ", "LINEAR 1200/800"),
        (b"\\900", b"1500\\700 ", "LINEAR 900/700"),
        (b"\\900", b"\\700", "LINEAR 900/700"),
    ],
)
def test_a_center_goes_with_the_width_of_its_place_though_others_are_empty(tmp_path, center, width, taken):
    ds = radiograph()
    for tag, value in ((0x00281050, center), (0x00281051, width)):
        ds[tag] = RawDataElement(Tag(tag), "DS", len(value), value, 0, False, True, True)
    assert read_header(write(ds, tmp_path / "a.dcm")).window.startswith(taken)


def test_an_explanation_goes_with_the_window_of_its_place_though_others_have_none(tmp_path):
    ds = radiograph(
        WindowCenter=["900", "1200"], WindowWidth=["700", "800"], WindowCenterWidthExplanation=["", "HARDER"]
    )
    path = write(ds, tmp_path / "a.dcm")
    assert read_header(path).explanation is None
    assert read_radiograph(path, window="HARDER").header.window.startswith("LINEAR 1200/800")


def test_a_decimal_comma_is_no_number_and_leaves_the_full_range(tmp_path):
    ds = radiograph()
    ds[0x00281050] = RawDataElement(Tag(0x00281050), "DS", 6, b"900,5 ", 0, False, True)
    header = read_header(write(ds, tmp_path / "a.dcm"))
    assert (header.window, header.codes) == (None, ("W_WINDOW",))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("vr", ["US", "SS"])
def test_padding_is_read_in_either_representation(tmp_path, vr, signed):
    stored = pixels(16, seed=1)
    word = 0x8000 if signed else 0xFFFF  # the smallest signed value, the largest unsigned one
    ds = radiograph(stored.astype(np.int16) if signed else stored, bits=16, modality="CR")
    value = word if vr == "US" else word - 65536
    ds[0x00280120] = RawDataElement(Tag(0x00280120), vr, 2, (value % 65536).to_bytes(2, "little"), 0, False, True)
    end = 0 if signed else 65535
    assert read_radiograph(write(ds, tmp_path / "a.dcm")).padding == (end, end)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("shape", [None, "IDENTITY", "INVERSE"])
@pytest.mark.parametrize("stated", [True, False])
def test_the_users_polarity_goes_before_the_headers(tmp_path, photometric, shape, stated):
    ds = radiograph(
        PhotometricInterpretation=photometric, PresentationLUTShape=shape, WindowCenter=900, WindowWidth=1500
    )
    path = write(ds, tmp_path / "a.dcm")
    image = read_radiograph(path, inverted=stated)
    assert image.header.inverted == stated
    assert "W_POLARITY" not in image.header.codes
    grey, window = VALUES / 4095, grayscale.window(VALUES, 900, 1500)
    np.testing.assert_allclose(image.tone, 1 - grey if stated else grey)
    np.testing.assert_allclose(image.display, 1 - window if stated else window)
    assert read_header(path, inverted=stated) == image.header


@pytest.mark.parametrize("shape", ["inverse ", "Inverse", " INVERSE"])
def test_the_shape_is_read_whatever_its_letters_and_blanks(tmp_path, shape):
    ds = radiograph(inverted=True)
    value = shape.encode() + b" " * (len(shape) % 2)
    ds[0x20500020] = RawDataElement(Tag(0x20500020), "CS", len(value), value, 0, False, True)
    assert read_header(write(ds, tmp_path / "a.dcm")).inverted


@pytest.mark.parametrize("signed", [False, True])
def test_a_high_bit_that_the_values_contradict_is_not_believed(tmp_path, signed):
    stored = pixels().astype(np.int16) - 2048 if signed else pixels()
    image = read_radiograph(write(radiograph(stored, HighBit=15), tmp_path / "a.dcm"))
    np.testing.assert_array_equal(image.stored, pixels())
    assert image.header.codes == ("W_HIGHBIT",)


@pytest.mark.parametrize("signed", [False, True])
def test_values_that_lie_where_the_high_bit_says_are_brought_down(tmp_path, signed):
    stored = (pixels().astype(np.int32) - 2048 * signed) << 4
    image = read_radiograph(
        write(radiograph(stored.astype(np.int16 if signed else np.uint16), HighBit=15), tmp_path / "a")
    )
    np.testing.assert_array_equal(image.stored, pixels())
    assert image.header.codes == ()


def test_bits_below_values_that_lie_where_the_high_bit_says_are_dropped_and_said(tmp_path):
    image = read_radiograph(write(radiograph((pixels() << 4 | 1).astype(np.uint16), HighBit=15), tmp_path / "a.dcm"))
    np.testing.assert_array_equal(image.stored, pixels())
    assert image.header.codes == ("W_HIGHBITS",)


def test_signed_values_without_their_sign_in_the_upper_bits_are_read_and_said_as_such(tmp_path):
    bare = ((pixels().astype(np.int32) - 2048) & 0xFFF).astype(np.int16)
    image = read_radiograph(write(radiograph(bare), tmp_path / "a.dcm"))
    np.testing.assert_array_equal(image.stored, pixels())
    assert image.header.codes == ("W_SIGN",)


def test_more_bits_stored_than_allocated_are_refused(tmp_path):
    with pytest.raises(RadiographError, match="E_GEOMETRY"):
        read_header(write(radiograph(bits=8, BitsStored=12, HighBit=11), tmp_path / "a.dcm"))
