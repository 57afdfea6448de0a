"""From scores to rows of results: metrics, intervals, and each method against none and the oracle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from isotone.data.class_order import ordinal_ranks
from isotone.evaluation import metrics
from isotone.evaluation.bootstrap import LEAST_PATIENTS, holm, interval, p_value, patient_weights, verdict
from isotone.evaluation.delong import delong
from isotone.evaluation.proportions import change_interval, share_interval, steady_change, steady_share, unpaired
from isotone.evaluation.results import Change, Gain, ResultRow, Shift, Summary, ViewRow
from isotone.evaluation.scores import NONE, ORACLE, Scores

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

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
    steady : callable, optional
        The interval by the point, where that is the same in every resample: of no error among ten images the
        bootstrap would say [1, 1].
    fewest : int
        Patients on whom the point rests.
    certain : bool
        It is the difference of equal scores: it differs in no sample, however small.
    """

    values: Floats
    patients: int
    steady: Callable[[float], tuple[float, float]] | None = None
    fewest: int = 0
    certain: bool = False

    @property
    def point(self) -> float | None:
        """None where undefined."""
        return known(self.values[0])

    @property
    def ci(self) -> tuple[float, float] | None:
        """None with too few patients."""
        if self.certain:
            return 0.0, 0.0
        found = interval(self.values[1:]) if self.patients >= LEAST_PATIENTS else None
        if found and found[0] == found[1] and self.steady:
            return self.steady(found[0])
        return found

    @property
    def p(self) -> float | None:
        """Of "zero"; None with too few patients."""
        return p_value(self.values[1:]) if self.patients >= LEAST_PATIENTS else None

    def against(self, other: Estimate) -> Estimate:
        """The difference from an estimate on other images."""
        ends = (other.values[0], other.fewest, self.values[0], self.fewest)
        patients = min(self.patients, other.patients)
        return Estimate(self.values - other.values, patients, lambda _: unpaired(*ends))


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
        self.asked, self.scores = scores, scores.with_untouched()
        self.reference_domains, self.thresholds = reference_domains, thresholds
        weights = patient_weights([int(p) for p in scores.patient], seed=seed)
        self.weights = np.concatenate([np.ones((1, len(scores.label)), weights.dtype), weights])
        self.estimates: dict[tuple[str, str, bytes], Estimate] = {}
        self._matrices: dict[tuple[str, bytes], Floats] = {}

    def estimate(self, metric: str, method: str, inside: Bools) -> Estimate:
        """A metric of a method on the images where `inside` (n,) is True; each is worked out once."""
        key = (metric, method, inside.tobytes())
        if key not in self.estimates:
            self.estimates[key] = self._estimate(metric, method, inside)
        return self.estimates[key]

    def _estimate(self, metric: str, method: str, inside: Bools) -> Estimate:
        labels, scores = self.scores.label[inside], self.scores.probabilities[method][inside]
        patients = self.scores.patient[inside]
        people = [len(np.unique(patients[labels == c])) for c in range(len(self.scores.classes))]
        if metric == "auc":
            values = metrics.macro_auc(labels, scores, self.weights[:, inside].astype(np.float64))
            others = [len(np.unique(patients[labels != c])) for c in range(len(people))]
            # So many pairs of a positive and a negative share no patient: where none is out of order, they are n of n.
            fewest = min(min(n, m) for n, m in zip(people, others, strict=True) if n)
        else:
            matrices = self.matrices(method, inside)
            values, recall = metrics.worst_group_accuracy(matrices), metrics.recalls(matrices[0])
            fewest = min(n for n, r in zip(people, recall, strict=True) if r == values[0])
        return Estimate(
            values, len(np.unique(patients)), partial(steady_share, patients=fewest) if fewest else None, fewest
        )

    def gain(self, metric: str, method: str, other: str, inside: Bools) -> Estimate:
        """The paired difference of a method from another on the same images."""
        ours, theirs = (self.estimate(metric, m, inside) for m in (method, other))
        fewest = min(ours.fewest, theirs.fewest)
        first, second = (self.scores.probabilities[m][inside] for m in (method, other))
        return Estimate(
            ours.values - theirs.values,
            ours.patients,
            partial(steady_change, patients=fewest) if fewest else None,
            certain=ours.point is not None and np.array_equal(first, second),
        )

    def matrices(self, method: str, inside: Bools) -> Floats:
        """Confusion matrices of a method on some images, then those of the resamples, shape (1 + draws, C, C)."""
        key = (method, inside.tobytes())
        if key not in self._matrices:
            predicted = self.scores.probabilities[method][inside].argmax(1)
            weights = self.weights[:, inside].astype(np.float64)
            labels, classes = self.scores.label[inside], len(self.scores.classes)
            self._matrices[key] = metrics.confusion(labels, predicted, classes, weights)
        return self._matrices[key]

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
        refused = inside & ~self.asked.scored(method)
        return ResultRow(
            domain=domain,
            method=method,
            reference=domain in self.reference_domains,
            n=int(inside.sum()),
            patients=len(np.unique(self.scores.patient[inside])),
            refused=int(refused.sum()),
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
        """The metrics of single classes, and those without intervals."""
        classes, labels = self.scores.classes, self.scores.label[inside]
        scores = self.scores.probabilities[method][inside]
        predicted = scores.argmax(1)
        matrices = self.matrices(method, inside)
        ranks = ordinal_ranks(classes) if len(classes) > 2 else None
        kappa = np.nan if ranks is None else metrics.quadratic_kappa(labels, predicted, ranks)
        recalls, precisions = metrics.recalls(matrices), metrics.precisions(matrices)
        return {
            "auc_per_class": self._per_class(metrics.auc_per_class(labels, scores)[0]),
            "accuracy_per_class": self._per_class(recalls[0]),
            "accuracy_per_class_ci": self._intervals(recalls, labels, inside),
            "accuracy_per_class_change": self._recall_changes(method, inside),
            "precision_per_class": self._per_class(precisions[0]),
            "precision_per_class_ci": self._intervals(precisions, predicted, inside),
            "confusion": matrices[0].astype(int).tolist(),
            "quadratic_kappa": known(kappa),
            **self._at_thresholds(scores, inside),
            "brier": metrics.brier(labels, scores),
            "expected_calibration_error": metrics.expected_calibration_error(labels, scores),
            "reliability": metrics.reliability(labels, scores),
        }

    def _per_class(self, values: Floats) -> dict[str, float | None]:
        return {c: known(v) for c, v in zip(self.scores.classes, values, strict=True)}

    def _intervals(self, shares: Floats, group: Ints, inside: Bools) -> dict[str, tuple[float, float] | None]:
        """Of the shares (1 + draws, C) of the images whose `group` (n,) is each class."""
        return {c: self._interval(shares[:, i], inside, group == i) for i, c in enumerate(self.scores.classes)}

    def _interval(self, values: Floats, inside: Bools, part: Bools) -> tuple[float, float] | None:
        return share_interval(values, int(part.sum()), len(np.unique(self.scores.patient[inside][part])))

    def _recall_changes(self, method: str, inside: Bools) -> dict[str, Change]:
        """Of each class that is there, against none on the same images."""
        if method == NONE or not self.scores.scored(NONE)[inside].all():
            return {}
        labels, patients = self.scores.label[inside], self.scores.patient[inside]
        ours, none = (self.scores.probabilities[m][inside] for m in (method, NONE))
        right, was = ours.argmax(1) == labels, none.argmax(1) == labels
        values = metrics.recalls(self.matrices(method, inside)) - metrics.recalls(self.matrices(NONE, inside))
        found = {}
        for i, name in enumerate(self.scores.classes):
            part = labels == i
            if not part.any():
                continue
            counts = (int((right & ~was & part).sum()), int((~right & was & part).sum()), int(part.sum()))
            same = np.array_equal(ours[part], none[part])  # equal scores differ in no sample, however small
            ci = (0.0, 0.0) if same else change_interval(values[:, i], *counts, len(np.unique(patients[part])))
            found[name] = Change(difference=float(values[0, i]), ci=ci, lost=counts[1], gained=counts[0])
        return found

    def _at_thresholds(self, scores: Floats, inside: Bools) -> dict[str, dict[str, object]]:
        """Sensitivity and specificity of each class that has a threshold, with their intervals."""
        labels, weights = self.scores.label[inside], self.weights[:, inside].astype(np.float64)
        found: dict[str, dict[str, object]] = {k: {} for k in ("sensitivity", "specificity")}
        found |= {f"{k}_ci": {} for k in found}
        for i, name in enumerate(self.scores.classes):
            if (threshold := self.thresholds.get(name)) is None:
                continue
            positive = labels == i
            both = metrics.sensitivity_specificity(positive, scores[:, i], threshold, weights)
            for kind, values, part in zip(("sensitivity", "specificity"), both, (positive, ~positive), strict=True):
                found[kind][name] = known(values[0])
                found[f"{kind}_ci"][name] = self._interval(values, inside, part)
        return found

    def _gain(self, metric: str, domain: str, method: str, inside: Bools) -> Gain:
        if method == NONE:
            return Gain()
        both = inside & self.scores.scored(NONE)
        if not both.any():
            return Gain()
        difference = self.gain(metric, method, NONE, both)
        share = self.share(metric, [domain], method)
        return Gain(
            difference=difference.point,
            ci=difference.ci,
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
                gap = here.against(there)
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
