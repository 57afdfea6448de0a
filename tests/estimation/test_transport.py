"""Quantiles, structure and the weighing of populations."""

import numpy as np
import pytest

from isotone.data.descriptors.image_set import Descriptors, air_share
from isotone.data.descriptors.structure import SIZE, structure
from isotone.data.sample import Sample
from isotone.estimation.balancing import Population
from isotone.estimation.bootstrap import band, resampled, score_interval
from isotone.estimation.class_prior import confusion, estimate_mix
from isotone.estimation.transport import BINS, MiddleImage, Pool, free_curve


def views(quantiles, *, air=None, labels=None, structure=None):
    n = len(quantiles)
    return Descriptors(
        structure=np.zeros((n, 3)) if structure is None else structure,
        quantiles=np.asarray(quantiles),
        air=np.full((n, 4), np.nan) if air is None else air,
        labels=np.array([""] * n if labels is None else labels),
        patients=np.arange(n),
    )


def two_classes(rng, dark, bright):
    """Class D is dark, class H bright; the structure tells them apart most of the time."""
    labels = np.array(["D"] * dark + ["H"] * bright)
    level = np.where(labels == "D", 0.3, 0.6) + rng.normal(0, 0.03, len(labels))
    quantiles = np.clip(level[:, None] + np.linspace(-0.1, 0.1, 64), 0, 1)
    described = rng.normal(0, 1, (len(labels), 6))
    described[:, 0] += 3 * (labels == "H")
    return views(quantiles, labels=labels, structure=described)


def test_an_increasing_response_commutes_with_pooled_quantiles():
    quantiles = np.sort(np.random.default_rng(0).random((20, 128)), axis=1)
    x = Pool(views(quantiles**2.5), 0.0).quantiles(np.ones(20))
    y = Pool(views(quantiles), 0.0).quantiles(np.ones(20))
    assert np.abs(x**0.4 - y)[5:].max() < 0.01


def test_an_increasing_response_all_but_commutes_with_the_middle_image():
    quantiles = np.sort(np.random.default_rng(0).random((20, 256)), axis=1)
    x = MiddleImage(views(quantiles**2.5), 0.0).quantiles(np.ones(20))
    y = MiddleImage(views(quantiles), 0.0).quantiles(np.ones(20))
    assert np.abs(x**0.4 - y)[5:].max() < 0.01


def test_between_two_classes_far_apart_the_middle_image_moves_with_their_mix_instead_of_jumping():
    images = np.repeat([0.2, 0.8], [50, 51])[:, None] + np.linspace(-0.1, 0.1, 64)
    means = []
    for dark in (60, 50, 40):
        weights = np.repeat([dark / 50, (101 - dark) / 51], [50, 51])
        means.append(MiddleImage(views(images), 0.0).quantiles(weights).mean())
    assert 0 < np.ptp(means) < 0.2
    assert means == sorted(means)


def test_a_response_drawn_for_each_image_leaves_the_middle_image_where_it_is_and_widens_the_pool():
    rng = np.random.default_rng(0)
    images = np.linspace(0.2, 0.8, 256) + rng.normal(0, 0.02, (81, 1))
    spoilt = images ** np.exp(0.5 * rng.standard_normal((81, 1)))
    narrow, wide = (np.ptp(Pool(views(each), 0.0).quantiles(np.ones(81))) for each in (images, spoilt))
    middle, moved = (MiddleImage(views(each), 0.0).quantiles(np.ones(81)) for each in (images, spoilt))
    assert wide > 1.2 * narrow
    assert np.abs(moved - middle).max() < 0.03


@pytest.mark.parametrize("levels", [Pool, MiddleImage])
def test_a_weight_of_two_is_the_image_twice(levels):
    quantiles = np.sort(np.random.default_rng(0).random((3, 16)), axis=1)
    twice = levels(views(quantiles[[0, 1, 2, 2]]), 0.0).quantiles(np.ones(4))
    assert levels(views(quantiles), 0.0).quantiles(np.array([1.0, 1.0, 2.0])) == pytest.approx(twice)


@pytest.mark.parametrize("levels", [Pool, MiddleImage])
def test_air_keeps_its_share_whatever_the_images_show_of_it(levels):
    quantiles = np.full((2, 8), 0.6)
    air = np.array([[0.1] * 4, [np.nan] * 4])
    found = levels(views(quantiles, air=air), 0.5).quantiles(np.ones(2))
    assert np.mean(found < 0.3) == pytest.approx(0.5, abs=0.01)
    unseen = levels(views(quantiles), 0.5).quantiles(np.ones(2))
    assert unseen == pytest.approx(np.full(BINS, 0.6))


def test_the_band_narrows_with_the_number_of_patients():
    rng = np.random.default_rng(0)
    widths = []
    for n in (10, 160):
        pool = Pool(views(np.clip(rng.normal(0.5, 0.1, (n, 1)) + np.linspace(-0.2, 0.2, 32), 0, 1)), 0.0)
        who = np.arange(n)
        levels = np.array([0.4, 0.5, 0.6])
        result = band(levels, resampled(pool, pool, np.ones(n), (who, who), levels, 100, 0))
        widths.append(np.mean(np.subtract(result.high, result.low)))
    assert widths[1] < 0.5 * widths[0]
    assert band(levels, resampled(pool, pool, np.ones(n), (who, who), levels, 0, 0)) is None


