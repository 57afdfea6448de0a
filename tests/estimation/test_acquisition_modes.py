"""Several settings behind one scanner's name are told apart by how images deviate, and each gets its curve."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from isotone.curves.stages import Knots
from isotone.curves.tone_curve import ToneCurve
from isotone.data.descriptors.foreground import regions
from isotone.data.descriptors.image_set import image_set
from isotone.data.descriptors.structure import SIZE
from isotone.data.sample import Sample
from isotone.deployment.check import TONE_CHANCE
from isotone.errors import ModelError
from isotone.estimation.acquisition_modes import find_modes, split
from isotone.estimation.fit_source import fit_source
from isotone.estimation.reference_model import ReferenceModel
from isotone.estimation.report import FitReport
from isotone.estimation.scanner_curve import ScannerCurve
from isotone.estimation.settings import FitOptions, ScannerSettings
from isotone.estimation.tone_residual import ToneResidual
from isotone.harmonizer.curve_report import curves_of
from isotone.harmonizer.fitted_scanner import FittedScanner
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.harmonizer.mappers import ModesMapper, ScannerMapper, load_mapper
from isotone.imaging.radiograph import Radiograph
from isotone.monitoring.response_drift import ResponseDrift

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


def two_settings(patients=80, images=80):
    """Two dark ones after two bright ones, so that each setting has images of both classes."""
    gammas = [1.8 if i // 2 % 2 else 0.6 for i in range(images)]
    return [replace(s, patient=f"p{i % patients}") for i, s in enumerate(cohort(3000, gammas))]


def plain(mix_from="structure", variance=9.0):
    """The fit of a scanner whose curve is the identity."""
    report = FitReport(
        images=80,
        patients=80,
        reference_images=120,
        window=1.0,
        variance=variance,
        free=False,
        projection_rmse_levels_8bit=0.0,
        clipped_share=0.0,
        mix={"sick": 0.5, "well": 0.5},
        mix_from=mix_from,
        warnings=("W_FEW so far", VARY),
    )
    return ScannerCurve(ToneCurve(), ToneCurve(), report)


@pytest.fixture(scope="module")
def reference():
    return ReferenceModel(cohort(0, np.ones(120)))


def modes_of(source, reference, scanner=None, settings=QUICK):
    return find_modes(image_set(source), reference, scanner or plain(), FitOptions(settings=settings))


def counts(modes):
    return [mode.images for mode in modes.report.modes]


@pytest.fixture(scope="module")
def two(reference):
    return modes_of(two_settings(), reference)


@pytest.mark.slow
def test_each_setting_gets_its_curve(reference):
    images = cohort(3000, [1.8 if i % 2 else 0.6 for i in range(80)])
    found = modes_of([replace(s, label=None) for s in images], reference)
    assert counts(found) == [40, 40]
    assert found.report.warnings == ("W_FEW so far",)
    mapper, x = ModesMapper(found.curves, found.residual), np.linspace(0.4, 0.6, 20)
    for number, gamma in enumerate((0.6, 1.8)):
        curve = mapper.curve(Radiograph.from_array(images[number].pixels, bits=16, domain="src"))
        assert np.abs(curve(x**gamma) - x).max() < 0.04


def test_settings_far_apart_are_told_apart_although_their_mean_is_no_image(reference):
    assert counts(modes_of(cohort(3000, [4.0 if i % 2 else 1.0 for i in range(80)]), reference)) == [40, 40]


def test_many_images_of_two_settings_are_no_three_modes():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(1000, 2)) * np.where(np.arange(1000) % 2, 1.0, 3.0)[:, None]
    points[::2, 0] += 15
    groups, gains = split(points, np.arange(1000), 0)
    assert np.argmax(gains) == 1
    assert (groups[1][::2] != groups[1][1::2]).all()


def test_no_label_is_read_where_the_class_mix_was_not_told_by_labels(reference, two):
    swapped = [replace(s, label="well" if s.label == "sick" else "sick") for s in two_settings()]
    again = modes_of(swapped, reference)
    assert (again.curves, again.report) == (two.curves, two.report)


def test_a_mode_that_shares_no_class_with_the_reference_gets_its_curve_all_the_same(reference):
    images = [replace(s, label="sick" if i % 2 else "else") for i, s in enumerate(two_settings())]
    assert counts(modes_of(images, reference, plain(mix_from="labels"))) == [40, 40]


@pytest.mark.parametrize(
    ("scanner", "patients"), [(plain(mix_from="none"), 80), (plain(variance=1.0), 80), (plain(), 8)]
)
def test_groups_that_may_be_diagnoses_chance_or_a_few_patients_are_no_modes(reference, scanner, patients):
    found = modes_of(two_settings(patients=patients), reference, scanner)
    assert (found.curves, found.report) == ((ToneCurve(),), scanner.report)


def test_a_few_odd_images_are_no_mode(reference):
    assert not modes_of(cohort(3000, [3.0 if i < 5 else 1.0 for i in range(80)]), reference).report.modes


def test_each_image_gets_the_curve_of_the_mode_that_it_was_counted_for(two):
    given = [two.residual.choose(sample, two.curves) for sample in two_settings()]
    assert [given.count(curve) for curve in two.curves] == counts(two)


def test_a_mode_says_what_is_wrong_with_its_own_fit(reference):
    few = modes_of(two_settings(images=40), reference)
    assert [mode.warnings for mode in few.report.modes] == [("W_FEW fewer than 25 patients of the source scanner",)] * 2


def test_a_day_of_one_mode_is_no_other_response(reference, two):
    fit = SimpleNamespace(
        images=image_set(two_settings()), curves=two.curves, residual=two.residual, reference=reference
    )
    drift = ResponseDrift.of_fit(fit)
    for gamma in (0.6, 1.8):
        day = cohort(6000, np.full(30, gamma))
        assert drift.chance(np.stack([drift.of(s, regions(s)) for s in day])) > TONE_CHANCE
    day = cohort(6000, np.full(30, 3.5))
    assert drift.chance(np.stack([drift.of(s, regions(s)) for s in day])) < TONE_CHANCE


def test_curves_of_modes_are_fitted_as_one_curve_would_have_been(reference):
    found = modes_of(two_settings(), reference, settings=ScannerSettings(free=True, resamples=20))
    assert [type(curve.stages[0]) for curve in found.curves] == [Knots, Knots]
    assert all(mode.band.x for mode in found.report.modes)
    assert found.report.band is None


@pytest.mark.slow
def test_modes_are_looked_for_only_where_that_is_asked(reference):
    images = two_settings()
    one, several = (fit_source(images, reference, FitOptions(settings=QUICK, modes=asked)) for asked in (False, True))
    assert len(one.curves) == 1
    assert [w.split()[0] for w in one.report.warnings] == ["W_VARIES"]
    assert (len(several.curves), several.report.warnings) == (2, ())


def test_modes_are_shown_each_with_its_curve(two):
    harmonizer, other = ToneCurveHarmonizer("ref", ["src", "other"]), ToneCurve([0.1])
    harmonizer.scanners = {
        "src": FittedScanner(ModesMapper(two.curves, two.residual)),
        "other": FittedScanner(ScannerMapper(other)),
    }
    shown = curves_of(harmonizer, None, None)
    assert list(shown["src"].items()) == [(f"src, mode {number}", curve) for number, curve in enumerate(two.curves, 1)]
    assert shown["other"] == {"other": other}
    assert list(curves_of(harmonizer, None, "src")) == ["src"]


@pytest.fixture
def saved(two, tmp_path):
    return json.loads(json.dumps(ModesMapper(two.curves, two.residual).save(tmp_path, "x")))


def test_saved_and_loaded_they_give_the_same_curves(two, saved, tmp_path):
    loaded = load_mapper(tmp_path, saved)
    for sample in two_settings()[:8:2]:
        image = Radiograph.from_array(sample.pixels, bits=16, domain="src")
        assert loaded.curve(image) == ModesMapper(two.curves, two.residual).curve(image)


@pytest.mark.parametrize("damage", [{"expectation": None}, {"offset": [float("nan")] * 6}, {"whitening": [[1.0]]}])
def test_damaged_numbers_are_refused(two, damage):
    with pytest.raises(ModelError, match="E_MODEL"):
        ToneResidual.from_json(two.residual.to_json() | damage)


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
def test_damaged_expectations_are_refused(two, damage):
    entry = two.residual.to_json()
    with pytest.raises(ModelError, match="E_MODEL"):
        ToneResidual.from_json(entry | {"expectation": entry["expectation"] | damage})


def test_a_model_that_corrected_image_by_image_is_read_and_refuses_images(two, tmp_path):
    """Earlier builds fitted such models; a model of modes without that is used as before."""
    image = Radiograph.from_array(two_settings()[0].pixels, bits=16, domain="src")
    for strength in (0.0, 0.5):

        class Earlier(ModesMapper):
            def save(self, folder, stem, strength=strength):
                entry = super().save(folder, stem)
                unused = {"limit": [1.0] * 6, "part": np.eye(6).tolist(), "strength": strength}
                return entry | {"deviation": entry["deviation"] | unused}

        harmonizer = ToneCurveHarmonizer("ref", "src", method="adaptive")
        harmonizer.scanners = {"src": FittedScanner(Earlier(two.curves, two.residual))}
        harmonizer.save(tmp_path / str(strength))
        loaded = ToneCurveHarmonizer.load(tmp_path / str(strength))
        if not strength:
            assert loaded.curve(image) in two.curves
            continue
        with pytest.raises(ModelError, match=r"E_MODEL.*Fit it again"):
            loaded.curve(image)
