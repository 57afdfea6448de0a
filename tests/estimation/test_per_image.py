"""What a source's images vary beyond the reference's is taken back of each, and nothing where they do not."""

import json
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest

from isotone.curves.stages import Knots
from isotone.curves.tone_curve import ToneCurve
from isotone.data.descriptors.foreground import regions
from isotone.data.descriptors.image_set import described
from isotone.data.descriptors.structure import SIZE
from isotone.data.sample import Sample
from isotone.deployment.check import TONE_CHANCE
from isotone.errors import ModelError, UsageError
from isotone.estimation.acquisition_modes import _split, find_presets
from isotone.estimation.per_image import fit_adaptive
from isotone.estimation.scanner_curve import ScannerFit, ScannerSettings, fit_scanner
from isotone.estimation.tone_model import learned
from isotone.estimation.tone_residual import Deviation
from isotone.harmonizer.curve_report import curves_of
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.harmonizer.mappers import AdaptiveMapper, ScannerMapper, load_mapper
from isotone.harmonizer.pipeline import fit_mapper
from isotone.imaging.radiograph import Radiograph
from isotone.monitoring.response_drift import Drift

QUICK = ScannerSettings(resamples=0)
VARY = "W_VARIES exposure differs from image to image"


def chest(seed, label, gamma=1.0):
    """An image without air, whose label is a bright patch of a size that brightness must not hide."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:48, 0:48] / 47
    image = 0.35 + 0.3 * np.exp(-((x - 0.5) ** 2 + (y - rng.uniform(0.4, 0.6)) ** 2) / 0.1)
    image += 0.02 * rng.standard_normal(image.shape)
    image[20:28, 20:28] += 0.12 * (label == "sick")
    image = np.clip(image, 0.01, 0.99) ** gamma
    grey = np.rint(65535 * image).astype(np.uint16)
    return Sample(grey, np.ones(grey.shape, bool), image.astype(np.float32), label, f"p{seed}", "src", "val")


def cohort(start, gammas):
    return [chest(start + i, "sick" if i % 2 else "well", gamma) for i, gamma in enumerate(gammas)]


def plain(*alphas, mismatch=0.0, window=1.0, mix_from="structure"):
    """A scanner's fit, on a source that is like the reference or not."""
    notes = {"mismatch": mismatch, "mismatch_limit": 1.0, "window": window, "variance": 9.0}
    notes |= {"mix": {"sick": 0.5, "well": 0.5}, "mix_from": mix_from, "band": {}, "score_interval": {}}
    notes |= {
        "free": False,
        "projection_rmse_levels_8bit": 0.0,
        "clipped_share": 0.0,
        "warnings": ["W_FEW so far", VARY],
    }
    return ScannerFit(ToneCurve(alphas), ToneCurve(alphas), notes)


@dataclass
class Threshold:
    """Calls an image sick whose patch is brighter than patches of well images are."""

    config: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(classes=("sick", "well")))

    def predict(self, prepared):
        score = 60 * (prepared[:, 20:28, 20:28].mean((1, 2)) - 0.70)
        sick = 1 / (1 + np.exp(-np.clip(score, -30, 30)))
        return np.stack([sick, 1 - sick], 1)


class Blind(Threshold):
    """Says the same of every image."""

    def predict(self, prepared):
        return np.full((len(prepared), 2), 0.5)


def adapted(source, reference, scanner, seed=0, classifier=None):
    source, reference = described(source), described(reference)
    level = learned(reference.views, seed)
    presets = find_presets(source, reference, scanner, level, None, QUICK, seed)
    return fit_adaptive(source, reference, scanner, presets, classifier or Threshold(), seed=seed)


def fitted_mapper(source, reference, scanner, classifier=None, settings=QUICK, adaptive=False):
    source, reference = described(source), described(reference)
    presets = find_presets(source, reference, scanner, learned(reference.views), classifier, settings, 0)
    return fit_mapper(source, reference, scanner, presets, classifier if adaptive else None, 0)


@pytest.fixture(scope="module")
def reference():
    return cohort(0, np.ones(120))


@pytest.fixture(scope="module")
def jittered():
    return cohort(1000, np.random.default_rng(0).uniform(0.6, 1.6, 60))


@pytest.fixture(scope="module")
def fitted(reference, jittered):
    return adapted([replace(s, label=None) for s in jittered], reference, plain(), seed=3)


