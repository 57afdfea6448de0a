"""The first screen of a report: the question, the answer for each scanner in a sentence, and what is not proven."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from isotone.data.phantom.scanners import SCANNERS
from isotone.errors import in_callers_terms
from isotone.estimation.report import signed
from isotone.evaluation.bootstrap import MARGIN
from isotone.evaluation.headline import SEE_EFFECT, best_plain, fallen_recalls, keeping, listed, outcome, primary_method
from isotone.evaluation.metric_table import PairedField
from isotone.evaluation.results import Gain, ResultRow, Results
from isotone.evaluation.scores import NONE

VERDICTS = {
    "kept": "{who} leaves the images as they are",
    "helps": "{who} helps",
    "harms": "{who} harms",
    "helps and harms": "{who} gains by one measure and loses by the other",
    "no difference": "{who} makes no difference",
    "undecided": "it is not decided whether {who} helps",
}
NAMES: dict[PairedField, str] = {"auc": "the AUC", "worst_group_accuracy": "the recall of the weakest class"}
ON_REAL_IMAGES = "that it works on real images: these are simulated"
UNTESTED = ("that it works on images acquired later than these", "that it helps any human reader")
WITHOUT_REFIT = (
    "that the curve corrects the scanner and has not learned the labels (refit=True tests it)",
    "how many source images the fit needs (refit=True tests it)",
)


@dataclass(frozen=True)
class Answer:
    """What a method does on one scanner.

    Attributes
    ----------
    domain : str
    verdict : str
        A key of `VERDICTS`.
    sentence : str
        With the scanner, the figures before and after, and the 95 % intervals of their differences; then the classes
        whose recall fell or may have fallen.
    """

    domain: str
    verdict: str
    sentence: str


def question(results: Results) -> str:
    """What the page answers."""
    method, reference = primary_method(results), listed(results.reference_domains)
    sources = listed(results.source_domains) or "other scanners"
    if method is None:
        return f"Does a classifier trained on {reference} work on images of {sources}?"
    return f"Does “{method}” make images of {sources} usable for a classifier trained on {reference}?"


def answers(results: Results) -> list[Answer]:
    """One for each source scanner that the report's method has a curve for."""
    rows = [r for r in results.rows if r.method == primary_method(results) and not r.reference]
    return [Answer(r.domain, outcome(results, r), _sentence(results, r)) for r in rows]


def simulated(results: Results) -> bool:
    """Whether every image is of the phantom (`isotone.make_phantom`)."""
    return {row.domain for row in results.rows} <= {scanner.domain for scanner in SCANNERS}


def not_proven(results: Results) -> list[str]:
    """What nobody may conclude from these figures, each as the end of a sentence."""
    method = primary_method(results)
    rows = [r for r in results.rows if r.method == method]
    return [
        *((ON_REAL_IMAGES,) if simulated(results) else ()),
        *(f"that it helps on {r.domain}" for r in rows if not r.reference and outcome(results, r) == "undecided"),
        *(f"what its curve does on {r.domain}, where the images stay as they are" for r in rows if keeping(results, r)),
        *_no_better_than_plain(results, [r for r in rows if not r.reference]),
        *(
            f"that it does no harm on {r.domain}, a reference scanner"
            for r in rows
            if r.reference
            and not r.unchanged
            and any(g.ci is None or g.ci[0] < -MARGIN for g in (r.auc_gain, r.worst_group_accuracy_gain))
        ),
        *UNTESTED,
        *(() if results.leakage else map(in_callers_terms, WITHOUT_REFIT)),
    ]


def unchanged(row: ResultRow) -> bool:
    """Whether every score of a reference scanner is as it was."""
    return row.reference and row.unchanged


def _no_better_than_plain(results: Results, rows: Sequence[ResultRow]) -> Iterator[str]:
    """Where the best of the plain baselines, chosen by these figures, has an interval that meets the method's."""
    for row in rows:
        best = best_plain(results, row.domain)
        if best is None or best.auc_ci is None or row.auc_ci is None or best.method == row.method:
            continue
        if best.auc_ci[1] >= row.auc_ci[0]:
            yield f"that it is better than plain “{best.method}” on {row.domain} (AUC {best.auc:.2f})"


def _sentence(results: Results, row: ResultRow) -> str:
    before = results.row(row.domain, NONE)
    said = VERDICTS[outcome(results, row)].format(who=f"“{row.method}”")
    if (code := keeping(results, row)) is not None:
        scores = ((name, row.value(field)[0]) for field, name in NAMES.items())
        stay = " and ".join(f"{name} {'is undefined' if v is None else f'stays at {v:.2f}'}" for name, v in scores)
        return f"On {row.domain} {said} ({code}), so nothing can change: {stay}. {SEE_EFFECT}"
    figures = [
        _change(name, before.value(field)[0] if before else None, row.value(field)[0], row.gain(field))
        for field, name in NAMES.items()
    ]
    return f"On {row.domain} {said}: {' and '.join(figures)}.{fallen_recalls(row)}"


def _change(name: str, before: float | None, after: float | None, gain: Gain) -> str:
    if before is None or after is None:
        return f"{name} is undefined, with test images of one class alone"
    verb = "rises" if after > before else "falls" if after < before else "stays"
    figures = f"from {before:.2f} to {after:.2f}" if after != before else f"at {after:.2f}"
    if gain.ci is None:
        return f"{name} {verb} {figures} (no interval: too few patients)"
    low, high = map(signed, gain.ci)
    return f"{name} {verb} {figures} (95 % interval of the change: {low} to {high})"
