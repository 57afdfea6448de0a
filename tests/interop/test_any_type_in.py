"""Images come in as whatever the caller has, and go out as the same type."""

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset

import dicoms
from harmonizers import CURVE, REFERENCE, change, scanner_harmonizer
from isotone.errors import RadiographError, at_command_line
from isotone.harmonizer.whole_levels import looked_up
from isotone.imaging.inspect import inspect
from isotone.imaging.radiograph import Radiograph
from isotone.imaging.read import read_header, read_radiograph

DOMAIN = "HOLOGIC, Inc. Selenia Dimensions"
HARMONIZER = scanner_harmonizer("any", DOMAIN)
GREY = np.random.default_rng(0).random((24, 20))
STORED = np.rint(4095 * GREY).astype(np.uint16)


def written(path: Path, **settings: object) -> Path:
    return dicoms.write(dicoms.radiograph(**settings), path)  # type: ignore[arg-type]


# In


@pytest.mark.parametrize("syntax", dicoms.LOSSLESS.values(), ids=dicoms.LOSSLESS)
def test_a_file_its_bytes_its_stream_and_its_data_set_are_one_image(tmp_path: Path, syntax: str) -> None:
    path = dicoms.write(dicoms.encoded(dicoms.radiograph(inverted=True), syntax), tmp_path / "image.dcm")
    wanted = read_radiograph(path)
    with path.open("rb") as stream:
        for image in (str(path), path.read_bytes(), stream, io.BytesIO(path.read_bytes()), pydicom.dcmread(path)):
            found = read_radiograph(image)
            np.testing.assert_array_equal(found.pixels, wanted.pixels)
            assert found.header.domain == wanted.header.domain
            assert found.header.warnings == wanted.header.warnings


