"""Scores instead of a network: the same metrics, and every flaw of the table named."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from discs import CLASSES, REFERENCE, SOURCE, Brightness, write_manifest
from isotone.data.manifest import Manifest
from isotone.errors import UsageError
from isotone.evaluation.evaluate import evaluate
from isotone.evaluation.predictions import evaluate_predictions
from isotone.evaluation.results import Results


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_manifest(tmp_path_factory.mktemp("cohort"))


def table(cohort: Path) -> pd.DataFrame:
    """What a vendor's black box might say: here, Brightness itself, on every image."""
    from isotone.imaging.read import read_radiograph

    rows, classifier = pd.read_csv(cohort), Brightness()
    prepared = np.stack([classifier.prepare(read_radiograph(cohort.parent / p)) for p in rows["path"]])
    said = pd.DataFrame(classifier.predict(prepared), columns=list(CLASSES))
    return pd.concat([rows[["path"]], said], axis=1)


def run(cohort: Path, scores: pd.DataFrame, output: Path, reference: str = REFERENCE) -> Results:
    scores.to_csv(cohort.parent / "predictions.csv", index=False)
    manifest = Manifest.read(cohort)
    return evaluate_predictions(manifest, cohort.parent / "predictions.csv", [reference], output=output)


def test_scores_give_the_metrics_that_the_network_gives(cohort: Path, tmp_path: Path) -> None:
    found = run(cohort, table(cohort), tmp_path / "scores")
    network = evaluate(
        Manifest.read(cohort), Brightness(), harmonizers={}, output=tmp_path / "network", workers=0, quiet=True
    )
    for domain in (REFERENCE, SOURCE):
        ours, theirs = found.row(domain, "none"), network.row(domain, "none")
        assert ours.confusion == theirs.confusion
        assert ours.auc == pytest.approx(theirs.auc, abs=1e-3)
        assert ours.brier == pytest.approx(theirs.brier, abs=1e-3)
    assert set(found.thresholds) == set(CLASSES)
    assert found.row(SOURCE, "none").wasserstein is None
    assert (tmp_path / "scores" / "report.html").exists()


def test_methods_of_the_table_are_compared_with_none(cohort: Path, tmp_path: Path) -> None:
    before = table(cohort).assign(method="none")
    after = before.assign(method="vendor fix")
    after[list(CLASSES)] = np.eye(3)[[CLASSES.index(c) for c in pd.read_csv(cohort)["label"]]]
    found = run(cohort, pd.concat([before, after]), tmp_path)
    assert found.row(SOURCE, "vendor fix").worst_group_accuracy == 1
    assert found.row(SOURCE, "vendor fix").worst_group_accuracy_gain.verdict == "better"


def test_test_images_without_a_score_are_counted(cohort: Path, tmp_path: Path) -> None:
    some = table(cohort)
    some = some[some.path != f"{SOURCE}/test-0-0.png"]
    found = run(cohort, some, tmp_path)
    assert found.row(SOURCE, "none").n == 23
    assert f"1 test images of {SOURCE} have no score by none." in found.notes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="path"), "no column 'path'"),
        (lambda t: t.assign(dim=np.nan), "no number from 0 to 1"),
        (lambda t: t.assign(dim=1.5), "no number from 0 to 1"),
        (lambda t: t.assign(dim="high"), "no number from 0 to 1"),
        (lambda t: t.drop(columns="grey"), "label 'grey' is none of the classes"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "two scores by one method"),
        (lambda t: t.assign(path="elsewhere/" + t.path), "no test row has a score"),
        (lambda t: t.assign(method="fix"), "no test row has a score by method 'none'"),
    ],
)
def test_a_flawed_table_is_refused_in_one_line(cohort: Path, tmp_path: Path, change: object, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        run(cohort, change(table(cohort)), tmp_path)
    assert "\n" not in str(caught.value)


def test_an_unknown_reference_is_refused(cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no image of domain 'Nowhere'"):
        run(cohort, table(cohort), tmp_path, reference="Nowhere")
    with pytest.raises(UsageError, match="--reference"):
        evaluate_predictions(Manifest.read(cohort), cohort, [], output=tmp_path)
