"""What the images of two scanners have in common: air that is told, and the field that frames leave."""

from dataclasses import replace

import numpy as np
import pytest

from isotone.data.descriptors.image_set import image_set
from isotone.data.phantom.anatomy import Anatomy, draw_breast
from isotone.data.phantom.scanners import reference_presentation
from isotone.data.sample import Sample
from isotone.estimation.balancing import Population
from isotone.estimation.comparable import comparable


def draw(seed, field=240.0):
    rng = np.random.default_rng(seed)
    breast = draw_breast(rng, Anatomy.draw(rng, "BC"[seed % 2]), 96, laterality="LR"[seed // 2 % 2], field_mm=field)
    pixels = np.rint(65535 * np.clip(reference_presentation(breast), 0, 1)).astype(np.uint16)
    return Sample(pixels, np.ones(pixels.shape, bool), label="BC"[seed % 2], patient=f"p{seed}")


def framed(sample, level):
    """Hidden at the top, and on the side of the chest wall."""
    pixels = sample.pixels.copy()
    pixels[:14] = level
    if pixels[:, :30].mean() > pixels[:, -30:].mean():
        pixels[:, :8] = level
    else:
        pixels[:, -8:] = level
    return replace(sample, pixels=pixels, patient=f"f{sample.patient}")


@pytest.fixture(scope="module")
def reference():
    return image_set([draw(seed) for seed in range(40)])


@pytest.fixture(scope="module")
def others():
    return [draw(100 + seed) for seed in range(24)]


def test_clean_images_are_compared_as_they_are(reference, others):
    given = image_set(others)
    source, known = comparable(given, reference, 0)
    assert source is given
    assert known is reference


def test_images_without_air_among_others_that_show_some_are_left_out(reference, others):
    """Half of either side's."""
    inner = [draw(200 + seed, field=70.0) for seed in range(24)]
    source, known = comparable(image_set(others + inner), image_set([*reference, *inner]), 0)
    assert list(source) == others
    assert list(known) == list(reference)
    assert [part.foreground.sum() for part in known.parts] == [part.foreground.sum() for part in reference.parts]


def test_where_hardly_any_image_shows_air_all_are_compared(reference):
    mixed = image_set([*(draw(200 + seed, field=70.0) for seed in range(12)), reference[0]])
    assert mixed.showing_air is mixed


def test_an_image_whose_anatomy_was_taken_for_air_is_left_out(reference):
    odd = reference.only(np.arange(len(reference)) < 20)
    part = odd.parts[-1]
    wrong = odd.with_parts([*odd.parts[:-1], replace(part, foreground=part.background, background=part.foreground)])
    assert list(wrong.showing_air) == list(odd)[:-1]


@pytest.mark.parametrize("side", ["source", "reference"])
def test_frames_of_one_side_hide_as_much_of_the_other(reference, others, side):
    """Then structure tells no difference between them, and without that it does."""
    given, known = image_set(others), reference
    if side == "source":
        given = image_set([framed(s, 65535) for s in others])
    else:
        known = image_set([framed(s, 65535) for s in reference])
    source, theirs = comparable(given, known, 0)
    hidden = [np.mean([part.picture.mean() for part in images.parts]) for images in (source, theirs)]
    assert hidden[0] == pytest.approx(hidden[1], abs=0.02)
    apart, limit = Population(known.descriptors).mismatch(given.descriptors, {})
    together, _ = Population(theirs.descriptors).mismatch(source.descriptors, {})
    assert together < limit < apart


def test_a_frame_is_mirrored_for_the_breast_of_the_other_side(reference, others):
    """Each of these hides the chest wall, on whichever side it is; what is left is never air alone."""
    theirs = comparable(image_set([framed(s, 65535) for s in others]), reference, 0)[1]
    kept = [
        new.foreground.sum() / old.foreground.sum() for new, old in zip(theirs.parts, reference.parts * 3, strict=True)
    ]
    assert min(kept) > 0.5
    assert max(kept) < 0.95
