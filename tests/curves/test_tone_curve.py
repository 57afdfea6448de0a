"""Properties of tone curves: the transparency claims of the paper, and what our certificate adds to them."""

import json

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from isotone.curves.stages import Affine, InverseStep, Knots, Step, apply_steps
from isotone.curves.tone_curve import ToneCurve
from isotone.errors import ModelError

GRID = np.linspace(0, 1, 1025)

alphas = st.floats(-1, 1)
moderate = st.floats(-0.9, 0.9)
strict = st.floats(-0.99, 0.99)
steps = st.lists(alphas, max_size=8)
two_way = st.lists(st.one_of(strict.map(Step), strict.map(InverseStep)), max_size=16)
affine = st.builds(Affine, gain=st.floats(0.3, 4), offset=st.floats(-0.6, 0.6))


@st.composite
def knots(draw: st.DrawFn) -> Knots:
    def axis(n: int) -> tuple[float, ...]:
        gaps = np.array(draw(st.lists(st.floats(0.01, 1), min_size=n, max_size=n)))
        return (0.0, *(np.cumsum(gaps)[:-1] / gaps.sum()).tolist(), 1.0)

    n = draw(st.integers(1, 6))
    return Knots(axis(n), axis(n))


curves = st.one_of(
    steps.map(ToneCurve),
    two_way.map(ToneCurve),
    st.tuples(affine, two_way).map(lambda s: ToneCurve([s[0], *s[1]])),
    st.tuples(two_way, affine).map(lambda s: ToneCurve([*s[0], s[1]])),
    knots().map(lambda k: ToneCurve([k])),
)


def assert_monotone(y: np.ndarray) -> None:
    # A rounding error may reverse two values that are equal in exact arithmetic.
    assert (np.diff(y) >= -1e-12).all()


@given(curves)
def test_monotone_and_in_the_unit_range(curve: ToneCurve) -> None:
    y = curve(GRID)
    assert_monotone(y)
    assert y.min() >= 0
    assert y.max() <= 1


@given(st.one_of(steps.map(ToneCurve), two_way.map(ToneCurve), knots().map(lambda k: ToneCurve([k]))))
def test_fixes_black_and_white(curve: ToneCurve) -> None:
    np.testing.assert_allclose(curve(np.array([0.0, 1.0])), [0, 1], atol=1e-12)


@given(st.lists(moderate, max_size=8))
def test_inverse_undoes_eight_moderate_steps_within_a_millionth(coefficients: list[float]) -> None:
    curve = ToneCurve(coefficients)
    np.testing.assert_allclose(curve.inverse()(curve(GRID)), GRID, atol=1e-6)
    assert curve.inverse_error() < 1e-6


@given(curves, st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_inverse_undoes_within_the_error_that_the_curve_states(curve: ToneCurve, points: list[float]) -> None:
    assume(all(abs(s.alpha) < 1 for s in curve.stages if isinstance(s, Step)))
    try:
        lo, hi = curve.unclipped()
    except ModelError:
        assume(False)
    x = lo + (hi - lo) * np.array(points)
    assert np.abs(curve.inverse()(curve(x)) - x).max() <= curve.inverse_error() + 1e-12


@given(curves)
def test_slopes_lie_within_the_stated_bounds(curve: ToneCurve) -> None:
    low, high = curve.slope_bounds()
    chords = np.diff(curve(GRID)) / np.diff(GRID)
    assert chords.min() >= low - 1e-9
    assert chords.max() <= high * (1 + 1e-9) + 1e-9


@given(steps)
def test_the_product_of_the_end_slopes_never_exceeds_one(coefficients: list[float]) -> None:
    """METHOD: f′(0)·f′(1) = Π(1 − α²)."""
    curve = ToneCurve(coefficients)
    ends = 1.0
    for point in (0.0, 1.0):
        ends *= np.mean(curve.slope_bounds(point, point))
    assert ends == pytest.approx(np.prod([1 - a * a for a in coefficients]), abs=1e-9)


@given(steps, st.integers(8, 16), st.integers(8, 16))
def test_the_table_agrees_with_the_formula_within_half_a_level(
    coefficients: list[float], bits_in: int, bits_out: int
) -> None:
    curve = ToneCurve(coefficients)
    table = curve.to_lut(bits_in, bits_out)
    assert len(table) == 2**bits_in
    exact = curve(np.arange(2**bits_in) / (2**bits_in - 1)) * (2**bits_out - 1)
    assert np.abs(table - exact).max() <= 0.5 + 1e-9


@given(curves, st.randoms(use_true_random=False))
def test_commutes_with_any_permutation_of_pixels(curve: ToneCurve, random: object) -> None:
    rng = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]
    image = rng.random((9, 13))
    order = rng.permutation(image.size)
    np.testing.assert_array_equal(curve(image).ravel()[order], curve(image.ravel()[order]))


@given(curves)
def test_numpy_and_torch_give_the_same_numbers(curve: ToneCurve) -> None:
    torch = pytest.importorskip("torch")
    np.testing.assert_allclose(curve(torch.from_numpy(GRID)).numpy(), curve(GRID), rtol=0, atol=1e-12)
    single = curve(torch.from_numpy(GRID).float())
    assert single.dtype == torch.float32
    assert curve(GRID.astype(np.float32)).dtype == np.float32


