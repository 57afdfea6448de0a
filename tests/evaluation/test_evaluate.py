"""Evaluation from files to results, with images made here and a classifier that looks at brightness."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import isotone.data.images
from discs import CLASSES, REFERENCE, SOURCE, Brightness, Power, write_manifest
from isotone.data.manifests.manifest import Manifest
from isotone.errors import ModelError, RadiographError, UsageError
from isotone.evaluation.evaluate import evaluate
from isotone.evaluation.results import Results
from isotone.evaluation.scores import Scores
from isotone.imaging.radiograph import Radiograph


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_manifest(tmp_path_factory.mktemp("cohort"))


def run(cohort: Path, output: Path, **changes: Any) -> Results:
    arguments = {"harmonizers": {"square": Power(2.0)}, "baselines": ("histogram-matching",), "output": output}
    arguments |= {"workers": 0, "quiet": True} | changes
    return evaluate(Manifest.read(cohort), arguments.pop("classifier", Brightness()), **arguments)


@pytest.fixture(scope="module")
def results(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Path]:
    output = tmp_path_factory.mktemp("out")
    return run(cohort, output), output


def test_every_domain_has_a_row_for_every_method(results: tuple[Results, Path]) -> None:
    found, output = results
    body = json.loads((output / "results.json").read_text())
    assert body["schema"] == 1
    assert {(r["domain"], r["method"]) for r in body["rows"]} == {
        *((d, m) for d in (REFERENCE, SOURCE) for m in ("none", "histogram-matching", "square")),
        (SOURCE, "oracle"),
    }
    assert all(r["n"] == 24 and np.sum(r["confusion"]) == 24 for r in body["rows"])
    assert Results.read(output / "results.json") == found


def test_the_shift_hurts_and_its_true_inverse_recovers_all_of_it(results: tuple[Results, Path]) -> None:
    found, _ = results
    none, mended, oracle = (found.row(SOURCE, m) for m in ("none", "square", "oracle"))
    assert none.worst_group_accuracy < 0.5 < mended.worst_group_accuracy
    gain = mended.worst_group_accuracy_gain
    assert mended.worst_group_accuracy == oracle.worst_group_accuracy
    assert gain.recovered_share == pytest.approx(1)
    assert gain.recovered_share_ci == pytest.approx((1, 1))
    assert gain.verdict == "better"
    assert gain.difference == pytest.approx(mended.worst_group_accuracy - none.worst_group_accuracy)
    assert gain.ci[0] < gain.difference < gain.ci[1]
    assert [s.recovered_share for s in found.summary if (s.method, s.metric) == ("square", "worst_group_accuracy")] == [
        pytest.approx(1)
    ]


def test_harm_on_the_reference_is_seen(results: tuple[Results, Path]) -> None:
    gain = results[0].row(REFERENCE, "square").worst_group_accuracy_gain
    assert gain.difference < -0.3
    assert gain.verdict == "worse"
    assert gain.recovered_share is None  # no oracle there


def test_distances_shrink_where_the_tone_is_mended(results: tuple[Results, Path]) -> None:
    before, after = (results[0].row(SOURCE, m) for m in ("none", "square"))
    assert after.wasserstein < 0.3 * before.wasserstein
    assert after.maximum_mean_discrepancy < before.maximum_mean_discrepancy
    assert after.probe_auc < before.probe_auc
    assert results[0].row(REFERENCE, "none").wasserstein is None


def test_grey_statistics_alone_are_reported_for_each_domain(results: tuple[Results, Path]) -> None:
    assert set(results[0].grey_statistics_auc) == {REFERENCE, SOURCE}


def test_thresholds_are_frozen_on_the_validation_rows_of_the_reference(results: tuple[Results, Path]) -> None:
    assert set(results[0].thresholds) == set(CLASSES)
    row = results[0].row(REFERENCE, "none")
    assert row.sensitivity["bright"] > 0.8
    assert row.specificity["bright"] > 0.8


def test_what_a_harmonizer_does_not_know_keeps_its_other_rows(cohort: Path, tmp_path: Path) -> None:
    found = run(cohort, tmp_path, harmonizers={"only": Power(2.0, SOURCE)}, baselines=())
    assert found.row(REFERENCE, "only") is None
    assert found.row(SOURCE, "only").n == 24
    assert f"only has nothing for {REFERENCE} (E_DOMAIN)." in found.notes


@pytest.mark.slow
def test_paths_are_written_beside_the_report_where_asked_for(cohort: Path, tmp_path: Path) -> None:
    """And nowhere else; the image that cannot be read is among them."""
    rows = pd.read_csv(cohort)
    (cohort.parent / "=1+1.png").write_bytes(b"\x89PNG no more")
    rows.loc[rows.index[(rows.split == "test") & (rows.domain == SOURCE)][0], "path"] = "=1+1.png"
    rows.to_csv(cohort.parent / "one-broken.csv", index=False)
    found = run(cohort.parent / "one-broken.csv", tmp_path, harmonizers={}, baselines=(), with_paths=True)
    paths = pd.read_csv(tmp_path / "paths.csv").set_index("image")["path"]
    assert set(paths.index) == {*pd.read_csv(tmp_path / "scores.csv")["image"], found.refused[0].image}
    assert Path(paths[found.refused[0].image]).name == "=1+1.png"
    assert all(Path(p).is_file() for p in paths)
    for file in (tmp_path / "report.html", tmp_path / "results.json", tmp_path / "scores.csv"):
        assert str(cohort.parent) not in file.read_text(encoding="utf-8")


class Picky(Power):
    """Refuses what is bright: the very images that its curve would change most."""

    def transform(self, radiograph: Radiograph) -> Radiograph:
        if radiograph.tone[radiograph.stored].mean() > 0.4:
            raise RadiographError("E_OOD", "too bright", file=radiograph.header.path)
        return super().transform(radiograph)


@pytest.mark.slow
def test_a_refused_image_keeps_its_untouched_score(cohort: Path, tmp_path: Path) -> None:
    found = run(cohort, tmp_path, harmonizers={"picky": Picky(2.0), "square": Power(2.0)}, baselines=())
    picky, square, none = (found.row(SOURCE, m) for m in ("picky", "square", "none"))
    assert picky.n == square.n == none.n == 24
    assert 0 < picky.refused < 24
    assert (square.refused, none.refused) == (0, 0)
    assert np.sum(picky.confusion) == 24
    said = f"picky refused {picky.refused} of 24 images of {SOURCE} (E_OOD): they keep their untouched score"
    assert any(note.startswith(said) for note in found.notes)
    table = pd.read_csv(tmp_path / "scores.csv")
    assert len(table[(table.method == "picky") & (table.domain == SOURCE)]) == 24 - picky.refused


@pytest.mark.slow
def test_a_baseline_that_cannot_be_fitted_says_so(cohort: Path, tmp_path: Path) -> None:
    classifier = Brightness(reference_domains=("Nowhere",))
    found = run(cohort, tmp_path, classifier=classifier, baselines=("z-score", "min-max"))
    assert found.row(SOURCE, "z-score") is None
    assert found.row(SOURCE, "min-max") is not None
    assert any("z-score is left out" in note for note in found.notes)
    assert any("no test row of the reference domain Nowhere" in note for note in found.notes)


@pytest.mark.slow
def test_a_constant_curve_is_one_curve_for_the_source_and_none_for_the_reference(cohort: Path, tmp_path: Path) -> None:
    found = run(cohort, tmp_path, harmonizers={}, baselines=("constant-curve",))
    scores = Scores.read(tmp_path / "scores.csv")
    alone = scores.domain == REFERENCE
    np.testing.assert_array_equal(scores.probabilities["constant-curve"][alone], scores.probabilities["none"][alone])
    assert found.row(SOURCE, "constant-curve").auc_gain.difference > 0.1
    assert found.row(SOURCE, "constant-curve").label_probe_auc is None  # every image has the same curve


@pytest.mark.slow
def test_test_rows_alone_are_scored_and_train_rows_alone_are_fitted_on(
    cohort: Path, tmp_path: Path, results: tuple[Results, Path]
) -> None:
    table = pd.read_csv(cohort)
    for name in ("path", "oracle_path"):
        table[name] = [str(cohort.parent / p) if isinstance(p, str) else None for p in table[name]]
    few = table[(table.split != "test") | table.path.str.contains(r"test-[0-5]-")]
    found = evaluate(
        Manifest(few),
        Brightness(),
        harmonizers={},
        baselines=("histogram-matching",),
        output=tmp_path,
        workers=0,
        quiet=True,
    )
    assert found.row(SOURCE, "histogram-matching").n == 12
    kept, before = Scores.read(tmp_path / "scores.csv"), Scores.read(results[1] / "scores.csv")
    at = {(d, i): k for k, (d, i) in enumerate(zip(before.domain, before.image, strict=True))}
    expected = [at[d, i] for d, i in zip(kept.domain, kept.image, strict=True)]
    np.testing.assert_array_equal(
        kept.probabilities["histogram-matching"], before.probabilities["histogram-matching"][expected]
    )


@pytest.mark.slow
def test_each_image_is_decoded_once_for_all_methods(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    original = isotone.data.images.read_radiograph
    monkeypatch.setattr(
        isotone.data.images, "read_radiograph", lambda path, **k: read.append(path) or original(path, **k)
    )
    run(cohort, tmp_path, baselines=("histogram-matching", "nyul", "z-score"))
    shown = len(read) - len(set(read))  # the handful on the page is chosen after scoring, and read again
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 0 < shown == len(re.findall(r'<option value="\d', page))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(cohort: Path, tmp_path: Path, results: tuple[Results, Path]) -> None:
    run(cohort, tmp_path)
    for name in ("results.json", "scores.csv"):
        assert (tmp_path / name).read_bytes() == (results[1] / name).read_bytes()


def test_no_path_and_no_patient_is_written(cohort: Path, results: tuple[Results, Path]) -> None:
    for file in results[1].rglob("*"):
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            assert str(cohort.parent) not in text
            assert "test-0-0" not in text
            assert f"{SOURCE} test 1" not in text


def test_an_unreadable_image_is_counted_and_named_by_hash(cohort: Path, tmp_path: Path) -> None:
    table = pd.read_csv(cohort)
    victim = table.index[(table.split == "test") & (table.domain == SOURCE)][0]
    (cohort.parent / "broken.png").write_bytes(b"\x89PNG no more")
    table.loc[victim, "path"] = "broken.png"
    table.to_csv(cohort.parent / "broken.csv", index=False)
    found = run(cohort.parent / "broken.csv", tmp_path, baselines=())
    assert len(found.refused) == 1
    assert len(found.refused[0].image) == 16
    assert found.row(SOURCE, "none").n == 23


@pytest.mark.parametrize("name", ["none", "oracle", "histogram-matching"])
def test_two_methods_of_one_name_are_refused(cohort: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=name):
        run(cohort, tmp_path, harmonizers={name: Power(2.0)})


def test_a_label_that_is_no_class_is_refused(cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'bright' is none of the classes A, B, C"):
        run(cohort, tmp_path, classifier=Brightness(classes=("A", "B", "C")), harmonizers={}, baselines=())


def test_a_classifier_that_gives_nan_is_refused(cohort: Path, tmp_path: Path) -> None:
    class Broken(Brightness):
        def predict(self, prepared: np.ndarray, batch_size: int = 64) -> np.ndarray:
            return super().predict(prepared) * np.nan

    with pytest.raises(ModelError, match="finite"):
        run(cohort, tmp_path, classifier=Broken(), harmonizers={}, baselines=())


def test_a_constant_score_and_an_absent_class_and_one_patient_invent_nothing(cohort: Path, tmp_path: Path) -> None:
    class Constant(Brightness):
        def predict(self, prepared: np.ndarray, batch_size: int = 64) -> np.ndarray:
            return np.full((len(prepared), 3), 1 / 3)

    table = pd.read_csv(cohort)
    keep = (table.domain == REFERENCE) | (table.path == f"{SOURCE}/test-0-0.png")
    table[keep & (table.label != "bright")].to_csv(cohort.parent / "few.csv", index=False)
    found = run(cohort.parent / "few.csv", tmp_path, classifier=Constant(), harmonizers={}, baselines=())
    row = found.row(SOURCE, "none")
    assert row.auc is None
    assert row.auc_ci is None
    assert row.worst_group_accuracy_ci is None
    assert row.accuracy_per_class["bright"] is None
    assert row.precision_per_class["bright"] is None
    assert found.row(REFERENCE, "none").auc == 0.5
    assert any("no test image of" in note for note in found.notes)


def test_results_of_another_schema_are_refused(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('{"schema": 7, "rows": []}')
    with pytest.raises(UsageError, match="schema 7"):
        Results.read(tmp_path / "results.json")
    (tmp_path / "results.json").write_text('{"schema": 1, "rows": []}')
    with pytest.raises(UsageError, match="no results of isotone"):
        Results.read(tmp_path / "results.json")
    with pytest.raises(UsageError, match="no results here"):
        Results.read(tmp_path / "missing.json")


def test_two_classes_get_a_delong_test_and_one_threshold(cohort: Path, tmp_path: Path) -> None:
    table = pd.read_csv(cohort)
    table[table.label != "grey"].to_csv(cohort.parent / "two.csv", index=False)
    found = run(cohort.parent / "two.csv", tmp_path, classifier=Brightness(classes=("dim", "bright")), baselines=())
    row = found.row(SOURCE, "square")
    assert 0 <= row.delong_p <= 1
    assert set(row.sensitivity) == {"bright"}
    assert row.quadratic_kappa is None
    assert found.row(SOURCE, "none").delong_p is None


@pytest.mark.slow
def test_workers_give_the_same_results_as_one_process(
    cohort: Path, tmp_path: Path, results: tuple[Results, Path]
) -> None:
    run(cohort, tmp_path, workers=2)
    assert (tmp_path / "results.json").read_bytes() == (results[1] / "results.json").read_bytes()


@pytest.mark.slow
def test_adapted_classifiers_score_the_source_alone(cohort: Path, tmp_path: Path) -> None:
    """A method is a pair of transform and classifier: here the images are untouched, the network is another."""
    torch = pytest.importorskip("torch")
    from isotone.networks.classifier import Classifier
    from isotone.networks.small import SmallNet

    torch.manual_seed(0)
    network = Classifier.from_module(
        SmallNet(3), classes=CLASSES, image_size=16, channels=1, reference_domains=(REFERENCE,)
    )
    names = ("batch-norm-adaptation", "fine-tuning")
    found = run(cohort, tmp_path, classifier=network, harmonizers={}, baselines=("full-range", *names))
    scores = Scores.read(tmp_path / "scores.csv").probabilities
    source = Scores.read(tmp_path / "scores.csv").domain == SOURCE
    np.testing.assert_array_equal(scores["full-range"], scores["none"])
    for name in names:
        assert found.row(SOURCE, name).n == 24
        assert found.row(REFERENCE, name) is None
        assert np.abs(scores[name][source] - scores["none"][source]).max() > 1e-3
    assert {line.split()[0] for line in found.cautions} <= {"W_NO_RECORD", "W_WEAK", "W_COLLAPSED"}
