"""PNG, TIFF and JPEG keep their bits, however many; colour is refused unless it is grey."""

from __future__ import annotations

import struct
import zlib

import imagecodecs
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


@pytest.mark.parametrize(("pages", "said"), [(2, "2 pages"), (40, "16 pages or more")])
def test_several_pages_are_refused_and_no_more_are_counted_than_needed(tmp_path, pages, said):
    page = Image.fromarray(GREY8)
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page] * (pages - 1))
    with pytest.raises(RadiographError, match=rf"{said} \[E_RASTER\]"):
        read_radiograph(tmp_path / "a.tif")


OPAQUE = np.full_like(GREY16, 65535)


@pytest.mark.parametrize(
    "channels",
    [[GREY16] * 3, [GREY16, GREY16, GREY16, OPAQUE], [GREY16, OPAQUE]],
    ids=["rgb", "rgba", "grey-alpha"],
)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_equal_channels_of_16_bits_keep_them(tmp_path, channels, suffix):
    write_raster(tmp_path / f"a{suffix}", np.stack(channels, -1))
    image = read_radiograph(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(image.stored, GREY16)
    assert image.header.bits_stored == 16
    assert image.header.codes == ("W_RGB",)
    assert read_header(tmp_path / f"a{suffix}").bits_stored == 16


@pytest.mark.parametrize(
    "channels",
    # They differ by less than 8 bits can hold.
    [[GREY16, GREY16, GREY16 ^ 1], [GREY16, GREY16, GREY16, OPAQUE - 1], [GREY16, OPAQUE - 1]],
    ids=["rgb", "rgba", "grey-alpha"],
)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_channels_of_16_bits_that_are_not_grey_or_not_opaque_are_refused(tmp_path, channels, suffix):
    write_raster(tmp_path / f"a{suffix}", np.stack(channels, -1))
    with pytest.raises(RadiographError, match="E_RASTER"):
        read_radiograph(tmp_path / f"a{suffix}")


def test_an_opaque_alpha_channel_of_8_bits_is_none(tmp_path):
    write_raster(tmp_path / "a.png", np.stack([GREY8, np.full_like(GREY8, 255)], -1))
    np.testing.assert_array_equal(read_radiograph(tmp_path / "a.png").stored, GREY8)


def test_a_cut_png_of_16_bit_channels_is_refused(tmp_path):
    data = imagecodecs.png_encode(np.stack([GREY16] * 3, -1))
    for kept in (len(data) // 2, len(data) - 200):
        (tmp_path / "a.png").write_bytes(data[:kept])
        with pytest.raises(RadiographError, match="E_RASTER"):
            read_radiograph(tmp_path / "a.png")


@pytest.mark.parametrize("bits", [4, 8, 10, 12, 14, 16])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_a_tiff_of_any_depth_is_read_in_full_and_its_zero_may_be_white(tmp_path, bits, white_is_zero):
    stored = pixels(bits)
    limit = 2**bits - 1
    written = limit - stored if white_is_zero else stored
    (tmp_path / "a.tif").write_bytes(packed_tiff(written, bits, photometric=int(not white_is_zero)))
    image = read_radiograph(tmp_path / "a.tif")
    assert image.header.bits_stored == bits
    assert image.header.inverted == white_is_zero
    np.testing.assert_allclose(image.pixels, stored / limit, atol=1e-7)
    assert read_header(tmp_path / "a.tif") == image.header


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("photometric", [0, 1])
def test_the_users_polarity_goes_before_that_of_a_tiff(tmp_path, inverted, photometric):
    (tmp_path / "a.tif").write_bytes(packed_tiff(pixels(12), 12, photometric=photometric))
    image = read_radiograph(tmp_path / "a.tif", inverted=inverted)
    grey = pixels(12) / 4095
    np.testing.assert_allclose(image.pixels, 1 - grey if inverted else grey, atol=1e-6)


@pytest.mark.parametrize("layout", ["tiled", "planar", "compressed", "big-endian"])
def test_a_tiff_is_read_however_its_pixels_are_laid_out(tmp_path, layout):
    grey = Image.fromarray(GREY16)
    if layout == "planar":
        tiff = packed_tiff(np.concatenate([GREY16] * 3), 16, photometric=2, samples=3)
        (tmp_path / "a.tif").write_bytes(tiff)
    elif layout == "tiled":
        (tmp_path / "a.tif").write_bytes(tiled_tiff(GREY16))
    elif layout == "compressed":
        grey.save(tmp_path / "a.tif", compression="tiff_lzw")
    else:
        Image.frombytes("I;16B", (64, 48), GREY16.astype(">u2").tobytes()).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_radiograph(tmp_path / "a.tif").stored, GREY16)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({339: (3, 2)}, "signed"),
        ({339: (3, 3)}, "floating-point"),
        ({262: (3, 3)}, "in colour"),
        ({262: (3, 5)}, "in colour"),
        ({258: (3, 1)}, "1 bits per sample"),
        ({258: (3, 32)}, "32 bits per sample"),
        ({279: (4, 0)}, "missing"),
        ({270: (2, b"ImageJ=1.54\nimages=7\n\0")}, "7 pages"),
        ({257: (4, 2**31)}, "pixels"),
    ],
)
def test_a_tiff_that_cannot_be_read_right_is_refused_with_the_reason(tmp_path, changes, said):
    (tmp_path / "a.tif").write_bytes(packed_tiff(GREY16, 16, changes=changes))
    with pytest.raises(RadiographError, match=said):
        read_radiograph(tmp_path / "a.tif")


