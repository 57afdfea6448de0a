"""What the paper claims, and what these predictions say of it, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from isotone.experiments.measure import classes_of, difference, matrix
from isotone.experiments.study import Study


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


def claims(study: Study, predictions: pd.DataFrame, grid: pd.DataFrame) -> list[Claim]:
    """The paper's claims one by one; without intervals (preset "paper") the sign of a difference decides."""
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
        _shallow(grid),
        _compared(study, predictions, ours, other, "gdce", "scanner"),
    ]  # fmt: skip


def _compared(study: Study, predictions: pd.DataFrame, claim: str, domain: str, method: str, other: str) -> Claim:
    own = predictions[predictions["domain"] == domain]
    corrected = study.plan.preset == "corrected"
    pair = [own[own["method"] == name] for name in (method, other)]
    found = difference(pair[0], pair[1], "auc", intervals=corrected, seed=study.plan.seed)
    value = found.get("auc_difference")
    low, high = (found.get(f"auc_difference_{end}") for end in ("low", "high"))
    if value is None or (corrected and (low is None or high is None)):
        return Claim(claim, f"{domain}: cannot be compared", "undecided")
    said = f"{domain}: AUC {value:+.3f}"
    if low is None or high is None:
        return Claim(claim, said + ", no interval", "holds" if value > 0 else "does not hold")
    holds = "holds" if low > 0 else "does not hold" if high <= 0 else "undecided"
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
    changes = {name: after[name] - before[name] for name in before}
    lost, gained = (float(np.mean([changes[n] for n in names])) for names in (unseen, [n for n in before if n in seen]))
    found = f"{domain}: mean recall {lost:+.2f} on {', '.join(unseen)}; {gained:+.2f} on {', '.join(sorted(seen))}"
    return Claim(claim, found, "holds" if lost < 0 < gained else "does not hold")


def _recalls(rows: pd.DataFrame) -> dict[str, float]:
    counts = matrix(rows)
    names = classes_of(rows)
    shares = counts.diagonal() / np.maximum(counts.sum(1), 1)
    return {name: float(shares[k]) for k, name in enumerate(names) if counts[k].any()}


def _opposed(grid: pd.DataFrame) -> Claim:
    claim = "Test performance drops as validation performance rises (Fig. 7)"
    if min(grid["val"].nunique(), grid["test"].nunique()) < 2:
        return Claim(claim, "the heat maps are flat", "undecided")
    rank, p = spearmanr(grid["val"], grid["test"])
    holds = "undecided" if p > 0.05 else "holds" if rank < 0 else "does not hold"
    return Claim(claim, f"rank correlation {rank:+.2f} over {len(grid)} sizes, p = {p:.2f}", holds)


def _shallow(grid: pd.DataFrame) -> Claim:
    claim = "A shallow network suffices"
    best = grid.groupby("layers")["test"].max()
    least, rest = best.index.min(), best[best.index > best.index.min()].max()
    found = f"best test worst-group accuracy {best[least]:.2f} with {least} layer, {rest:.2f} with more"
    return Claim(claim, found, "holds" if best[least] >= rest - 0.02 else "does not hold")
