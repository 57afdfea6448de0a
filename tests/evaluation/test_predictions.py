"""Scores instead of a network: the same metrics, and every flaw of the table named."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from discs import CLASSES, REFERENCE, SOURCE, Brightness, write_manifest
from isotone.data.manifests.manifest import Manifest
from isotone.errors import IsotoneError, UsageError
from isotone.evaluation.evaluate import evaluate
from isotone.evaluation.prediction_table import read_predictions
from isotone.evaluation.predictions import evaluate_predictions
from isotone.evaluation.results import Results

SMALL = b"path,dim,grey,method\n1.png,0.5,0.5,none\n2.png,,,none\n2.png,0.1,0.9,fix\n"


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


@pytest.mark.slow
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


def test_images_without_an_untouched_score_are_left_out_for_every_method(cohort: Path, tmp_path: Path) -> None:
    some = pd.concat([table(cohort).assign(method=m) for m in ("none", "fix")])
    some = some[(some.path != f"{SOURCE}/test-0-0.png") | (some.method == "fix")]
    found = run(cohort, some, tmp_path)
    assert found.row(SOURCE, "none").n == found.row(SOURCE, "fix").n == 23
    note = f"1 of 24 test images of {SOURCE} have no score by none and are left out for every method."
    assert note in found.notes


def test_images_without_a_score_by_a_method_keep_the_untouched_one(cohort: Path, tmp_path: Path) -> None:
    """Whether their row is lacking or empty."""
    some = pd.concat([table(cohort).assign(method=m) for m in ("none", "fix")]).reset_index(drop=True)
    lacking = (some.path == f"{SOURCE}/test-0-0.png") & (some.method == "fix")
    empty = (some.path == f"{SOURCE}/test-0-1.png") & (some.method == "fix")
    some.loc[empty, list(CLASSES)] = np.nan
    found = run(cohort, some[~lacking], tmp_path)
    row = found.row(SOURCE, "fix")
    assert (row.n, row.refused) == (24, 2)
    assert any(note.startswith(f"2 of 24 test images of {SOURCE} have no score by fix") for note in found.notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.drop(columns="path"),
            r"no column 'path' \(columns: dim, grey, bright; UTF-8, separated by commas",
        ),
        (lambda t: t.rename(columns={"path": "file"}), r"no column 'path' \(columns: file, dim, grey, bright"),
        (lambda t: t.assign(dim=np.nan), r"\d+ rows .* no number from 0 to 1, the first on line 2 in column 'dim'"),
        (lambda t: t.assign(dim=1.5), "no number from 0 to 1"),
        (lambda t: t.assign(grey="high"), "in column 'grey'"),
        (lambda t: t.assign(dim=-0.1), "not logits"),
        (lambda t: t.assign(**{c: 100 * t[c] for c in CLASSES}), "look like percent.*Divide the scores by 100"),
        (lambda t: t.drop(columns="grey"), r"no column has the scores of class 'grey' \(columns: path, dim, bright"),
        (lambda t: t.rename(columns=str.upper), "of class 'bright'"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "two scores by one method, on lines 2 and "),
        (lambda t: pd.concat([t, t.iloc[:1].assign(path="./" + t.path)]), "two scores by one method"),
        (lambda t: t.assign(path="elsewhere/" + t.path), "no test row has a score"),
        (lambda t: t.assign(method="fix"), r"no test row has a score by method 'none' \(methods: fix\)"),
    ],
)
def test_a_flawed_table_is_refused_in_one_line(cohort: Path, tmp_path: Path, change: object, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        run(cohort, change(table(cohort)), tmp_path)
    assert "\n" not in str(caught.value)
    assert "predictions.csv" in str(caught.value)


def test_what_was_read_otherwise_or_not_at_all_is_said(cohort: Path, tmp_path: Path) -> None:
    """Columns of a manifest, a column that is no class, rows of images that the manifest lacks."""
    rows = table(cohort)
    strange = rows.iloc[:1].assign(path="elsewhere.png")
    rows = pd.concat([rows, strange]).assign(domain="any", label="dim", prediction=1.0)
    found = run(cohort, rows, tmp_path)
    assert "Columns of the scores that were not read: domain, label." in found.notes
    assert "1 rows of the scores name no image of the manifest and were not used." in found.notes
    assert any(note.endswith("no image of the manifest has that label: prediction.") for note in found.notes)
    assert found.cautions[0].startswith(f"W_SUM {len(rows)} of {len(rows)} rows of scores do not add up to 1")


@pytest.mark.parametrize(("delimiter", "encoding"), [(";", "utf-8"), ("\t", "utf-16"), (",", "utf-8-sig")])
def test_delimiter_and_encoding_are_found_as_for_a_manifest(
    cohort: Path, tmp_path: Path, delimiter: str, encoding: str
) -> None:
    file = cohort.parent / "other.csv"
    table(cohort).rename(columns={"path": "Path"}).to_csv(file, index=False, sep=delimiter, encoding=encoding)
    found = evaluate_predictions(Manifest.read(cohort), file, [REFERENCE], output=tmp_path)
    assert found.row(SOURCE, "none").n == 24


def test_a_decimal_comma_is_refused_with_its_line(cohort: Path, tmp_path: Path) -> None:
    file = cohort.parent / "comma.csv"
    table(cohort).to_csv(file, index=False, sep=";", decimal=",")
    with pytest.raises(UsageError, match=r"line 2 in column 'dim' .*separated by semicolons.*decimal point"):
        evaluate_predictions(Manifest.read(cohort), file, [REFERENCE], output=tmp_path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(SMALL)), st.integers(0, len(SMALL)), st.binary(max_size=6))
def test_nothing_but_a_refusal_leaves_the_reader(tmp_path: Path, start: int, end: int, put: bytes) -> None:
    file = tmp_path / "predictions.csv"
    file.write_bytes(SMALL[:start] + put + SMALL[end:])
    with suppress(IsotoneError):
        found = read_predictions(file, {"dim", "grey"})
        assert found.scores.shape == (len(found.path), len(found.classes))
        known = found.scores[~np.isnan(found.scores)]
        assert ((known >= 0) & (known <= 1)).all()


def test_a_local_table_says_which_image_lies_where(cohort: Path, tmp_path: Path) -> None:
    table(cohort).to_csv(cohort.parent / "predictions.csv", index=False)
    arguments = (Manifest.read(cohort), cohort.parent / "predictions.csv", [REFERENCE])
    evaluate_predictions(*arguments, output=tmp_path, with_paths=True)
    paths, scored = pd.read_csv(tmp_path / "paths.csv"), pd.read_csv(tmp_path / "scores.csv")
    assert paths["image"].tolist() == scored["image"].tolist()
    assert all(Path(p).is_file() for p in paths["path"])
    evaluate_predictions(*arguments, output=tmp_path)
    assert not (tmp_path / "paths.csv").exists()


def test_an_unknown_reference_is_refused(cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no image of domain 'Nowhere'"):
        run(cohort, table(cohort), tmp_path, reference="Nowhere")
    with pytest.raises(UsageError, match="reference_domains="):
        evaluate_predictions(Manifest.read(cohort), cohort, [], output=tmp_path)