def test_settings_that_change_from_image_to_image_are_found_and_taken_back(jittered, fitted):
    assert fitted.deviation.strength
    assert fitted.notes["gain"] > fitted.notes["standard_error"] > 0
    gaps = [
        np.abs(curve(s.prepared) - chest(1000 + i, s.label).prepared).mean()
        for i, s in enumerate(jittered)
        for curve in (fitted.deviation.curve(s, fitted.presets.curves), ToneCurve())
    ]
    assert np.mean(gaps[0::2]) < 0.6 * np.mean(gaps[1::2])


def test_settings_from_image_to_image_cost_no_contrast(reference):
    source = cohort(4000, np.exp(0.4 * np.random.default_rng(1).standard_normal(80)))
    pooled = fit_scanner(source, reference, settings=QUICK)
    level = learned(described(reference).views)
    fit = adapted(source, reference, fit_scanner(source, reference, level=level, settings=QUICK))
    contrast = {
        "pooled": np.mean([pooled.curve(s.prepared).std() for s in source]),
        "adaptive": np.mean([fit.deviation.curve(s, fit.presets.curves)(s.prepared).std() for s in source]),
        "true": np.mean([chest(4000 + i, s.label).prepared.std() for i, s in enumerate(source)]),
    }
    assert contrast["pooled"] < 0.9 * contrast["true"]
    assert contrast["adaptive"] == pytest.approx(contrast["true"], rel=0.08)


def test_a_scanner_without_deviations_of_its_own_keeps_its_one_curve(reference):
    fit = adapted(cohort(2000, np.ones(60)), reference, plain(0.1))
    assert not fit.deviation.strength
    assert fit.presets.curves == [ToneCurve([0.1])]
    assert fit.notes["variance"] == 1.0


def test_what_the_classifier_does_not_see_is_not_taken_back(reference, jittered):
    fit = adapted(jittered, reference, plain(), classifier=Blind())
    assert not fit.deviation.strength
    assert fit.notes["gain"] == 0.0


def test_where_the_source_shows_less_of_the_body_nothing_is_taken_back(reference, jittered):
    assert not adapted(jittered, reference, plain(window=0.8)).deviation.strength


def test_the_less_structure_is_a_measure_on_the_source_the_less_is_taken_back(reference, jittered):
    near, far = (adapted(jittered, reference, plain(mismatch=m), seed=3) for m in (2.0, 150.0))
    assert 0 < far.deviation.strength < near.deviation.strength / 2
    rng = np.random.default_rng(0)
    shuffled = [replace(s, pixels=rng.permuted(s.pixels)) for s in jittered]  # the same greys, of nothing
    assert adapted(shuffled, reference, plain(mismatch=2.0)).notes["strength"] < near.notes["strength"] / 2


def test_two_settings_behind_one_name_are_told_apart_and_each_gets_its_curve(reference):
    even_dark = cohort(3000, [1.8 if i % 2 else 0.6 for i in range(80)])
    blank = [replace(s, label=None) for s in even_dark]
    mapper, notes = fitted_mapper(blank, reference, plain())
    assert [preset["images"] for preset in notes["presets"]] == [40, 40]
    assert notes["warnings"] == ["W_FEW so far"]
    x = np.linspace(0.4, 0.6, 20)
    for number, gamma in enumerate((0.6, 1.8)):
        curve = mapper.curve(Radiograph.from_array(even_dark[number].pixels, domain="src"))
        assert np.abs(curve(x**gamma) - x).max() < 0.04


def two_settings(patients=80, images=80):
    """Two dark ones after two bright ones, so that each setting has images of both classes."""
    gammas = [1.8 if i // 2 % 2 else 0.6 for i in range(images)]
    return [replace(s, patient=f"p{i % patients}") for i, s in enumerate(cohort(3000, gammas))]


def test_settings_far_apart_are_told_apart_although_their_mean_is_no_image(reference):
    far = cohort(3000, [4.0 if i % 2 else 1.0 for i in range(80)])
    assert [preset["images"] for preset in fitted_mapper(far, reference, plain())[1]["presets"]] == [40, 40]


def test_many_images_of_two_settings_are_no_three_presets():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(1000, 2)) * np.where(np.arange(1000) % 2, 1.0, 3.0)[:, None]
    points[::2, 0] += 15
    groups, gains = _split(points, np.arange(1000), 0)
    assert np.argmax(gains) == 1
    assert (groups[1][::2] != groups[1][1::2]).all()


