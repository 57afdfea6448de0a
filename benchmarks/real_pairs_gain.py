"""How good the predicted gain of `real_pairs.py` is, by run and by pair and seed, and what other designs give.

Everything comes from the scores and features that a run keeps, and no design reads a label of the source. The one
number of "shrunk" is chosen on the pairs named `chosen_on`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, spearmanr

from benchmarks.real_pairs_scores import DRAWS, KINDS, Measured, Part, file_name, metrics, table
from isotone.evaluation.bootstrap import patient_weights

Floats = NDArray[np.float64]
Groups = dict[str, list[Measured]]
CURVES = "default, overruled"
"""The way whose gain is predicted: the curves, also where the default then keeps images untouched."""
COMPONENTS, STRENGTH = 8, 0.05
"""Of the features by which the reference's images are weighted, and 1 / penalty of the logistic regression."""
SHRINKING = np.geomspace(1e-4, 1, 60)
"""Variances of the gains over pairs that "shrunk" chooses among."""


@dataclass(frozen=True, eq=False)
class Case:
    """A fit whose gain was predicted; the folder has its features."""

    part: Part
    folder: Path

    @cached_property
    def gain(self) -> Floats:
        """Measured, shape (2, 1 + `DRAWS`): AUC and weakest class; once, then resamples of the source's patients."""
        return self.part.measured(CURVES) - self.part.measured("untouched")

    def told(self, metric: int) -> tuple[float, float, float]:
        """Predicted as shipped, and the ends of the 90 % interval."""
        name = ("auc", "worst_recall")[metric]
        return self.part.line["gain"][name], *self.part.line["gain"][f"{name}_interval"]

    def simulated(self, way: str, weights: Floats) -> Floats:
        """AUC on the reference's validation images."""
        labels = np.array(self.part.run["validation_label"])
        return metrics(labels, np.array(self.part.line["validation"][way]), weights)[0]

    @property
    def fitted(self) -> str:
        return "half blend" if self.part.line["blended"] else "scanner curve"

    @cached_property
    def drawn(self) -> Floats:
        """Predicted gain of AUC under resamples of the reference's validation patients, shape (`DRAWS`,)."""
        weights = patient_weights(self.part.run["validation_patient"], draws=DRAWS, seed=0).astype(np.float64)
        return self.simulated(f"{self.fitted} of the source's", weights) - self.simulated("as the source", weights)

    @cached_property
    def designs(self) -> dict[str, float]:
        """Predicted gain of AUC by each design."""
        once = np.ones((1, len(self.part.run["validation"])))
        shipped = self.told(0)[0]
        after = float(self.simulated(f"{self.fitted} of the source's", once)[0])
        behind = attenuated(after, self.part.line["seen"])
        return {
            "as shipped": shipped,
            "less that of the reference itself": float(
                (self.simulated("untouched", once) - self.simulated("as the source", once))[0]
            ),
            "weighted to the source's features": self.weighted(),
            "by the scores on the source": behind,
            "mean of that and as shipped": (shipped + behind) / 2,
        }

    def weighted(self) -> float:
        """Validation images count by how much their features look like those of the source behind its curve."""
        from sklearn.decomposition import PCA
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        run, half = self.part.run, self.part.line["half"]
        name = f"{file_name(run['pair'])}-{run['architecture']}-{run['seed']}.npz"
        with np.load(self.folder / "features" / name) as kept:
            source, reference = kept[f"{half} {CURVES}"], kept["reference"][run["validation"]]
        both = np.vstack([source, reference]).astype(np.float64)
        side = np.arange(len(both)) < len(source)
        model = make_pipeline(StandardScaler(), PCA(COMPONENTS), LogisticRegression(C=STRENGTH, max_iter=1000))
        odds = np.exp(model.fit(both, side).decision_function(reference.astype(np.float64)))[None]
        return float(
            (self.simulated(f"{self.fitted} of the source's", odds) - self.simulated("as the source", odds))[0]
        )


def attenuated(after: float, seen: Mapping[str, Any]) -> float:
    """Gain of AUC if untouched scores tell of the class only what those behind the curve tell, and noise.

    Both are normal within a class with the same spread. Then the separation of the classes shrinks by the correlation
    within a class, which follows from the rank correlation over the source's images, without labels.
    """
    before, behind = (np.array(seen[way], np.float64) for way in ("untouched", CURVES))
    found = [spearmanr(before[:, c], behind[:, c])[0] for c in range(before.shape[1])]
    rho = float(np.nan_to_num(found).mean())
    apart = float(np.sqrt(2) * norm.ppf(np.clip(after, 0.001, 0.999)))
    within = rho / np.sqrt(1 + apart**2 / 4 * (1 - rho**2))
    return after - float(norm.cdf(within * apart / np.sqrt(2)))


def cases(groups: Groups, folder: Path, names: Sequence[str]) -> dict[tuple[str, int], list[Case]]:
    """The fits of each pair and seed, of all classifiers."""
    found: dict[tuple[str, int], list[Case]] = {}
    for name in names:
        for run in groups.get(name, []):
            told = [Case(part, folder) for part in run.parts if part.line["gain"] is not None]
            found.setdefault((name, run.seed), []).extend(told)
    return {key: fits for key, fits in found.items() if fits}


