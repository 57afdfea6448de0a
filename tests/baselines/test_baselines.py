"""Statistical baselines: each against an independent implementation, and the properties all of them share."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.exposure import equalize_adapthist, match_histograms

from isotone.baselines.by_name import (
    BASELINES,
    ConstantCurve,
    HistogramMatching,
    MinMax,
    Normalizer,
    Nyul,
    Percentile,
    SourceNormalizer,
    ZScore,
    baseline,
)
from isotone.baselines.grey_levels import GreyLevels
from isotone.baselines.nyul import LANDMARKS, standard_landmarks
from isotone.data.descriptors.foreground import regions
from isotone.data.sample import TakeSample
from isotone.errors import IsotoneError, RadiographError, UsageError
from isotone.imaging.radiograph import Radiograph

MAPS = sorted(set(BASELINES) - {"clahe"})
FITTED = ["z-score", "constant-curve", "histogram-matching", "histogram-matching-all-pixels", "nyul"]


def ramp(seed: int, gamma: float = 1.0, size: int = 32) -> Radiograph:
    """A bright disc of random texture on black, through a gamma."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - size / 2
    disc = (x**2 + y**2) < (0.4 * size) ** 2
    pixels = np.where(disc, 0.2 + 0.7 * rng.random((size, size)), 0.01 * rng.random((size, size)))
    return Radiograph.from_array(pixels**gamma)


def shows_air(radiograph: Radiograph) -> bool:
    return bool(regions(TakeSample()(radiograph)).background.any())


REFERENCE = [ramp(seed).with_domain("Ref") for seed in range(5)]


def fitted(name: str) -> Normalizer:
    """On the reference and, where it learns from them, on images whose domain is not named."""
    method = baseline(name).fit(REFERENCE)
    return method.fit_source([ramp(seed, 0.5) for seed in range(5)]) if isinstance(method, SourceNormalizer) else method


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_returns_an_image_of_the_same_shape_in_the_unit_range(name: str) -> None:
    image = ramp(9, 0.5)
    result = fitted(name).transform(image)
    assert result.pixels.shape == image.pixels.shape
    assert 0 <= result.pixels.min() < result.pixels.max() <= 1


