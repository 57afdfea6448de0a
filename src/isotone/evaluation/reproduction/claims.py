"""What the paper claims, and what these predictions say of it, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from isotone.evaluation.bootstrap import MARGIN
from isotone.evaluation.metric_table import PAIRED, Paired
from isotone.evaluation.metrics import recalls
from isotone.evaluation.reproduction.measure import classes_of, difference, matrix
from isotone.evaluation.reproduction.study import Study

Pair = tuple[pd.DataFrame, pd.DataFrame]


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper, and what was found.

    Attributes
    ----------
    claim, found : str
    holds : str
        "holds", "does not hold" or "undecided".
    """

    claim: str
    found: str
    holds: str


def claims(study: Study, predictions: pd.DataFrame, grid: pd.DataFrame, sizes: pd.DataFrame) -> list[Claim]:
    """The paper's claims one by one; without intervals (preset "paper") the sign of a difference decides.

    Parameters
    ----------
    study : Study
    predictions, sizes : DataFrame
        Predictions of the folds, and of the sizes of Fig. 7.
    grid : DataFrame
        Fig. 7 itself.
    """
    about = study.plan.about
    low, other = about.figure_3, about.figure_4
    ours = "(not in the paper) GDCE is better than one scanner curve"
    return [
        _compared(study, predictions, "Window clamping helps a scanner of low range", low, "display-window", "none"),
        _compared(study, predictions, "GDCE is better than full range", low, "gdce", "none"),
        _compared(study, predictions, "GDCE is better than window clamping", low, "gdce", "display-window"),
        _compared(study, predictions, "GDCE is better than z-score", other, "gdce", "z-score"),
        _missing_classes(study, predictions, other),
        _opposed(grid),
        _shallow(study, grid, sizes),
        _compared(study, predictions, ours, other, "gdce", "scanner"),
    ]  # fmt: skip


def _compared(study: Study, predictions: pd.DataFrame, claim: str, domain: str, method: str, other: str) -> Claim:
    own = predictions[predictions["domain"] == domain]
    return _judged(study, claim, domain, PAIRED[0], (own[own["method"] == method], own[own["method"] == other]))


def _judged(study: Study, claim: str, where: str, metric: Paired, pair: Pair, *, least: float = 0.0) -> Claim:
    """Whether the first of two methods is better than the second, or not worse by more than −`least`."""
    corrected = study.plan.preset == "corrected"
    found = difference(*pair, metric.field, intervals=corrected, seed=study.plan.seed)
    value, low, high = (found.get(f"{metric.field}_difference{end}") for end in ("", "_low", "_high"))
    if value is None or (corrected and (low is None or high is None)):
        return Claim(claim, f"{where}: cannot be compared", "undecided")
    if value == low == high == least == 0:
        return Claim(claim, f"{where}: both leave the same images (no window, say)", "undecided")
    said = f"{where}: {metric.title} {value:+.3f}"
    if low is None or high is None:
        return Claim(claim, f"{said}, no interval", "holds" if value > least else "does not hold")
    holds = "holds" if low > least else "does not hold" if high <= 0 else "undecided"
    return Claim(claim, f"{said} [{low:+.3f}, {high:+.3f}]", holds)


def _missing_classes(study: Study, predictions: pd.DataFrame, domain: str) -> Claim:
    claim = "Classes that GDCE never saw on the source scanner fail, those it saw gain"
    own = predictions[predictions["domain"] == domain]
    table = study.images.table
    inside = (table["domain"] == domain).to_numpy() & np.isin(study.folds[0], ["train"])
    seen = set(table["label"][inside])
    before, after = (_recalls(own[own["method"] == name]) for name in ("none", "gdce"))
    unseen = [name for name in before if name not in seen]
    if not unseen:
        return Claim(claim, f"{domain}: every class was seen", "undecided")
    ends = [
        [float(np.mean([recall[name] for name in names])) for recall in (before, after)]
        for names in (unseen, [name for name in before if name in seen])
    ]
    said = [
        f"from {a:.2f} to {b:.2f} on {', '.join(n)}" for (a, b), n in zip(ends, (unseen, sorted(seen)), strict=True)
    ]
    holds = "holds" if ends[0][1] < ends[0][0] and ends[1][1] > ends[1][0] else "does not hold"
    return Claim(claim, f"{domain}: mean recall {'; '.join(said)}", holds)


def _recalls(rows: pd.DataFrame) -> dict[str, float]:
    """Of the classes that are present."""
    each = zip(classes_of(rows), recalls(matrix(rows)), strict=True)
    return {name: float(recall) for name, recall in each if not np.isnan(recall)}


def _opposed(grid: pd.DataFrame) -> Claim:
    claim = "Test performance drops as validation performance rises (Fig. 7)"
    if min(grid["val"].nunique(), grid["test"].nunique()) < 2:
        return Claim(claim, "the heat maps are flat", "undecided")
    rank, p = spearmanr(grid["val"], grid["test"])
    holds = "undecided" if p > 0.05 else "holds" if rank < 0 else "does not hold"
    return Claim(claim, f"rank correlation {rank:+.2f} over {len(grid)} sizes, p = {p:.2f}", holds)


def _shallow(study: Study, grid: pd.DataFrame, sizes: pd.DataFrame) -> Claim:
    """The best network of fewest layers against the best of more, both as validation would choose them."""
    claim = "A shallow network suffices"
    fewest = grid["layers"] == grid["layers"].min()
    best = [part.sort_values("val", kind="stable").iloc[-1] for part in (grid[fewest], grid[~fewest])]
    names = [f"grid-L{row.layers:.0f}-N{row.iterations:.0f}" for row in best]
    pair = sizes[sizes["method"] == f"{names[0]} test"], sizes[sizes["method"] == f"{names[1]} test"]
    where = f"{names[0][5:]} against {names[1][5:]}, as validation chooses"
    return _judged(study, claim, where, PAIRED[1], pair, least=-MARGIN)
