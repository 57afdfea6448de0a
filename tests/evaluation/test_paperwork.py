"""Papers for a committee: the figures of results.json, and places that a person fills in."""

from pathlib import Path

import pytest

from isotone.errors import UsageError
from isotone.evaluation.paperwork import FILL_IN, PAPERS, write_paperwork
from made_scores import HELPS, SOURCE, results


def test_papers_hold_the_figures_and_name_what_a_person_fills_in(tmp_path: Path) -> None:
    found = results(HELPS)
    written = write_paperwork(found, tmp_path)
    assert [paper.path.name for paper in written] == list(PAPERS)
    row = found.row(SOURCE, "curve")
    assert row is not None
    card = (tmp_path / "model-card.md").read_text(encoding="utf-8")
    assert f"{row.auc:.2f} ({row.auc_ci[0]:.2f} to {row.auc_ci[1]:.2f})" in card
    for paper in written:
        text = paper.path.read_text(encoding="utf-8")
        assert text.count(FILL_IN) == paper.open > 3
        assert found.provenance.isotone in text or "Data sheet" in text


HEADINGS = {
    "model-card.md": (  # Mitchell et al. 2019, section 4
        *("Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data"),
        *("Quantitative analyses", "Ethical considerations", "Caveats and recommendations"),
    ),
    "data-sheet.md": (  # Gebru et al. 2021
        *("Motivation", "Composition", "Collection process", "Preprocessing/cleaning/labeling", "Uses"),
        *("Distribution", "Maintenance"),
    ),
    "change-control-plan.md": (  # FDA 2024
        *("1. Description of modifications", "2. Modification protocol", "3. Impact assessment"),
    ),
}


@pytest.mark.parametrize("name", PAPERS)
def test_the_headings_are_those_of_the_source_that_the_paper_names(tmp_path: Path, name: str) -> None:
    write_paperwork(results(HELPS), tmp_path)
    lines = (tmp_path / name).read_text(encoding="utf-8").splitlines()
    assert tuple(line.removeprefix("## ") for line in lines if line.startswith("## ")) == HEADINGS[name]


def test_names_from_a_header_are_no_markup(tmp_path: Path) -> None:
    write_paperwork(results(HELPS), tmp_path)
    assert all(SOURCE not in (tmp_path / name).read_text(encoding="utf-8") for name in PAPERS)
    assert "Src \\<Two\\> & Sons" in (tmp_path / "data-sheet.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_paper_that_may_be_filled_in_is_kept(tmp_path: Path) -> None:
    (tmp_path / "data-sheet.md").write_text("filled in")
    with pytest.raises(UsageError, match="already"):
        write_paperwork(results(HELPS), tmp_path)
    assert not (tmp_path / "model-card.md").exists()
    write_paperwork(results(HELPS), tmp_path, force=True)
    assert FILL_IN in (tmp_path / "data-sheet.md").read_text(encoding="utf-8")
