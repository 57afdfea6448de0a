"""Two runs side by side: real differences are found, equal runs have none, and unlike things are not compared."""

from pathlib import Path

import numpy as np
import pytest

from isotone.errors import UsageError
from isotone.evaluation.compare import compare
from isotone.evaluation.evaluate import compare_methods
from made_scores import REFERENCE, SOURCE, scores


def write(folder: Path, quality: float, *, classes: int = 3, patients: int = 60, method: str = "curve") -> Path:
    made = scores(
        {(REFERENCE, "none"): 0.8, (SOURCE, "none"): 0.1, (SOURCE, method): quality}, classes=classes, patients=patients
    )
    made.write(folder / "scores.csv")
    compare_methods(made, [REFERENCE], {}, seed=0).write(folder / "results.json")
    return folder


def test_a_run_does_not_differ_from_itself(tmp_path: Path) -> None:
    found = compare(write(tmp_path / "a", 0.5), tmp_path / "a")
    assert {r.difference for r in found.rows} == {0.0}
    assert {r.verdict for r in found.rows} == {"not worse"}
    assert found.alone == []


@pytest.mark.slow
def test_a_better_method_is_found_and_nothing_else(tmp_path: Path) -> None:
    found = compare(write(tmp_path / "a", 0.2), write(tmp_path / "b", 0.8))
    verdicts = {(r.method, r.domain): r.verdict for r in found.rows if r.metric == "auc"}
    assert verdicts == {("none", REFERENCE): "not worse", ("none", SOURCE): "not worse", ("curve", SOURCE): "better"}
    back = compare(tmp_path / "b", tmp_path / "a")
    assert [r.verdict for r in back.rows if (r.method, r.metric) == ("curve", "auc")] == ["worse"]
    assert [r.difference for r in back.rows] == [pytest.approx(-r.difference) for r in found.rows]


@pytest.mark.slow
def test_chance_alone_makes_no_difference(tmp_path: Path) -> None:
    """Eight pairs of runs of equal quality and different noise: Holm's rule lets hardly any pass."""
    real = 0
    for seed in range(8):
        for name, noise in (("a", 2 * seed), ("b", 2 * seed + 1)):
            made = scores({(SOURCE, "none"): 0.3, (REFERENCE, "none"): 0.3}, seed=noise)
            made.write(tmp_path / name / "scores.csv")
            compare_methods(made, [REFERENCE], {}, seed=0).write(tmp_path / name / "results.json")
        real += sum(r.verdict in ("better", "worse") for r in compare(tmp_path / "a", tmp_path / "b").rows)
    assert real <= 2


def test_only_common_images_and_methods_are_compared(tmp_path: Path) -> None:
    whole = scores({(REFERENCE, "none"): 0.8, (SOURCE, "none"): 0.1})
    write(tmp_path / "a", 0.5)
    half = whole.at(np.arange(len(whole.label)) % 2 == 0)
    half.write(tmp_path / "b" / "scores.csv")
    compare_methods(half, [REFERENCE], {}, seed=0).write(tmp_path / "b" / "results.json")
    found = compare(tmp_path / "a", tmp_path / "b")
    assert {(r.method, r.n) for r in found.rows} == {("none", 30)}
    assert found.alone == ["A has method curve alone", "A has 60 images alone"]


def test_unlike_runs_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a", 0.5)
    with pytest.raises(UsageError, match="no results here"):
        compare(tmp_path / "a", tmp_path / "nowhere")
    with pytest.raises(UsageError, match="classes differ"):
        compare(tmp_path / "a", write(tmp_path / "b", 0.5, classes=2))
    (tmp_path / "b" / "results.json").write_text('{"schema": 2}')
    with pytest.raises(UsageError, match="schema 2"):
        compare(tmp_path / "a", tmp_path / "b")


def test_the_table_names_every_row(tmp_path: Path) -> None:
    found = compare(write(tmp_path / "a", 0.2), write(tmp_path / "b", 0.8))
    assert found.table().row_count == len(found.rows) == 6
