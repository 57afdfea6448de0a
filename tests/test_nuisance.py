"""What may be taken back of a deviation is what leaves the classes where they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isotone.nuisance import Nuisance


def deviations(seed, images, apart, classes=2):
    """Correlated deviations along four axes, the first of which tells the classes apart."""
    rng = np.random.default_rng(seed)
    labels = np.array([f"class {i % classes}" for i in range(images)])
    mixing = np.eye(4) + 0.5 * rng.standard_normal((4, 4))
    found = rng.standard_normal((images, 4)) @ mixing
    found[:, 0] += apart * (np.arange(images) % classes)
    return found, labels, np.arange(images)


def test_deviations_that_say_nothing_of_the_label_may_be_taken_back_whole():
    wholes = [np.array_equal(Nuisance.fit(*deviations(seed, 200, 0.0), 0).part, np.eye(4)) for seed in range(20)]
    assert np.mean(wholes) > 0.9


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_what_is_taken_back_leaves_class_means_and_discriminants_where_they_are(seed, classes):
    found, labels, patients = deviations(seed, 240, 5.0, classes)
    nuisance = Nuisance.fit(found, labels, patients, 0)
    assert nuisance.tells
    taken = found @ nuisance.part
    means = np.stack([taken[labels == c].mean(0) for c in np.unique(labels)])
    np.testing.assert_allclose(means, np.broadcast_to(means[0], means.shape), atol=1e-8)
    np.testing.assert_allclose(taken @ nuisance.part, taken, atol=1e-8)  # a projection: nothing is taken twice
    kept = found - taken
    assert np.linalg.matrix_rank(kept - kept.mean(0), tol=1e-6) == classes - 1


def test_labels_of_several_images_of_a_patient_count_once():
    found, labels, patients = deviations(0, 60, 0.5)
    once = Nuisance.fit(found, labels, patients, 0)
    copies = np.tile(found, (4, 1)), np.tile(labels, 4), np.tile(patients, 4)
    assert Nuisance.fit(*copies, 0).error == pytest.approx(once.error, rel=0.5)


@pytest.mark.parametrize("labels", [["well"] * 40, ["well"] * 37 + ["sick"] * 3, [""] * 40])
def test_without_images_of_two_classes_nothing_may_be_taken_back(labels):
    found, _, patients = deviations(0, 40, 0.0)
    nuisance = Nuisance.fit(found, np.array(labels), patients, 0)
    assert not nuisance.part.any()
    assert not nuisance.tells
