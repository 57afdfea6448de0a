"""Names and texts of strangers: shown on terminals and in tables, and obeyed by neither."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from harmonizers import scanner_harmonizer
from isotone.cli import app
from isotone.cli.app import print_table
from isotone.errors import RadiographError
from isotone.evaluation.scores import Scores
from isotone.safe_text import FORMULA, from_inert, inert, printable, printable_lines
from make_images import write_png

EVIL = "\x1b]0;owned\x07\x1b[31mred\x9b1m\u202efdp.exe"


@given(st.text())
def test_what_is_printable_has_no_character_that_a_terminal_obeys(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown
    assert shown == text or not text.isprintable()


@given(st.text(st.characters(exclude_categories=["C", "Z"])))
def test_a_cell_is_no_formula_and_reads_back(text: str) -> None:
    cell = inert(text)
    assert not cell.startswith(tuple("=+-@\t\r\n＝＋－＠"))
    assert from_inert(cell) == text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "＝1", "\t=1", "\r=1", "'=1"])
def test_what_a_spreadsheet_would_compute_is_made_text(text: str) -> None:
    (row,) = csv.reader(io.StringIO(f'"{inert(text)}"'))
    assert not FORMULA.fullmatch(row[0][:1])
    assert row[0] != text


def test_lines_of_ours_stay_lines() -> None:
    assert printable_lines("a\x1b\nb") == "a\\x1b\nb"
    assert printable("a\nb\udcff") == "a\\x0ab\\xff"


def test_a_refusal_shows_the_controls_of_a_file_name() -> None:
    line = str(RadiographError("E_READ", f"what {EVIL}", file=f"{EVIL}.dcm"))
    assert line.isprintable()
    assert "\\x1b]0;owned\\x07" in line


@pytest.mark.slow
def test_every_command_on_files_shows_the_controls_of_their_names(tmp_path: Path) -> None:
    write_png(tmp_path / "in" / f"{EVIL}.png")
    (tmp_path / "in" / f"{EVIL}.dcm").write_bytes(b"no DICOM")
    scanner_harmonizer("src").save(tmp_path / "curve")
    source, out = tmp_path / "in", tmp_path / "out"
    for command in (
        ("inspect", source),
        ("apply", tmp_path / "curve", source, "-o", out, "--domain", "src"),
        ("check", tmp_path / "curve", source, "--domain", EVIL),
        ("restore", out, "-o", tmp_path / "back"),
        ("restore", source, "-o", tmp_path / f"back{EVIL}"),
    ):
        result = CliRunner().invoke(app, [str(part) for part in command])
        assert result.output
        assert all(line.isprintable() for line in result.output.splitlines()), command
    assert all(line.isprintable() for line in (out / "curves.csv").read_text().splitlines())


def test_the_texts_of_a_model_are_shown_not_obeyed(tmp_path: Path) -> None:
    harmonizer = scanner_harmonizer(f"{EVIL}\nforged line")
    harmonizer.save(tmp_path / "curve")
    result = CliRunner().invoke(app, ["curve", str(tmp_path / "curve")])
    assert result.exit_code == 0
    assert "\\x1b" in result.output
    assert all(line.isprintable() for line in result.output.splitlines())
    assert "forged line" not in result.output.splitlines()


def test_a_table_on_the_terminal_takes_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither as controls nor as markup of the library that draws it."""
    from rich.table import Table

    table = Table("domain")
    table.add_row(f"[red]{EVIL}[/]:smile:")
    print_table(table)
    shown = capsys.readouterr().out
    assert "[red]\\x1b]0;owned" in shown
    assert "[/]:smile:" in shown
    assert all(line.isprintable() for line in shown.splitlines())


def test_scores_hold_no_formula_and_read_back(tmp_path: Path) -> None:
    scores = Scores(
        classes=("=a", "b"),
        image=np.array(["0" * 16, "1" * 16]),
        patient=np.array([0, 1]),
        domain=np.array(["@SUM(1)", "'+2"]),
        view=np.array(["-CC", ""]),
        label=np.array([0, 1]),
        probabilities={"none": np.array([[0.25, 0.75], [0.5, 0.5]]), "=evil": np.array([[1.0, 0.0], [0.5, 0.5]])},
    )
    path = tmp_path / "scores.csv"
    scores.write(path)
    with path.open(newline="", encoding="utf-8") as file:
        assert not [cell for row in csv.reader(file) for cell in row if cell.startswith(("=", "+", "-", "@"))]
    again = Scores.read(path)
    assert again.classes == scores.classes
    assert list(again.domain) == list(scores.domain)
    assert list(again.view) == list(scores.view)
    assert list(again.label) == [0, 1]
    assert again.probabilities.keys() == scores.probabilities.keys()
