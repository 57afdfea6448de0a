"""The tables of `benchmarks/nih.py`, from the scores that it kept: patients and seeds resampled together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isotone._runtime.files import write_text
from isotone.evaluation import metrics
from isotone.evaluation.bootstrap import DRAWS, holm, interval, p_value, patient_weights, verdict

MARK = "<!-- Written by benchmarks/nih.py from here on; what stands above is kept. -->"
BEGIN, END = "<!-- written by benchmarks/nih.py -->", "<!-- to here -->"
METRICS = ("AUC", "worst-group accuracy")
RIVALS = ("none", "histogram-matching", "histogram-matching-all-pixels")
SHORT = ("none", "matching, foreground", "matching, all pixels")
BOTH = "both"
CELLS = (("PA", "small"), ("PA", "residual"), ("PA", BOTH), ("all", "small"), ("all", "residual"), ("all", BOTH))
CONTROLS = (("control", "small"), ("control", "residual"), ("control", BOTH))


@dataclass(frozen=True, eq=False)
class Measured:
    """A metric of one method: its value, and its bootstrap draws."""

    value: float
    draws: np.ndarray

    def minus(self, other: Measured) -> Measured:
        """The paired difference; both must come from the same resamples."""
        return Measured(self.value - other.value, self.draws - other.draws)


def read(output: Path) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Parts by pair and architecture, ordered by seed; a seed counts where all methods of its pair are done."""
    parts: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for path in sorted(output.glob("*-*-*.json")):
        part = json.loads(path.read_text())
        parts.setdefault((part["pair"], part["architecture"]), []).append(part)
    return {key: sorted(seeds, key=lambda part: part["seed"]) for key, seeds in parts.items()}


