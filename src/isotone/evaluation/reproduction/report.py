"""All tables and figures of a run: files of fixed names, and one self-contained page."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from isotone._runtime.files import replace_file, write_text
from isotone._version import __version__
from isotone.curves.svg import STYLE
from isotone.evaluation.page import content_policy, environment, template_text
from isotone.evaluation.reproduction.claims import claims
from isotone.evaluation.reproduction.figures import Figure, cell, figures, table_svg
from isotone.evaluation.reproduction.study import Study
from isotone.evaluation.reproduction.tables import ablation_table, grid_table, table_one, table_two

BOUND = re.compile("(.+)_(low|high)")


def write_report(study: Study) -> Path:
    """Write ``figures/`` and ``report.html`` from what the experiments left, and return the report's path."""
    predictions = study.predictions("fold")
    sizes = study.predictions("grid")
    grid = grid_table(study, sizes)
    tables = {
        "table-1": ("Table 1: images", table_one(study)),
        "table-2": ("Table 2: results", table_two(study, predictions)),
        "ablations": ("Ablations", ablation_table(study, predictions, study.predictions("ablation"))),
    }
    drawn = figures(study, predictions, grid)
    for name, (_, table) in tables.items():
        _write(study.folder / "figures", Figure(name, "", table, table_svg(_readable(table))))
    for figure in drawn:
        _write(study.folder / "figures", figure)
    style = Markup(STYLE + template_text("report.css"))
    page = (
        environment("isotone.evaluation.reproduction")
        .get_template("reproduction.html.j2")
        .render(
            version=__version__,
            plan=study.plan,
            about=study.plan.about,
            notes=study.result("cohort")["notes"],
            classifiers=[study.result(e.name)["classifier"] for e in study.plan.experiments() if e.kind == "fold"],
            tables={name: (title, _readable(table)) for name, (title, table) in tables.items()},
            figures=[(figure.name, figure.title, Markup(_inline(figure.svg))) for figure in drawn],
            claims=claims(study, predictions, grid, sizes),
            cell=cell,
            style=style,
            policy=content_policy(style),
        )
    )
    write_text(study.folder / "report.html", page)
    return study.folder / "report.html"


def _write(folder: Path, figure: Figure) -> None:
    with replace_file(folder / f"{figure.name}.csv") as temporary:
        figure.numbers.to_csv(temporary, index=False)
    write_text(folder / f"{figure.name}.svg", figure.svg)


def _readable(table: pd.DataFrame) -> pd.DataFrame:
    """Each number with its interval in one column: 0.812 [0.75, 0.87]."""
    shown = table.dropna(axis="columns", how="all")
    for column in [c for c in shown.columns if f"{c}_low" in shown]:
        shown[column] = [
            f"{cell(value)}\N{NO-BREAK SPACE}[{low:.2f},\N{NO-BREAK SPACE}{high:.2f}]" if pd.notna(low) else cell(value)
            for value, low, high in zip(table[column], table[f"{column}_low"], table[f"{column}_high"], strict=True)
        ]
    return shown[[c for c in shown.columns if not (m := BOUND.fullmatch(c)) or m[1] not in shown]]


def _inline(svg: str) -> str:
    """Without the style, which the page has once."""
    return re.sub("<style>.*?</style>", "", svg, flags=re.DOTALL)