def prediction_table(groups: Groups, folder: Path, pairs: Sequence[Any]) -> str:
    """By pair and over kinds of pairs: predicted and measured gain, mean error of a run, coverage of the interval."""
    kinds = {f"all {KINDS[k]}": [p.name for p in pairs if p.kind == k and p.name in groups] for k in KINDS}
    rows = []
    for title, names in ({pair: [pair] for pair in groups} | kinds).items():
        runs = [run for name in names for run in groups[name]]
        fits = [[Case(p, folder) for p in run.parts if p.line["gain"] is not None] for run in runs]
        rows.append([title, *(cell for metric in (0, 1) for cell in prediction_cells([f for f in fits if f], metric))])
    each = ("predicted", "measured", "mean error", "covered")
    return table(["pair", *(f"{m}: {e}" for m in ("AUC", "weakest class") for e in each)], rows)


def prediction_cells(runs: Sequence[Sequence[Case]], metric: int) -> list[str]:
    """Of runs whose gain was predicted."""
    if not runs:
        return []
    told, got = 100 * np.array([mean(run, lambda c: [c.told(metric)[0], c.gain[metric, 0]]) for run in runs]).T
    ends = [(*c.told(metric)[1:], c.gain[metric, 0]) for run in runs for c in run]
    covered = np.mean([low <= gain <= high for low, high, gain in ends])
    errors = np.abs(told - got).mean()
    return [f"{told.mean():+.1f}", f"{got.mean():+.1f}", f"{errors:.1f}", f"{100 * covered:.0f} %"]


def mean(fits: Sequence[Case], of: Callable[[Case], Any]) -> Any:
    return np.mean([of(case) for case in fits], axis=0)


def seed_table(groups: Groups, folder: Path, pairs: Sequence[Any]) -> str:
    """The error and the interval of a pair and seed (the mean of its fits), beside what sampling alone brings about."""
    rows = []
    for kind, title in KINDS.items():
        found = cases(groups, folder, [p.name for p in pairs if p.kind == kind])
        if not found:
            continue
        off = {key: float(mean(fits, lambda c: c.told(0)[0] - c.gain[0, 0])) for key, fits in found.items()}
        covered = [
            low <= mean(fits, lambda c: c.gain[0, 0]) <= high
            for fits in found.values()
            for low, high in [mean(fits, lambda c: c.told(0)[1:])]
        ]
        by_pair = [np.mean([value for key, value in off.items() if key[0] == name]) for name in {key[0] for key in off}]
        rows.append([
            title,
            str(len(found)),
            f"{100 * np.mean(np.abs([*off.values()])):.1f}",
            f"{100 * np.mean([sampling(fits) for fits in found.values()]):.1f}",
            f"{100 * np.mean(np.abs(by_pair)):.1f}",
            f"{sum(covered)} of {len(covered)}",
        ])  # fmt: skip
    return table(["pairs", "pair × seed", "mean error", "by sampling alone", "seeds together", "covered"], rows)


def sampling(fits: Sequence[Case]) -> float:
    """Mean error of a prediction that is right but for the patients who are in the validation and in the test."""
    drawn = [mean(fits, lambda c: c.drawn), mean(fits, lambda c: c.gain[0, 1:])]
    both = np.nanstd(drawn, axis=1)  # of few patients a resample may lack a class
    return float(np.hypot(*both) * np.sqrt(2 / np.pi))


def design_table(groups: Groups, folder: Path, pairs: Sequence[Any]) -> str:
    """Mean error and mean deviation of a real pair and seed by each design, on both halves of the pairs."""
    halves = [
        cases(groups, folder, [p.name for p in pairs if p.kind == "real" and p.chosen_on == on]) for on in (True, False)
    ]
    if not all(halves):
        return ""

    def off(half: Mapping[Any, Sequence[Case]], told: Callable[[Case], float]) -> Floats:
        return 100 * np.array([mean(fits, lambda c: told(c) - c.gain[0, 0]) for fits in half.values()])

    def shrunk(variance: float) -> Callable[[Case], float]:
        return lambda case: case.told(0)[0] * variance / (variance + case.drawn.var())

    best = min(SHRINKING, key=lambda v: float(np.abs(off(halves[0], shrunk(v))).mean()))
    some = next(iter(halves[0].values()))[0]
    ways: dict[str, Callable[[Case], float]] = {name: lambda c, n=name: c.designs[n] for name in some.designs}  # type: ignore[misc]
    ways |= {f"shrunk by its error, variance {best:.2g}": shrunk(best), "always zero": lambda case: 0.0}
    rows = []
    for name, told in ways.items():
        both = [off(half, told) for half in halves]
        rows.append([name, *(f"{np.abs(found).mean():.1f}, {found.mean():+.1f}" for found in both)])
    return table(["design", "chosen on", "reported"], rows)
