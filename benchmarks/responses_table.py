"""The tables and the figure of `responses.py`, from its parts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.responses_data import BEYOND, BY_IMAGE, CROSSED, RESPONSES, UNTARGETED
from isotone._runtime.files import write_text
from isotone.evaluation.metrics import macro_auc

OURS = ("scanner, labels", "scanner, no labels", "scanner, no classifier")
HISTOGRAMS = ("pooled quantiles, all pixels", "histogram-matching", "histogram-matching-all-pixels")
PLAIN = (*HISTOGRAMS, "nyul", "min-max", "z-score")
TASK = ("Eq. 1 curve by task loss",)
ADAPTIVE = ("adaptive, no labels",)
WITHOUT_LABELS = ("scanner, no labels", *ADAPTIVE)
SHOWN = (*OURS[:2], *ADAPTIVE, *PLAIN[:4])
METHODS = (*OURS, *ADAPTIVE, *PLAIN, *TASK)
LARGE = 0.10
"""Where the oracle is not so much better than none, the recovered share says nothing."""
DRAWS = 500


@dataclass(frozen=True, eq=False)
class Cell:
    """One response in one population of one draw.

    Attributes
    ----------
    accuracy : dict
        Method → worst-group accuracy: the figure, then `DRAWS` resamples of the test patients.
    recalls : dict
        Method → recall of each class.
    """

    anatomy: str
    seed: int
    population: str
    response: str
    accuracy: dict[str, np.ndarray]
    recalls: dict[str, np.ndarray]
    auc: dict[str, float]
    seconds: dict[str, float]
    notes: dict[str, Any]


def read(folder: Path) -> list[Cell]:
    return [cell for path in sorted(folder.glob("*-*-[0-9].npz")) for cell in _cells(path)]


def _cells(path: Path) -> Iterator[Cell]:
    anatomy, seed, _ = path.stem.split("-")
    with np.load(path) as part:
        labels, patients = part["labels"], part["patients"]
        rng = np.random.default_rng(int(seed))
        count = patients.max() + 1
        weights = np.stack([np.ones(len(labels))] + [
            np.bincount(rng.integers(0, count, count), minlength=count)[patients] for _ in range(DRAWS)
        ])  # fmt: skip
        members = [labels == k for k in range(labels.max() + 1)]
        said = json.loads(str(part["said"]))
        for response in said:
            scores = {k.split("|")[1]: part[k] for k in part.files if k.startswith(f"{response}|")}
            hits = {name: s.argmax(1) == labels for name, s in scores.items()}
            recalls = {
                name: np.stack([weights[:, m] @ hit[m] / np.maximum(weights[:, m].sum(1), 1) for m in members])
                for name, hit in hits.items()
            }
            yield Cell(
                anatomy,
                int(seed),
                str(part["population"]),
                response,
                {name: r.min(0) for name, r in recalls.items()},
                {name: r[:, 0] for name, r in recalls.items()},
                {name: macro_auc(labels, s.astype(np.float64)).item() for name, s in scores.items()},
                said[response]["seconds"],
                said[response]["notes"],
            )


def kind(population: str) -> str:
    """Populations of one kind share a column, whatever the numbers in their names."""
    return "matched" if population.startswith("matched") else population


def sort(cell: Cell) -> str:
    """What is peculiar to a population, in any anatomy: class mixes go by other names in each."""
    name = kind(cell.population)
    return name if name in ("matched", "smaller field") or name.endswith("images") else "other class mix"


def recovered(cells: Sequence[Cell], method: str) -> str:
    """Recovered share of worst-group accuracy, a ratio of sums, with a 95 % interval over seeds and test patients."""
    usable = [c for c in cells if method in c.accuracy and c.accuracy["oracle"][0] - c.accuracy["none"][0] >= LARGE]
    if not usable:
        return "–"
    seeds = sorted({c.seed for c in usable})
    gained = {s: sum(c.accuracy[method] - c.accuracy["none"] for c in usable if c.seed == s) for s in seeds}
    possible = {s: sum(c.accuracy["oracle"] - c.accuracy["none"] for c in usable if c.seed == s) for s in seeds}
    share = sum(gained[s][0] for s in seeds) / sum(possible[s][0] for s in seeds)
    rng = np.random.default_rng(0)
    chosen = [(draw, rng.choice(seeds, len(seeds))) for draw in range(1, DRAWS + 1)]
    gains = np.array([sum(gained[s][draw] for s in some) for draw, some in chosen])
    gaps = np.array([sum(possible[s][draw] for s in some) for draw, some in chosen])
    if np.quantile(gaps, 0.025) <= 0:  # a ratio to a gap that may be none has no interval
        return f"{share:.2f}"
    low, high = np.quantile(gains / np.maximum(gaps, 1e-9), [0.025, 0.975])
    return f"{share:.2f} [{low:.2f}, {high:.2f}]"


def targeted(cell: Cell) -> bool:
    return cell.response not in BEYOND and cell.response not in UNTARGETED


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def by(cells: Sequence[Cell], key: Callable[[Cell], str]) -> dict[str, list[Cell]]:
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(key(cell), []).append(cell)
    return groups


def methods_in(cells: Sequence[Cell]) -> list[str]:
    return [m for m in METHODS if any(m in c.accuracy for c in cells)]


def shares(cells: Sequence[Cell], key: Callable[[Cell], str]) -> str:
    groups = by(cells, key)
    rows = [[m, *(recovered(group, m) for group in groups.values())] for m in methods_in(cells)]
    return table(["method", *groups], rows)


def by_response(cells: Sequence[Cell]) -> str:
    rows = [[r, *(recovered(some, m) for m in SHOWN)] for r, some in by(cells, lambda c: c.response).items()]
    return table(["response", *SHOWN], rows)


def levels(cells: Sequence[Cell]) -> str:
    """Mean worst-group accuracy and AUC per population."""
    rows = []
    for name, group in by(cells, lambda c: kind(c.population)).items():
        for method in ("none", "oracle", "scanner, no labels", *ADAPTIVE, *HISTOGRAMS):
            accuracy = np.mean([c.accuracy[method][0] for c in group])
            rows.append([name, method, f"{accuracy:.3f}", f"{np.mean([c.auc[method] for c in group]):.3f}"])
    return table(["population", "method", "worst-group accuracy", "AUC"], rows)


def varied(cells: Sequence[Cell]) -> str:
    """Mean worst-group accuracy, response by response."""
    groups = by([c for c in cells if c.response in BY_IMAGE], lambda c: c.response)
    names = ("none", "oracle", "scanner, no labels", *ADAPTIVE, *HISTOGRAMS)
    rows = [[r, *(f"{np.mean([c.accuracy[m][0] for c in some]):.3f}" for m in names)] for r, some in groups.items()]
    return table(["response", *names], rows)


def harm(cells: Sequence[Cell], method: str) -> str:
    """Cells (means over seeds) where another plain way does better by more than 0.02."""
    rows = []
    groups = by(cells, lambda c: f"{kind(c.population)}|{c.response}")
    for name, group in groups.items():
        ours = np.mean([c.accuracy[method][0] for c in group])
        rivals = {m: np.mean([c.accuracy[m][0] for c in group]) for m in ("none", *HISTOGRAMS)}
        best = max(rivals, key=lambda m: rivals[m])
        if rivals[best] - ours > 0.02:
            rows.append([*name.split("|"), f"{ours:.3f}", best, f"{rivals[best]:.3f}"])
    text = f"In {len(rows)} of {len(groups)} cells none or a histogram matching is better by more than 0.02"
    head = ["population", "response", method, "better", "its worst-group accuracy"]
    return f"{text}:\n\n{table(head, rows)}" if rows else f"{text}.\n"


def classes(cells: Sequence[Cell], method: str) -> str:
    """What each class loses against the oracle, mean over seeds: on average over responses, and on the worst."""
    rows = []
    for name, group in by(cells, lambda c: kind(c.population)).items():
        lost = {
            response: np.mean([c.recalls["oracle"] - c.recalls[method] for c in some], axis=0)
            for response, some in by(group, lambda c: c.response).items()
        }
        mean, worst = np.mean(list(lost.values()), axis=0), np.max(list(lost.values()), axis=0)
        rows.append([name, *(f"{100 * m:+.1f} (worst {100 * w:+.1f})" for m, w in zip(mean, worst, strict=True))])
    width = len(rows[0]) - 1
    return table(["population", *(f"class {k + 1}" for k in range(width))], rows)


def fit_seconds(cells: Sequence[Cell]) -> str:
    names = sorted({name for c in cells for name in c.seconds})
    return table(
        ["fit", "median seconds"],
        [[n, f"{np.median([c.seconds[n] for c in cells if n in c.seconds]):.1f}"] for n in names],
    )


def papers(folder: Path, cells: Sequence[Cell]) -> str:
    """The paper's preset beside ours, seed 0; CPU seconds of both learning rates together."""
    path = folder / "phantom-0-paper.npz"
    if not path.exists():
        return ""
    rows = []
    with np.load(path) as part:
        said = json.loads(str(part["said"]))
        for key, told in said.items():
            hit = part[f"{key}|gdce"].argmax(1) == part["labels"]
            worst = min(hit[part["labels"] == k].mean() for k in range(part["labels"].max() + 1))
            population, response = key.split("|")
            same = [
                c
                for c in cells
                if (c.anatomy, c.seed, c.population, c.response) == ("phantom", 0, population, response)
            ]
            for cell in same:
                names = ("none", "scanner, labels", "scanner, no labels", "oracle")
                ours = [f"{cell.accuracy[n][0]:.2f}" for n in names]
                once = told["described_in"]  # what our fit takes once, however many scanners there are
                taken = [told["seconds"], once + cell.seconds["scanner, labels"]]
                ratio = f"{taken[0] / taken[1]:.0f}"
                kept = f"{told['epoch']} at {told['rate']:g}"
                rows.append([population, response, f"{worst:.2f}", *ours, kept, *(f"{t:.0f}" for t in taken), ratio])
    head = [
        "population",
        "response",
        "paper",
        "none",
        "scanner, labels",
        "scanner, no labels",
        "oracle",
        "epoch and rate kept",
        "its seconds",
        "ours",
        "times slower",
    ]
    return "\n## The paper's preset\n\n" + table(head, rows)


