"""One curve for a scanner, fitted end to end on small phantoms."""

from dataclasses import replace

import numpy as np
import pytest

from isotone import ScannerSettings
from isotone.curves.stages import Affine, Knots
from isotone.data.descriptors.image_set import image_set
from isotone.data.phantom.anatomy import Anatomy, draw_breast
from isotone.data.phantom.scanners import ALDER, BIRCH, reference_presentation
from isotone.data.sample import Sample
from isotone.errors import IsotoneError
from isotone.estimation.matching import odd_images
from isotone.estimation.reference_model import ReferenceModel
from isotone.estimation.scanner_curve import fit_scanner_curve
from isotone.estimation.settings import FitOptions

RESPONSES = {
    "gamma 0.4": lambda x: x**0.4,
    "gamma 2.5": lambda x: x**2.5,
    "log": lambda x: np.log1p(100 * x) / np.log(101),
    "narrow": lambda x: 0.05 + 0.35 * x**1.4,
}
FEW = ScannerSettings(resamples=20)


def exams(scanner, patients, classes, rows):
    """Both breasts of patients, in presentation values of the scanner."""
    samples = []
    for number in range(patients):
        density = classes[number % len(classes)]
        rng = np.random.default_rng([number, len(classes)])
        left = Anatomy.draw(rng, density)
        for side, anatomy in (("L", left), ("R", left.other_side(rng))):
            stored = scanner.stored(draw_breast(rng, anatomy, rows, laterality=side)) << (16 - scanner.bits)
            shown = 65535 - stored if scanner.inverted else stored
            samples.append(Sample(shown, np.ones(shown.shape, bool), label=density, patient=f"{scanner.model}{number}"))
    return samples


def fit_scanner(source, reference, *, varies=False, seed=0, **options):
    """The curve of a scanner; whether its images vary is asked only where `varies` says so."""
    model = ReferenceModel(reference, seed)
    if not varies:
        model.tone = None
    return fit_to(source, model, **options)


def fit_to(source, model, **options):
    """The same, to a reference that was looked at before."""
    return fit_scanner_curve(image_set(source), model, FitOptions(**options))


def draw(seed, density, field=240.0):
    rng = np.random.default_rng([seed, ord(density)])
    line = draw_breast(rng, Anatomy.draw(rng, density), 112, laterality="LR"[rng.integers(2)], field_mm=field)
    image = np.clip(reference_presentation(line), 0, 1)
    return Sample(
        np.rint(65535 * image).astype(np.uint16), np.ones(image.shape, bool), label=density, patient=f"{density}{seed}"
    )


def through(samples, response):
    return [
        replace(s, pixels=np.rint(65535 * response(s.pixels / 65535)).astype(np.uint16), patient=f"s{s.patient}")
        for s in samples
    ]


@pytest.fixture(scope="module")
def reference():
    return [draw(i, c) for c in "ABCD" for i in range(40)]


@pytest.fixture(scope="module")
def others():
    return {c: [draw(1000 + i, c) for i in range(60)] for c in "ABCD"}


def error(fit, response):
    """Root mean square error of the curve over the anatomy's grey levels, unit range."""
    x = np.linspace(0.25, 0.9, 50)
    return float(np.sqrt(np.mean((fit.curve(response(x)) - x) ** 2)))


@pytest.mark.slow
@pytest.mark.parametrize("name", RESPONSES)
def test_a_response_is_undone_without_labels_though_classes_are_missing(reference, others, name):
    source = through([*others["B"][:40], *others["C"][:40]], RESPONSES[name])
    fit = fit_scanner(source, reference, labels=False, settings=FEW)
    assert fit.report.mix_from == "structure"
    assert fit.report.mix["A"] + fit.report.mix["D"] < 0.15
    assert error(fit, RESPONSES[name]) < 0.02
    assert fit.report.clipped_share < 0.001


def test_without_labels_no_label_of_the_source_is_read(reference, others):
    source = through([*others["B"][:20], *others["C"][:20]], RESPONSES["log"])
    relabelled = [replace(s, label="D") for s in source]
    assert (
        fit_scanner(source, reference, labels=False, settings=FEW)
        == fit_scanner(relabelled, reference, labels=False, settings=FEW)
    )  # fmt: skip