def test_a_cut_tiff_is_refused(tmp_path):
    Image.fromarray(GREY16).save(tmp_path / "a.tif", compression="tiff_lzw")
    data = tiled_tiff(GREY16)
    for cut in (data[:-400], packed_tiff(GREY16, 16)[:-100]):
        (tmp_path / "a.tif").write_bytes(cut)
        with pytest.raises(RadiographError, match="E_RASTER"):
            read_radiograph(tmp_path / "a.tif")


def write_raster(path, array):
    """A PNG, or a TIFF that is not compressed, of any number of channels."""
    if path.suffix == ".png":
        path.write_bytes(imagecodecs.png_encode(array))
        return
    samples = array.shape[2]
    extra = {338: (3, 2)} if samples in (2, 4) else {}
    photometric = 2 if samples > 2 else 1
    path.write_bytes(packed_tiff(array, 16, photometric=photometric, samples=samples, chunky=True, changes=extra))


def packed_tiff(array, bits, *, photometric=1, samples=1, chunky=False, changes=None) -> bytes:
    """A TIFF whose samples lie bit behind bit, without compression (TIFF 6.0 section 8)."""
    rows = array.shape[0] // (1 if chunky else samples)
    flat = array.reshape(array.shape[0], -1).astype(np.uint64)
    unpacked = (flat[..., None] >> np.arange(bits - 1, -1, -1, dtype=np.uint64)) & np.uint64(1)
    data = flat.astype("<u2").tobytes() if bits == 16 else np.packbits(unpacked.reshape(len(flat), -1), 1).tobytes()
    size = len(data) // (1 if chunky else samples)
    tags = {256: (4, array.shape[1]), 257: (4, rows), 258: (3, [bits] * samples), 259: (3, 1), 262: (3, photometric)}
    tags |= {277: (3, samples), 278: (4, rows), 284: (3, 1 if chunky or samples == 1 else 2)}
    strips = range(1 if chunky else samples)
    tags |= {273: (4, [8 + k * size for k in strips]), 279: (4, [size for _ in strips])}
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory(tags | (changes or {}), 8 + len(data))


def tiled_tiff(array) -> bytes:
    tiles = [array[r : r + 16, c : c + 16] for r in range(0, 48, 16) for c in range(0, 64, 16)]
    size = 512
    tags = {256: (4, 64), 257: (4, 48), 258: (3, 16), 259: (3, 1), 262: (3, 1), 277: (3, 1), 322: (3, 16), 323: (3, 16)}
    tags |= {324: (4, [1024 + k * size for k in range(12)]), 325: (4, [size] * 12)}
    head = b"II*\0" + struct.pack("<I", 8) + directory(tags, 8)
    return head.ljust(1024, b"\0") + b"".join(tile.astype("<u2").tobytes() for tile in tiles)


