"""What a source's images vary beyond the reference's is told from chance, and from another mix of classes."""

import numpy as np

from isotone.excess import Excess
from isotone.mix import mixed

EVEN = np.ones


def test_what_chance_makes_of_equal_variances_is_no_excess():
    rng = np.random.default_rng(0)
    found = [Excess.fit(rng.normal(size=(300, 6)), rng.normal(size=(60, 6)), EVEN(300)) for _ in range(40)]
    assert np.mean([f.ratios.max() > 1 for f in found]) < 0.3
    assert all(not f.share.any() and not f.root.any() for f in found if f.ratios.max() == 1)


def test_its_root_makes_reference_deviations_vary_as_the_source_does_but_for_what_chance_may_do():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(3, 3))
    theirs, ours = rng.normal(size=(20000, 3)) @ mixing, rng.normal(size=(20000, 3)) * [3.0, 1.0, 1.0] @ mixing
    root = Excess.fit(theirs, ours, EVEN(20000)).root @ np.linalg.inv(mixing)
    np.testing.assert_allclose(np.eye(3) + root.T @ root, np.diag([9.0, 1, 1]), atol=0.5)


def test_what_is_left_is_nearly_the_best_linear_guess_at_what_the_reference_would_have_shown():
    rng = np.random.default_rng(2)
    true = rng.normal(size=(20000, 3)) * [1.0, 0.5, 0.2]
    seen = true + rng.normal(size=true.shape) @ np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    excess = Excess.fit(true, seen, EVEN(len(true)))
    left = seen - seen @ excess.share
    best = seen @ np.linalg.lstsq(seen, true, rcond=None)[0]
    assert np.mean((left - true) ** 2) < 1.02 * np.mean((best - true) ** 2)
    assert np.mean((left - true) ** 2) < 0.5 * np.mean((seen - true) ** 2)


def test_another_class_mix_is_no_excess():
    rng = np.random.default_rng(3)
    labels = np.repeat(np.array(["A", "B", "C", "D"]), 100)
    theirs = rng.normal(size=(400, 3))
    theirs[:, 0] += np.repeat([-3.0, -1.0, 1.0, 3.0], 100)
    ours = rng.normal(size=(200, 3))
    ours[:, 0] += np.repeat([-3.0, 3.0], 100)
    assert Excess.fit(theirs, ours, EVEN(400)).ratios.max() > 1
    assert Excess.fit(theirs, ours, mixed(labels, {"A": 0.5, "D": 0.5})).ratios.max() == 1