@given(steps)
def test_agrees_with_equation_1_as_a_plain_loop(coefficients: list[float]) -> None:
    expected = []
    for value in GRID:
        for alpha in coefficients:
            value = value + alpha * value * (1.0 - value)
        expected.append(value)
    np.testing.assert_allclose(ToneCurve(coefficients)(GRID), np.clip(expected, 0, 1), atol=1e-12)
    np.testing.assert_array_equal(apply_steps(GRID, coefficients), expected)


@given(curves)
def test_json_gives_the_equal_curve_back(curve: ToneCurve) -> None:
    assert ToneCurve.from_json(curve.to_json()) == curve


@given(curves, curves)
def test_closed_under_composition_and_inversion(first: ToneCurve, second: ToneCurve) -> None:
    np.testing.assert_allclose(first.then(second)(GRID), second(first(GRID)), atol=1e-12)
    assume(all(abs(s.alpha) < 1 for s in first.stages if isinstance(s, Step)))
    twice = first.inverse().inverse()
    np.testing.assert_allclose(twice(GRID), first(GRID), atol=1e-9)


def test_a_tampered_curve_is_refused() -> None:
    body = json.loads(ToneCurve([0.5, 0.25]).to_json())
    body["stages"][0][1] = 0.51
    with pytest.raises(ModelError, match="altered"):
        ToneCurve.from_json(json.dumps(body))


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"schema": 1}', "nonsense", '{"schema": 9, "sha256": ""}'])
def test_a_text_without_a_curve_is_refused(text: str) -> None:
    with pytest.raises(ModelError):
        ToneCurve.from_json(text)


@pytest.mark.parametrize(
    "stage",
    [
        lambda: Step(1.01),
        lambda: Step(float("nan")),
        lambda: InverseStep(1.0),
        lambda: InverseStep(-1.0),
        lambda: Affine(0.0, 0.0),
        lambda: Affine(float("inf"), 0.0),
        lambda: Knots((0.0, 0.5), (0.0, 1.0)),
        lambda: Knots((0.0, 0.5, 0.5, 1.0), (0.0, 0.2, 0.3, 1.0)),
        lambda: Knots((0.0, 1.0), (0.0, 0.5, 1.0)),
    ],
)
def test_a_coefficient_out_of_range_is_refused(stage: object) -> None:
    with pytest.raises(ModelError):
        stage()  # type: ignore[operator]


def test_a_flat_curve_has_no_inverse_and_says_so() -> None:
    curve = ToneCurve([1.0])
    with pytest.raises(ModelError, match="inverse step"):
        curve.inverse()
    certificate = curve.certificate()
    assert not certificate.strictly_monotone
    assert np.isnan(certificate.inverse_error)


def test_the_certificate_counts_the_levels_that_a_steep_curve_loses() -> None:
    curve = ToneCurve([0.9] * 8)
    assert ToneCurve().distinct_levels(12) == 4096
    assert curve.distinct_levels(12) < curve.distinct_levels(12, 16) < 4096
    certificate = curve.certificate(12, 16)
    assert certificate.levels_kept == curve.distinct_levels(12, 16)
    assert certificate.max_slope == pytest.approx(1.9**8)
    assert certificate.min_slope == pytest.approx(0.1**8)


def test_an_affine_stage_states_what_it_clips() -> None:
    curve = ToneCurve([0.3, Affine(2.0, -0.5), -0.2])
    lo, hi = curve.unclipped()
    assert curve(lo) == pytest.approx(0, abs=1e-12)
    assert curve(hi) == pytest.approx(1)
    assert 0 < lo < hi < 1
    x = np.linspace(lo, hi, 101)
    np.testing.assert_allclose(curve.inverse()(curve(x)), x, atol=1e-9)


def test_numbers_and_types_that_go_in_come_out() -> None:
    curve = ToneCurve([0.5])
    assert isinstance(curve(0.25), float)
    assert curve(np.array([0, 1])).dtype == np.float64
    np.testing.assert_array_equal(curve(np.array([-1.0, 2.0])), [0, 1])


@pytest.mark.parametrize(
    "levels",
    [
        *[np.array([0, 200], dtype) for dtype in (np.uint8, np.uint16, np.int16, np.float32, np.float64)],
        *[200, 200.0, -3, [0, 2], np.array([-1, 0]), np.array([0.5j]), np.array(["0.5"]), None],
    ],
)
def test_values_on_another_scale_are_refused_and_not_clipped(levels: object) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        ToneCurve([0.4])(levels)  # type: ignore[type-var]


def test_a_tensor_of_integers_is_refused() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match="from 0 to 1"):
        ToneCurve([0.4])(torch.tensor([0, 1]))
    assert ToneCurve([0.4])(torch.tensor([0.5])).item() == pytest.approx(0.6)


def test_black_and_white_may_be_integers_and_rounding_errors_are_clipped() -> None:
    curve = ToneCurve([0.4])
    assert curve(1) == 1.0
    np.testing.assert_array_equal(curve(np.array([0, 1])), [0.0, 1.0])
    np.testing.assert_array_equal(curve(np.array([-1e-9, 1 + 1e-9])), [0.0, 1.0])
    assert curve(np.array([])).size == 0