@pytest.mark.parametrize("name", MAPS)
def test_a_map_of_grey_levels_commutes_with_any_permutation_of_pixels(name: str) -> None:
    image = ramp(9, 0.5)
    order = np.random.default_rng(0).permutation(image.stored.size)
    shuffled = replace(image, stored=image.stored.ravel()[order].reshape(image.stored.shape))
    if name in {"histogram-matching", "nyul"}:  # where the foreground is does depend on the place
        method = type(baseline(name))(foreground=False).fit(REFERENCE)  # type: ignore[call-arg]
    else:
        method = fitted(name)
    expected = method.transform(image).pixels.ravel()[order]
    np.testing.assert_array_equal(method.transform(shuffled).pixels.ravel(), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", MAPS)
@settings(max_examples=25, deadline=None)
@given(pixels=arrays(np.uint16, (8, 8), elements=st.integers(0, 4095)))
def test_a_map_of_grey_levels_is_monotone(name: str, pixels: np.ndarray) -> None:
    pixels[0, :2] = 5, 4000
    result = fitted(name).transform(Radiograph.from_array(pixels, bits=16))
    order = np.argsort(pixels, axis=None)
    assert (np.diff(result.pixels.ravel()[order]) >= -1e-6).all()


@pytest.mark.parametrize("name", FITTED)
def test_what_is_not_fitted_or_has_no_reference_says_so(name: str) -> None:
    with pytest.raises(IsotoneError, match="not fitted"):
        baseline(name).transform(REFERENCE[0])
    with pytest.raises(IsotoneError, match="E_DATA"):
        baseline(name).fit([])


@pytest.mark.parametrize(
    "name", ["min-max", "percentile", "z-score", "histogram-matching", "histogram-matching-all-pixels", "nyul"]
)
def test_a_constant_image_is_refused(name: str) -> None:
    method = baseline(name).fit(REFERENCE)
    with pytest.raises(RadiographError, match="E_EMPTY_IMAGE"):
        method.transform(Radiograph.from_array(np.full((8, 8), 7, np.uint8)))


def test_padding_is_excluded_from_the_statistics() -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    padded = replace(Radiograph.from_array(pixels), padding=(0, 31))
    result = MinMax().transform(padded)
    assert result.tone[32] == 0
    assert result.tone[63] == 1
    assert GreyLevels.of(padded).counts.sum() == 32


def test_percentiles_are_those_of_numpy() -> None:
    image = ramp(3)
    q = [0, 1, 12.5, 50, 99, 100]
    expected = np.percentile(image.tone[image.stored], q)
    np.testing.assert_allclose(GreyLevels.of(image).percentiles(q), expected, atol=1e-12)


def test_percentile_puts_its_two_percentiles_on_the_ends() -> None:
    image = ramp(3)
    result = Percentile(5, 95).transform(image)
    low, high = np.percentile(image.pixels, [5, 95])
    np.testing.assert_allclose(result.pixels, np.clip((image.pixels - low) / (high - low), 0, 1), atol=1e-5)


def test_z_score_gives_the_mean_and_deviation_of_the_reference() -> None:
    method = ZScore().fit(REFERENCE)
    pool = np.concatenate([r.pixels.ravel() for r in REFERENCE])
    assert method.mean == pytest.approx(pool.mean(), abs=1e-5)
    assert method.std == pytest.approx(pool.std(), abs=1e-5)
    image = ramp(9, 0.8)
    z = (image.pixels - image.pixels.mean()) / image.pixels.std()
    np.testing.assert_allclose(method.transform(image).pixels, np.clip(pool.mean() + pool.std() * z, 0, 1), atol=1e-4)


def test_all_pixel_matching_is_that_of_scikit_image() -> None:
    image = ramp(9, 0.5)
    pool = np.stack([r.stored for r in REFERENCE])
    expected = match_histograms(image.stored, pool.reshape(-1, pool.shape[-1])) / 65535
    result = HistogramMatching(foreground=False).fit(REFERENCE).transform(image)
    np.testing.assert_allclose(result.pixels, expected, atol=2e-5)


def test_a_constant_curve_is_all_pixel_matching_of_the_scanners_images_as_one() -> None:
    """Quantile onto quantile by NumPy, on images with as many pixels each; whatever the image, the curve is one."""
    source = [ramp(seed, 0.5).with_domain("Src") for seed in range(20, 24)]
    method = ConstantCurve().fit(REFERENCE).fit_source(source)
    pools = [np.sort(np.concatenate([r.pixels.ravel() for r in part])) for part in (source, REFERENCE)]
    share = np.searchsorted(pools[0], source[0].pixels, "right") / len(pools[0])
    expected = np.quantile(pools[1], share, method="inverted_cdf")
    np.testing.assert_allclose(method.transform(source[0]).pixels, expected, atol=2e-3)
    dark, bright = ramp(30, 0.5).with_domain("Src"), ramp(30, 0.2).with_domain("Src")
    assert np.array_equal(method.transform(dark).tone, method.transform(bright).tone)


def test_a_constant_curve_leaves_the_reference_alone_and_refuses_a_scanner_it_never_saw() -> None:
    method = ConstantCurve().fit(REFERENCE).fit_source([ramp(8, 0.5).with_domain("Src")])
    assert method.transform(REFERENCE[0]) is REFERENCE[0]
    with pytest.raises(RadiographError, match="E_DOMAIN"):
        method.transform(ramp(8).with_domain("Other"))


@pytest.mark.parametrize("seed", range(5, 12))
@pytest.mark.parametrize("reference", [REFERENCE, [r for r in REFERENCE if shows_air(r)]], ids=["some air", "all air"])
def test_foreground_matching_undoes_a_gamma_whether_or_not_air_is_told(seed: int, reference: list[Radiograph]) -> None:
    """These discs are as clear as noise may be, just: of some of them no air is told."""
    assert 2 < sum(shows_air(r) for r in REFERENCE) < len(REFERENCE)
    method = HistogramMatching().fit(reference)
    truth, seen = ramp(seed), ramp(seed, 0.5)
    inside = truth.pixels > 0.1
    before = np.abs(seen.pixels - truth.pixels)[inside].mean()
    after = np.abs(method.transform(seen).pixels - truth.pixels)[inside].mean()
    assert after < 0.1 * before


def nyul_images() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [np.round(200 + 40000 * rng.beta(2, 3 + i, (24, 24))).astype(np.uint16) for i in range(4)]


def test_nyul_gives_the_numbers_of_intensity_normalization() -> None:
    """Version 3.0.1: NyulNormalizer(output_min_value=…, output_max_value=…, everything else as it is)."""
    *reference, image = (Radiograph.from_array(a, bits=16) for a in nyul_images())
    standard = [0.02349254, 0.07065909, 0.10663355, 0.13574458, 0.16587226, 0.19715418]
    standard += [0.22930187, 0.26387045, 0.30319135, 0.35388783, 0.46962437]
    row = [0.1296334565, 0.3488039672, 0.2736177146, 0.2411865145, 0.1530872434, 0.1441613883]
    found = standard_landmarks([GreyLevels.of(radiograph) for radiograph in reference])
    np.testing.assert_allclose(found, standard, atol=1e-6)
    np.testing.assert_allclose(Nyul(foreground=False).fit(reference).transform(image).pixels[0, :6], row, atol=1e-6)


def test_nyul_landmarks_that_coincide_do_not_break_it() -> None:
    pixels = np.zeros((20, 20))
    pixels[5:15, 5:15] = ramp(0).pixels[:10, :10] + 0.01
    image = Radiograph.from_array(np.clip(pixels, 0, 1))
    result = Nyul(foreground=False).fit([image, ramp(1)]).transform(image)
    assert np.isfinite(result.tone).all()
    assert (np.diff(result.tone) >= 0).all()
    assert len(LANDMARKS) == 11


def test_clahe_is_that_of_scikit_image() -> None:
    image = ramp(3, size=64)
    expected = equalize_adapthist(image.pixels, clip_limit=0.01)
    np.testing.assert_allclose(baseline("clahe").transform(image).pixels, expected, atol=1e-5)


def test_an_unknown_baseline_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="histogram-matching"):
        baseline("histogram-machting")
