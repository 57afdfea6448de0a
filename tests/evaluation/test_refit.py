"""Fitting again: swapped curves, shuffled labels, fewer images."""

from pathlib import Path

import numpy as np
import pytest

from discs import REFERENCE, SOURCE, Brightness, Power, write_manifest
from isotone._runtime.run_options import RunOptions
from isotone.curves.tone_curve import ToneCurve
from isotone.data.manifests.manifest import Manifest
from isotone.evaluation.evaluate import evaluate
from isotone.evaluation.refit import Swapped, refit_checks, shuffled, subset
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.imaging.radiograph import Radiograph

QUIET = RunOptions(workers=0, quiet=True)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return Manifest.read(write_manifest(tmp_path_factory.mktemp("cohort")))


@pytest.fixture(scope="module")
def harmonizer(manifest: Manifest) -> ToneCurveHarmonizer:
    return ToneCurveHarmonizer(REFERENCE, SOURCE).fit(manifest, workers=0)


def test_shuffled_labels_stay_within_split_and_domain_and_leave_the_test_alone(
    manifest: Manifest, harmonizer: ToneCurveHarmonizer
) -> None:
    before, after = manifest.table, shuffled(manifest, harmonizer, 0).table
    moved = (before["label"] != after["label"]).to_numpy(bool)
    assert moved.any()
    assert set(after["domain"][moved]) == {SOURCE}
    assert set(after["split"][moved]) <= {"train", "val"}
    for _, part in before.groupby(["domain", "split"]):
        assert sorted(part["label"]) == sorted(after.loc[part.index, "label"])


def test_subsets_are_nested_and_keep_the_reference(manifest: Manifest, harmonizer: ToneCurveHarmonizer) -> None:
    paths = []
    for size in (5, 10):
        fewer, counts = subset(manifest, harmonizer, size, 0)
        assert counts == {SOURCE: pytest.approx(size, abs=1)}
        assert (fewer.table["domain"] == REFERENCE).sum() == (manifest.table["domain"] == REFERENCE).sum()
        assert set(fewer.table["split"][fewer.table["domain"] == SOURCE]) == {"train", "val"}
        paths.append(set(fewer.table["path"]))
    assert paths[0] < paths[1]
    assert subset(manifest, harmonizer, 1000, 0)[1] == {}


def test_a_swapped_curve_is_never_the_image_s_own() -> None:
    class Own(ToneCurveHarmonizer):
        def curve(self, radiograph: Radiograph, **options: object) -> ToneCurve:
            return ToneCurve([float(radiograph.pixels.mean()) / 2])

    images = [Radiograph.from_array(np.full((4, 4), v), domain=SOURCE) for v in (0.2, 0.4, 0.6)]
    harmonizer = Own(REFERENCE, SOURCE)
    swapped = Swapped(harmonizer, {SOURCE: [harmonizer.curve(i) for i in images]})
    tables = [harmonizer.transform(i).tone for i in images]
    for k, image in enumerate(images):
        result = swapped.transform(image).tone
        assert not np.array_equal(result, tables[k])
        assert any(np.array_equal(result, t) for t in tables)


def test_of_two_presets_a_swap_hands_out_both_as_often_as_they_are() -> None:
    class Preset(ToneCurveHarmonizer):
        def curve(self, radiograph: Radiograph, **options: object) -> ToneCurve:
            return ToneCurve([0.5 if radiograph.pixels.mean() > 0.5 else -0.5])

    images = [Radiograph.from_array(np.full((4, 4), v), domain=SOURCE) for v in np.linspace(0.1, 0.9, 60)]
    harmonizer = Preset(REFERENCE, SOURCE)
    swapped = Swapped(harmonizer, {SOURCE: [harmonizer.curve(i) for i in images]})
    kept = [np.array_equal(swapped.transform(i).tone, harmonizer.transform(i).tone) for i in images]
    assert 0.3 < np.mean(kept) < 0.7


@pytest.mark.slow
def test_a_mix_that_the_user_stated_is_stated_again(
    manifest: Manifest, harmonizer: ToneCurveHarmonizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fit(self: ToneCurveHarmonizer, *_: object, **options: object) -> ToneCurveHarmonizer:
        asked.append(options["mix"])
        return harmonizer

    mix = {"dim": 0.3, "bright": 0.7}
    fitted = ToneCurveHarmonizer(REFERENCE, SOURCE).fit(manifest, workers=0, mix=mix)
    monkeypatch.setattr(ToneCurveHarmonizer, "fit", fit)
    refit_checks(manifest, Brightness(), {"scanner": fitted}, run=QUIET)
    assert asked
    assert asked == [mix] * len(asked)


@pytest.mark.slow
def test_a_scanner_curve_survives_swap_and_shuffle_and_needs_few_images(
    manifest: Manifest, harmonizer: ToneCurveHarmonizer, tmp_path: Path
) -> None:
    found = evaluate(
        manifest,
        Brightness(),
        harmonizers={"scanner": harmonizer, "square": Power(2.0)},
        output=tmp_path,
        refit=True,
        workers=0,
        quiet=True,
    )
    tests = {t.metric: t for t in found.leakage}
    assert {t.method for t in found.leakage} == {"scanner"}  # other people's methods cannot be fitted again
    assert tests["worst_group_accuracy"].swapped == tests["worst_group_accuracy"].gain > 0
    assert tests["worst_group_accuracy"].shuffled == pytest.approx(tests["worst_group_accuracy"].gain, abs=0.2)
    assert found.row(SOURCE, "scanner").label_probe_auc is None
    assert {p.images for p in found.learning} == {5, 10}
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Is it the scanner, or the label?" in text
    assert "label shuffle (the leakage tests)" not in text


def test_without_a_harmonizer_of_ours_there_is_nothing_to_refit(manifest: Manifest) -> None:
    assert refit_checks(manifest, Brightness(), {"square": Power(2.0)}, run=QUIET) == ([], [], [])
