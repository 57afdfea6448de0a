"""The least-squares fit of a tone curve."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from isotone import ToneCurve
from isotone.curves.least_squares import _Chain

X = np.linspace(0, 1, 1001)


def sigmoid(x, k=10.0):
    ends = 1 / (1 + np.exp(k / 2)), 1 / (1 + np.exp(-k / 2))
    return (1 / (1 + np.exp(-k * (x - 0.5))) - ends[0]) / (ends[1] - ends[0])


# An inverse S whose root mean square distance from the identity is 0.0877 (k = 6.96), and a steeper one.
INVERSE_S = {k: np.interp(X, sigmoid(np.linspace(0, 1, 100001), k), np.linspace(0, 1, 100001)) for k in (6.96, 10)}

TARGETS = {
    "gamma 0.3": (X**0.3, 0.002),
    "gamma 1/2.2": (X ** (1 / 2.2), 0.002),
    "gamma 0.7": (X**0.7, 0.002),
    "gamma 1.5": (X**1.5, 0.002),
    "gamma 2.2": (X**2.2, 0.002),
    "gamma 3": (X**3, 0.002),
    "log1p, 100": (np.log1p(100 * X) / np.log(101), 0.002),
    "exp, 4": (np.expm1(4 * X) / np.expm1(4), 0.002),
    "sigmoid": (sigmoid(X), 0.002),
    "sigmoid, mild": (sigmoid(X, 6), 0.002),
    "inverse-S": (INVERSE_S[6.96], 0.002),
    "inverse-S, strong": (INVERSE_S[10], 0.003),
    "window [.1, .5]": (np.clip((X - 0.1) / 0.4, 0, 1), 0.012),
    "identity": (X, 0.001),
}


@pytest.mark.parametrize("name", TARGETS)
def test_eight_steps_and_eight_inverse_steps_reach_every_target(name):
    y, worst = TARGETS[name]
    curve = ToneCurve.fit(X, y)
    assert len(curve.coefficients) == 16
    assert np.sqrt(np.mean((curve(X) - y) ** 2)) <= worst
    assert np.all(np.diff(curve(X)) >= 0)


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_jacobian_is_that_of_finite_differences(affine, bidirectional):
    chain = _Chain(0.1 + 0.8 * X[::50], 6, bidirectional, affine, (0.1, 0.9))
    p = np.random.default_rng(0).normal(size=6 + 2 * affine) * 0.7
    assert np.allclose(chain.jacobian(p), approx_fprime(p, chain.value, 1e-7), atol=1e-5)


def test_an_affine_stage_undoes_a_narrow_range_and_clips_none_of_the_points():
    x = 0.05 + 0.35 * X**1.4
    curve = ToneCurve.fit(x, X, affine=True)
    assert np.sqrt(np.mean((curve(x) - X) ** 2)) <= 0.005
    low, high = curve.unclipped()
    assert low <= x.min()
    assert high >= x.max()


def test_weights_say_where_the_curve_has_to_be_right():
    y = np.clip((X - 0.1) / 0.4, 0, 1)
    dark = ToneCurve.fit(X, y, num_iterations=4, weights=np.where(X < 0.3, 1.0, 1e-6))
    assert (
        np.abs(dark(X) - y)[X < 0.3].mean() < 0.5 * np.abs(ToneCurve.fit(X, y, num_iterations=4)(X) - y)[X < 0.3].mean()
    )


@pytest.mark.parametrize(
    ("x", "y"), [([0.0, 1.0], [0.0]), ([], []), ([0.0, 2.0], [0.0, 1.0]), ([0.0, np.nan], [0.0, 1.0])]
)
def test_what_is_not_points_of_the_unit_square_is_refused(x, y):
    with pytest.raises(ValueError, match="x and y"):
        ToneCurve.fit(x, y)


def test_an_affine_stage_lifts_a_black_as_well_as_it_undoes_a_lifted_one():
    dark = np.where(X < 0.6, 0.0, (X - 0.6) / 0.4) ** 2.5  # as much air as a mammogram has, at stored value 0
    light = 0.02 + 0.98 * dark**0.4
    curve = ToneCurve.fit(dark, light, affine=True)
    assert np.sqrt(np.mean((curve(dark) - light) ** 2)) < 0.003
    assert abs(curve(0.0) - 0.02) < 0.001
