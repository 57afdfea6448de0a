"""The answer in sentences that say what the intervals support, and no more.

The rule, for the paired difference of a method from "none" on one scanner:

* it **helps** where the verdict on worst-group accuracy or AUC is "better" (interval above zero, and Holm-adjusted
  p below 0.05), and neither is "worse"; it **harms** where one is "worse" and neither "better";
* it **makes no difference** where both intervals lie within ±`MARGIN`;
* it **keeps** the images where its fit predicts no good of the curve (W_HARMS, W_NO_GAIN): nothing is judged there;
* all else is **undecided**, and is said with its interval;
* a recall **fell** where the interval of its change lies below zero, and **may have fallen** where it is lower by
  `FALL` or more. Neither is adjusted for the number of classes: an alarm too many does less harm than one too few.
"""

from __future__ import annotations

from collections.abc import Sequence

from isotone.baselines.adapted_classifier import ADAPTATIONS
from isotone.baselines.by_name import BASELINES
from isotone.estimation.report import kept_for, signed
from isotone.evaluation.bootstrap import MARGIN
from isotone.evaluation.metric_table import PAIRED
from isotone.evaluation.results import Change, Gain, ResultRow, Results, Shift
from isotone.evaluation.scores import NONE, ORACLE

FALL = 0.05
"""By so much, or more, a recall is lower that "may have fallen". Raised, losses of small classes go unsaid. Chosen
here, as what no class may lose on average (docs/results.md)."""
JUDGED = PAIRED[::-1]
"""The metrics in the order of sentences: worst-group accuracy first."""
NAMES = {m.field: m.title for m in PAIRED}
PREDICTED = ((NAMES["worst_group_accuracy"], "worst_recall"), (NAMES["auc"], "auc"))
"""What a fit predicts, as `JUDGED` has it."""
FEW = " [too few patients]"
"""In the place of an interval: fewer than five patients, or so few of a class that many resamples have none."""
SEE_EFFECT = 'To measure it all the same: isotone evaluate --allow harm (in Python harmonizer.overruling(["harm"])).'
Interval = tuple[float, float] | None


def primary_method(results: Results) -> str | None:
    """The method that the report is about: the first that is no baseline, else the first; None with "none" alone.

    The first named, not the best found: choosing on the test rows would flatter it.
    """
    judged = [m for m in results.methods if m not in (NONE, ORACLE)]
    return next((m for m in judged if m not in BASELINES and m not in ADAPTATIONS), judged[0] if judged else None)


def headline(results: Results) -> str:
    """One sentence: what the first method does to every source scanner, and to the reference."""
    method, sources = primary_method(results), results.source_domains
    if not sources:
        return "No test image of a source scanner was scored: there are figures of the reference alone."
    if method is None:
        return hurt(results)
    rows = [r for r in results.rows if r.method == method and not r.reference]
    if not rows:
        return f"“{method}” has no curve for {_which(sources, sources)}{_on_reference(results, method)}."
    said: list[str] = []
    for kind, clause in SAID.items():
        group = [r for r in rows if outcome(results, r) == kind]
        if group:
            who = "it" if said else f"“{method}”"
            said.append(clause.format(who=who, where=_which([r.domain for r in group], sources)))
            codes = sorted({code for r in group if (code := keeping(results, r)) is not None})
            said[-1] += f" ({', '.join(codes)}), so it has no effect there" if codes else _support(group)
    joined = ", but" if any(outcome(results, r) == "helps" for r in rows) else ", and"
    whole = f"{'; '.join(said)}{_falls(results, method, joined)}{_on_reference(results, method)}."
    return whole[0].upper() + whole[1:]


SAID = {
    "helps": "{who} helps on {where}",
    "harms": "{who} harms on {where}",
    "helps and harms": "{who} gains by one measure and loses by the other on {where}",
    "no difference": f"{{who}} makes no difference above {MARGIN} on {{where}}",
    "undecided": "whether {who} helps on {where} is undecided",
    "kept": "{who} leaves the images of {where} as they are",
}


