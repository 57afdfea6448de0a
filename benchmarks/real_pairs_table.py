"""The tables of `real_pairs.py`, from the scores that it kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.real_pairs_gain import design_table, prediction_table, seed_table
from benchmarks.real_pairs_scores import KINDS, Measured, by_pair, file_name, metrics, read, table
from isotone._runtime.files import write_text
from isotone.evaluation.bootstrap import interval

MARK = "<!-- measured -->"
MORE = "## Other ways"
RIVALS = ("untouched", "matching", "constant curve", "scanner curve", "half blend")
"""What a default is compared with, chosen in hindsight."""
SHOWN = (*RIVALS[:4], "quarter blend", "half blend", "default")
TWICE = ("untouched", "scanner curve", "half blend")


def levels(groups: dict[str, list[Measured]], metric: int) -> str:
    """Mean over runs of each method, the best of `RIVALS` in bold; of the last, the interval over patients."""
    rows = []
    for pair, runs in groups.items():
        means = {m: np.mean([run.methods[m][metric] for run in runs], axis=0) for m in shown(runs)}
        best = max((m for m in RIVALS if m in means), key=lambda m: means[m][0])
        cells = []
        for name, draws in means.items():
            ends = interval(draws[1:]) or (np.nan, np.nan)
            text = f"{draws[0]:.3f} [{ends[0]:.2f}, {ends[1]:.2f}]"
            cells.append(f"**{text}**" if name == best else text)
        rows.append([pair, str(len(runs)), *cells])
    return table(["pair", "runs", *shown([run for runs in groups.values() for run in runs])], rows)


def shown(runs: Sequence[Measured]) -> list[str]:
    return [m for m in SHOWN if all(m in run.methods for run in runs)]


def regrets(groups: dict[str, list[Measured]], metric: int) -> dict[str, dict[str, float]]:
    """By pair and method: what its mean over runs is below the best of `RIVALS`, in points."""
    found = {}
    for pair, runs in groups.items():
        means = {m: 100 * float(np.mean([run.methods[m][metric][0] for run in runs])) for m in shown(runs)}
        best = max(means[m] for m in RIVALS)
        found[pair] = {m: best - value for m, value in means.items()}
    return found


def regret_table(groups: dict[str, list[Measured]], pairs: Sequence[Any]) -> str:
    """Mean and largest regret by group of pairs."""
    sides = {
        "chosen on": [p.name for p in pairs if p.chosen_on],
        "reported": [p.name for p in pairs if not p.chosen_on],
        **{KINDS[k]: [p.name for p in pairs if p.kind == k] for k in KINDS},
        "all": [p.name for p in pairs],
    }
    auc, worst = regrets(groups, 0), regrets(groups, 1)
    methods = shown([run for runs in groups.values() for run in runs])
    rows = []
    for side, names in sides.items():
        present = [name for name in names if name in groups]
        if not present:
            continue
        cells = [
            f"{np.mean([auc[n][m] for n in present]):.1f}, {max(auc[n][m] for n in present):.1f}; "
            f"{np.mean([worst[n][m] for n in present]):.1f}"
            for m in methods
        ]
        rows.append([side, str(len(present)), *cells])
    return table(["pairs", "number", *methods], rows)


def choices(groups: dict[str, list[Measured]]) -> str:
    """How often the default chose what, and how often the classifier was weak."""
    rows = []
    for pair, runs in groups.items():
        lines = [part.line for run in runs for part in run.parts]
        kept = sum(line["kept"] for line in lines)
        blended = sum(not line["kept"] and line["blended"] for line in lines)
        images = sum(line["looked_at"] for line in lines)
        agreement = [line["blend"]["agreement"] for line in lines if line["blend"]]
        warned = {w: sum(w in line["warnings"] for line in lines) for w in ("W_BEYOND_TONE", "W_VARIES")}
        rows.append([
            pair,
            f"{blended}, {len(lines) - kept - blended}, {kept}",
            f"{np.mean(agreement):.2f}" if agreement else "–",
            f"{sum(run.weak for run in runs)} of {len(runs)}",
            *(f"{count} of {len(lines)}" for count in warned.values()),
            f"{sum(line['refused'] for line in lines)} of {images}",
        ])  # fmt: skip
    return table(["pair", "blend, curve, untouched", "agreement", "W_WEAK", "W_BEYOND_TONE", "W_VARIES", "E_OOD"], rows)


def more_table(folder: Path, groups: dict[str, list[Measured]], what: str) -> str:
    """AUC of what `real_pairs_more.py` measured, beside those of the same runs."""
    rows: list[tuple[str, dict[str, float]]] = []
    heads: list[str] = []
    for pair, runs in groups.items():
        own = [run for run in runs if (run.architecture, run.seed) == ("small", 0)]
        path = next(folder.glob(f"more/{file_name(pair)}-{what}-0.json"), None)
        if path is None or not own:
            continue
        parts = {part.line["half"]: part for part in own[0].parts}
        halves = json.loads(path.read_text())["halves"]
        found: dict[str, float] = {}
        if what == "more":
            found = {m: float(own[0].methods[m][0][0]) for m in ("untouched", "default")}
        for name in halves[0]["scores"]:
            areas = [metrics(p.labels, np.array(h["scores"][name]), np.ones((1, len(p.labels))))[0, 0]
                     for h in halves for p in [parts[h["half"]]]]  # fmt: skip
            found[name] = float(np.mean(areas))
        heads = heads if len(heads) > len(found) else list(found)
        rows.append((pair, found))
    return table(["pair", *heads], [[pair, *(f"{f[h]:.3f}" if h in f else "–" for h in heads)] for pair, f in rows])


def twice_table(folder: Path, groups: dict[str, list[Measured]]) -> str:
    """Patients imaged on both scanners: how far their scores on the source are from those on the reference."""
    rows = []
    for pair in groups:
        path = next(folder.glob(f"more/{file_name(pair)}-more-0.json"), None)
        found = None if path is None else json.loads(path.read_text()).get("twice")
        if found is None:
            continue
        there = np.array(found["reference"])
        cells = [f"{np.abs(np.array(found[m]) - there).mean():.2f}" for m in TWICE]
        rows.append([pair, str(len(there)), *cells])
    return table(["pair", "patients", *TWICE], rows)


def write(folder: Path, page: Path, pairs: Sequence[Any]) -> None:
    """Put the tables into the page, below its words."""
    groups = by_pair(read(folder))
    groups = {pair.name: groups[pair.name] for pair in pairs if pair.name in groups}
    if not groups:
        return
    parts = [
        "## AUC",
        levels(groups, 0),
        "## Worst-group accuracy",
        levels(groups, 1),
        "## Regret",
        "Mean and largest regret of the AUC over pairs; mean regret of the worst-group accuracy. In points.",
        regret_table(groups, pairs),
        "## What the default chose",
        "Fits (two of each run) in which it chose the half blend, the scanner curve, and the untouched image. E_OOD: "
        "tested images that the gate refuses.",
        choices(groups),
        "## Predicted gain",
        "Of the curves, also where the default then keeps images untouched. The mean error is that of a run (the mean "
        "of its two fits), in points; covered are fits.",
        prediction_table(groups, folder, pairs),
        "The AUC of a pair and seed (the mean of four fits): the mean error; the mean error that sampling alone gives "
        "a right prediction, since the patients of validation and test are few (both resampled); the mean error of a "
        "pair if its seeds are averaged first; how often the mean of the intervals contains the measured gain.",
        seed_table(groups, folder, pairs),
        "Other designs on the real pairs: mean error and mean deviation of a pair and seed, in points of AUC.",
        design_table(groups, folder, pairs),
    ]
    before = page.read_text(encoding="utf-8") if page.exists() else "# Real pairs of scanners\n\n"
    head, kept = before.partition(MARK)[0], before.partition(MORE)[2]
    if any(folder.glob("more/*.json")):
        more = [
            "AUC, seed 0, the small classifier (`benchmarks/real_pairs_more.py`).",
            more_table(folder, groups, "more"),
            "Behind a classifier that learned from images behind random curves, too:",
            more_table(folder, groups, "augmented"),
            "Patients imaged on both scanners: mean distance of a patient's scores on the source and on the reference.",
            twice_table(folder, groups),
        ]
    else:  # as they were measured before
        more = [kept.strip()]
    write_text(page, "\n\n".join([f"{head}{MARK}", *parts, MORE, *more]).strip() + "\n")
