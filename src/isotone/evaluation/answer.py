"""The answer in a sentence: does the shift hurt, does the method help, does it harm?"""

from __future__ import annotations

from collections.abc import Sequence

from isotone.evaluation.adapted import ADAPTATIONS
from isotone.evaluation.results import ResultRow, Results, Shift
from isotone.evaluation.scores import NONE, ORACLE
from isotone.normalizers import BASELINES


def primary_method(results: Results) -> str | None:
    """The method that the report is about: the first that is no baseline, else the first; None with "none" alone.

    The first named, not the best found: choosing on the test rows would flatter it.
    """
    judged = [m for m in results.methods if m not in (NONE, ORACLE)]
    return next((m for m in judged if m not in BASELINES and m not in ADAPTATIONS), judged[0] if judged else None)


def headline(results: Results) -> str:
    """One sentence, by the verdicts on worst-group accuracy and AUC."""
    method, sources = primary_method(results), results.source_domains
    if not sources:
        return "There is no source scanner in this manifest: only the reference was scored."
    if method is None:
        return hurt(results)
    rows = [r for r in results.rows if r.method == method and not r.reference]
    better = [r.domain for r in rows if "better" in _verdicts(r) and "worse" not in _verdicts(r)]
    worse = [r.domain for r in rows if "worse" in _verdicts(r)]
    if better:
        found = f"“{method}” helps on {_which(better, sources)}"
    elif len(rows) < len(sources) and not rows:
        found = f"“{method}” has no curve for {_which(sources, sources)}"
    else:
        found = f"“{method}” is not shown to help on {_which(sources, sources)}"
    if worse:
        found += f", and harms on {_which(worse, sources)}"
    return f"{found}{_harm(results, method)}."


def hurt(results: Results) -> str:
    """One sentence on what the classifier loses on untouched source images."""
    known = [s for s in results.shifts if s.difference is not None]
    if not known:
        return "Whether the shift hurts cannot be said: the reference was not scored."
    lost = [s.metric for s in known if _is_loss(s)]
    metric = "auc" if set(lost) == {"auc"} else "worst_group_accuracy"
    parts = [f"{s.domain}: {_signed(s.difference)}{_interval(s.ci)}" for s in known if s.metric == metric]
    lead = "The shift hurts" if lost else "The shift is not shown to hurt"
    name = "AUC" if metric == "auc" else "worst-group accuracy"
    return f"{lead}: {name} of untouched images against the reference is {'; '.join(parts)}."


def gains(results: Results) -> list[str]:
    """One line per source scanner: before, after, gain."""
    method = primary_method(results)
    lines = []
    for domain in results.source_domains:
        before, after = results.row(domain, NONE), results.row(domain, method or NONE)
        if before is None or after is None or after is before:
            continue
        gain = after.worst_group_accuracy_gain
        share = (
            ""
            if gain.recovered_share is None
            else f", {100 * gain.recovered_share:.0f}\u00a0% of what the oracle reaches"
        )
        lines.append(
            f"{domain}: worst-group accuracy {_number(before.worst_group_accuracy)} → "
            f"{_number(after.worst_group_accuracy)} (gain {_signed(gain.difference)}{_interval(gain.ci)}{share}); "
            f"AUC {_number(before.auc)} → {_number(after.auc)} "
            f"(gain {_signed(after.auc_gain.difference)}{_interval(after.auc_gain.ci)})."
        )
    return lines


def _harm(results: Results, method: str) -> str:
    rows = [r for r in results.rows if r.method == method and r.reference]
    if not rows:
        return "; on the reference it was not scored"
    if any("worse" in _verdicts(r) for r in rows):
        return "; it harms the reference"
    gained = [g for r in rows for g in (r.auc_gain, r.worst_group_accuracy_gain)]
    if all(g.difference == 0 and g.p is None for g in gained):
        return "; images of the reference pass unchanged"
    if all(v == "not worse" or v == "better" for r in rows for v in _verdicts(r)):
        return "; no harm on the reference"
    return "; harm on the reference cannot be excluded"


def _verdicts(row: ResultRow) -> tuple[str | None, str | None]:
    return row.worst_group_accuracy_gain.verdict, row.auc_gain.verdict


def _is_loss(shift: Shift) -> bool:
    return shift.ci is not None and shift.ci[1] < 0


def _which(some: Sequence[str], all_: Sequence[str]) -> str:
    if len(some) <= 2:
        return " and ".join(some)
    return (
        f"all {len(all_)} source scanners" if len(some) == len(all_) else f"{len(some)} of {len(all_)} source scanners"
    )


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"


def _signed(value: float | None) -> str:
    return "undefined" if value is None else f"{value:+.2f}".replace("-", "−")


def _interval(ci: tuple[float, float] | None) -> str:
    return "" if ci is None else f" [{_signed(ci[0])}, {_signed(ci[1])}]"
