"""What a reader must know before he believes the answer: one line each, with a stable code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from isotone.baselines.adapted_classifier import ADAPTATIONS
from isotone.baselines.by_name import BASELINES
from isotone.data.weak_classifier import weak_sentence
from isotone.estimation.report import FitReport
from isotone.evaluation.results import FitNote, ResultRow, Results
from isotone.evaluation.scores import NONE, ORACLE
from isotone.harmonizer.fit_report import fit_sentences
from isotone.harmonizer.fitted_scanner import NetworkReport
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer

ALL = 0.95
"""Share of the images of every class that get one and the same class: from here on a classifier counts as collapsed.

It is asked of each class, so a rare disease makes no classifier collapse. Raised, single strays hide a collapse; chosen
here."""


def fit_notes(harmonizers: Mapping[str, Any]) -> list[FitNote]:
    """What each fit says of itself, for harmonizers that say something."""
    return [
        FitNote(
            domain=domain,
            method=name,
            sentences=sentences,
            warnings=_warnings(scanner.report),
            kept=harmonizer.passing(domain) == "kept",
            uncertain_share=_uncertain_share(scanner.report),
            predicted=scanner.report.gain if isinstance(scanner.report, FitReport) else None,
        )
        for name, harmonizer in harmonizers.items()
        if isinstance(harmonizer, ToneCurveHarmonizer)
        for domain, scanner in harmonizer.scanners.items()
        if (sentences := fit_sentences(scanner.report, harmonizer.labels))
    ]


def _warnings(report: FitReport | NetworkReport | None) -> list[str]:
    """Of the scanner's fit and of its acquisition modes', each once."""
    parts = [] if report is None else [report, *(report.modes if isinstance(report, FitReport) else ())]
    return list(dict.fromkeys(warning for part in parts for warning in part.warnings))


def _uncertain_share(report: FitReport | NetworkReport | None) -> float | None:
    """Over all acquisition modes, images weighted alike."""
    curves = report.curves if isinstance(report, FitReport) else ()
    known = [curve.score_interval for curve in curves if curve.score_interval is not None]
    images = sum(s.images for s in known)
    return sum(s.decisions * s.images for s in known) / images if images else None


def cautions(results: Results) -> list[str]:
    """Weak classifiers, which are the first thing to mend, training images left out, collapse, and warnings of fits."""
    shown = [r for r in results.rows if r.method not in (ORACLE, *BASELINES, *ADAPTATIONS)]
    collapsed = _gathered((line, _state(r)) for r in shown for line in _collapsed(r, results.classes))
    warned = _gathered(((w, f.domain), f"“{f.method}”") for f in results.fits for w in f.warnings)
    return [
        *(line for row in shown for line in _weak(row)),
        *(() if results.training is None else results.training.sentences),
        *(f"W_COLLAPSED on {domain}, {' and '.join(s)}, {said}." for (domain, said), s in collapsed.items()),
        *(_with_place(*key, " and ".join(methods)) for key, methods in warned.items()),
    ]


def _gathered(pairs: Iterable[tuple[tuple[str, str], str]]) -> dict[tuple[str, str], list[str]]:
    """What is said of several methods, once."""
    found: dict[tuple[str, str], list[str]] = {}
    for said, whom in pairs:
        found.setdefault(said, []).append(whom)
    return found


def _collapsed(row: ResultRow, classes: list[str]) -> Iterator[tuple[str, str]]:
    """The scanner, and what is said of it."""
    present = [counts for counts in row.confusion if sum(counts)]
    for i, name in enumerate(classes):
        if len(present) > 1 and min(counts[i] / sum(counts) for counts in present) >= ALL:
            called = sum(counts[i] for counts in present)
            yield row.domain, f"the classifier calls {called} of {row.n} images {name}, whatever their label"


def _weak(row: ResultRow) -> Iterator[str]:
    if row.reference and row.method == NONE:
        said = weak_sentence(f"{row.domain}, a reference scanner", row.auc, row.auc_ci)
        if said is not None:
            yield said


def _state(row: ResultRow) -> str:
    return "untouched" if row.method == NONE else f"after “{row.method}”"


def _with_place(warning: str, domain: str, methods: str) -> str:
    code, _, said = warning.partition(" ")
    return f"{code} fit of {methods} for {domain}: {said.rstrip('.')}."
