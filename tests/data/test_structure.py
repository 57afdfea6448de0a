"""Numbers that no response changes, and how far apart they say two populations are."""

import numpy as np
import pytest

from isotone.data.descriptors.image_set import AIR, QUANTILES, Descriptors
from isotone.data.descriptors.structure import FAINTEST, NEVER, SIZE, spread, standardized
from isotone.estimation.balancing import Population
from isotone.estimation.tone_model import ToneModel


def views(structure):
    n = len(structure)
    rng = np.random.default_rng(n)
    quantiles = np.sort(rng.random((n, len(QUANTILES))), axis=1)
    return Descriptors(
        structure, quantiles, np.full((n, len(AIR)), np.nan), np.array(["A", "B"] * (n // 2)), np.arange(n)
    )


@pytest.fixture
def numbers():
    """Of 60 images; the last of their numbers is the same in all of them but for three."""
    found = np.random.default_rng(0).normal(0, 0.2, (60, SIZE))
    found[:, -1] = 1.0
    found[:3, -1] = 0.99
    return found


def collimated(numbers):
    other = numbers.copy()
    other[0, -1] = 0.1
    return other


def test_a_number_that_nearly_all_images_share_has_no_spread(numbers):
    found = spread(numbers)[1]
    assert found[-1] == NEVER
    assert ((found[:-1] >= FAINTEST) & (found[:-1] < 1)).all()


def test_a_number_that_the_reference_shares_enters_no_distance(numbers):
    population = Population(views(numbers))
    plain, odd = views(numbers), views(collimated(numbers))
    mix = {"A": 0.5, "B": 0.5}
    assert population.mismatch(odd, mix) == pytest.approx(population.mismatch(plain, mix), abs=1e-6)
    assert population.distances(odd) == pytest.approx(population.distances(plain), rel=1e-6)
    assert population.mix(odd) == pytest.approx(population.mix(plain), abs=1e-6)


def test_a_number_that_the_reference_shares_changes_no_expectation(numbers):
    expectation = ToneModel(views(numbers), 4).regression
    assert expectation.of(collimated(numbers)) == pytest.approx(expectation.of(numbers), abs=1e-6)


def test_one_odd_image_moves_no_population_beyond_tone(numbers):
    numbers = numbers[:, :-1]
    odd = np.concatenate([numbers, np.zeros((60, 1))], 1)
    odd[7] = 50.0
    population = Population(views(np.concatenate([numbers, np.random.default_rng(1).normal(0, 0.2, (60, 1))], 1)))
    found, limit = population.mismatch(views(odd), {"A": 0.5, "B": 0.5})
    assert found < limit


def test_hidden_numbers_are_where_the_mean_is(numbers):
    centre, scale = spread(numbers)
    hidden = numbers.copy()
    hidden[:, 3] = np.nan
    assert (standardized(hidden, centre, scale)[:, 3] == 0).all()
    assert spread(hidden)[1][3] == NEVER


def test_a_few_numbers_that_disagree_are_named_and_many_are_not(numbers):
    numbers = numbers[:, :-1]
    reference = views(np.concatenate([numbers, np.random.default_rng(1).normal(0, 0.2, (60, 1))], 1))
    population, mix = Population(reference), {"A": 0.5, "B": 0.5}
    other = reference.structure + 1.5 * (np.arange(SIZE) < 4)
    assert population.mismatch(views(other), mix)[0] > population.mismatch(views(other), mix)[1]
    assert np.flatnonzero(population.apart(views(other), mix)).tolist() == [0, 1, 2, 3]
    assert population.apart(views(reference.structure + 1.5), mix) is None