@pytest.mark.slow
def test_a_shifted_class_mix_does_not_go_into_the_tone(reference, others):
    source = through([*others["C"][:15], *others["D"]], RESPONSES["gamma 2.5"])
    plain = fit_scanner(source, [replace(s, label=None) for s in reference], labels=False, settings=FEW)
    for labels in (True, False):
        fit = fit_scanner(source, reference, labels=labels, settings=FEW)
        assert fit.report.mix["D"] == pytest.approx(0.8, abs=0.1)
        assert error(fit, RESPONSES["gamma 2.5"]) < 0.7 * error(plain, RESPONSES["gamma 2.5"])
    stated = fit_scanner(source, reference, mix={"C": 1, "D": 4}, settings=FEW)
    assert stated.report.mix_from == "stated"
    assert stated.report.mix == {"C": 0.2, "D": 0.8}


@pytest.mark.slow
def test_a_smaller_field_of_view_is_matched_with_windows_of_the_reference(reference):
    source = through([draw(2000 + i, c, field=168.0) for c in "ABCD" for i in range(15)], RESPONSES["log"])
    fit = fit_scanner(source, reference, labels=False, settings=FEW)
    assert fit.report.window < 1
    assert error(fit, RESPONSES["log"]) < 0.02


def test_where_most_images_show_something_else_none_of_them_is_odd(reference, others):
    given = ReferenceModel(reference)
    noise = np.random.default_rng(0).integers(30000, 31000, (20, 112, 90)).astype(np.uint16)
    odd = [replace(reference[0], pixels=pixels, patient=f"o{i}") for i, pixels in enumerate(noise)]

    def called(samples):
        return odd_images(image_set(samples).descriptors_with(given.air), given)

    assert called([*others["B"][:30], odd[0]]).tolist() == [False] * 30 + [True]
    assert not called([*others["B"][:30], *odd]).any()


@pytest.fixture(scope="module")
def models():
    """A large reference with its labels, and without."""
    images = [draw(i, c) for c in "ABCD" for i in range(100)]
    made = [ReferenceModel(given) for given in (images, [replace(s, label=None) for s in images])]
    for model in made:
        model.tone = None
    return made


@pytest.mark.slow
@pytest.mark.parametrize("mix", [{"B": 50}, {"A": 5, "B": 10, "C": 10, "D": 40}, {"A": 40, "B": 15, "C": 5}])
def test_a_smaller_field_of_view_and_another_class_mix_are_told_apart(models, mix):
    images = [draw(2000 + i, c, field=150.0 + 5 * (i % 8)) for c, number in mix.items() for i in range(number)]
    source = through(images, RESPONSES["log"])
    fit, unmixed = (fit_to(source, model, labels=False, settings=FEW) for model in models)
    assert fit.report.mix_from == "structure"
    assert all(abs(fit.report.mix[c] - mix.get(c, 0) / len(images)) < 0.2 for c in "ABCD")
    assert error(fit, RESPONSES["log"]) < max(0.02, 0.75 * error(unmixed, RESPONSES["log"]))


@pytest.mark.slow
def test_noise_beyond_the_reference_is_said_and_the_mix_not_guessed(reference, others):
    rng = np.random.default_rng(0)
    noisy = [
        replace(s, pixels=np.clip(s.pixels + rng.normal(0, 4000, s.pixels.shape), 0, 65535).astype(np.uint16))
        for c in "ABCD"
        for s in others[c][:30]
    ]
    fit = fit_scanner(noisy, reference, labels=False, settings=FEW)
    assert fit.report.mix_from == "none"
    assert any(w.startswith("W_BEYOND_TONE") for w in fit.report.warnings)


def test_few_labels_are_not_taken_for_the_mix_where_structure_tells_it(reference, others):
    images = through([s for c in "ABCD" for s in others[c][:12]], RESPONSES["log"])
    positives = [s if s.label == "D" else replace(s, label=None) for s in images]
    fit = fit_scanner(positives, reference, settings=FEW)
    assert fit.report.mix_from == "structure"
    assert error(fit, RESPONSES["log"]) < 0.02


@pytest.mark.slow
def test_a_class_alone_is_no_difference_beyond_tone(reference, others):
    some = [s for s in reference if int(s.patient[1:]) < 25]
    for c in "AC":
        fit = fit_scanner(through(others[c], RESPONSES["gamma 2.5"]), some, labels=False, settings=FEW)
        assert not any(w.startswith("W_BEYOND_TONE") for w in fit.report.warnings), c