@pytest.mark.parametrize("suffix", ["png", "tiff", "jpg"])
def test_the_first_bytes_tell_what_a_nameless_file_is(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"image.{suffix}"
    Image.fromarray((255 * GREY).astype(np.uint8)).save(path)
    assert read_header(path.read_bytes()).format == read_header(path).format
    np.testing.assert_array_equal(read_radiograph(path.read_bytes()).pixels, read_radiograph(path).pixels)


def test_a_data_set_made_by_a_script_needs_no_file_meta_information_and_is_not_changed() -> None:
    dataset = dicoms.radiograph()
    del dataset.file_meta
    before = Dataset()
    before.update(dataset)
    assert read_radiograph(dataset).header.bits_stored == 12
    assert dataset == before
    assert not hasattr(dataset, "file_meta")


def test_a_stream_is_read_from_where_it_stands_and_stays_open(tmp_path: Path) -> None:
    data = written(tmp_path / "image.dcm").read_bytes()
    stream = io.BytesIO(b"envelope" + data)
    stream.seek(8)
    assert read_radiograph(stream).header.domain == DOMAIN
    assert not stream.closed


def test_what_is_no_image_is_refused_by_its_type_or_its_code(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no image")
    with pytest.raises(TypeError, match="from_array"):
        read_radiograph(GREY)  # type: ignore[arg-type]
    with (tmp_path / "text").open() as text, pytest.raises(TypeError, match="binary"):
        read_radiograph(text)  # type: ignore[arg-type]
    for nothing in (b"", b"no image"):
        with pytest.raises(RadiographError) as refused:
            read_radiograph(nothing)
        assert refused.value.code == "E_NOT_DICOM"
    broken = dicoms.radiograph()
    with pytest.warns(UserWarning, match="cannot be assigned"):
        broken.BitsStored = "many"
    with pytest.raises(RadiographError) as refused:
        read_radiograph(broken)
    assert refused.value.code == "E_UNSUPPORTED"


# Arrays


def test_integers_state_their_bits_and_are_kept_as_they_are() -> None:
    for array in (STORED, STORED.astype(np.int32), STORED[None], STORED.tolist()):
        image = Radiograph.from_array(array, bits=12, domain="any")
        np.testing.assert_array_equal(image.stored, STORED)
        assert image.pixels.max() == pytest.approx(STORED.max() / 4095)
    assert Radiograph.from_array(STORED.astype(np.uint8)).header.bits_stored == 8
    np.testing.assert_allclose(
        Radiograph.from_array(STORED, bits=12, inverted=True).pixels,
        1 - Radiograph.from_array(STORED, bits=12).pixels,
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("array", "bits"),
    [
        *[(STORED, None), (STORED.astype(np.int16), None), (STORED, 11), (STORED, 17), (STORED, 0)],
        *[
            (-STORED.astype(np.int16), 12),
            (GREY, 12),
            (255 * GREY, None),
            (GREY[0], None),
            (np.stack([GREY] * 3), None),
        ],
    ],
)
def test_an_array_whose_scale_is_not_certain_is_refused(array: np.ndarray, bits: int | None) -> None:
    with pytest.raises(ValueError, match=r"bits|shape|floats"):
        Radiograph.from_array(array, bits=bits)
    with pytest.raises(ValueError, match=r"bits|shape|floats"):
        HARMONIZER.transform(array, domain="any", bits=bits)


def test_what_has_no_grey_level_and_a_polarity_that_is_no_truth_value_are_refused() -> None:
    for array in (np.ma.masked_greater(GREY, 0.5), np.where(GREY > 0.5, np.nan, GREY), GREY[:0]):
        with pytest.raises(ValueError, match=r"masked|NaN|pixels"):
            Radiograph.from_array(array)
    with pytest.raises(TypeError, match="True or False, not 'no'"):
        Radiograph.from_array(GREY, inverted="no")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="True or False, not 'no'"):
        HARMONIZER.transform(GREY, domain="any", inverted="no")


@pytest.mark.parametrize("array", [GREY > 0.5, GREY + 1j, GREY.astype(str)])
def test_an_array_of_no_numbers_is_refused(array: np.ndarray) -> None:
    with pytest.raises(TypeError, match="integers or floats"):
        Radiograph.from_array(array)


def test_a_batch_becomes_images() -> None:
    batch = np.stack([GREY, GREY[::-1]])[:, None]
    for images in (Radiograph.from_batch(batch), Radiograph.from_array(batch)):
        assert [image.pixels[0, 0] for image in images] == pytest.approx([GREY[0, 0], GREY[-1, 0]], abs=1e-4)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_a_curve_refuses_stored_values_even_where_all_are_black(dtype: type) -> None:
    with pytest.raises(ValueError, match="2\\*\\*bits"):
        CURVE(np.zeros((4, 4), dtype))


# Out


@pytest.mark.parametrize("shape", [(24, 20), (1, 24, 20), (2, 1, 24, 10)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_grey_levels_go_through_the_exact_curve(shape: tuple[int, ...], dtype: type) -> None:
    array = np.resize(GREY, shape).astype(dtype)
    found = HARMONIZER.transform(array, domain="any")
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, CURVE(array))
    inverted = HARMONIZER.transform(array, domain="any", inverted=True)
    np.testing.assert_allclose(inverted, 1 - CURVE(1 - array), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.int64])
def test_integers_come_back_as_the_nearest_level_of_their_bits(dtype: type) -> None:
    found = HARMONIZER.transform(STORED.astype(dtype), domain="any", bits=12)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.rint(4095 * CURVE(STORED / 4095)))
    inverted = HARMONIZER.transform((4095 - STORED).astype(dtype), domain="any", bits=12, inverted=True)
    np.testing.assert_array_equal(inverted, 4095 - found)


@pytest.mark.parametrize("bits", [1, 8, 12, 14, 16])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("inverted", [False, True])
def test_floats_that_are_whole_numbers_over_their_largest_are_looked_up_to_the_same_bits(
    bits: int, dtype: type, inverted: bool
) -> None:
    stored = np.random.default_rng(0).integers(0, 2**bits, (32, 24))
    image = (stored / (2**bits - 1)).astype(dtype)
    wanted = 1 - CURVE(1 - image) if inverted else CURVE(image)
    assert looked_up(image, CURVE, inverted) is not None
    np.testing.assert_array_equal(HARMONIZER.transform(image, domain="any", inverted=inverted), wanted)
    image[3, 5] = np.nextafter(dtype(0.7), dtype(1))  # no level of any depth
    assert looked_up(image, CURVE, inverted) is None
    assert looked_up(np.full_like(image, np.nan), CURVE, inverted) is None
    assert looked_up(image - 1, CURVE, inverted) is None


