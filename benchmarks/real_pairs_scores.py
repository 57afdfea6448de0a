"""The runs of `real_pairs.py` as they lie on disk, and their metrics."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from isotone.evaluation.bootstrap import patient_weights
from isotone.evaluation.metrics import confusion, macro_auc, worst_group_accuracy

DRAWS = 500
"""Resamples of the patients."""
KINDS = {"real": "real pairs", "control": "control", "simulated": "simulated responses"}


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a run's file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@dataclass(frozen=True, eq=False)
class Part:
    """One half of a run's source patients, tested behind what was fitted on the other half."""

    run: dict[str, Any]
    line: dict[str, Any]

    @cached_property
    def chosen(self) -> np.ndarray:
        return np.array(self.run["halves"]) == self.line["half"]

    @cached_property
    def labels(self) -> np.ndarray:
        return np.array(self.run["label"])[self.chosen]

    @cached_property
    def weights(self) -> np.ndarray:
        """Once each, then `DRAWS` resamples of the patients; the same for a pair's images in every run."""
        drawn = patient_weights(self.run["patient"], draws=DRAWS, seed=0)
        return np.vstack([np.ones(len(self.labels)), drawn[:, self.chosen]])

    def measured(self, method: str) -> np.ndarray:
        """AUC and worst-group accuracy, shape (2, 1 + `DRAWS`)."""
        return metrics(self.labels, np.array(self.line["scores"][method]), self.weights)


def metrics(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUC and worst-group accuracy under each row of weights."""
    matrix = confusion(labels, scores.argmax(1), scores.shape[1], weights)
    return np.stack([macro_auc(labels, scores.astype(np.float64), weights), worst_group_accuracy(matrix)])


@dataclass(frozen=True, eq=False)
class Measured:
    """A run: both metrics of each method, the mean of both halves."""

    pair: str
    architecture: str
    seed: int
    weak: bool
    methods: dict[str, np.ndarray]
    parts: list[Part]


def read(folder: Path) -> list[Measured]:
    found = []
    for path in sorted(folder.glob("*.jsonl")):
        run, *lines = read_lines(path)
        parts = [Part(run, line) for line in lines]
        methods = {m: np.mean([part.measured(m) for part in parts], axis=0) for m in parts[0].line["scores"]}
        weak = lines[0]["weak"] is not None  # of the reference alone: the same in both halves
        found.append(Measured(run["pair"], run["architecture"], run["seed"], weak, methods, parts))
    return found


def by_pair(runs: Sequence[Measured]) -> dict[str, list[Measured]]:
    groups: dict[str, list[Measured]] = {}
    for run in runs:
        groups.setdefault(run.pair, []).append(run)
    return groups


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def file_name(pair: str) -> str:
    """Of a pair in the names of files."""
    return pair.replace("/", "+").replace(", ", "-").replace(" ", "_")
