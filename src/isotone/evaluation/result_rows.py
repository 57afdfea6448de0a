"""From scores to the rows of ``results.json``: each method's metrics, and each against none and the oracle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isotone.evaluation import metrics
from isotone.evaluation.bootstrap import LEAST_PATIENTS, holm, verdict
from isotone.evaluation.delong import delong
from isotone.evaluation.metric_table import METRICS, PAIRED, Cell, Metric, Paired
from isotone.evaluation.proportions import change_interval, share_interval
from isotone.evaluation.resampled import Estimate, Resampled, known
from isotone.evaluation.results import Change, Gain, ResultRow, Shift, Summary, ViewRow
from isotone.evaluation.scores import NONE, ORACLE, Scores

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LEAST_GAP = 0.10
"""A recovered share is given where the oracle is at least this much better than none."""


class Comparison(Resampled):
    """All rows of one table of scores, on one set of resamples.

    Parameters
    ----------
    scores : Scores
    reference_domains : sequence of str
    thresholds : mapping of class to float or None
        Frozen on the reference.
    seed : int
        Of the resamples.
    """

    def __init__(
        self,
        scores: Scores,
        reference_domains: Sequence[str],
        thresholds: Mapping[str, float | None],
        *,
        seed: int = 0,
    ) -> None:
        super().__init__(scores, thresholds, seed=seed)
        self.asked, self.reference_domains = scores, reference_domains

    def rows(self) -> list[ResultRow]:
        """One row per domain and method, gains adjusted over the table."""
        rows = [self._row(*group) for group in self.scores.groups()]
        for metric in PAIRED:
            gains = [row.gain(metric.field) for row in rows if row.method not in (NONE, ORACLE)]
            for gain, p in zip(gains, holm([g.p for g in gains]), strict=True):
                gain.p, gain.verdict = p, verdict(gain.ci, p)
        return rows

    def _row(self, domain: str, method: str, inside: Bools) -> ResultRow:
        cell = self.cell(method, inside)
        fields: dict[str, Any] = {}
        for metric in PAIRED:
            estimate = self.estimate(metric, method, inside)
            fields |= {metric.field: estimate.point, f"{metric.field}_ci": estimate.ci}
            fields[f"{metric.field}_gain"] = self._gain(metric, domain, method, inside)
        for described in METRICS:
            fields |= _described(described, cell)
        return ResultRow(
            domain=domain,
            method=method,
            reference=domain in self.reference_domains,
            n=len(cell.labels),
            patients=len(np.unique(cell.patients)),
            refused=int((inside & ~self.asked.scored(method)).sum()),
            unchanged=method != NONE
            and np.array_equal(self.scores.probabilities[method][inside], self.scores.probabilities[NONE][inside]),
            accuracy_per_class_change=self._recall_changes(method, inside),
            confusion=cell.matrices[0].astype(int).tolist(),
            reliability=metrics.reliability(cell.labels, cell.probabilities),
            delong_p=self._delong(domain, method),
            **fields,
        )

    def _recall_changes(self, method: str, inside: Bools) -> dict[str, Change]:
        """Of each class that is there, against none on the same images."""
        if method == NONE or not self.scores.scored(NONE)[inside].all():
            return {}
        ours, none = self.cell(method, inside), self.cell(NONE, inside)
        right, was = ours.predicted == ours.labels, none.predicted == ours.labels
        values = metrics.recalls(ours.matrices) - metrics.recalls(none.matrices)
        certain = (0.0, 0.0) if len(np.unique(ours.patients)) >= LEAST_PATIENTS else None
        found = {}
        for i in np.unique(ours.labels):
            part = ours.labels == i
            gained, lost = int((right & ~was & part).sum()), int((~right & was & part).sum())
            same = np.array_equal(ours.probabilities[part], none.probabilities[part])
            ci = change_interval(values[:, i], gained, lost, int(part.sum()), ours.people(part))
            found[ours.classes[i]] = Change(
                difference=float(values[0, i]), ci=certain if same else ci, lost=lost, gained=gained
            )
        return found

    def _gain(self, metric: Paired, domain: str, method: str, inside: Bools) -> Gain:
        both = inside & self.both(domain, method)
        if method == NONE or not both.any():
            return Gain()
        difference, share = self.gain(metric, method, both), self.share(metric, [domain], method)
        return Gain(
            difference=difference.point,
            ci=difference.ci,
            p=difference.p,
            recovered_share=share and share.point,
            recovered_share_ci=share and share.ci,
        )

    def share(self, metric: Paired, domains: Sequence[str], method: str) -> Estimate | None:
        """Recovered share over some domains, sums before the ratio; None where the oracle leaves less to recover."""
        if method in (NONE, ORACLE):
            return None
        gained, possible = np.zeros(len(self.counts)), np.zeros(len(self.counts))
        patients = []
        for domain in domains:
            inside = self.both(domain, method) & self.both(domain, ORACLE)
            if not inside.any():
                return None
            estimates = [self.estimate(metric, name, inside) for name in (method, NONE, ORACLE)]
            ours, none, oracle = (e.values for e in estimates)
            patients.append(estimates[0].patients)
            if not oracle[0] - none[0] >= LEAST_GAP:  # NaN fails too
                return None
            gained, possible = gained + ours - none, possible + oracle - none
        share = np.divide(gained, possible, out=np.full_like(gained, np.nan), where=possible > 0)
        return Estimate(share, min(patients))

    def _delong(self, domain: str, method: str) -> float | None:
        if len(self.scores.classes) != 2 or method == NONE:
            return None
        both = self.both(domain, method)
        first, second = (self.scores.probabilities[m][both, 1] for m in (NONE, method))
        test = delong(self.scores.label[both] == 1, first, second, list(self.scores.patient[both]))
        return None if test is None else test.p

    def summary(self, rows: Sequence[ResultRow]) -> list[Summary]:
        """For each method the share it recovers over all source domains that have one."""
        found = []
        for method in dict.fromkeys(r.method for r in rows):
            mine = [r for r in rows if r.method == method and not r.reference]
            for metric in PAIRED:
                domains = [r.domain for r in mine if r.gain(metric.field).recovered_share is not None]
                if domains and (share := self.share(metric, domains, method)):
                    numbers = {"recovered_share": share.point, "recovered_share_ci": share.ci}
                    found.append(Summary(method=method, metric=metric.field, domains=domains, **numbers))
        return found

    def shifts(self) -> list[Shift]:
        """What each source domain loses against the reference before anything is done."""
        scored = self.scores.scored(NONE)
        reference = np.isin(self.scores.domain, self.reference_domains) & scored
        found = []
        for domain in self.scores.domains if reference.any() else ():
            inside = (self.scores.domain == domain) & scored
            why = self._not_comparable(inside, reference)
            for metric in PAIRED if inside.any() and domain not in self.reference_domains else ():
                shift = Shift(domain=domain, metric=metric.field, not_comparable=why)
                if why is None:
                    gap = self.estimate(metric, NONE, inside).against(self.estimate(metric, NONE, reference))
                    shift.difference, shift.ci = gap.point, gap.ci
                found.append(shift)
        return found

    def _not_comparable(self, source: Bools, reference: Bools) -> str | None:
        """Which classes one of two groups of images lacks; None where both have the same."""
        here, there = (set(self.scores.label[part].tolist()) for part in (source, reference))
        sides = (("no test image of class", there - here), ("the reference has no test image of class", here - there))
        said = [f"{what} {', '.join(self.scores.classes[i] for i in sorted(lost))}" for what, lost in sides if lost]
        return " and ".join(said) or None

    def by_view(self) -> list[ViewRow]:
        """AUC and worst-group accuracy for each view, where a domain has more than one."""
        rows = []
        for domain, method, inside in self.scores.groups():
            views = np.unique(self.scores.view[self.scores.domain == domain])
            for view in views if len(views) > 1 else ():
                part = inside & (self.scores.view == view)
                if part.any():
                    cell = self.single(method, part)
                    numbers = {m.field: known(m.of(cell)[0][0]) for m in PAIRED}
                    told = {"domain": domain, "view": str(view) or "not stated", "method": method}
                    rows.append(ViewRow(**told, n=len(cell.labels), **numbers))
        return rows


def _described(metric: Metric, cell: Cell) -> dict[str, Any]:
    """Its fields of a row."""
    found = metric.of(cell)
    if metric.kind == "number":
        return {metric.field: known(found)}
    if metric.kind == "class":
        return {metric.field: {c: known(v) for c, v in zip(cell.classes, found, strict=True)}}
    shares = list(found)
    return {
        metric.field: {name: known(values[0]) for name, values, _ in shares},
        f"{metric.field}_ci": {
            name: share_interval(values, int(part.sum()), cell.people(part)) for name, values, part in shares
        },
    }


def frozen_thresholds(scores: Scores) -> dict[str, float | None]:
    """Youden's threshold for each class one-versus-rest (of two classes: for the second), from scores of "none"."""
    rows = scores.scored(NONE)
    table, labels = scores.probabilities[NONE][rows], scores.label[rows]
    wanted = range(len(scores.classes)) if len(scores.classes) > 2 else [1]
    return {
        scores.classes[i]: known(metrics.youden_threshold(labels == i, table[:, i])) if len(labels) else None
        for i in wanted
    }
