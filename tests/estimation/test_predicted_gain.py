"""What a curve will do to the classifier, predicted from images of the reference alone."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from isotone.curves.tone_curve import ToneCurve
from isotone.data.descriptors.image_set import image_set
from isotone.estimation import scanner_curve
from isotone.estimation.fit_source import fit_source
from isotone.estimation.predicted_gain import predicted_gain
from isotone.estimation.reference_model import ReferenceModel
from isotone.estimation.report import PredictedGain
from isotone.estimation.settings import FitOptions, ScannerSettings
from isotone.harmonizer.fit_report import gain_sentences
from samples import CLASSES, draw_samples

DARKER = ToneCurve([-0.9, -0.9])
"""Of a source whose images are brighter than the reference's."""
FEW = ScannerSettings(resamples=5)


class Brightness:
    """Calls an image bright by its mean grey level, and cannot tell those apart whose level is `most` or more."""

    config = SimpleNamespace(classes=CLASSES)

    def __init__(self, middle=0.25, most=1.0):
        self.middle, self.most = middle, most

    def predict(self, prepared):
        level = np.minimum(prepared.reshape(len(prepared), -1).mean(1), self.most)
        bright = 1 / (1 + np.exp(-60.0 * (level - self.middle)))
        return np.stack([1 - bright, bright], 1)


def held_out(count=40, **changes):
    return [replace(s, split="val", **changes) for s in draw_samples(count)]


def test_what_a_classifier_loses_behind_the_inverse_is_what_the_curve_gains():
    found = predicted_gain(held_out(), [DARKER], [1], Brightness(most=0.27), seed=0)
    assert found.auc > 0.1
    assert found.auc_interval[0] <= found.auc <= found.auc_interval[1]
    assert found.worst_recall > 0.5
    assert (found.images, found.patients) == (40, 40)
    assert predicted_gain(held_out(), [ToneCurve()], [1], Brightness(), seed=0).auc_interval == (0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("varies", [False, True])
def test_a_fit_warns_of_harm_unless_its_images_vary_by_their_settings(varies, monkeypatch):
    if not varies:  # the noise of these images looks like settings
        monkeypatch.setattr(scanner_curve, "VARIES", 1e9)
    model = ReferenceModel([replace(s, split="val") for s in draw_samples(80, seed=1)])
    options = FitOptions(classifier=Brightness(most=0.21), labels=False, settings=FEW)
    report = fit_source(image_set(draw_samples(30, gamma=2.0, seed=2)), model, options).report
    assert report.varies == varies
    assert report.gain.auc < -0.1
    assert any(warning.startswith("W_HARMS") for warning in report.warnings) != varies


@pytest.mark.parametrize("auto", [False, True])
def test_a_weak_classifier_keeps_no_image_and_gets_the_scanner_s_curve(auto, monkeypatch):
    monkeypatch.setattr(scanner_curve, "VARIES", 1e9)
    model = ReferenceModel([replace(s, split="val", label=CLASSES[i % 2]) for i, s in enumerate(draw_samples(40))])
    options = FitOptions(classifier=Brightness(most=0.15), labels=False, auto=auto, settings=FEW)
    fit = fit_source(image_set(draw_samples(30, gamma=2.0, seed=2)), model, options)
    assert fit.report.weak.startswith("W_WEAK")
    assert isinstance(fit.report.gain, PredictedGain)
    assert (fit.report.kept, fit.report.blend, fit.blend) == (False, None, None)
    assert not any(warning.startswith(("W_HARMS", "W_NO_GAIN")) for warning in fit.report.warnings)
    assert gain_sentences(fit.report)[-1] == "The predicted gain is not used: the classifier is weak."


def test_modes_get_their_share_of_the_images():
    modes = ([DARKER], [1]), ([DARKER, ToneCurve()], [1, 3])
    one, both = (predicted_gain(held_out(), *mode, Brightness(most=0.27), seed=0) for mode in modes)
    assert 0 < both.auc < one.auc


@pytest.mark.parametrize(
    ("samples", "classifier", "why"),
    [
        (held_out(), None, "no classifier"),
        (draw_samples(20), Brightness(), "there is none"),
        (held_out(trained=True), Brightness(), "was trained on all of them"),
        (held_out(label="dim"), Brightness(), "all of class dim"),
        (held_out(8), Brightness(), "fewer than 10 patients"),
    ],
)
def test_where_nothing_can_be_predicted_it_says_why(samples, classifier, why):
    assert why in predicted_gain(samples, [DARKER], [1], classifier, seed=0)
