"""The audit recommends a curve where tone is the difference, and says so where it is not."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage

from discs import CLASSES, REFERENCE, SOURCE, Brightness
from isotone.data.manifests.manifest import Manifest
from isotone.errors import UsageError
from isotone.evaluation.audit import Audit, DomainAudit, audit
from isotone.evaluation.traits import traits
from isotone.imaging.radiograph import Radiograph


def picture(rng: np.random.Generator, label: int = 1) -> np.ndarray:
    """A disc of smooth texture and fine noise on black, (64, 56) in [0, 1]."""
    y, x = np.mgrid[:64, :56]
    disc = ((y - 32) / 29) ** 2 + ((x - 4) / 44) ** 2 < 1
    smooth = ndimage.gaussian_filter(rng.normal(size=(64, 56)), 4)
    level = 0.3 + 0.15 * label + 0.15 * smooth / smooth.std() + 0.03 * rng.normal(size=(64, 56))
    return np.where(disc, level.clip(0.08, 1), 0.02 * rng.random((64, 56)))


def cohort(folder: Path, change: Any, *, patients: int = 40, beyond: Any = None) -> Manifest:
    """Reference images, and others of the same law through `change` (a tone) after `beyond` (anything else)."""
    rng = np.random.default_rng(0)
    rows = []
    for domain in (REFERENCE, SOURCE):
        for patient in range(patients):
            pixels = picture(rng, patient % 3)
            if domain == SOURCE:
                pixels = change(pixels if beyond is None else beyond(pixels, rng))
            name = folder / f"{domain}-{patient}.png"
            Image.fromarray(np.round(65535 * pixels.clip(0, 1)).astype(np.uint16)).save(name)
            facts = {"domain": domain, "label": CLASSES[patient % 3], "patient_id": f"{domain}{patient}"}
            rows.append({"path": str(name), **facts, "split": ("train", "val", "test")[patient // 14]})
    return Manifest(pd.DataFrame(rows))


def run(manifest: Manifest, **changes: Any) -> Audit:
    return audit(manifest, [REFERENCE], workers=0, quiet=True, **changes)


def test_a_response_alone_is_told_as_tone_and_a_curve_is_recommended(tmp_path: Path) -> None:
    found = run(cohort(tmp_path, lambda x: x**0.5))
    assert found.recommendation == "The tone differs and one curve explains it: fit a scanner curve."
    assert found.domains[0].tone_probe > 0.9
    assert found.domains[0].texture_probe < 0.7
    assert found.degradation == []


def test_two_domains_alike_need_no_curve(tmp_path: Path) -> None:
    assert run(cohort(tmp_path, lambda x: x)).recommendation == (
        "Its images look like the reference's already: a tone curve will not help."
    )


def test_blur_alone_is_no_matter_of_tone(tmp_path: Path) -> None:
    found = run(cohort(tmp_path, lambda x: x, beyond=lambda x, rng: ndimage.gaussian_filter(x, 1)))
    assert found.recommendation == (
        "The difference is not in the tone but in noise or sharpness: a tone curve will not help."
    )


def test_tone_and_noise_together_promise_a_part(tmp_path: Path) -> None:
    found = run(
        cohort(tmp_path, lambda x: x**0.5, beyond=lambda x, rng: (x + 0.06 * rng.normal(size=x.shape)).clip(0, 1))
    )
    assert found.recommendation == (
        "The tone differs, and so does noise or sharpness: fit a curve, and expect it to help in part."
    )


def test_settings_that_differ_from_image_to_image_are_said_in_a_sentence() -> None:
    found = DomainAudit("b", 60, 60, 0.1, 0.9, 0.9, 0.5, 0.5, [])
    assert (
        found.advice == "The tone differs, and so does the mix of settings: fit a curve, and expect it to help in part."
    )


def test_a_few_images_recommend_nothing(tmp_path: Path) -> None:
    assert run(cohort(tmp_path, lambda x: x**0.5, patients=8)).recommendation.startswith("Too few images")


@pytest.mark.slow
def test_a_classifier_that_ignores_tone_needs_no_curve(tmp_path: Path) -> None:
    class Ranks(Brightness):
        def predict(self, prepared: np.ndarray, batch_size: int = 64) -> np.ndarray:
            return np.tile([0.2, 0.5, 0.3], (len(prepared), 1))

    found = run(cohort(tmp_path, lambda x: x**0.5), classifier=Ranks())
    assert found.recommendation == "This classifier hardly reacts to tone, so a tone curve will not help it."


@pytest.mark.slow
def test_a_classifier_of_brightness_degrades_with_the_response(tmp_path: Path) -> None:
    found = run(cohort(tmp_path, lambda x: x**0.5), classifier=Brightness())
    loss = {d.response: d.loss for d in found.degradation}
    assert loss["none"] == 0
    assert loss["gamma 0.5"] > 0.15
    assert next(d for d in found.degradation if d.response == "gamma 0.5").worst_group_accuracy == 0
    assert abs(loss["bits 8"]) < 0.1


@pytest.mark.slow
def test_a_classifier_that_tells_its_classes_is_not_called_weak_and_one_that_guesses_is(tmp_path: Path) -> None:
    class Guess(Brightness):
        def predict(self, prepared: np.ndarray, batch_size: int = 64) -> np.ndarray:
            return np.random.default_rng(0).dirichlet(np.ones(3), len(prepared))

    manifest = cohort(tmp_path, lambda x: x**0.5)
    assert run(manifest, classifier=Brightness()).weak is None
    assert (run(manifest, classifier=Guess()).weak or "").startswith("W_WEAK on untouched images of the reference")
    assert run(manifest).weak is None


def test_texture_does_not_follow_the_tone() -> None:
    image = Radiograph.from_array(picture(np.random.default_rng(0)))
    toned = traits(image.map_tone(lambda x: np.sqrt(x)))
    np.testing.assert_allclose(toned.texture, traits(image).texture, rtol=1e-9)
    np.testing.assert_array_equal(toned.field, traits(image).field)
    assert np.abs(toned.tone - traits(image).tone).max() > 0.1


@pytest.mark.slow
def test_an_unreadable_image_is_counted(tmp_path: Path) -> None:
    manifest = cohort(tmp_path, lambda x: x**0.5)
    Path(manifest.table["path"].iloc[-1]).write_bytes(b"no image")
    assert run(manifest).notes == ["1 images could not be read and are left out."]


def test_there_must_be_a_reference_and_something_else(tmp_path: Path) -> None:
    manifest = cohort(tmp_path, lambda x: x, patients=3)
    with pytest.raises(UsageError, match="no image of domain 'Nowhere'"):
        audit(manifest, ["Nowhere"], workers=0, quiet=True)
    with pytest.raises(UsageError, match="no domain besides the reference"):
        audit(manifest, [REFERENCE, SOURCE], workers=0, quiet=True)


def test_the_table_has_a_row_per_domain(tmp_path: Path) -> None:
    assert run(cohort(tmp_path, lambda x: x**0.5, patients=8)).table().row_count == 1
