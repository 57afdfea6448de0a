"""A scanner's curve, and half of each image's own histogram matching where the classifier does not mind."""

from dataclasses import replace

import numpy as np
import pytest

from isotone.baselines.histogram_matching import HistogramMatching
from isotone.curves.tone_curve import ToneCurve
from isotone.data.descriptors.image_set import image_set
from isotone.errors import ModelError
from isotone.estimation import scanner_curve
from isotone.estimation.fit_source import fit_source
from isotone.estimation.image_blend import ImageBlend, image_blend
from isotone.estimation.reference_model import ReferenceModel
from isotone.estimation.settings import FitOptions, ScannerSettings
from isotone.harmonizer.mappers import BlendMapper, load_mapper, mapper_of
from isotone.imaging.radiograph import Radiograph
from samples import CLASSES, draw_samples

SCANNER = ToneCurve([0.5, -0.3])
FEW = ScannerSettings(resamples=5)


class Edges:
    """Judges by where the bright pixels are, which no increasing curve changes."""

    def __init__(self) -> None:
        self.config = type("Config", (), {"classes": CLASSES})()

    def predict(self, prepared):
        flat = prepared.reshape(len(prepared), -1)
        first = flat.argsort(1, kind="stable").argsort(1, kind="stable")[:, :400].mean(1) / 400
        return np.stack([1 - first, first], 1)


class Brightness(Edges):
    """Judges by small differences of the mean grey level, which matching takes away."""

    def predict(self, prepared):
        bright = (1 + np.sin(500 * prepared.reshape(len(prepared), -1).mean(1))) / 2
        return np.stack([1 - bright, bright], 1)


@pytest.fixture(scope="module")
def reference():
    return [replace(s, split="val") for s in draw_samples(40, seed=1)]


@pytest.fixture(scope="module")
def source():
    return draw_samples(20, gamma=2.0, seed=2)


def as_radiograph(sample):
    return Radiograph.from_array(sample.pixels, bits=16)


def test_an_image_s_curve_lies_midway_between_its_scanner_s_and_its_own_matching(reference, source):
    matching = HistogramMatching(foreground=False).fit([as_radiograph(s) for s in reference])
    for sample in source[:3]:
        image = as_radiograph(sample)
        curve = ImageBlend.fit(reference).curve(sample, SCANNER)
        wanted = (SCANNER(image.pixels) + matching.transform(image).pixels) / 2
        assert np.abs(curve(image.pixels) - wanted).max() < 0.005


def test_each_curve_increases_strictly_and_is_undone(reference, source):
    dark = replace(source[0], pixels=np.maximum(source[0].pixels, 3000) - 3000)
    for sample in (*source[:3], dark):
        proof = ImageBlend.fit(reference).curve(sample, SCANNER).certificate(bits_in=12)
        assert proof.strictly_monotone
        assert proof.unclipped == pytest.approx((0, 1))
        assert proof.inverse_error < 1e-6


def test_a_flat_image_gets_its_scanner_s_curve(reference, source):
    flat = replace(source[0], pixels=np.full_like(source[0].pixels, 7))
    assert ImageBlend.fit(reference).curve(flat, SCANNER) == SCANNER


def test_the_classifier_decides_on_images_of_its_own_reference(reference, source):
    blend, said = image_blend(reference, Edges())
    assert (blend.share, said.share) == (0.5, 0.5)
    assert said.agreement > 0.9
    blend, said = image_blend(reference, Brightness())
    assert blend is None
    assert said.share == 0
    assert said.agreement < 0.9
    assert image_blend(reference, None) == (None, None)
    assert image_blend([replace(s, trained=True) for s in reference], Edges()) == (None, None)


def test_a_classifier_is_asked_about_the_reference_once_for_all_sources(reference):
    model, classifier = ReferenceModel(reference), Edges()
    first = model.asked(classifier)
    assert model.asked(classifier) is first
    assert first.blend is first.blend
    assert model.asked(Brightness()).blend[0] is None


def test_auto_gives_images_their_own_curves_and_keeps_those_that_gain_nothing(reference, source, monkeypatch):
    monkeypatch.setattr(scanner_curve, "VARIES", 1e9)  # the noise of these images looks like settings
    said = Edges().predict(np.stack([s.prepared for s in reference]))[:, 1]
    known = [replace(s, label=CLASSES[int(p > np.median(said))]) for s, p in zip(reference, said, strict=True)]
    options = FitOptions(classifier=Edges(), labels=False, settings=FEW)
    model = ReferenceModel(known)
    fit = fit_source(image_set(source), model, replace(options, auto=True))
    assert fit.report.blend.share == 0.5
    assert fit.report.kept
    assert fit.report.warnings[-1].startswith("W_NO_GAIN")
    first, second = (mapper_of(fit).curve(as_radiograph(s)) for s in source[:2])
    assert first != second
    assert mapper_of(replace(fit, blend=None)).curve(as_radiograph(source[0])) == fit.curves[0]


def test_saved_and_loaded_it_gives_the_same_curves_and_damaged_numbers_are_refused(reference, source, tmp_path):
    mapper = BlendMapper(SCANNER, ImageBlend.fit(reference))
    entry = mapper.save(tmp_path, "")
    image = as_radiograph(source[0])
    assert load_mapper(tmp_path, entry).curve(image) == mapper.curve(image)
    two = {"levels": [0.1, 0.5], "below": [0.2, 1.0]}
    for damage in ({"share": 1.0}, {"levels": [0.5]}, two | {"levels": [0.5, 0.1]}, two | {"levels": [0.0, 2.0]}):
        with pytest.raises(ModelError):
            load_mapper(tmp_path, {"blend": {**entry["blend"], **damage}})


@pytest.mark.parametrize("seed", range(4))
def test_whatever_its_images_a_saved_blend_loads(reference, seed):
    """Sums of many shares may end a rounding above 1."""
    levels = np.random.default_rng(seed).integers(0, 256, 3000, dtype=np.uint16) * np.uint16(257)
    blend = ImageBlend.fit([replace(reference[0], pixels=levels, valid=np.ones(3000, bool))])
    assert np.array_equal(ImageBlend.from_json(blend.to_json()).below, blend.below)
