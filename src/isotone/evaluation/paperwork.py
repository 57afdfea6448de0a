"""Papers for a committee, begun from ``results.json``: model card, data sheet, change control plan.

Every figure is copied from the results. What they cannot know stands as ``TO FILL IN``, for a person.

The headings of the first two are those of Mitchell et al. 2019 (Model Cards for Model Reporting,
doi:10.1145/3287560.3287596, section 4) and Gebru et al. 2021 (Datasheets for Datasets, doi:10.1145/3458723,
"Questions and Workflow").
The plan has the three components (description of modifications, modification protocol, impact assessment) and the four
parts of a protocol (data management practices, re-training practices, performance evaluation, update procedures) of the
FDA's "Marketing Submission Recommendations for a Predetermined Change Control Plan for Artificial Intelligence-Enabled
Device Software Functions" (final on December 4, 2024, issued again on August 18, 2025).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from isotone._runtime.files import write_text
from isotone.errors import UsageError
from isotone.evaluation.answer import answers, not_proven, question
from isotone.evaluation.bootstrap import MARGIN
from isotone.evaluation.headline import hurt, primary_method
from isotone.evaluation.results import Results
from isotone.evaluation.scores import NONE
from isotone.safe_text import printable

PAPERS = ("model-card.md", "data-sheet.md", "change-control-plan.md")
FILL_IN = "TO FILL IN"
MARKUP = re.compile(r"([\\`*_{}\[\]<>#|])")


@dataclass(frozen=True)
class Paper:
    """A paper that was begun.

    Attributes
    ----------
    path : Path
    open : int
        How many places a person must fill in.
    """

    path: Path
    open: int


def write_paperwork(results: Results, folder: Path, *, force: bool = False) -> list[Paper]:
    """Write `PAPERS` into a folder.

    Parameters
    ----------
    results : Results
    folder : Path
    force : bool
        Write over papers that are there, which a person may have filled in.

    Raises
    ------
    UsageError
        A paper is there already.
    """
    there = [folder / name for name in PAPERS if (folder / name).exists()]
    if there and not force:
        raise UsageError(
            "there is such a paper already, and a person may have filled it in",
            file=there[0],
            next_step="Name another output=, or overwrite it by force=True.",
        )
    written = []
    for name in PAPERS:
        text = _templates().get_template(f"{name}.j2").render(**_known(results))
        write_text(folder / name, text.rstrip("\n") + "\n")
        written.append(Paper(folder / name, text.count(FILL_IN)))
    return written


def _known(results: Results) -> dict[str, Any]:
    method = primary_method(results)
    return {
        "results": results,
        "method": method,
        "question": question(results),
        "answers": answers(results),
        "not_proven": not_proven(results),
        "hurt": hurt(results),
        "rows": [r for r in results.rows if r.method in (NONE, method)],
        "domains": {r.domain: r for r in results.rows if r.method == NONE},
        "margin": MARGIN,
        "fill_in": FILL_IN,
    }


def _templates() -> Environment:
    """Markdown, not HTML: names from headers are shown as text by `_as_text`."""
    return Environment(
        loader=PackageLoader("isotone.evaluation"),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_as_text,
    )


def _as_text(value: object) -> object:
    return MARKUP.sub(r"\\\1", printable(value)) if isinstance(value, str) else value
