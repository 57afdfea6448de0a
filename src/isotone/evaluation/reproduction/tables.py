"""Table 1, Table 2 and the table of ablations, the paper's own numbers beside ours where the data are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from isotone.evaluation.reproduction.measure import by_projection, classes_of, difference, measured, recall_at, summary
from isotone.evaluation.reproduction.plan import WHAT
from isotone.evaluation.reproduction.study import Study
from isotone.evaluation.resampled import known

METRICS = ("auc", "precision", "recall", "worst_group_accuracy")
BESIDE = {
    "gdce": "the preset's GDCE",
    "none": "full range",
    "display-window": "display window clamped",
    "histogram-matching": "histogram matching within the anatomy",
    "histogram-matching-all-pixels": "histogram matching",
    "scanner-without-labels": "scanner curve with 0 labels",
}
"""Methods of the folds that stand beside the ablations, in words."""


def table_one(study: Study) -> pd.DataFrame:
    """Images per domain and label in fold 1: those that train (validation included), those that test, and the
    patients on both sides; columns ``paper_train`` and ``paper_test`` where the paper has the cell.
    """
    table, split, published = study.images.table, study.folds[0], study.plan.about.published
    rows = []
    for (domain, label), part in table.groupby(["domain", "label"]):
        own = split[table.index.get_indexer(part.index)]
        learns = np.isin(own, ["train", "val"])
        patients = [set(part["patient_id"][chosen]) for chosen in (learns, own == "test")]
        row = {
            "domain": domain,
            "label": label,
            "train": int(learns.sum()),
            "test": int((own == "test").sum()),
            "patients_in_both": len(patients[0] & patients[1]),
        }
        if published:
            row |= {f"paper_{name}": published.get((str(domain), str(label), name)) for name in ("train", "test")}
        rows.append(row)
    return _in_order(study, pd.DataFrame(rows))


def table_two(study: Study, predictions: pd.DataFrame) -> pd.DataFrame:
    """Precision, recall, AUC and worst-group accuracy of every method in every domain.

    The preset "corrected" adds intervals; with two classes specificity, the share called positive, and the recall
    where the specificity is that of the reference; and where scanners are told by projection too, the same of PA
    images alone and the rule "AP means positive".
    """
    corrected = study.plan.preset == "corrected"
    parts = [("all", predictions)]
    if corrected and study.plan.about.projection:
        rules = predictions[predictions["method"] == "none"].pipe(by_projection)
        parts = [("all", pd.concat([predictions, rules])), ("PA", predictions[predictions["view"] == "PA"])]
    rows = []
    for views, part in parts:
        wanted = _reference_specificity(study, part) if corrected else None
        for (domain, method), own in _in_order(study, part).groupby(["domain", "method"], sort=False):
            row = {"domain": domain, "views": views, "method": method, "images": own["image"].nunique()}
            row |= {"patients": own["patient"].nunique()}
            found = summary(own, intervals=corrected, seed=study.plan.seed)
            row |= found if corrected else {name: found[name] for name in METRICS}
            if wanted is not None:
                row["recall_at_reference_specificity"] = recall_at(own, wanted)
            if study.plan.about.published and views == "all":
                key = (str(domain), str(method))
                row |= {f"paper_{name}": study.plan.about.published.get((*key, name)) for name in METRICS[:3]}
            rows.append(row)
    return pd.DataFrame(rows)


def _in_order(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """The reference first, then the sources."""
    order = {name: k for k, name in enumerate([study.plan.about.reference, *study.plan.about.sources])}
    return table.sort_values("domain", key=lambda names: names.map(order), kind="stable", ignore_index=True)


def _reference_specificity(study: Study, predictions: pd.DataFrame) -> float | None:
    own = predictions[(predictions["domain"] == study.plan.about.reference) & (predictions["method"] == "none")]
    if len(classes_of(predictions)) != 2 or own.empty:
        return None
    return known(measured(own)["specificity"][0])


def grid_table(study: Study, predictions: pd.DataFrame) -> pd.DataFrame:
    """Fig. 7: worst-group accuracy on validation and test by layers and iterations."""
    rows = []
    for experiment in study.plan.experiments():
        if experiment.kind == "grid":
            layers, iterations = experiment.arguments
            row = {"layers": layers, "iterations": iterations}
            for split in ("val", "test"):
                own = predictions[predictions["method"] == f"{experiment.name} {split}"]
                row[split] = float(measured(own)["worst_group_accuracy"][0])
            rows.append(row)
    return pd.DataFrame(rows)


def ablation_table(study: Study, folds: pd.DataFrame, ablations: pd.DataFrame) -> pd.DataFrame:
    """Every variant beside GDCE on the same folds, with its difference from GDCE on the same images."""
    plan = study.plan
    base = folds[folds["fold"].isin([k + 1 for k in plan.ablation_folds]) & folds["domain"].isin(plan.about.sources)]
    everything = pd.concat([base[base["method"].isin(list(BESIDE))], ablations], ignore_index=True)
    rows = []
    for (domain, method), own in everything.groupby(["domain", "method"], sort=False):
        start = everything[(everything["domain"] == domain) & (everything["method"] == _against(str(method)))]
        row = {"domain": domain, "variant": method, "what": _what(str(method)), "images": own["image"].nunique()}
        options: dict[str, Any] = {"intervals": plan.preset == "corrected", "seed": plan.seed}
        row |= {k: v for k, v in summary(own, **options).items() if k.startswith(("auc", "worst"))}
        for metric in ("auc", "worst_group_accuracy"):
            if method != _against(str(method)):
                row |= difference(own, start, metric, **options)
        rows.append(row)
    return pd.DataFrame(rows).sort_values("domain", kind="stable", ignore_index=True)


def _against(method: str) -> str:
    return "exchanged, none" if method.startswith("exchanged") else "gdce"


def _what(method: str) -> str:
    """In words."""
    if method.startswith("exchanged"):
        return WHAT["exchanged"]
    if method.startswith("labels-"):
        return f"GDCE with {method.removeprefix('labels-')} labels per class, or all there are"
    return BESIDE.get(method) or WHAT[method]
