"""Anatomy and air, told by level sets."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from isotone.data.descriptors.foreground import boundaries, regions
from isotone.data.descriptors.image_set import WRITTEN
from isotone.data.descriptors.marks import picture
from isotone.data.phantom.anatomy import CLASSES, Anatomy, draw_breast
from isotone.data.phantom.scanners import reference_presentation
from isotone.data.sample import Sample

RESPONSES = {
    "gamma 0.4": lambda x: x**0.4,
    "gamma 2.5": lambda x: x**2.5,
    "log": lambda x: np.log1p(100 * x) / np.log(101),
    "narrow": lambda x: 0.05 + 0.35 * x**1.4,
}


def sample(x):
    return Sample(np.rint(np.asarray(x) * 65535).astype(np.uint16), np.ones(np.shape(x), bool))


def breast(seed, density="C", size=96, field=240.0):
    rng = np.random.default_rng(seed)
    return reference_presentation(draw_breast(rng, Anatomy.draw(rng, density), size, field_mm=field))


@pytest.mark.parametrize("name", RESPONSES)
def test_every_response_leaves_the_same_pixels_in_the_foreground(name):
    for seed in range(4):
        image = np.rint(breast(seed) * 4095) / 4095  # distinct levels stay distinct through the response
        plain, toned = regions(sample(image)), regions(sample(RESPONSES[name](image)))
        # 16 bits merge the darkest levels of an expansive response.
        assert np.mean(plain.foreground != toned.foreground) < 0.005
        assert toned.clearness == pytest.approx(plain.clearness, abs=0.05)


@pytest.mark.parametrize("density", CLASSES)
@pytest.mark.parametrize("field", [240.0, 170.0])
def test_the_cut_follows_the_skin_whatever_share_of_the_image_is_air(density, field):
    image = breast(7, density, field=field)
    parts = regions(sample(image))
    assert parts.background.any()
    assert np.mean(parts.background != (image < 0.1)) < 0.03


@pytest.mark.parametrize("levels", [4095, 255])
@pytest.mark.parametrize("size", [64, 160])
def test_neither_depth_nor_sampling_decides_how_clear_air_is(levels, size):
    found = [regions(sample(np.rint(levels * breast(seed, "BD"[seed % 2], size)) / levels)) for seed in range(6)]
    assert np.allclose([parts.clearness for parts in found], 1, atol=0.15)
    assert all(parts.background.any() for parts in found)


def test_an_image_without_air_is_all_anatomy():
    rng = np.random.default_rng(0)
    smooth = np.add.outer(np.sin(np.arange(96) / 17), np.cos(np.arange(96) / 23)) + rng.normal(0, 0.3, (96, 96))
    parts = regions(sample((smooth - smooth.min()) / np.ptp(smooth)))
    assert not parts.background.any()
    assert parts.foreground.all()


def test_dark_anatomy_along_the_border_is_no_air():
    """A smooth outline alone does not make it: half of the image, dark, and as full of features as the other."""
    rng = np.random.default_rng(0)
    texture = ndimage.gaussian_filter(rng.normal(0, 1, (96, 96)), 3)
    image = 0.25 * (texture - texture.min()) / np.ptp(texture) + 0.5 * (np.arange(96) > 48)[:, None]
    assert not regions(sample(image)).background.any()


def test_letters_in_the_air_are_neither_air_nor_anatomy():
    image = breast(3)
    plain = regions(sample(image))
    written = image.copy()
    written[4:10, 60:70], written[4:10:2, 50:58] = 1.0, 0.7  # a marker, and strokes of one pixel
    parts = regions(sample(np.clip(written + np.random.default_rng(0).normal(0, 1e-3, image.shape), 0, 1)))
    assert not (parts.foreground | parts.background)[4:10, 60:70].any()
    assert not parts.background[4:10:2, 50:58].any()
    assert np.mean(parts.foreground != plain.foreground) < 0.01


def test_grey_letters_are_marks_and_what_jpeg_leaves_in_the_air_is_none():
    for seed in range(3):
        image = breast(seed)
        written, file = image.copy(), io.BytesIO()
        air = regions(sample(image)).background[:14]
        written[2:12:2][air[2:12:2]] = 0.3
        Image.fromarray(np.rint(255 * image).astype(np.uint8)).save(file, "JPEG", quality=90)
        coded = np.asarray(Image.open(file), float) / 255
        found = [regions(sample(each)).marks > WRITTEN for each in (image, coded, written)]
        assert found == [False, False, True]


def framed(image, kind, rng):
    out = np.ones(image.shape, bool)
    if kind.startswith("round"):
        y, x = np.mgrid[-1 : 1 : image.shape[0] * 1j, -1 : 1 : image.shape[1] * 1j]
        out = x**2 + y**2 > 1.1
    else:
        out[12:-9, 6:-8] = False
    level = {"black": 0.0, "white": 1.0, "grey": 0.4}[kind.split()[-1]]
    noise = rng.normal(0, 0.003, image.shape) if "noisy" in kind else 0.0
    return np.clip(np.where(out, level + noise, image), 0, 1), out


@pytest.mark.parametrize("kind", ["black", "white", "grey", "noisy white", "round black", "round white"])
@pytest.mark.parametrize("name", ["log", "narrow"])
def test_frames_and_shutters_leave_the_anatomy_as_it_is(kind, name):
    image, out = framed(breast(1, "B"), kind, np.random.default_rng(0))
    plain = regions(sample(breast(1, "B")))
    parts = regions(sample(RESPONSES[name](image)))
    assert not (parts.foreground & out).any()
    assert np.mean((parts.foreground != plain.foreground) & ~out) < 0.02


def test_noisy_collimation_darker_than_air_hides_no_air():
    image = breast(2, "C")
    rng = np.random.default_rng(0)
    dark = image.copy()
    dark[:20] = 0.005 + rng.normal(0, 0.001, dark[:20].shape)
    plain, parts = regions(sample(image)), regions(sample(np.clip(dark, 0, 1)))
    assert np.mean((parts.foreground != plain.foreground)[20:]) < 0.02


@pytest.mark.parametrize("coding", ["noise", "JPEG"])
def test_collimation_that_ends_in_air_is_told_from_it(coding):
    """Darker or brighter, and no plateau: it ends sharply, and behind it grey levels rise no further."""
    rng = np.random.default_rng(0)
    for seed, level in ((2, 0.0), (4, 1.0)):
        image = 0.1 + 0.8 * breast(seed, "C")
        image[:20], image[:, -9:] = level, level
        if coding == "noise":
            image = np.clip(image + rng.normal(0, 0.004, image.shape), 0, 1)
        else:
            file = io.BytesIO()
            Image.fromarray(np.rint(255 * image).astype(np.uint8)).save(file, "JPEG", quality=75)
            image = np.asarray(Image.open(file), float) / 255
        inside = picture(sample(image).pixels, np.ones(image.shape, bool))
        assert not inside[:19].any()
        assert not inside[:, -8:].any()
        assert inside[24:, :-13].all()


def test_air_of_one_value_is_no_mark_though_it_ends_at_a_frame():
    image = np.where(breast(2) < 0.03, 0.02, breast(2))
    framed = image.copy()
    framed[:25], framed[-25:], framed[:, -6:] = 1, 1, 1
    inside = picture(sample(framed).pixels, np.ones(image.shape, bool))
    assert np.array_equal(inside, framed < 1)


def test_a_label_in_the_corner_with_letters_up_to_the_border_is_a_mark_beside_air_of_one_value():
    image = np.where(breast(5) < 0.03, 0.02, breast(5))
    image[:13, -38:] = 0.95
    image[4:10:2, -34:] = 0.4
    assert np.array_equal(
        ~picture(sample(image).pixels, np.ones(image.shape, bool)),
        np.pad(np.ones((13, 38), bool), ((0, 83), (image.shape[1] - 38, 0))),
    )


def test_what_a_response_clips_is_no_mark():
    image = np.clip((ndimage.gaussian_filter(np.random.default_rng(0).normal(0, 1, (96, 96)), 4) + 0.1) * 4, 0, 1)
    assert np.mean(image == 0) > 0.05
    assert picture(sample(image).pixels, np.ones(image.shape, bool)).all()


def test_a_ramp_has_no_strips():
    ramp = np.add.outer(np.linspace(0, 1, 60), np.linspace(0, 0.01, 50)) / 1.01
    assert picture(sample(ramp).pixels, np.ones(ramp.shape, bool)).all()


def test_a_label_and_the_letters_on_it_are_no_picture():
    image = breast(5)
    image[80:94, 40:70] = 0.95
    image[84:90:2, 44:60] = 0.05
    inside = picture(sample(image).pixels, np.ones(image.shape, bool))
    assert not inside[80:94, 40:70].any()
    assert inside.sum() == inside.size - 14 * 30


def test_collimation_and_padding_belong_to_neither():
    image = np.full((60, 50), 0.5) + np.random.default_rng(0).normal(0, 0.05, (60, 50))
    image[:7], image[:, -5:] = 0, 0
    made = sample(np.clip(image, 0, 1))
    valid = made.valid.copy()
    valid[-4:] = False
    inside = picture(made.pixels, valid)
    assert inside[7:-4, :-5].all()
    assert inside.sum() == 49 * 45


def test_a_constant_image_is_all_of_one_kind():
    parts = regions(sample(np.full((20, 20), 0.3)))
    assert not parts.background.any()
    assert parts.foreground.all()


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_boundaries_count_the_neighbours_that_a_level_set_divides(seed):
    rng = np.random.default_rng(seed)
    level, inside = rng.integers(0, 5, (6, 7)), rng.random((6, 7)) < 0.8
    counted = boundaries(level, inside, 4)
    for k in range(4):
        low = level <= k
        pairs = sum(
            np.sum((low[a] != low[b]) & inside[a] & inside[b])
            for a, b in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1]))
        )
        assert counted[k] == pairs
