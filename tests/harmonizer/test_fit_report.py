"""What a fit says of itself: every number that the notes hold, in words, and nothing that they do not."""

import numpy as np
import pytest

from isotone.data.manifests.manifest import Manifest
from isotone.harmonizer.fit_report import fit_sentences
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from make_images import write_cohort

NOTES = {
    "images": 96,
    "patients": 48,
    "reference_images": 300,
    "mix": {"A": 0.25, "B": 0.75},
    "mix_from": "structure",
    "window": 1.0,
    "band": {"x": [0.2, 0.8], "low": [0.1, 0.7], "high": [0.12, 0.74]},
    "score_interval": {"width": 0.03, "decisions": 0.125, "images": 64, "curves": 20},
    "free": False,
    "projection_rmse_levels_8bit": 0.31,
    "clipped_share": 0.0,
    "leans_on": {},
    "warnings": [],
}
PRESET = {"images": 50, "band": {"x": [0.5], "low": [0.4], "high": [0.6]}, "free": False}
PRESET |= {"projection_rmse_levels_8bit": 0.5, "clipped_share": 0.0, "warnings": []}
TAKEN = {
    "variance": 7.25,
    "strength": 0.4,
    "gain": 0.1,
    "standard_error": 0.02,
    "validation_images": 60,
}


def said(labels="all", **changes):
    return " ".join(fit_sentences(NOTES | changes, labels))


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
    for absent in ("No label", "clipped", "leans"):
        assert absent not in text, absent


def test_without_labels_it_says_so_and_what_a_gain_is_worth():
    assert "No label of this scanner was read" in said(labels="none")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"mix": None, "mix_from": "none"}, "not corrected for"),
        ({"window": 0.7}, "windows of about 0.7"),
        ({"clipped_share": 0.004}, "0.4 % of the anatomy"),
        ({"free": True, "projection_rmse_levels_8bit": 4.0}, "Steps would be 4.0 of 255 levels"),
        ({"free": True, "projection_rmse_levels_8bit": 0.0}, "as the settings ask"),
        ({"leans_on": {"Cedar": 0.4}}, "leans on Cedar (0.40)"),
        ({"warnings": ["W_FEW fewer than 25 patients"]}, "Warning W_FEW"),
        ({"adaptive": {"variance": 1.0, "strength": 0.0}}, "did not earn its place"),
        ({"presets": [PRESET, PRESET]}, "2 presets"),
        ({"presets": [PRESET, PRESET | {"images": 46}]}, "Preset 2: 46 images. Patients resampled"),
        ({"presets": [PRESET | {"warnings": ["W_FEW few"]}]}, "Warning W_FEW few, for this preset"),
        ({"adaptive": TAKEN}, "up to 7.2 times as much as the reference's"),
        ({"adaptive": TAKEN}, "taken back of each image, 40 % of it"),
        ({"adaptive": TAKEN}, "by 0.10 ± 0.02 in cross-entropy"),
    ],
)
def test_what_is_out_of_the_ordinary_is_said(change, part):
    assert part not in said()
    assert part in said(**change)


def test_of_a_network_it_names_the_epoch_that_was_kept():
    epochs = [
        {"epoch": i, "learning_rate": 1e-3, "worst_group_accuracy": a, "kept": float(i == 2)}
        for i, a in enumerate((0.2, 0.6, 0.6, 0.1))
    ]
    said = fit_sentences({"epochs": epochs, "warnings": ["W_SATURATED so"]}, "all")
    assert "4 epochs at a learning rate of 0.001; the one kept, number 3, had" in said[0]
    assert said[-1] == "Warning W_SATURATED so."
    assert "still improving" not in said[0]
    assert "still improving" in fit_sentences({"epochs": epochs[:3]}, "all")[0]
    second = [dict(row, learning_rate=3e-4, kept=0.0) for row in epochs]
    said = fit_sentences({"epochs": [*second, *epochs]}, "all")
    assert "4 epochs at a learning rate of 0.0003 and 4 epochs at a learning rate of 0.001" in said[0]
    assert "number 3 at 0.001" in said[0]


def test_every_fit_can_be_described(tmp_path):
    manifest = Manifest.read(write_cohort(tmp_path, responses={"ref": 1.0, "src": 2.0}))
    fitted = ToneCurveHarmonizer("ref", "src").fit(manifest, workers=0, labels="none")
    text = " ".join(fit_sentences(fitted.notes["src"], fitted.labels))
    assert "No label" in text
    assert str(fitted.notes["src"]["images"]) in text
    assert np.isfinite(fitted.notes["src"]["projection_rmse_levels_8bit"])