class Brightness:
    """A classifier that calls an image bright by its mean."""

    def predict(self, prepared):
        bright = 1 / (1 + np.exp(-40 * (prepared.mean((1, 2)) - 0.5)))
        return np.stack([1 - bright, bright], 1)


def test_a_wider_band_moves_the_scores_further():
    levels = np.linspace(0.1, 0.9, 9)
    rng = np.random.default_rng(0)
    images = [
        Sample(np.zeros((4, 4), np.uint16), np.ones((4, 4), bool), rng.uniform(0.3, 0.7, (4, 4)).astype(np.float32))
        for _ in range(30)
    ]
    sure, unsure = (
        score_interval(images, levels, levels + rng.normal(0, spread, (20, 1)), Brightness(), 0)
        for spread in (0.001, 0.05)
    )
    assert sure.width < 0.2 * unsure.width
    assert sure.decisions < unsure.decisions
    assert score_interval(images, levels, np.empty((0, 9)), Brightness(), 0) is None


def test_the_free_curve_goes_through_its_points_and_increases():
    x = np.sort(np.random.default_rng(0).random(BINS))
    curve = free_curve(x, x**2)
    assert np.abs(curve(x) - x**2).max() < 1e-3
    assert curve.min_slope() > 0


@pytest.mark.parametrize("truth", [[0.5, 0.5], [0.0, 1.0], [0.9, 0.1]])
def test_the_mix_is_found_from_what_an_imperfect_classifier_says(truth):
    rng = np.random.default_rng(0)
    matrix = np.array([[0.8, 0.2], [0.3, 0.7]])
    true = rng.choice(2, 4000, p=truth)
    said = np.array([rng.choice(2, p=matrix[t]) for t in true])
    assert estimate_mix(matrix[:, said].T, np.ones(2)) == pytest.approx(truth, abs=0.05)


def test_few_images_lean_on_the_prior():
    likelihood = np.array([[0.0, 1.0]])
    assert estimate_mix(likelihood, np.ones(2), strength=9.0)[1] < 0.6


def test_a_confusion_matrix_has_rows_of_one_and_no_zero():
    table = confusion(np.array([0, 0, 1]), np.array([0, 0, 1]), 3)
    assert table.sum(axis=1) == pytest.approx(1)
    assert (table > 0).all()


@pytest.mark.parametrize("response", [lambda x: x**0.4, lambda x: x**2.5, lambda x: 0.1 + 0.3 * x])
def test_no_response_changes_the_structure_of_an_image(response):
    rng = np.random.default_rng(1)
    image = rng.permutation(np.linspace(0.05, 0.95, 64 * 48)).reshape(64, 48)
    anatomy = np.ones(image.shape, bool)
    a, b = (structure(np.rint(65535 * x).astype(np.uint16), anatomy) for x in (image, response(image)))
    assert a.shape == (SIZE,)
    assert a == pytest.approx(b, abs=1e-3)


def test_left_and_right_have_the_same_structure():
    image = np.random.default_rng(0).integers(0, 65535, (96, 96)).astype(np.uint16)
    anatomy = np.ones(image.shape, bool)
    assert structure(image, anatomy) == pytest.approx(structure(image[:, ::-1], anatomy), abs=0.02)


def test_structure_tells_the_class_mix_and_the_weights_bring_the_reference_to_it():
    rng = np.random.default_rng(0)
    reference, source = two_classes(rng, 150, 150), two_classes(rng, 20, 180)
    population = Population(reference)
    mix = population.mix(source)
    assert mix["H"] == pytest.approx(0.9, abs=0.06)
    weights = population.weights(source, mix)
    assert weights.mean() == pytest.approx(1)
    assert (weights > 0).all()
    assert weights[reference.labels == "H"].sum() / len(weights) == pytest.approx(mix["H"], abs=0.02)


def test_another_anatomy_is_a_mismatch_and_another_class_mix_is_none():
    rng = np.random.default_rng(0)
    population = Population(two_classes(rng, 150, 150))
    same, other = two_classes(rng, 10, 90), two_classes(rng, 50, 50)
    distance, limit = population.mismatch(same, population.mix(same))
    assert distance < limit
    other.structure[:, 2] += 3
    distance, limit = population.mismatch(other, population.mix(other))
    assert distance > limit


def test_air_has_its_share_of_the_pool_however_few_images_show_it():
    anatomy, air = np.full((10, 64), 0.5), np.full((10, 4), 0.1)
    some = air.copy()
    some[3:] = np.nan
    for shown in (air, some):
        found = Pool(views(anatomy, air=shown), 0.25).quantiles(np.ones(10))
        assert np.mean(found < 0.3) == pytest.approx(0.25, abs=0.01)


def test_where_one_side_shows_no_air_neither_has_a_share_of_it():
    cells = np.full((10, SIZE), 0.5)
    shown, none = views(np.ones((10, 8)), air=np.full((10, 4), 0.1), structure=cells), views(np.ones((10, 8)))
    assert air_share(shown, shown) == pytest.approx(0.5)
    assert air_share(none, shown) == 0
    assert air_share(shown, none) == 0
