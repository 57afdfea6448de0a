"""PNG, TIFF and JPEG keep their bits; colour is refused unless it is grey."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from dicoms import pixels
from isotone.errors import RadiographError
from isotone.imaging.read import read_header, read_radiograph
from isotone.imaging.resize import to_square

GREY8 = pixels(8).astype(np.uint8)
GREY16 = pixels(16)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".PNG"])
@pytest.mark.parametrize("stored", [GREY8, GREY16], ids=["8", "16"])
def test_8_and_16_bits_are_kept(tmp_path, suffix, stored):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(stored).save(path)
    image = read_radiograph(path)
    np.testing.assert_array_equal(image.stored, stored)
    assert image.stored.dtype == stored.dtype
    np.testing.assert_allclose(image.pixels, stored / np.iinfo(stored.dtype).max, atol=1e-7)
    assert read_header(path) == image.header


def test_jpeg_is_read_as_8_bits(tmp_path):
    Image.fromarray(GREY8).save(tmp_path / "a.jpg", quality=95)
    image = read_radiograph(tmp_path / "a.jpg", domain="scanner")
    assert np.abs(image.stored.astype(int) - GREY8).mean() < 3
    assert (image.header.format, image.header.domain, image.header.bits_stored) == ("jpeg", "scanner", 8)


def test_inverted_is_the_users_word(tmp_path):
    Image.fromarray(GREY8).save(tmp_path / "a.png")
    image = read_radiograph(tmp_path / "a.png", inverted=True)
    assert image.header.inverted
    np.testing.assert_allclose(image.pixels, 1 - GREY8 / 255, atol=1e-7)


@pytest.mark.parametrize("stored", [GREY8, GREY16], ids=["8", "16"])
def test_a_tiff_whose_zero_is_white_is_inverted(tmp_path, stored):
    inverted = np.iinfo(stored.dtype).max - stored
    tiff = Image.fromarray(inverted)
    tiff.save(tmp_path / "a.tif", tiffinfo={262: 1})
    data = (tmp_path / "a.tif").read_bytes()
    entry = b"\x06\x01\x03\x00\x01\x00\x00\x00"  # tag 262, one short
    assert data.count(entry + b"\x01\x00") == 1
    (tmp_path / "a.tif").write_bytes(data.replace(entry + b"\x01\x00", entry + b"\x00\x00"))
    np.testing.assert_allclose(
        read_radiograph(tmp_path / "a.tif").pixels, stored / np.iinfo(stored.dtype).max, atol=1e-7
    )


def test_equal_channels_are_one(tmp_path):
    Image.fromarray(np.stack([GREY8] * 3, -1)).save(tmp_path / "a.png")
    image = read_radiograph(tmp_path / "a.png")
    np.testing.assert_array_equal(image.stored, GREY8)
    assert image.header.warnings[0].startswith("W_RGB")


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(np.stack([GREY8, GREY8, 255 - GREY8], -1)),
        Image.fromarray(np.stack([GREY8, GREY8, GREY8, GREY8], -1)),
        Image.fromarray(GREY8 > 100),
        Image.fromarray(GREY8).quantize(16),
        Image.merge("LA", [Image.fromarray(GREY8)] * 2),
    ],
    ids=["rgb", "transparent", "bilevel", "palette", "grey-alpha"],
)
def test_what_is_not_grey_is_refused(tmp_path, image):
    image.save(tmp_path / "a.png")
    with pytest.raises(RadiographError, match="E_RASTER"):
        read_radiograph(tmp_path / "a.png")


def test_several_pages_are_refused(tmp_path):
    page = Image.fromarray(GREY8)
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page])
    with pytest.raises(RadiographError, match=r"2 pages \[E_RASTER\]"):
        read_radiograph(tmp_path / "a.tif")


def test_floating_point_tiffs_are_refused(tmp_path):
    Image.fromarray(GREY8.astype(np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(RadiographError, match="E_RASTER"):
        read_radiograph(tmp_path / "a.tif")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([".png", ".tif", ".jpg"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=10),
    st.floats(0.1, 1),
)
def test_damage_is_refused_in_our_own_words_or_reads(tmp_path, suffix, changes, kept):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(GREY8).save(path)
    data = bytearray(path.read_bytes())
    for where, value in changes:
        data[int(where * len(data))] = value
    path.write_bytes(data[: int(kept * len(data))])
    try:
        image = read_radiograph(path)
    except RadiographError:
        return
    assert image.stored.max() < len(image.tone)


@given(arrays(np.float32, (9, 13), elements=st.floats(0, 1, width=32)), st.integers(1, 20))
def test_resizing_stays_within_the_range_of_the_image(grey, size):
    small = to_square(grey, size)
    assert small.shape == (size, size)
    assert small.dtype == np.float32
    assert small.min() >= grey.min() - 1e-6
    assert small.max() <= grey.max() + 1e-6


def test_resizing_averages_fine_texture_away():
    checkerboard = (np.indices((256, 256)).sum(0) % 2).astype(np.float32)
    np.testing.assert_allclose(to_square(checkerboard, 32), 0.5, atol=0.01)