def directory(tags, at) -> bytes:
    """One image file directory (TIFF 6.0 section 2), that starts at this offset."""
    entries, values = b"", b""
    behind = at + 2 + 12 * len(tags) + 4
    for tag, (kind, value) in sorted(tags.items()):
        if isinstance(value, bytes):
            data, count = value, len(value)
        else:
            numbers = value if isinstance(value, list) else [value]
            data, count = struct.pack(f"<{len(numbers)}{'H' if kind == 3 else 'I'}", *numbers), len(numbers)
        if len(data) > 4:
            offset, values = behind + len(values), values + data
            data = struct.pack("<I", offset)
        entries += struct.pack("<HHI", tag, kind, count) + data.ljust(4, b"\0")
    return struct.pack("<H", len(tags)) + entries + bytes(4) + values


def test_floating_point_tiffs_are_refused(tmp_path):
    Image.fromarray(GREY8.astype(np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(RadiographError, match="E_RASTER"):
        read_radiograph(tmp_path / "a.tif")


@pytest.mark.slow
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


TURNED = {**dict.fromkeys(range(2, 9), "turned or mirrored"), 0: None, 1: None, 9: None}


@pytest.mark.parametrize(("value", "said"), TURNED.items())
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_an_image_that_is_to_be_turned_before_it_is_shown_is_refused_with_advice(tmp_path, suffix, value, said):
    path, exif = tmp_path / f"a{suffix}", Image.Exif()
    exif[274] = value
    Image.fromarray(GREY8).save(path, **({"tiffinfo": {274: value}} if suffix == ".tif" else {"exif": exif}))
    for read in (read_header, read_radiograph):
        if said is None:
            read(path)
            continue
        with pytest.raises(RadiographError, match=said) as refused:
            read(path)
        assert "-auto-orient" in refused.value.next_step


@pytest.mark.parametrize("behind", [True, False])
def test_damaged_exif_of_sound_pixels_is_no_reason_to_refuse_but_an_orientation_behind_them_is(tmp_path, behind):
    Image.fromarray(GREY8).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    turned = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    at = data.index(b"IEND" if behind else b"IDAT") - 4
    (tmp_path / "a.png").write_bytes(data[:at] + _chunk(b"eXIf", turned if behind else b"no TIFF at all") + data[at:])
    if behind:
        with pytest.raises(RadiographError, match="turned"):
            read_radiograph(tmp_path / "a.png")
    else:
        np.testing.assert_array_equal(read_radiograph(tmp_path / "a.png").stored, GREY8)


@pytest.mark.parametrize(("bits", "channels"), [(2, 1), (4, 1), (8, 1), (16, 1), (8, 3), (16, 3)])
@pytest.mark.parametrize("used", [True, False])
def test_a_png_with_a_transparent_level_is_refused_if_a_pixel_has_it(tmp_path, bits, channels, used):
    top = 2**bits - 1
    grey = np.repeat(np.minimum(GREY16 >> (16 - bits), top - 1)[..., None], channels, axis=2)
    level = struct.pack(f">{channels}H", *[int(grey[20, 20, 0]) if used else top] * channels)
    rows = [row.astype(">u2").tobytes() if bits == 16 else _packed(row.ravel(), bits) for row in grey]
    size = struct.pack(">IIBBBBB", grey.shape[1], grey.shape[0], bits, 2 if channels == 3 else 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = ((b"IHDR", size), (b"tRNS", level), (b"IDAT", pixels), (b"IEND", b""))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks))
    if used:
        with pytest.raises(RadiographError, match="transparent"):
            read_radiograph(tmp_path / "a.png")
    else:
        stored = read_radiograph(tmp_path / "a.png").stored
        np.testing.assert_array_equal(stored, grey[..., 0] * (255 // top if bits < 8 else 1))


def _packed(row, bits):
    return np.packbits(np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, -bits:].ravel()).tobytes()


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
