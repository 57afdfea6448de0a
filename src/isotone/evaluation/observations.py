"""The evidence: which images were scored, what each method did to them, and what came out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from isotone.data.manifests.manifest import Manifest, Row
from isotone.data.trained_on import TEST, Role, TrainingRecord
from isotone.errors import IsotoneError, UsageError
from isotone.evaluation.distance import grey_level_distance, grouped_auc, maximum_mean_discrepancy, median_distance
from isotone.evaluation.predict import Observation, Observed, Transform, Unchanged, observe
from isotone.evaluation.results import Refused, ResultRow
from isotone.evaluation.scores import NONE, ORACLE, Scores, label_indices

EMBEDDED = 128
"""Images of a domain whose frozen features are compared."""


@dataclass(frozen=True, eq=False)
class Material:
    """Scored images with everything the report shows of them, aligned with `scores`.

    Attributes
    ----------
    scores : Scores
        Empty where the classifier was trained on every image.
    rows : list of Row
        Where the images are; never written anywhere.
    images : list of Observation
    features : dict of method to dict of int to array
        Frozen features by position.
    refused : list of Refused
        Images that could not be read.
    left_out : list of Row
        Images that the classifier was trained on, by its record.
    unread : list of Path
        Of the images that could not be read.
    """

    scores: Scores
    rows: list[Row]
    images: list[Observation]
    features: dict[str, dict[int, NDArray[np.float32]]]
    refused: list[Refused]
    left_out: list[Row]
    unread: list[Path] = field(default_factory=list)

    def paths(self) -> Iterator[tuple[str, Path]]:
        """Which image of the results lies where, those included that could not be read."""
        yield from zip(self.scores.image.tolist(), (row.path for row in self.rows), strict=True)
        yield from zip((r.image for r in self.refused), self.unread, strict=True)


def gather(
    manifest: Manifest,
    classifier: Any,
    methods: Mapping[str, Transform],
    *,
    classifiers: Mapping[str, Mapping[str, Any]] | None = None,
    roles: Collection[Role] = TEST,
    seed: int = 0,
    workers: int = 1,
    quiet: bool = False,
    on_refusal: Callable[[IsotoneError], None] | None = None,
) -> Material:
    """Score the rows of a manifest, each of which has a domain and a label, but for those that the classifier knows.

    Parameters
    ----------
    manifest : Manifest
    classifier : Classifier
        Where it has a record of its training (`trained_on`), images and patients of that record are left out.
    methods : mapping of name to object with ``transform``
    classifiers : mapping of method to mapping of domain to Classifier, optional
        As `observe` has it.
    roles : collection of Role
        What part of the record is left out.
    seed, workers, quiet, on_refusal
        As `isotone.evaluation.evaluate.evaluate` has them.

    Raises
    ------
    UsageError
        A label that is no class of the classifier, or a row without a domain.
    IsotoneError
        E_DATA: no image could be read. E_MODEL: a score is not finite.
    """
    table = manifest.table
    if table["domain"].isna().any():
        raise UsageError(
            f"{int(table['domain'].isna().sum())} rows name no domain",
            code="E_MANIFEST",
            next_step="Add a column 'domain', or name it with --domain.",
        )
    labels = label_indices(table["label"], classifier.config.classes)
    record: TrainingRecord | None = getattr(classifier, "trained_on", None)
    asked = list(manifest)
    known = _known(record, asked, None, roles)
    rows, left_out = ([row for row, found in zip(asked, known, strict=True) if found == k] for k in (False, True))
    table, labels = table[~known].reset_index(drop=True), labels[~known]
    observed = observe(
        rows,
        {NONE: Unchanged(), **methods},
        classifier,
        classifiers=classifiers,
        embedded=_chosen(table["domain"], seed),
        workers=workers,
        quiet=quiet,
    )
    for error in observed.refused.values():
        if on_refusal is not None:
            on_refusal(error)
    known = _known(record, rows, observed.images, roles)
    decoded = [i for i, seen in enumerate(observed.images) if seen is not None]
    read, left_out = [i for i in decoded if not known[i]], left_out + [rows[i] for i in decoded if known[i]]
    if not read and not left_out:
        raise next(iter(observed.refused.values()), IsotoneError("E_DATA", "no image to evaluate on"))
    probabilities = observed.probabilities | _oracle(table, rows, classifier, roles, workers, quiet)
    images = [seen for i in read if (seen := observed.images[i]) is not None]
    patients = table["patient_id"].fillna("row " + table["path"])
    scores = Scores(
        classes=tuple(classifier.config.classes),
        image=np.array([seen.image for seen in images], dtype=str),
        patient=pd.factorize(patients)[0].astype(np.int64)[read],
        domain=table["domain"].to_numpy(str)[read],
        view=np.array([seen.view for seen in images], dtype=str),
        label=labels[read],
        probabilities={method: values[read] for method, values in probabilities.items()},
    )
    at = {row: k for k, row in enumerate(read)}
    features = {m: {at[i]: f for i, f in there.items() if i in at} for m, there in observed.features.items()}
    unread = [rows[i].path for i in observed.refused]
    return Material(scores, [rows[i] for i in read], images, features, _refused(rows, observed), left_out, unread)


def _known(
    record: TrainingRecord | None,
    rows: Sequence[Row],
    images: Sequence[Observation | None] | None,
    roles: Collection[Role],
) -> NDArray[np.bool_]:
    """Which rows the classifier was trained on, shape (rows,); without images, by their patients alone."""
    if record is None:
        return np.zeros(len(rows), bool)
    identities = None if images is None else [None if seen is None else seen.identity for seen in images]
    return np.array(record.holds([row.patient_id for row in rows], identities, roles), bool)


def refuse_nothing(material: Material) -> None:
    """Go on with images alone that the classifier was not trained on.

    Raises
    ------
    IsotoneError
        E_DATA: there are none.
    """
    if not material.rows:
        raise IsotoneError(
            "E_DATA",
            "the classifier was trained on every image that could be scored, or on its patient",
            next_step="Add labelled images of other patients.",
        )


def _chosen(domains: pd.Series, seed: int) -> frozenset[int]:
    order = np.random.default_rng(seed).permutation(len(domains))
    shuffled = domains.reset_index(drop=True).iloc[order]
    return frozenset(int(i) for _, part in shuffled.groupby(shuffled) for i in part.index[:EMBEDDED])


def _oracle(
    table: pd.DataFrame, rows: Sequence[Row], classifier: Any, roles: Collection[Role], workers: int, quiet: bool
) -> dict[str, NDArray[np.float64]]:
    if "oracle_path" not in table or not table["oracle_path"].notna().any():
        return {}
    named = [i for i, path in enumerate(table["oracle_path"]) if pd.notna(path)]
    twins = [replace(rows[i], path=Path(table["oracle_path"].iloc[i])) for i in named]
    observed = observe(twins, {ORACLE: Unchanged()}, classifier, workers=workers, label="oracle", quiet=quiet)
    result = np.full((len(rows), len(classifier.config.classes)), np.nan)
    known = _known(getattr(classifier, "trained_on", None), twins, observed.images, roles)
    result[named] = np.where(known[:, None], np.nan, observed.probabilities[ORACLE])
    return {ORACLE: result}


def _refused(rows: Sequence[Row], observed: Observed) -> list[Refused]:
    return [
        Refused(
            image=hashlib.sha256(str(rows[i].path).encode()).hexdigest()[:16],
            domain=rows[i].domain or "",
            code=error.code,
        )
        for i, error in observed.refused.items()
    ]


def pooled_histogram(material: Material, domain: str, method: str) -> NDArray[np.floating] | None:
    """Foreground grey levels of a domain under a method, each image with the same weight; None where there are none."""
    found = [
        seen.histograms[method]
        for seen, d in zip(material.images, material.scores.domain, strict=True)
        if d == domain and method in seen.histograms
    ]
    return np.mean(found, axis=0) if found else None


def add_distances(
    material: Material, rows: Sequence[ResultRow], reference_domains: Sequence[str], *, seed: int = 0
) -> None:
    """Fill in how far each source domain, under each method, lies from the untouched reference."""
    histograms = [pooled_histogram(material, d, NONE) for d in reference_domains]
    known = [h for h in histograms if h is not None]
    if not known:
        return
    pooled = np.mean(known, axis=0)
    reference, patients = _features(material, reference_domains, NONE)
    for row in rows:
        mine = None if row.reference else pooled_histogram(material, row.domain, row.method)
        if mine is None:
            continue
        row.wasserstein = grey_level_distance(mine, pooled)
        features, people = _features(material, [row.domain], row.method)
        if min(len(features), len(reference)) < 2:
            continue
        untouched, _ = _features(material, [row.domain], NONE)
        width = median_distance(np.concatenate([reference, untouched]))
        row.maximum_mean_discrepancy = maximum_mean_discrepancy(features, reference, width)
        which = np.repeat([0, 1], [len(reference), len(features)])
        both = np.concatenate([reference, features])
        row.probe_auc = grouped_auc(both, which, [*patients, *people], seed=seed)


def add_label_probes(material: Material, rows: Sequence[ResultRow], *, seed: int = 0) -> None:
    """Fill in how well the label is told from the curves alone: eight numbers per image are enough to carry it."""
    scores = material.scores
    for row in rows:
        positions = [
            i for i, seen in enumerate(material.images) if scores.domain[i] == row.domain and row.method in seen.curves
        ]
        curves = np.array([material.images[i].curves[row.method] for i in positions])
        if len(np.unique(np.round(curves, 5), axis=0)) > 1:
            patients = [int(scores.patient[i]) for i in positions]
            row.label_probe_auc = grouped_auc(curves, scores.label[positions], patients, seed=seed)


def _features(material: Material, domains: Sequence[str], method: str) -> tuple[NDArray[np.floating], list[int]]:
    there = material.features.get(method, {})
    positions = [i for i in sorted(there) if material.scores.domain[i] in domains]
    found = np.array([there[i] for i in positions])
    return found, [int(material.scores.patient[i]) for i in positions]


def grey_statistics_auc(material: Material, *, seed: int = 0) -> dict[str, float | None]:
    """Per domain, what whole-image grey statistics alone reach; where it is high, the tone is the label."""
    statistics = np.array([seen.statistics for seen in material.images])
    scores = material.scores
    return {
        domain: grouped_auc(
            statistics[inside], scores.label[inside], [int(p) for p in scores.patient[inside]], seed=seed
        )
        for domain in scores.domains
        if (inside := scores.domain == domain).any()
    }
