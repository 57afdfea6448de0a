"""What structure predicts of an image's quantiles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotone.data.descriptors.image_set import QUANTILES, Descriptors
from isotone.estimation.tone_model import ToneModel, ToneRegression, features


def views(x, level):
    """Images with structure x, shape (n, d), and all quantiles at a level of their own."""
    quantiles = level[:, None] + 0.1 * QUANTILES
    n = len(x)
    return Descriptors(x, quantiles, np.full((n, 32), np.nan), np.full(n, ""), np.arange(n))


@given(st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_products_of_features_are_near_those_of_the_two_kernels(d, seed):
    x, y = np.random.default_rng(seed).normal(size=(2, 1, d))
    wanted = (x @ y.T).item() / d + np.exp(-((x - y) ** 2).sum() / d)
    assert (features(x) @ features(y).T).item() == pytest.approx(wanted, abs=0.3)
    assert (features(x) @ features(x).T).item() == pytest.approx((x @ x.T).item() / d + 1, abs=1e-9)


@pytest.mark.parametrize("tell", [lambda x: 0.05 * x[:, 0], lambda x: 0.05 * np.cos(2 * x[:, 0])], ids=["line", "wave"])
def test_what_structure_tells_is_learned_be_it_straight_or_bent(tell):
    rng = np.random.default_rng(0)
    x, new = rng.normal(size=(400, 5)), rng.normal(size=(200, 5))
    level = ToneModel(views(x, 0.4 + tell(x)), 3)
    fresh = views(new, 0.4 + tell(new))
    missed = level.regression.scores(fresh.quantiles) - level.regression.of(new)
    assert missed[:, 0].std() < 0.5 * level.regression.scores(fresh.quantiles)[:, 0].std()
    assert level.residuals[:, 0].std() == pytest.approx(missed[:, 0].std(), rel=0.4)


def test_written_and_read_it_expects_the_same():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 5))
    expectation = ToneModel(views(x, 0.4 + 0.05 * x[:, 0]), 3).regression
    np.testing.assert_array_equal(ToneRegression.from_json(expectation.to_json()).of(x), expectation.of(x))