def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them; empty where there are none."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def best_plain(results: Results, domain: str) -> ResultRow | None:
    """The row of the plain baseline with the highest AUC on a scanner: chosen by the same figures, so it is lucky."""
    rows = [row for name in BASELINES if (row := results.row(domain, name)) is not None and row.auc is not None]
    return max(rows, key=lambda row: row.auc or 0.0, default=None)


def keeping(results: Results, row: ResultRow) -> str | None:
    """The warning by which the method leaves this scanner's images as they are; None where it does not."""
    for fit in results.fits:
        if fit.kept and (fit.domain, fit.method) == (row.domain, row.method):
            return kept_for(fit.warnings)
    return None


def outcome(results: Results, row: ResultRow) -> str:
    """A key of `SAID`, by the rule above."""
    if keeping(results, row) is not None:
        return "kept"
    gains = _gains(row)
    found = {g.verdict for g in gains}
    if found >= {"better", "worse"}:
        return "helps and harms"
    if "better" in found or "worse" in found:
        return "helps" if "better" in found else "harms"
    if all(g.ci and max(map(abs, g.ci)) <= MARGIN for g in gains):
        return "no difference"
    return "undecided"


def hurt(results: Results) -> str:
    """What the classifier loses on untouched source images against the reference."""
    known = [s for s in results.shifts if s.difference is not None]
    apart = {s.domain: s.not_comparable for s in results.shifts if s.not_comparable is not None}
    if not known and not apart:
        why = "the test images are of one class alone" if results.shifts else "the reference was not scored"
        return f"Whether the shift hurts cannot be said: {why}."
    lost: list[Shift] = []
    open_: list[Shift] = []
    for domain in dict.fromkeys(s.domain for s in known):
        mine = sorted((s for s in known if s.domain == domain), key=lambda s: s.metric, reverse=True)
        losses = [s for s in mine if _below_zero(s.ci)]
        (lost if losses else open_).append((losses or mine)[0])
    said = []
    if lost:
        said.append(f"The shift hurts, untouched images against the reference: {_each(lost)}.")
    if open_:
        said.append(f"The shift is not shown to hurt{' elsewhere' if lost else ''}: {_each(open_)}.")
    said += [f"{domain} and the reference are not comparable: {why}." for domain, why in apart.items()]
    return " ".join(said)


def lines(results: Results) -> list[str]:
    """One line per source scanner: before, after, gain, recalls that fell; and per reference scanner that changed."""
    method = primary_method(results) or NONE
    found = []
    for row in sorted((r for r in results.rows if r.method == method != NONE), key=lambda r: r.reference):
        before = results.row(row.domain, NONE)
        if before is None or (row.reference and row.unchanged):
            continue
        if (code := keeping(results, row)) is not None:
            stay = ", ".join(f"{m.title} {_number(row.value(m.field)[0])}" for m in JUDGED)
            said = f"The images stay as they are ({code}), so nothing can change: {stay}. {SEE_EFFECT}"
            found.append(f"{row.domain}: kept. {said}")
            continue
        each = "; ".join(
            f"{m.title} {_number(before.value(m.field)[0])} → {_number(row.value(m.field)[0])} "
            f"({_gained(row.gain(m.field))})"
            for m in JUDGED
        )
        said = f"{each[0].upper()}{each[1:]}.{fallen_recalls(row)}{_fitted(results, row)}"
        found.append(f"{row.domain}: {outcome(results, row)}. {said}")
    return found


def _gained(gain: Gain) -> str:
    said = _difference(gain)
    if gain.ci and gain.verdict == "undecided" and gain.p is not None and (gain.ci[0] > 0 or gain.ci[1] < 0):
        said += f", undecided: p {gain.p:.2f} once adjusted for all comparisons"
    if gain.recovered_share is not None:
        said += f", {100 * gain.recovered_share:.0f}\u00a0% of the oracle's gain"
    return said


