"""What the paper did not vary: each ablation differs from the preset's GDCE in one thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from isotone.curves.stages import apply_steps
from isotone.evaluation.reproduction.images import Grey, Indices
from isotone.evaluation.reproduction.methods import (
    Mapping,
    NetworkMapping,
    Task,
    coefficients,
    gdce,
    how,
    parts,
    predict,
    through,
    unchanged,
)
from isotone.evaluation.reproduction.study import Study


def run_ablation(study: Study, variant: str) -> list[pd.DataFrame]:
    """Predictions of a variant for every source domain and fold of the plan's ablations."""
    run = _exchanged if variant == "exchanged" else _variant
    return [
        table
        for fold in study.plan.ablation_folds
        for source in study.plan.about.sources
        for table in run(study, variant, fold, source)
    ]


def _variant(study: Study, variant: str, fold: int, source: str) -> list[pd.DataFrame]:
    task = study.task(fold, source, study.classifier(fold))
    mapping = _fit(variant, task, lambda: study.gdce(fold, source))
    return [predict(task, mapping, source, variant, fold)]


def _exchanged(study: Study, variant: str, fold: int, source: str) -> list[pd.DataFrame]:
    """The reference's images for a classifier of the source, which knows the source's training classes alone."""
    about = study.plan.about
    task = replace(study.task(fold, source, study.train(fold, source)), reference=source, source=about.reference)
    tables = []
    for name, method in (("exchanged, none", unchanged), ("exchanged, gdce", gdce)):
        table = predict(task, method(task), about.reference, name, fold)
        tables.append(table.assign(domain=f"{about.reference}, classifier of {source}"))
    return tables


def _fit(variant: str, task: Task, base: Callable[[], NetworkMapping]) -> Mapping:
    name, _, number = variant.rpartition("-")
    if name == "labels":
        return _with_labels(task, int(number), base)
    if name == "seed":
        return gdce(replace(task, seed=task.seed + int(number)))
    if name == "loss-weighted":
        return _changed(task, loss="weighted", weight=float(number))
    fits: dict[str, Callable[[], Mapping]] = {
        "loss-sum": lambda: _changed(task, loss="sum"),
        "perceptual-off": lambda: _changed(task, perceptual="none"),
        "pixel-wise": lambda: _pixel_wise(task),
        "constant-curve": lambda: _constant(task),
        "constant-curve-bidirectional": lambda: _constant(task, bidirectional=True),
        "constant-curve-affine": lambda: _constant(task, bidirectional=True, affine=True),
        "curve-swap": lambda: _swapped(task, base()),
        "8-bits": lambda: _eight_bits(task, base()),
    }
    return fits[variant]()


def _changed(task: Task, **changes: Any) -> Mapping:
    return gdce(replace(task, settings=task.settings.model_copy(update=changes)))


def _pixel_wise(task: Task) -> Mapping:
    from isotone.networks.training.fit_gdce import fit_enhancer

    return NetworkMapping(task.images, fit_enhancer(*parts(task), task.settings, **how(task))[0])


def _constant(task: Task, *, bidirectional: bool = False, affine: bool = False) -> Mapping:
    from isotone.evaluation.reproduction.curve_by_task_loss import fit_curve_by_task

    train, val = (task.samples(task.source, split) for split in ("train", "val"))
    shape: dict[str, Any] = {"num_iterations": task.settings.num_iterations}
    shape |= {"bidirectional": bidirectional, "affine": affine}
    curve = fit_curve_by_task(train, val, task.classifier, **shape, seed=task.seed)
    return through(task, curve)


def _swapped(task: Task, fitted: NetworkMapping) -> Mapping:
    def mapping(numbers: Indices) -> Grey:
        # Round a random circle, so that none keeps its own.
        order = np.random.default_rng(task.seed).permutation(len(numbers))
        given = np.empty_like(order)
        given[order] = np.roll(order, 1)
        return _by_coefficients(task.images.grey(numbers), fitted.coefficients(numbers)[given])

    return mapping


def _eight_bits(task: Task, fitted: NetworkMapping) -> Mapping:
    def mapping(numbers: Indices) -> Grey:
        grey = _rounded(task.images.grey(numbers))
        return _rounded(_by_coefficients(grey, coefficients(fitted.network, grey)))

    return mapping


def _rounded(grey: Grey) -> Grey:
    return (np.rint(grey * 255) / 255).astype(np.float32)


def _by_coefficients(grey: Grey, alphas: np.ndarray) -> Grey:
    return apply_steps(grey, alphas.T[..., None, None].astype(np.float32))


def _with_labels(task: Task, count: int, base: Callable[[], NetworkMapping]) -> Mapping:
    """GDCE that sees `count` images per class in train and in val; with no more than that at hand, the preset's."""
    table, split = task.images.table, task.split.copy()
    most = 0
    for part in ("train", "val"):
        labels = table["label"].loc[list(task.numbers(task.source, part))]
        for k, name in enumerate(sorted(labels.unique())):
            members = labels.index[labels == name]
            most = max(most, len(members))
            left = np.random.default_rng([task.seed, count, k]).permutation(members)[count:]
            split[table.index.get_indexer(pd.Index(left))] = ""
    if count >= most:
        return base()
    # As many steps as with all labels: an epoch is shorter now.
    names = ("epochs", "stop_after")
    longer = {name: round(value * most / count) for name in names if (value := getattr(task.settings, name))}
    settings = task.settings.model_copy(update=longer)
    return gdce(replace(task, split=split, settings=settings))
