"""What is known of a fit: every number that the report holds, in words, and nothing that it does not."""

from dataclasses import replace

import numpy as np
import pytest

from harmonizers import kept_harmonizer
from isotone.curves.tone_curve import ToneCurve
from isotone.data.manifests.manifest import Manifest
from isotone.estimation.report import Band, Blend, FitReport, ModeReport, PredictedGain, ScoreInterval
from isotone.harmonizer.curve_report import only_in_part
from isotone.harmonizer.fit_report import fit_sentences, gain_lines, warning_lines
from isotone.harmonizer.fitted_scanner import FittedScanner, NetworkReport
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.harmonizer.mappers import BlendMapper, ScannerMapper
from make_images import write_cohort

REPORT = FitReport(
    images=96,
    patients=48,
    reference_images=300,
    mix={"A": 0.25, "B": 0.75},
    mix_from="structure",
    window=1.0,
    band=Band((0.2, 0.8), (0.1, 0.7), (0.12, 0.74)),
    score_interval=ScoreInterval(width=0.03, decisions=0.125, images=64, curves=20),
    free=False,
    projection_rmse_levels_8bit=0.31,
    clipped_share=0.0,
)
MODE = ModeReport(
    images=50,
    band=Band((0.5,), (0.4,), (0.6,)),
    free=False,
    projection_rmse_levels_8bit=0.5,
    clipped_share=0.0,
)
GAIN = PredictedGain(
    auc=0.12,
    auc_interval=(0.05, 0.18),
    worst_recall=-0.02,
    worst_recall_interval=(-0.1, 0.06),
    images=80,
    patients=40,
)


def said(labels="all", **changes):
    return " ".join(fit_sentences(replace(REPORT, **changes), labels))


def test_it_says_on_what_the_curve_was_fitted_how_sure_it_is_and_what_the_steps_cost():
    text = said()
    for part in (
        "96 images of 48 patients",
        "A 0.25, B 0.75",
        "structure",
        "±3.8 of 255",
        "0.03",
        "12 %",
        "0.3 of 255",
    ):
        assert part in text, part
    for absent in ("No label", "clipped", "modes"):
        assert absent not in text, absent


def test_without_labels_it_says_so_and_what_a_gain_is_worth():
    assert "No label of this scanner was used" in said(labels="none")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"mix": None, "mix_from": "none"}, "was not corrected"),
        ({"window": 0.7}, "windows of about 0.7"),
        ({"clipped_share": 0.004}, "0.4 % of the anatomy"),
        ({"free": True, "projection_rmse_levels_8bit": 4.0}, "Steps would be 4.0 of 255 levels"),
        ({"free": True, "projection_rmse_levels_8bit": 0.0}, "as the settings ask"),
        ({"warnings": ("W_FEW fewer than 25 patients",)}, "Warning W_FEW"),
        ({"patients": 1}, "needs at least two patients"),
        ({"gain": GAIN}, "AUC +0.12 [+0.05, +0.18], recall of the weakest class −0.02 [−0.10, +0.06]"),
        ({"gain": GAIN, "warnings": ("W_VARIES so",)}, "This means little"),
        (
            {"score_interval": ScoreInterval(0.0, 0.0, 64)},
            "varies by 0.00 (mean of 64 images), and none of them changes",
        ),
        ({"blend": Blend(share=0.0, agreement=0.87)}, "Histogram matching of single images has no share in it"),
        ({"blend": Blend(share=0.5, agreement=0.97)}, "is 50 % of each curve, because it hardly changes"),
        ({"no_gain": "no classifier was given"}, "No gain is predicted: no classifier was given."),
        ({"modes": (MODE, MODE)}, "2 acquisition modes"),
        ({"modes": (MODE, replace(MODE, images=46))}, "Mode 2: 46 images. Patients resampled"),
        ({"modes": (replace(MODE, warnings=("W_FEW few",)),)}, "Warning W_FEW few, for this mode"),
    ],
)
def test_what_is_out_of_the_ordinary_is_said(change, part):
    assert part not in said()
    assert part in said(**change)


def test_of_a_network_it_names_the_epoch_that_was_kept():
    epochs = tuple(
        {"epoch": i, "learning_rate": 1e-3, "worst_group_accuracy": a, "kept": float(i == 2)}
        for i, a in enumerate((0.2, 0.6, 0.6, 0.1))
    )
    said = fit_sentences(NetworkReport(epochs=epochs, warnings=("W_SATURATED so",)), "all")
    assert "4 epochs at a learning rate of 0.001; the one used, number 3, had" in said[0]
    assert said[-1] == "Warning W_SATURATED so."
    assert "still improving" not in said[0]
    assert "still improving" in fit_sentences(NetworkReport(epochs=epochs[:3]), "all")[0]
    second = tuple(dict(row, learning_rate=3e-4, kept=0.0) for row in epochs)
    said = fit_sentences(NetworkReport(epochs=(*second, *epochs)), "all")
    assert "4 epochs at a learning rate of 0.0003 and 4 epochs at a learning rate of 0.001" in said[0]
    assert "number 3 at 0.001" in said[0]


def test_of_a_curve_that_was_not_fitted_nothing_is_said():
    assert fit_sentences(None, "all") == []


def test_a_terminal_gets_each_warning_once_those_of_modes_with_their_number():
    report = replace(REPORT, warnings=("W_FEW few", "W_FEW few"), modes=(MODE, replace(MODE, warnings=("W_AIR air",))))
    mapper = ScannerMapper(ToneCurve())
    scanners = {"Birch": FittedScanner(mapper, report), "Cedar": FittedScanner(mapper)}
    assert warning_lines(scanners) == ["Birch: W_FEW few", "Birch, mode 2: W_AIR air"]
    assert gain_lines(scanners) == []
    scanners["Birch"] = FittedScanner(mapper, replace(report, no_gain="of no use"))
    assert gain_lines(scanners) == ["Birch: No gain is predicted: of no use."]


def test_every_fit_can_be_described(tmp_path):
    manifest = Manifest.read(write_cohort(tmp_path, responses={"ref": 1.0, "src": 2.0}))
    fitted = ToneCurveHarmonizer("ref", "src").fit(manifest, workers=0, labels="none")
    report = fitted.scanners["src"].report
    text = " ".join(fit_sentences(report, fitted.labels))
    assert "No label" in text
    assert str(report.images) in text
    assert np.isfinite(report.projection_rmse_levels_8bit)


def test_a_blend_s_share_is_told_on_the_terminal_and_beside_the_scanner_s_certificate():
    scanner = kept_harmonizer("a").scanners["a"]
    report = replace(scanner.report, blend=Blend(share=0.5, agreement=0.95), kept=False)
    blended = replace(scanner, report=report, mapper=BlendMapper(ToneCurve(), None))
    assert gain_lines({"a": blended})[0].startswith("a: Histogram matching of the single image is 50 %")
    assert "of the scanner's curve alone, and not of delivered images" in only_in_part(blended)[0]
    assert only_in_part(scanner) == []
