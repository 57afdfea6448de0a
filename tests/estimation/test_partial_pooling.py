"""Scanners fitted together: leaning on those that are alike, and on nobody else."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from isotone.curves.tone_curve import ToneCurve
from isotone.estimation.partial_pooling import lean
from isotone.estimation.scanner_curve import ScannerFit, ScannerSettings

LEVELS = np.linspace(0.05, 0.95, 33)
SETTINGS = ScannerSettings()


def fit(curve, error, patients=25):
    """A fit whose band says that the curve is known to `error`."""
    y = curve(LEVELS)
    low, high = y - 1.96 * error, y + 1.96 * error
    band = {"x": LEVELS.tolist(), "low": low.tolist(), "high": high.tolist()}
    return ScannerFit(curve, curve, {"band": band, "patients": patients})


def distance(a, b):
    return float(np.sqrt(np.mean((a(LEVELS) - b(LEVELS)) ** 2)))


def test_a_scanner_with_few_images_leans_on_its_like():
    truth = ToneCurve([0.5, 0.3])
    poor = ToneCurve([0.5, 0.3, 0.12])
    leant = lean({"many": fit(truth, 0.002), "few": fit(poor, 0.03)}, SETTINGS)
    assert distance(leant["few"].curve, truth) < 0.6 * distance(poor, truth)
    assert distance(leant["many"].curve, truth) < 0.002
    assert 0.3 < leant["few"].notes["leans_on"]["many"] < 1


def test_nobody_leans_on_a_scanner_that_is_different():
    fits = {"compressive": fit(ToneCurve([0.9, 0.9]), 0.01), "expansive": fit(ToneCurve([-0.9, -0.9]), 0.01)}
    leant = lean(fits, SETTINGS)
    assert {d: f.curve for d, f in leant.items()} == {d: f.curve for d, f in fits.items()}
    assert all(f.notes["leans_on"] == {} for f in leant.values())


def test_a_scanner_of_one_patient_leans_and_is_hardly_leaned_on_though_its_band_is_narrow():
    truth, poor = ToneCurve([0.5, 0.3]), ToneCurve([0.5, 0.3, 0.12])
    leant = lean({"many": fit(truth, 0.01), "one": fit(poor, 0.002, patients=1)}, SETTINGS)
    assert distance(leant["one"].curve, truth) < 0.5 * distance(poor, truth)
    assert leant["many"].notes["leans_on"].get("one", 0) < 0.1


def test_a_scanner_alone_keeps_its_curve():
    fits = {"one": fit(ToneCurve([0.4]), 0.05)}
    assert lean(fits, SETTINGS)["one"].curve == fits["one"].curve


def test_without_bands_nothing_leans():
    fits = {d: ScannerFit(ToneCurve([a]), ToneCurve([a]), {"band": {}}) for d, a in {"a": 0.4, "b": 0.5}.items()}
    assert lean(fits, SETTINGS) == fits


@given(st.integers(0, 2**32 - 1))
def test_leaning_on_a_noisy_twin_never_moves_a_curve_beyond_both(seed):
    rng = np.random.default_rng(seed)
    first, second = (ToneCurve([0.5, float(a)]) for a in rng.uniform(-0.2, 0.2, 2))
    leant = lean({"a": fit(first, 0.02), "b": fit(second, 0.02)}, SETTINGS)["a"].curve
    assert distance(leant, first) <= distance(first, second) + 0.002