def fallen_recalls(row: ResultRow) -> str:
    """A sentence, after a space, for each class whose recall fell or may have fallen; empty where none did."""
    said = ""
    for name, change in row.accuracy_per_class_change.items():
        verb = "fell" if _below_zero(change.ci) else "may have fallen"
        if verb == "fell" or (change.difference is not None and change.difference <= -FALL):
            said += (
                f" The recall of {name} {verb}: {_difference(change)}, "
                f"{change.lost} images became wrong and {change.gained} right."
            )
    return said


def _fitted(results: Results, row: ResultRow) -> str:
    """What the fit knew without labels: the gain that it predicts, and whose class its curve leaves open."""
    said = ""
    for fit in results.fits:
        if (fit.domain, fit.method) != (row.domain, row.method):
            continue
        if fit.predicted is not None:
            gains = {m: (getattr(fit.predicted, f), getattr(fit.predicted, f"{f}_interval")) for m, f in PREDICTED}
            each = ", ".join(f"{m} {_signed(value)}{_interval(ci)}" for m, (value, ci) in gains.items())
            said += f" Predicted by the fit, without labels of this scanner (90\u00a0%): {each}."
        share = f"{100 * (fit.uncertain_share or 0):.0f}"
        if share != "0":
            said += f" {share}\u00a0% of the images of the fit change class under the curves within its 95\u00a0% band."
    return said


def _falls(results: Results, method: str, joined: str) -> str:
    """Recalls that fell, on any scanner."""
    fallen = [
        f"the recall of {name} fell on {r.domain} ({_signed(c.difference)}{_interval(c.ci)})"
        for r in results.rows
        if r.method == method
        for name, c in r.accuracy_per_class_change.items()
        if _below_zero(c.ci)
    ]
    if not fallen:
        return ""
    return f"{joined} {' and '.join(fallen) if len(fallen) <= 2 else f'{len(fallen)} recalls fell (see below)'}"


def _on_reference(results: Results, method: str) -> str:
    rows = [r for r in results.rows if r.method == method and r.reference]
    if not rows:
        return "; on the reference it was not scored"
    harmed = [r for r in rows if any(g.verdict == "worse" for g in _gains(r))]
    if harmed:
        return f"; it harms the reference{_support(harmed)}"
    if all(r.unchanged for r in rows):
        return "; images of the reference pass unchanged"
    if all(g.verdict in ("not worse", "better") for r in rows for g in _gains(r)):
        return f"; on the reference a loss above {MARGIN} is excluded"
    return f"; harm on the reference is not excluded{_support(rows)}"


def _support(rows: Sequence[ResultRow]) -> str:
    """The differences that a verdict rests on, for one scanner; those of several stand in their lines."""
    if len(rows) != 1:
        return ""
    gains = {m.title: rows[0].gain(m.field) for m in JUDGED}
    decided = {name: g for name, g in gains.items() if g.verdict in ("better", "worse")}
    said = [f"{n} {_difference(g)}" for n, g in (decided or gains).items()]
    return f" ({', '.join(said)})"


def _gains(row: ResultRow) -> list[Gain]:
    return [row.gain(m.field) for m in JUDGED]


def _below_zero(ci: Interval) -> bool:
    return ci is not None and ci[1] < 0


def _each(shifts: Sequence[Shift]) -> str:
    return "; ".join(f"{NAMES[s.metric]} {_difference(s)} on {s.domain}" for s in shifts)


def _which(some: Sequence[str], all_: Sequence[str]) -> str:
    if len(some) <= 2:
        return " and ".join(some)
    return (
        f"all {len(all_)} source scanners" if len(some) == len(all_) else f"{len(some)} of {len(all_)} source scanners"
    )


def _difference(of: Gain | Change | Shift) -> str:
    return "undefined" if of.difference is None else f"{_signed(of.difference)}{_interval(of.ci) or FEW}"


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"


def _signed(value: float | None) -> str:
    return "undefined" if value is None else signed(value)


def _interval(ci: Interval) -> str:
    return "" if ci is None else f" [{_signed(ci[0])}, {_signed(ci[1])}]"