def one_metric(name: str, labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """AUC or worst-group accuracy under each row of weights."""
    if name == "AUC":
        return metrics.auc(labels == 1, scores, weights)
    matrix = metrics.confusion(labels, (scores > 0.5).astype(np.int64), 2, weights)
    return metrics.worst_group_accuracy(matrix)


def measure(name: str, parts: Sequence[dict[str, Any]], method: str) -> Measured | None:
    """Mean over seeds; each draw takes patients with replacement, and seeds with replacement."""
    if not parts or any(method not in part["methods"] for part in parts):
        return None
    labels = np.array(parts[0]["label"])
    weights = patient_weights(parts[0]["patient"], draws=DRAWS, seed=0).astype(np.float64)
    seeds = patient_weights([part["seed"] for part in parts], draws=DRAWS, seed=1) / len(parts)
    scores = [np.array(part["methods"][method]["source"]) for part in parts]
    values = [one_metric(name, labels, s, None)[0] for s in scores]
    draws = np.stack([one_metric(name, labels, s, weights) for s in scores], axis=1)
    return Measured(float(np.mean(values)), np.asarray((seeds * draws).sum(1)))


def measured(name: str, output: Path, cells: Sequence[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Measured]]:
    """By pair and architecture, then by method; `BOTH` is the mean of the architectures, draw by draw."""
    parts = read(output)
    result: dict[tuple[str, str], dict[str, Measured]] = {}
    for pair, architecture in cells:
        if architecture == BOTH:
            tables = [table for (p, _), table in result.items() if p == pair]
            methods = [m for m in tables[0] if all(m in table for table in tables)] if tables else []
            result[pair, BOTH] = {
                m: Measured(float(np.mean([t[m].value for t in tables])), np.mean([t[m].draws for t in tables], axis=0))
                for m in methods
            }
            continue
        seeds = parts.get((pair, architecture), [])
        found = {m: measure(name, seeds, m) for m in (seeds[0]["methods"] if seeds else ())}
        result[pair, architecture] = {m: value for m, value in found.items() if value is not None}
    return result


def metric_table(name: str, output: Path, cells: Sequence[tuple[str, str]]) -> Iterator[str]:
    """One row per pair, architecture and method; differences to none and to both kinds of matching."""
    table = measured(name, output, cells)
    differences = {
        (cell, method, rival): here.minus(methods[rival])
        for cell, methods in table.items()
        for method, here in methods.items()
        for rival in RIVALS
        if rival in methods and rival != method and (rival == "none" or method not in RIVALS)
    }
    adjusted = dict(zip(differences, holm([p_value(d.draws) for d in differences.values()]), strict=True))
    yield f"| reference | classifier | method | {name} | " + " | ".join(f"− {rival}" for rival in SHORT) + " |"
    yield "|---|---|---|---|---|---|---|"
    for (pair, architecture), methods in table.items():
        for method, here in methods.items():
            keys = [((pair, architecture), method, rival) for rival in RIVALS]
            shown = [with_verdict(differences[k], adjusted[k]) if k in differences else "" for k in keys]
            yield f"| {pair} | {architecture} | {method} | {plain(here)} | " + " | ".join(shown) + " |"


def plain(number: Measured) -> str:
    low, high = interval(number.draws) or (np.nan, np.nan)
    return f"{number.value:.3f} [{low:.2f}, {high:.2f}]"


def with_verdict(difference: Measured, adjusted: float | None) -> str:
    ci = interval(difference.draws)
    low, high = ci or (np.nan, np.nan)
    return f"{difference.value:+.3f} [{low:+.3f}, {high:+.3f}] {verdict(ci, adjusted)}"


def disagreement(parts: Sequence[dict[str, Any]], method: str) -> tuple[float, float, int]:
    """Of patients imaged on both sides: mean |difference| of their mean scores, share called alike, and their number.

    Means over seeds, and over the two curves of a cross-fitted method.
    """
    distances, alike = [], []
    patients: set[int] = set()
    for part in parts:
        straddling = part["straddling"]
        ours, theirs = np.array(straddling["patient"]), np.array(straddling["reference_patient"])
        patients = set(ours) & set(theirs)
        there = np.array(straddling["reference"])
        for scores in part["methods"][method]["straddling"]:
            pairs = np.array(
                [(np.array(scores)[ours == p].mean(), there[theirs == p].mean()) for p in sorted(patients)]
            )
            distances.append(np.abs(pairs[:, 0] - pairs[:, 1]).mean())
            alike.append(((pairs[:, 0] > 0.5) == (pairs[:, 1] > 0.5)).mean())
    return float(np.mean(distances)), float(np.mean(alike)), len(patients)


def straddling_table(output: Path) -> Iterator[str]:
    yield "| reference | classifier | method | patients | mean difference of the two scores | called alike |"
    yield "|---|---|---|---|---|---|"
    for (pair, architecture), parts in sorted(read(output).items(), key=lambda item: item[0][0] != "PA"):
        for method in parts[0]["methods"]:
            if pair == "control" or any(method not in part["methods"] for part in parts):
                continue
            distance, alike, count = disagreement(parts, method)
            yield f"| {pair} | {architecture} | {method} | {count} | {distance:.3f} | {alike:.2f} |"


def facts_table(output: Path) -> Iterator[str]:
    yield "| reference | side | images | patients | female | AP | AUC of “AP is male” | AUC of grey statistics |"
    yield "|---|---|---|---|---|---|---|---|"
    for pair in ("PA", "all", "control"):
        facts = json.loads((output / f"facts-{pair}.json").read_text())
        for side in ("source", "reference"):
            f = facts[side]
            grey = "–" if f["grey_statistics_auc"] is None else f"{f['grey_statistics_auc']:.2f}"
            counts = f"{f['images']} | {f['patients']} | {f['female']} | {f['ap']}"
            yield f"| {pair} | {side} | {counts} | {f['projection_auc']:.2f} | {grey} |"
    yield ""
    told = ", ".join(
        f"{json.loads((output / f'facts-{pair}.json').read_text())['brightness_auc']:.2f} ({pair})"
        for pair in ("PA", "all", "control")
    )
    yield f"Mean brightness alone tells source from reference with AUC {told}."


def footnotes(output: Path) -> Iterator[str]:
    """Seeds, the classifiers on their own validation images, and how long the fits took."""
    parts = read(output)
    told = [
        f"{pair}, {architecture}: {np.mean([p['validation_auc'] for p in seeds]):.2f} ({len(seeds)} seeds)"
        for (pair, architecture), seeds in sorted(parts.items())
    ]
    yield f"Classifiers on the reference's validation images, on which their epoch was chosen, AUC: {'; '.join(told)}."
    seconds: dict[str, list[float]] = {}
    for seeds in parts.values():
        for part in seeds:
            for method, scores in part["methods"].items():
                seconds.setdefault(method, []).extend(scores.get("cpu_seconds", []))
    yield ""
    listed = "; ".join(f"{method} {np.median(s):.1f}" for method, s in seconds.items() if s)
    yield f"CPU seconds of a fit on one thread, median: {listed}."


def tables(output: Path) -> str:
    """Everything that follows from the scores, as Markdown."""
    sections = (
        ("What the task allows without looking at anatomy", facts_table(output)),
        ("AUC", metric_table("AUC", output, CELLS)),
        ("Worst-group accuracy", metric_table("worst-group accuracy", output, CELLS)),
        ("Negative control, 0.171 onto 0.168: AUC", metric_table("AUC", output, CONTROLS)),
        ("Negative control: worst-group accuracy", metric_table("worst-group accuracy", output, CONTROLS)),
        ("Patients imaged at both spacings", straddling_table(output)),
        ("Classifiers and fitting times", footnotes(output)),
    )
    return "\n".join(f"## {title}\n\n" + "\n".join(lines) + "\n" for title, lines in sections)


def summary(output: Path) -> Iterator[str]:
    """Both classifiers together, a row per method."""
    found = {name: measured(name, output, CELLS) for name in METRICS}
    columns = [(f"{pair}: {name}", found[name][pair, BOTH]) for pair in ("PA", "all") for name in METRICS]
    yield "| method | " + " | ".join(head for head, _ in columns) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    for method in columns[0][1]:
        yield f"| {method} | " + " | ".join(plain(values[method]) for _, values in columns) + " |"


def write(output: Path, table: Path) -> None:
    """Put the tables into a Markdown file, below what stands above `MARK` in it, and a summary into results.md."""
    above = table.read_text(encoding="utf-8").partition(MARK)[0] if table.exists() else "# NIH\n\n"
    write_text(table, f"{above}{MARK}\n\n{tables(output)}")
    results = table.parent / "results.md"
    if results.exists():
        before, begin, rest = results.read_text(encoding="utf-8").partition(BEGIN)
        _, end, after = rest.partition(END)
        write_text(results, "".join([before, begin, "\n\n", "\n".join(summary(output)), "\n\n", end, after]))