def test_reference_images_pass_through() -> None:
    for array in (GREY, np.rint(255 * GREY).astype(np.uint8)):
        np.testing.assert_array_equal(HARMONIZER.transform(array, domain=REFERENCE), array)


def test_a_tensor_comes_back_with_its_gradient() -> None:
    torch = pytest.importorskip("torch")
    image = torch.tensor(GREY, dtype=torch.float32, requires_grad=True)
    for shaped in (image, image[None], image[None, None]):
        found = HARMONIZER.transform(shaped, domain="any")
        assert found.shape == shaped.shape
        (gradient,) = torch.autograd.grad(found.sum(), image)
        step = (CURVE(GREY + 1e-6) - CURVE(GREY - 1e-6)) / 2e-6
        np.testing.assert_allclose(gradient.numpy(), step, atol=1e-3)
    levels = HARMONIZER.transform(torch.tensor(STORED.astype(np.int32)), domain="any", bits=12)
    np.testing.assert_array_equal(levels.numpy(), np.rint(4095 * CURVE(STORED / 4095)))
    with pytest.raises(ValueError, match="from 0 to 1"):
        CURVE(torch.tensor([0.0, 200.0]))


@pytest.mark.parametrize("inverted", [False, True])
def test_a_data_set_comes_back_as_the_derived_image(tmp_path: Path, inverted: bool) -> None:
    source = dicoms.radiograph(dicoms.pixels(rows=300, columns=500), inverted=inverted)
    before = source.pixel_array.copy()
    derived = HARMONIZER.transform(source)
    assert isinstance(derived, Dataset)
    assert derived.SOPInstanceUID != source.SOPInstanceUID
    assert derived.ImageType[0] == "DERIVED"
    derived.save_as(tmp_path / "derived.dcm", enforce_file_format=True)
    wanted = HARMONIZER.transform(read_radiograph(source)).pixels
    np.testing.assert_allclose(read_radiograph(tmp_path / "derived.dcm").pixels, wanted, atol=1e-5)
    np.testing.assert_array_equal(source.pixel_array, before)
    with pytest.raises(RadiographError) as refused:
        HARMONIZER.transform(derived)
    assert refused.value.code == "E_ALREADY"


@pytest.mark.parametrize("syntax", dicoms.LOSSLESS.values(), ids=dicoms.LOSSLESS)
def test_the_derived_data_set_can_be_saved_whatever_encoding_it_came_in(tmp_path: Path, syntax: str) -> None:
    path = dicoms.write(dicoms.encoded(dicoms.radiograph(), syntax), tmp_path / "image.dcm")
    HARMONIZER.transform(pydicom.dcmread(path)).save_as(tmp_path / "derived.dcm", enforce_file_format=True)
    (found,) = inspect([tmp_path / "derived.dcm"])
    assert found.error is None
    assert found.header is not None
    assert found.header.codes == ("W_HARMONIZED",)
    assert pydicom.dcmread(tmp_path / "derived.dcm").PatientName == "Doe^Jane"


def test_a_data_set_of_the_reference_is_handed_back() -> None:
    source = dicoms.radiograph()
    assert scanner_harmonizer("any").transform(source, domain=REFERENCE) is source


def test_what_is_no_image_has_no_curve() -> None:
    with pytest.raises(TypeError, match="a str is no image"):
        HARMONIZER.transform("image.dcm")


# Errors


def test_errors_name_parameters_in_python_and_options_at_the_command_line() -> None:
    with pytest.raises(RadiographError) as refused:
        HARMONIZER.transform(GREY)
    assert "domain=" in str(refused.value)
    assert "--domain" not in str(refused.value)
    with at_command_line():
        assert "--domain" in str(refused.value)


def test_transform_takes_the_overrides_of_curve() -> None:
    harmonizer = scanner_harmonizer("any")
    change(harmonizer, "any", headers={"bits_stored": {"12": 3}})
    with pytest.raises(RadiographError) as refused:
        harmonizer.transform(np.rint(255 * GREY).astype(np.uint8), domain="any")
    assert 'allow=["depth"]' in str(refused.value)
    harmonizer.transform(np.rint(255 * GREY).astype(np.uint8), domain="any", allow=["depth"])
    harmonizer.transform(GREY, domain="any")  # grey levels have no depth
