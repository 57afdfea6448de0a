"""From scores to rows of results: metrics, intervals, and each method against none and the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from isotone.evaluation import metrics
from isotone.evaluation.bootstrap import LEAST_PATIENTS, holm, interval, p_value, patient_weights, verdict
from isotone.evaluation.delong import delong
from isotone.evaluation.results import Gain, ResultRow, Shift, Summary, ViewRow
from isotone.evaluation.scores import Scores

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NONE = "none"
ORACLE = "oracle"
METRICS: tuple[Literal["auc", "worst_group_accuracy"], ...] = ("auc", "worst_group_accuracy")
LEAST_GAP = 0.10
"""A recovered share is given where the oracle is at least this much better than none."""


@dataclass(frozen=True)
class Estimate:
    """A metric on some images.

    Attributes
    ----------
    values : array of shape (1 + draws,)
        The point, then its bootstrap draws.
    patients : int
        How many the images come from; with fewer than `LEAST_PATIENTS` there is no interval.
    """

    values: Floats
    patients: int

    @property
    def point(self) -> float | None:
        """None where undefined."""
        return known(self.values[0])

    @property
    def ci(self) -> tuple[float, float] | None:
        """None with too few patients."""
        return interval(self.values[1:]) if self.patients >= LEAST_PATIENTS else None

    @property
    def p(self) -> float | None:
        """Of "zero"; None with too few patients."""
        return p_value(self.values[1:]) if self.patients >= LEAST_PATIENTS else None


def known(value: float) -> float | None:
    """None for NaN."""
    return None if np.isnan(value) else float(value)


class Comparison:
    """All rows of one table of scores, on one set of resamples.

    Parameters
    ----------
    scores : Scores
    reference_domains : sequence of str
    thresholds : dict of class to float or None
        Frozen on the reference.
    seed : int
        Of the resamples. All domains and methods share them: patients go together, comparisons are paired.
    """

    def __init__(
        self,
        scores: Scores,
        reference_domains: Sequence[str],
        thresholds: dict[str, float | None],
        *,
        seed: int = 0,
    ) -> None:
        self.scores, self.reference_domains, self.thresholds = scores, reference_domains, thresholds
        weights = patient_weights([int(p) for p in scores.patient], seed=seed)
        self.weights = np.concatenate([np.ones((1, len(scores.label)), weights.dtype), weights])
        self.estimates: dict[tuple[str, str, bytes], Estimate] = {}

    def estimate(self, metric: str, method: str, inside: Bools) -> Estimate:
        """A metric of a method on the images where `inside` (n,) is True; each is worked out once."""
        key = (metric, method, inside.tobytes())
        if key not in self.estimates:
            self.estimates[key] = self._estimate(metric, method, inside)
        return self.estimates[key]

    def _estimate(self, metric: str, method: str, inside: Bools) -> Estimate:
        labels, scores = self.scores.label[inside], self.scores.probabilities[method][inside]
        weights = self.weights[:, inside].astype(np.float64)
        if metric == "auc":
            values = metrics.macro_auc(labels, scores, weights)
        else:
            matrix = metrics.confusion(labels, scores.argmax(1), len(self.scores.classes), weights)
            values = metrics.worst_group_accuracy(matrix)
        return Estimate(values, len(np.unique(self.scores.patient[inside])))

    def rows(self) -> list[ResultRow]:
        """One row per domain and method, gains adjusted over the table."""
        rows = [self._row(*group) for group in self.scores.groups()]
        for field in ("auc_gain", "worst_group_accuracy_gain"):
            judged = [r for r in rows if r.method not in (NONE, ORACLE)]
            gains = [getattr(r, field) for r in judged]
            for gain, p in zip(gains, holm([g.p for g in gains]), strict=True):
                gain.p, gain.verdict = p, verdict(gain.ci, p)
        return rows

    def _row(self, domain: str, method: str, inside: Bools) -> ResultRow:
        auc, worst = (self.estimate(metric, method, inside) for metric in METRICS)
        asked = (self.scores.domain == domain).sum()
        return ResultRow(
            domain=domain,
            method=method,
            reference=domain in self.reference_domains,
            n=int(inside.sum()),
            patients=len(np.unique(self.scores.patient[inside])),
            refused=int(asked - inside.sum()),
            auc=auc.point,
            auc_ci=auc.ci,
            worst_group_accuracy=worst.point,
            worst_group_accuracy_ci=worst.ci,
            auc_gain=self._gain("auc", domain, method, inside),
            worst_group_accuracy_gain=self._gain("worst_group_accuracy", domain, method, inside),
            delong_p=self._delong(method, inside),
            **self._descriptive(method, inside),
        )

    def _descriptive(self, method: str, inside: Bools) -> dict[str, object]:
        """The metrics without intervals."""
        classes, labels = self.scores.classes, self.scores.label[inside]
        scores = self.scores.probabilities[method][inside]
        predicted = scores.argmax(1)
        matrix = metrics.confusion(labels, predicted, len(classes))[0]

        def per_class(values: Floats) -> dict[str, float | None]:
            return {c: known(v) for c, v in zip(classes, values, strict=True)}

        at_threshold = {
            c: metrics.sensitivity_specificity(labels == i, scores[:, i], np.nan if threshold is None else threshold)
            for i, c in enumerate(classes)
            if (threshold := self.thresholds.get(c)) is not None
        }
        kappa = metrics.quadratic_kappa(labels, predicted, len(classes)) if len(classes) > 2 else np.nan
        return {
            "auc_per_class": per_class(metrics.auc_per_class(labels, scores)[0]),
            "accuracy_per_class": per_class(metrics.recalls(matrix)),
            "precision_per_class": per_class(metrics.precisions(matrix)),
            "confusion": matrix.astype(int).tolist(),
            "quadratic_kappa": known(kappa),
            "sensitivity": {c: known(v[0]) for c, v in at_threshold.items()},
            "specificity": {c: known(v[1]) for c, v in at_threshold.items()},
            "brier": metrics.brier(labels, scores),
            "expected_calibration_error": metrics.expected_calibration_error(labels, scores),
            "reliability": metrics.reliability(labels, scores),
        }

    def _gain(self, metric: str, domain: str, method: str, inside: Bools) -> Gain:
        if method == NONE:
            return Gain()
        both = inside & self.scores.scored(NONE)
        if not both.any():
            return Gain()
        none = self.estimate(metric, NONE, both)
        difference = Estimate(self.estimate(metric, method, both).values - none.values, none.patients)
        share = self.share(metric, [domain], method)
        ours, untouched = (self.scores.probabilities[m][both] for m in (method, NONE))
        same = difference.point is not None and np.array_equal(ours, untouched)
        return Gain(
            difference=difference.point,
            ci=(0.0, 0.0) if same else difference.ci,  # equal scores differ in no resample, however few patients
            p=difference.p,
            recovered_share=None if share is None else share.point,
            recovered_share_ci=None if share is None else share.ci,
        )

    def share(self, metric: str, domains: Sequence[str], method: str) -> Estimate | None:
        """Recovered share over some domains, sums before the ratio; None where the oracle leaves less to recover."""
        if ORACLE not in self.scores.probabilities or method in (NONE, ORACLE):
            return None
        gained, possible = np.zeros(len(self.weights)), np.zeros(len(self.weights))
        patients = []
        for domain in domains:
            inside = (self.scores.domain == domain) & self.scores.scored(method)
            inside &= self.scores.scored(NONE) & self.scores.scored(ORACLE)
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

    def _delong(self, method: str, inside: Bools) -> float | None:
        if len(self.scores.classes) != 2 or method == NONE:
            return None
        both = inside & self.scores.scored(NONE)
        first, second = (self.scores.probabilities[m][both, 1] for m in (NONE, method))
        test = delong(self.scores.label[both] == 1, first, second, list(self.scores.patient[both]))
        return None if test is None else test.p

    def summary(self, rows: Sequence[ResultRow]) -> list[Summary]:
        """For each method the share it recovers over all source domains that have one."""
        found = []
        for method in dict.fromkeys(r.method for r in rows):
            for metric in METRICS:
                mine = [r for r in rows if r.method == method and not r.reference]
                domains = [r.domain for r in mine if getattr(r, f"{metric}_gain").recovered_share is not None]
                share = self.share(metric, domains, method) if domains else None
                if share is not None:
                    found.append(
                        Summary(
                            method=method,
                            metric=metric,
                            domains=domains,
                            recovered_share=share.point,
                            recovered_share_ci=share.ci,
                        )
                    )
        return found

    def shifts(self) -> list[Shift]:
        """What each source domain loses against the reference before anything is done."""
        scored = self.scores.scored(NONE)
        reference = np.isin(self.scores.domain, self.reference_domains) & scored
        found = []
        for domain in self.scores.domains:
            inside = (self.scores.domain == domain) & scored
            for metric in METRICS:
                if domain in self.reference_domains or not reference.any() or not inside.any():
                    continue
                here, there = self.estimate(metric, NONE, inside), self.estimate(metric, NONE, reference)
                gap = Estimate(here.values - there.values, min(here.patients, there.patients))
                found.append(Shift(domain=domain, metric=metric, difference=gap.point, ci=gap.ci))
        return found

    def by_view(self) -> list[ViewRow]:
        """AUC and worst-group accuracy for each view, where a domain has more than one."""
        rows = []
        for domain, method, inside in self.scores.groups():
            views = np.unique(self.scores.view[self.scores.domain == domain])
            for view in views if len(views) > 1 else ():
                part = inside & (self.scores.view == view)
                if part.any():
                    labels, scores = self.scores.label[part], self.scores.probabilities[method][part]
                    matrix = metrics.confusion(labels, scores.argmax(1), len(self.scores.classes))
                    rows.append(
                        ViewRow(
                            domain=domain,
                            view=str(view) or "not stated",
                            method=method,
                            n=int(part.sum()),
                            auc=known(metrics.macro_auc(labels, scores)[0]),
                            worst_group_accuracy=known(metrics.worst_group_accuracy(matrix)[0]),
                        )
                    )
        return rows


def frozen_thresholds(scores: Scores) -> dict[str, float | None]:
    """Youden's threshold for each class one-versus-rest (of two classes: for the second), from scores of "none"."""
    rows = scores.scored(NONE)
    table, labels = scores.probabilities[NONE][rows], scores.label[rows]
    wanted = range(len(scores.classes)) if len(scores.classes) > 2 else [1]
    return {
        scores.classes[i]: known(metrics.youden_threshold(labels == i, table[:, i])) if len(labels) else None
        for i in wanted
    }