@pytest.mark.slow
def test_settings_from_image_to_image_are_said_and_go_into_the_curve_as_their_median(reference, others):
    gammas = np.exp(0.5 * np.random.default_rng(0).standard_normal(80))
    images = [*others["B"][:40], *others["C"][:40]]
    varied = [through([s], lambda x, g=g: x ** (1.5 * g))[0] for s, g in zip(images, gammas, strict=True)]
    fit, pooled = (fit_scanner(varied, reference, varies=asked, labels=False, settings=FEW) for asked in (True, False))
    assert fit.report.variance > 2
    (warning,) = fit.report.warnings
    assert warning.startswith("W_VARIES ")
    assert f"standard deviation {fit.report.extra_levels_8bit:.0f} of 255 grey levels" in warning
    assert error(fit, lambda x: x**1.5) < 0.5 * error(pooled, lambda x: x**1.5)


@pytest.mark.slow
def test_noise_that_one_response_amplifies_in_the_shadows_is_no_variance_of_settings():
    reference, source = exams(ALDER, 40, "ABCD", 192), exams(BIRCH, 20, "BC", 192)
    fit = fit_scanner(source, reference, varies=True, labels=False, settings=FEW)
    assert fit.report.variance == 1
    assert not any(w.startswith("W_VARIES") for w in fit.report.warnings)


@pytest.mark.slow
def test_without_settings_of_their_own_all_grey_levels_are_matched(reference, others):
    source = through([*others["B"][:40], *others["C"][:40]], RESPONSES["log"])
    fit, unasked = (fit_scanner(source, reference, varies=asked, labels=False, settings=FEW) for asked in (True, False))
    assert fit == unasked
    assert fit.report.variance == 1.0


def test_the_narrow_range_gets_an_affine_stage_and_the_free_curve_knots(reference, others):
    source = through(others["B"][:30], RESPONSES["narrow"])
    steps = fit_scanner(source, reference, settings=FEW)
    assert isinstance(steps.curve.stages[0], Affine)
    assert not steps.report.free
    free = fit_scanner(source, reference, settings=ScannerSettings(resamples=0, free=True))
    assert isinstance(free.curve.stages[0], Knots)
    assert free.report.free
    assert free.report.band is None


def test_a_response_that_no_steps_can_follow_gets_a_free_curve_and_is_no_variance(reference, others):
    def wavy(x):
        return x + 0.045 * np.sin(6 * np.pi * x)  # slopes of 0.15 to 1.85

    source = through([*others["A"][:30], *others["D"][:30]], wavy)
    fit = fit_scanner(source, reference, varies=True, labels=False, settings=FEW)
    assert fit.report.free
    assert fit.report.projection_rmse_levels_8bit > 1
    assert fit.report.variance < 2
    assert fit.report.warnings == ()
    assert error(fit, wavy) < 0.02


def test_the_same_seed_gives_the_same_fit_and_its_report_names_no_patient(reference, others):
    source = through(others["C"][:20], RESPONSES["log"])
    first, again = (fit_scanner(source, reference, settings=FEW, seed=3) for _ in range(2))
    assert first == again
    assert "sC10" not in repr(first)
    assert np.all(np.array(first.report.band.low) <= np.array(first.report.band.high))
    assert any(w.startswith("W_FEW") for w in first.report.warnings)


def test_what_cannot_be_matched_is_refused(reference):
    with pytest.raises(IsotoneError, match="source"):
        fit_scanner([], reference)
    with pytest.raises(IsotoneError, match="share no class") as refused:
        fit_scanner([replace(reference[0], label="Z", domain="Src Two")], reference)
    assert (refused.value.code, refused.value.exit_code) == ("E_DATA", 1)
    assert "Src Two (Z) and the reference (A, B, C, D)" in str(refused.value)
    assert 'labels="none"' in str(refused.value)


@pytest.mark.slow
def test_images_of_which_one_side_shows_no_air_are_said(reference, others):
    inner = [draw(3000 + i, c, field=70.0) for c in "BC" for i in range(12)]
    fit = fit_scanner(
        through(inner, RESPONSES["log"]), reference[::4], labels=False, settings=ScannerSettings(resamples=0)
    )
    assert any(w.startswith("W_AIR") for w in fit.report.warnings)


def test_letters_in_the_air_are_said_and_clean_images_have_none(reference, others):
    rng = np.random.default_rng(0)

    def written(s):
        pixels = s.pixels.copy()
        pixels[-9:-3, 38:50] = rng.integers(60000, 65535, (6, 12))
        return replace(s, pixels=pixels)

    plain = [*others["B"][:12], *others["C"][:12]]
    quick = ScannerSettings(resamples=0)
    for images, said in ((plain, False), ([written(s) for s in plain], True)):
        fit = fit_scanner(through(images, RESPONSES["log"]), reference[::4], labels=False, settings=quick)
        assert any(w.startswith("W_MARKS") for w in fit.report.warnings) == said
