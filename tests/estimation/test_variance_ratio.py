"""What a source's images vary beyond the reference's is told from chance, and from another mix of classes."""

import numpy as np
import pytest

from isotone.estimation.class_prior import mixed
from isotone.estimation.variance_ratio import FLOOR, LEVEL, VarianceRatio

EVEN = np.ones


def excess(residuals, deviations, weights):
    """Each image of another patient."""
    return VarianceRatio.fit(residuals, deviations, weights, (np.arange(len(residuals)), np.arange(len(deviations))))


def test_what_chance_makes_of_equal_variances_is_no_excess():
    rng = np.random.default_rng(0)
    found = [excess(rng.normal(size=(300, 6)), rng.normal(size=(60, 6)), EVEN(300)) for _ in range(40)]
    assert np.mean([f.ratios.max() > 1 for f in found]) < 0.3


@pytest.mark.parametrize(("levels", "exceeds"), [(0.7 * FLOOR, False), (1.5 * FLOOR, True)])
def test_a_direction_hardly_seen_on_the_reference_exceeds_only_from_a_few_grey_levels_on(levels, exceeds):
    rng = np.random.default_rng(4)
    scale = LEVEL * np.array([0.3, 8.0, 20.0])
    theirs, ours = rng.normal(size=(500, 3)) * scale, rng.normal(size=(80, 3)) * scale
    ours[:, 0] += levels * LEVEL * rng.normal(size=80)
    found = excess(theirs, ours, EVEN(500))
    assert (found.ratios.max() > 1) == exceeds
    if exceeds:
        assert 0.6 * levels < found.levels.max() < 1.1 * levels  # chance's edge is taken off


def test_another_class_mix_is_no_excess():
    rng = np.random.default_rng(3)
    labels = np.repeat(np.array(["A", "B", "C", "D"]), 100)
    theirs = rng.normal(size=(400, 3))
    theirs[:, 0] += np.repeat([-3.0, -1.0, 1.0, 3.0], 100)
    ours = rng.normal(size=(200, 3))
    ours[:, 0] += np.repeat([-3.0, 3.0], 100)
    assert excess(theirs, ours, EVEN(400)).ratios.max() > 1
    assert excess(theirs, ours, mixed(labels, {"A": 0.5, "D": 0.5})).ratios.max() == 1


@pytest.mark.parametrize("count", [25, 200])
def test_one_odd_image_is_no_excess(count):
    rng = np.random.default_rng(5)
    for theirs, ours in ((300, count), (count, 300)):
        found = []
        for _ in range(20):
            pair = rng.normal(size=(theirs, 3)), rng.normal(size=(ours, 3))
            pair[ours == count][0] = 30.0
            found.append(excess(*pair, EVEN(theirs)).ratios.max() > 1)
        assert np.mean(found) < 0.3


def test_images_of_one_patient_count_for_one():
    rng = np.random.default_rng(4)
    theirs, own = rng.normal(size=(300, 6)), rng.normal(size=(10, 6))
    several = np.repeat(own, 20, axis=0) + 0.1 * rng.normal(size=(200, 6))
    patients = np.arange(300), np.repeat(np.arange(10), 20)
    assert VarianceRatio.fit(theirs, several, EVEN(300), patients).ratios.max() == 1
    assert excess(theirs, several, EVEN(300)).ratios.max() > 1


@pytest.mark.parametrize("rare", [1, 4, 8, 12, 20])
def test_a_class_of_which_the_reference_has_few_images_shows_no_excess(rare):
    rng = np.random.default_rng(rare)
    weights = mixed(np.array(["A"] * rare + ["B"] * (200 - rare)), {"A": 1.0})
    found = [excess(rng.normal(size=(200, 6)), rng.normal(size=(80, 6)), weights) for _ in range(20)]
    assert np.mean([f.ratios.max() > 1 for f in found]) <= 0.1
    assert all(np.isfinite(f.ratios).all() for f in found)