def test_presets_read_no_label_where_the_class_mix_was_not_told_by_labels(reference):
    two = two_settings()
    swapped = [replace(s, label="well" if s.label == "sick" else "sick") for s in two]
    fits = [fitted_mapper(some, reference, plain()) for some in (two, swapped)]
    assert fits[0][0].curves == fits[1][0].curves
    assert fits[0][1] == fits[1][1]


def test_a_preset_that_shares_no_class_with_the_reference_gets_its_curve_all_the_same(reference):
    two = [replace(s, label="sick" if i % 2 else "else") for i, s in enumerate(two_settings())]
    notes = fitted_mapper(two, reference, plain(mix_from="labels"))[1]
    assert [preset["images"] for preset in notes["presets"]] == [40, 40]


def test_presets_are_not_looked_for_where_the_class_mix_is_unknown_as_they_may_be_diagnoses(reference):
    assert "presets" not in fitted_mapper(two_settings(), reference, plain(mix_from="none"))[1]


def test_a_few_patients_with_many_images_are_no_preset(reference):
    assert "presets" in fitted_mapper(two_settings(patients=40), reference, plain())[1]
    assert "presets" not in fitted_mapper(two_settings(patients=8), reference, plain())[1]


def test_each_image_gets_the_curve_of_the_preset_that_it_was_counted_for(reference):
    two = described(two_settings())
    level, scanner = learned(described(reference).views), plain()
    presets = find_presets(two, described(reference), scanner, level, None, QUICK, 0)
    given = [presets.deviation.curve(sample, presets.curves) for sample in two]
    assert [given.count(curve) for curve in presets.curves] == presets.images


def test_a_preset_says_what_is_wrong_with_its_own_fit_and_leans_on_nobody(reference):
    scanner = plain()
    scanner.notes["leans_on"] = {"other": 0.5}
    few = two_settings(images=40)
    notes = fitted_mapper(few, reference, scanner)[1]
    assert [preset["warnings"] for preset in notes["presets"]] == [
        ["W_FEW fewer than 25 patients of the source scanner"]
    ] * 2
    assert notes["leans_on"] == {}


def test_a_day_of_one_preset_is_no_other_response(reference):
    two, known = described(two_settings()), described(reference)
    level = learned(known.views)
    presets = find_presets(two, known, plain(), level, None, QUICK, 0)
    drift = Drift.fit(two, known, presets.curves, presets.deviation, level)
    for gamma in (0.6, 1.8):
        day = cohort(6000, np.full(30, gamma))
        assert drift.chance(np.stack([drift.of(s, regions(s)) for s in day])) > TONE_CHANCE
    day = cohort(6000, np.full(30, 3.5))
    assert drift.chance(np.stack([drift.of(s, regions(s)) for s in day])) < TONE_CHANCE


def test_presets_are_not_looked_for_where_the_images_vary_as_the_references_do(reference):
    two = cohort(3000, [1.8 if i % 2 else 0.6 for i in range(80)])
    scanner = plain()
    scanner.notes["variance"] = 1.0
    mapper, notes = fitted_mapper(two, reference, scanner)
    assert isinstance(mapper, ScannerMapper)
    assert "presets" not in notes


def test_a_few_odd_images_are_no_preset(reference):
    odd = cohort(3000, [3.0 if i < 5 else 1.0 for i in range(80)])
    assert "presets" not in fitted_mapper(odd, reference, plain())[1]


def test_presets_are_shown_each_with_its_curve(reference):
    two = cohort(3000, [1.8 if i % 2 else 0.6 for i in range(80)])
    harmonizer = ToneCurveHarmonizer("ref", ["src", "other"])
    mapper, _ = fitted_mapper(two, reference, plain())
    harmonizer.mappers = {"src": mapper, "other": ScannerMapper(ToneCurve([0.1]))}
    shown = curves_of(harmonizer, None, None)
    assert list(shown["src"].items()) == [
        (f"src, preset {number}", curve) for number, curve in enumerate(mapper.curves, 1)
    ]
    assert shown["other"] == {"other": ToneCurve([0.1])}
    assert list(curves_of(harmonizer, None, "src")) == ["src"]


