"""Anatomy and air, told by level sets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isotone.data.cohorts.phantom_anatomy import CLASSES, Anatomy, draw_breast
from isotone.data.cohorts.phantom_scanners import reference_presentation
from isotone.data.sample import Sample
from isotone.foreground import CLEAR, boundaries, frame, regions

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
        assert (toned.clearness > CLEAR) == (plain.clearness > CLEAR)


@pytest.mark.parametrize("density", CLASSES)
@pytest.mark.parametrize("field", [240.0, 170.0])
def test_the_cut_follows_the_skin_whatever_share_of_the_image_is_air(density, field):
    image = breast(7, density, field=field)
    parts = regions(sample(image))
    assert parts.clearness > CLEAR
    assert np.mean(parts.background != (image < 0.1)) < 0.03


def test_an_image_without_air_has_no_clear_cut():
    rng = np.random.default_rng(0)
    smooth = np.add.outer(np.sin(np.arange(96) / 17), np.cos(np.arange(96) / 23)) + rng.normal(0, 0.3, (96, 96))
    assert regions(sample((smooth - smooth.min()) / np.ptp(smooth))).clearness < CLEAR


def test_collimation_and_padding_belong_to_neither():
    image = np.full((60, 50), 0.5) + np.random.default_rng(0).normal(0, 0.05, (60, 50))
    image[:7], image[:, -5:] = 0, 0
    made = sample(np.clip(image, 0, 1))
    valid = made.valid.copy()
    valid[-4:] = False
    inside = frame(made.pixels, valid)
    assert inside[7:-4, :-5].all()
    assert inside.sum() == 49 * 45


def test_a_constant_image_is_all_of_one_kind():
    parts = regions(sample(np.full((20, 20), 0.3)))
    assert not parts.background.any()
    assert parts.clearness == 1.0


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
