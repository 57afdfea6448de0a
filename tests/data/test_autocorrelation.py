"""What tells an image from noise."""

import numpy as np
import pytest
from scipy import ndimage

from isotone.data.descriptors.autocorrelation import NOISE, autocorrelation
from isotone.data.descriptors.image_set import image_set
from isotone.data.sample import Sample
from isotone.estimation.fit_source import fit_source
from isotone.estimation.reference_model import ReferenceModel
from isotone.estimation.settings import FitOptions, ScannerSettings

SHAPE = (64, 64)
STRANGE = {
    "flat field": lambda rng: rng.normal(0.6, 0.003, SHAPE),
    "shaded flat field": lambda rng: 0.6 + np.linspace(-0.05, 0.05, 64) + rng.normal(0, 0.003, SHAPE),
    "failed exposure": lambda rng: np.abs(rng.normal(0, 0.01, SHAPE)),
    "nothing": lambda rng: np.zeros(SHAPE),
}


def sample(grey, name="p"):
    return Sample(np.rint(65535 * np.clip(grey, 0, 1)).astype(np.uint16), np.ones(SHAPE, bool), patient=name)


def body(seed, response=lambda grey: grey):
    """Smooth shadows up to the border, with grain: no air, as on chests."""
    rng = np.random.default_rng(seed)
    grey = ndimage.gaussian_filter(rng.standard_normal(SHAPE), 6, mode="nearest")
    grey = (grey - grey.min()) / np.ptp(grey)
    return sample(response(np.clip(0.1 + 0.8 * grey + rng.normal(0, 0.02, SHAPE), 0, 1)), f"p{seed}")


def likeness(image):
    return autocorrelation(image.pixels, image.valid)


@pytest.mark.parametrize("kind", sorted(STRANGE))
@pytest.mark.parametrize("seed", range(5))
def test_noise_has_none(kind, seed):
    assert abs(likeness(sample(STRANGE[kind](np.random.default_rng(seed))))) < NOISE


def test_a_picture_has_some_behind_as_much_noise_and_through_any_response():
    shown = body(0)
    grain = np.random.default_rng(0).normal(0, shown.pixels.std() / 65535, SHAPE)
    assert likeness(sample(shown.pixels / 65535 + grain)) > NOISE
    assert likeness(sample((shown.pixels / 65535) ** 3)) == pytest.approx(likeness(shown), abs=0.01)


@pytest.fixture(scope="module")
def sides():
    return [body(seed) for seed in range(30)], [body(100 + seed, np.sqrt) for seed in range(30)]


@pytest.mark.parametrize("kind", sorted(STRANGE))
def test_a_fit_leaves_noise_out_on_either_side_and_says_so(sides, kind):
    reference, source = sides
    strange = [sample(STRANGE[kind](np.random.default_rng(k)), f"odd{k}") for k in range(6)]
    options = FitOptions(settings=ScannerSettings(resamples=0))
    clean = fit_source(source, ReferenceModel(reference), options)
    on_source = fit_source([*source, *strange], ReferenceModel(reference), options)
    on_reference = fit_source(source, ReferenceModel([*reference, *strange]), options)
    assert clean.curves == on_source.curves == on_reference.curves
    assert not any(warning.startswith("W_ODD") for warning in clean.report.warnings)
    for fit in (on_source, on_reference):
        assert any(warning.startswith("W_ODD 6 images") for warning in fit.report.warnings)


def test_where_all_is_noise_nothing_is_left_out():
    images = image_set([sample(STRANGE["flat field"](np.random.default_rng(k))) for k in range(3)])
    assert images.telling is images