def figure(cells: Sequence[Cell], path: Path) -> None:
    """Worst-group accuracy by response, phantom, matched populations."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    groups = by([c for c in cells if c.anatomy == "phantom" and kind(c.population) == "matched"], lambda c: c.response)
    names = [r for r in RESPONSES if r in groups]
    axes = plt.subplots(figsize=(8, 4))[1]
    for method in (
        "oracle",
        "scanner, no labels",
        "pooled quantiles, all pixels",
        "histogram-matching-all-pixels",
        "histogram-matching",
        "nyul",
        "none",
    ):
        axes.plot(
            [np.mean([c.accuracy[method][0] for c in groups[r]]) for r in names], "o-", ms=4, lw=0.8, label=method
        )
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right")
    axes.set_ylabel("worst-group accuracy")
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    plt.savefig(path, bbox_inches="tight", metadata={"Date": None})


def write(folder: Path, docs: Path) -> None:
    cells = read(folder)
    if not cells:
        return
    aims = [c for c in cells if targeted(c)]
    at_matched = [c for c in aims if kind(c.population) == "matched"]
    parts = [
        "# Simulated responses",
        f"By `benchmarks/responses.py`: {len(cells)} cells (response × population × draw). Recovered shares of "
        "worst-group accuracy are ratios of sums, with 95 % intervals over draws and test patients; 1 is the oracle. "
        "Cells where the oracle is less than 0.10 better than none do not enter.",
        "![Worst-group accuracy by response, phantom, matched populations](results_responses.svg)",
        "## The anatomies together",
        "### Recovered share by kind of population",
        shares([c for c in aims if c.response in CROSSED or kind(c.population) == "matched"], sort),
        "### By response, matched population",
        by_response(at_matched),
    ]
    for anatomy, group in by(cells, lambda c: c.anatomy).items():
        aimed = [c for c in group if targeted(c)]
        crossed = [c for c in aimed if c.response in CROSSED or kind(c.population) == "matched"]
        matched = [c for c in group if kind(c.population) == "matched"]
        seeds = len({c.seed for c in group})
        parts += [
            f"## {anatomy} ({seeds} draw{'s' * (seeds > 1)})",
            "### Recovered share by population",
            shares(crossed, lambda c: kind(c.population)),
            "### Worst-group accuracy and AUC",
            levels(aimed),
            "### By response, matched population",
            by_response(matched),
            "### Worst-group accuracy where settings change from image to image, matched population",
            varied(matched),
            "### What classes lose against the oracle, without labels (percentage points; positive is loss)",
            *(text for method in WITHOUT_LABELS for text in (f"{method}:", classes(aimed, method))),
            "### Do no harm, without labels",
            *(harm(group, method) for method in WITHOUT_LABELS),
            "### Seconds",
            fit_seconds(group),
        ]
    write_text(
        docs / "results_responses.md", "\n\n".join(part.rstrip() for part in parts) + "\n" + papers(folder, cells)
    )
    if any(c.anatomy == "phantom" for c in cells):
        figure(cells, docs / "results_responses.svg")