def test_of_a_scanner_whose_images_have_curves_of_their_own_nothing_is_shown_and_the_domain_is_known(fitted):
    harmonizer = ToneCurveHarmonizer("ref", ["src", "other"])
    harmonizer.mappers = {"src": AdaptiveMapper([ToneCurve()], replace(fitted.deviation, strength=0.5))}
    with pytest.raises(UsageError, match=r"each image has a curve of its own.*IMAGE"):
        curves_of(harmonizer, None, "src")
    with pytest.raises(UsageError, match=r"no curve for this domain.*Use one of: src\."):
        curves_of(harmonizer, None, "another")
    harmonizer.mappers["other"] = ScannerMapper(ToneCurve([0.1]))
    assert curves_of(harmonizer, None, None) == {"src": {}, "other": {"other": ToneCurve([0.1])}}


def test_presets_are_fitted_as_one_curve_would_have_been(reference):
    two = cohort(3000, [1.8 if i % 2 else 0.6 for i in range(80)])
    mapper, notes = fitted_mapper(two, reference, plain(), settings=ScannerSettings(free=True, resamples=20))
    assert [type(curve.stages[0]) for curve in mapper.curves] == [Knots, Knots]
    assert all(preset["band"]["x"] for preset in notes["presets"])
    assert notes["band"] == {}


def test_that_images_vary_is_no_warning_once_it_is_taken_back(reference, jittered):
    steady = cohort(2000, np.ones(60))
    assert fitted_mapper(steady, reference, plain())[1]["warnings"] == ["W_FEW so far"]
    for adaptive, left in ((False, ["W_FEW so far", VARY]), (True, ["W_FEW so far"])):
        mapper, notes = fitted_mapper(jittered, reference, plain(mix_from="none"), Threshold(), adaptive=adaptive)
        assert isinstance(mapper, AdaptiveMapper) == adaptive
        assert notes["warnings"] == left


def test_the_band_is_that_of_the_curve_that_is_delivered(reference, jittered):
    level = np.linspace(0.3, 0.7, 9)
    scanner = plain(mix_from="none")
    scanner.notes["band"] = {side: (level + e).tolist() for side, e in (("x", 0), ("low", -0.01), ("high", 0.01))}
    mapper, notes = fitted_mapper(jittered, reference, scanner, Threshold(), adaptive=True)
    moved = mapper.curves[0](level)
    assert np.abs(moved - level).max() > 0.01
    assert (np.array(notes["band"]["low"]) < moved).all()
    assert (moved < np.array(notes["band"]["high"])).all()


def test_what_is_hardly_taken_back_at_all_leaves_the_warning(reference, jittered):
    mapper, notes = fitted_mapper(jittered, reference, plain(mismatch=400.0), Threshold(), adaptive=True)
    assert 0 < mapper.deviation.strength < 0.2
    assert VARY in notes["warnings"]


def test_without_labels_no_label_of_the_source_is_read_and_a_seed_repeats_the_fit(reference, jittered, fitted):
    blank = [replace(s, label=None) for s in jittered]
    again = adapted(blank, reference, plain(), seed=3)
    assert (again.notes, again.presets.curves) == (fitted.notes, fitted.presets.curves)
    assert again.deviation.to_dict() == fitted.deviation.to_dict()


def test_saved_and_loaded_it_gives_the_same_curves(fitted, jittered, tmp_path):
    mapper = AdaptiveMapper(fitted.presets.curves, replace(fitted.deviation, strength=0.5))
    loaded = load_mapper(tmp_path, json.loads(json.dumps(mapper.save(tmp_path, "x"))))
    image = Radiograph.from_array(jittered[0].pixels, domain="src")
    assert isinstance(loaded, AdaptiveMapper)
    assert loaded.curve(image) == mapper.curve(image)
    assert loaded.curve(image) not in fitted.presets.curves


@pytest.mark.parametrize("damage", [{"strength": 2.0}, {"expectation": None}, {"offset": [float("nan")] * 6}])
def test_damaged_numbers_are_refused(fitted, damage):
    with pytest.raises(ModelError, match="E_MODEL"):
        Deviation.from_dict(fitted.deviation.to_dict() | damage)


@pytest.mark.parametrize(
    "damage",
    [
        {"mean": [1.0]},
        {"axes": None},
        {"centre": [0.0]},
        {"scale": [0.0] * SIZE},
        {"weights": [[1.0]]},
        {"offset": 0.0},
    ],
)
def test_damaged_expectations_are_refused(fitted, damage):
    described = fitted.deviation.to_dict()
    with pytest.raises(ModelError, match="E_MODEL"):
        Deviation.from_dict(described | {"expectation": described["expectation"] | damage})
