"""What stands beside the answer: warnings of fits, collapsed classifiers, classifiers that are weak at home."""

import io
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import numpy as np

from harmonizers import change, fit_report, scanner_harmonizer
from isotone.cli.app import print_results
from isotone.estimation.report import ModeReport, ScoreInterval
from isotone.evaluation.cautions import cautions, fit_notes
from isotone.evaluation.evaluate import compare_methods
from isotone.evaluation.report import write_report
from made_scores import HELPS, REFERENCE, SOURCE, results, scores


def test_a_caution_stands_on_the_first_screen_and_on_the_terminal(tmp_path: Path) -> None:
    found = results(HELPS)
    found.cautions = ["W_TEST nobody knows what this classifier was trained on."]
    write_report(found, tmp_path)
    said = io.StringIO()
    with redirect_stdout(said):
        print_results(found)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.index(found.cautions[0]) < page.index('<details id="figures"')
    assert found.cautions[0] in said.getvalue()


def test_names_in_brackets_stay_in_the_table_of_the_terminal() -> None:
    """Not taken for markup, which would drop them or end in a traceback."""
    found = results(HELPS)
    found.rows[0].domain, found.rows[1].domain = "[red]", "[/x] :smile:"
    said = io.StringIO()
    with redirect_stdout(said):
        print_results(found)
    assert "[red]" in said.getvalue()
    assert "[/x] :smile:" in said.getvalue()


def test_one_class_for_nearly_all_images_is_called_a_collapse() -> None:
    made = scores({(REFERENCE, "none"): 0.9, (SOURCE, "none"): 0.9, (SOURCE, "curve"): 0.9}, patients=60)
    made.probabilities["curve"][:, 1] += 5
    said = cautions(compare_methods(made, [REFERENCE], {}, seed=0))
    called = "the classifier calls 60 of 60 images B, whatever their label"
    assert said == [f"W_COLLAPSED on {SOURCE}, after “curve”, {called}."]


def test_a_rare_class_makes_no_collapse() -> None:
    """98 of 100 images are called A, and rightly so."""
    made = scores({(SOURCE, "none"): 3.0}, patients=100, classes=2)
    made.label[:] = np.arange(100) >= 98
    made.probabilities["none"][:] = np.where(made.label[:, None] == [0, 1], 0.9, 0.1)
    assert cautions(compare_methods(made, [REFERENCE], {}, seed=0)) == []


def test_a_classifier_that_is_weak_at_home_is_called_so() -> None:
    said = cautions(results({(REFERENCE, "none"): 0.02, (SOURCE, "none"): 0.9}))
    assert [line.split()[0] for line in said] == ["W_WEAK"]
    assert "mend the classifier first" in said[0]
    assert cautions(results({(REFERENCE, "none"): 0.9, (SOURCE, "none"): 0.02})) == []


def test_warnings_of_a_fit_and_its_uncertain_images_are_kept() -> None:
    """Those of its modes too."""
    harmonizer = scanner_harmonizer(SOURCE)
    mode = ModeReport(images=1, free=False, projection_rmse_levels_8bit=0.1, clipped_share=0.0)
    report = fit_report(
        images=40,
        patients=20,
        reference_images=50,
        warnings=("W_FEW fewer than 25 patients of the source scanner",),
        modes=(
            replace(mode, warnings=("W_OVERLAP few reference images",), score_interval=ScoreInterval(0.1, 0.5, 10)),
            replace(mode, score_interval=ScoreInterval(0.1, 0.1, 30)),
        ),
    )
    change(harmonizer, SOURCE, report=report)
    found = results(HELPS)
    found.fits = fit_notes({"curve": harmonizer, "other": harmonizer})
    assert found.fits[0].uncertain_share == 0.2
    assert cautions(found) == [
        f"W_FEW fit of “curve” and “other” for {SOURCE}: fewer than 25 patients of the source scanner.",
        f"W_OVERLAP fit of “curve” and “other” for {SOURCE}: few reference images.",
    ]
