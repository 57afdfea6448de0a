"""The evidence: which images were scored, what each method did to them, and what came out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from isotone._runtime.run_options import RunOptions
from isotone.data.manifests.manifest import Manifest, Row
from isotone.data.trained_on import TEST, Role, TrainingRecord
from isotone.errors import IsotoneError, UsageError
from isotone.evaluation.distance import grey_level_distance, grouped_auc, maximum_mean_discrepancy, median_distance
from isotone.evaluation.predict import Observation, Transform, Unchanged, observe
from isotone.evaluation.results import Refused, ResultRow
from isotone.evaluation.scores import NONE, ORACLE, Scores, label_indices

T = TypeVar("T")

EMBEDDED = 128
"""Images of a domain whose frozen features are compared."""


@dataclass(frozen=True, eq=False)
class Material:
    """Scored images with everything the report shows of them.

    Attributes
    ----------
    scores : Scores
        Empty where the classifier was trained on every image.
    images : list of Observation
        Aligned with `scores`.
    unread : list of (Row, IsotoneError)
        Images that could not be read.
    left_out : list of Row
        Images that the classifier was trained on, by its record.
    """

    scores: Scores
    images: list[Observation]
    unread: list[tuple[Row, IsotoneError]]
    left_out: list[Row]

    @property
    def refused(self) -> list[Refused]:
        """Those that could not be read, as the results name them."""
        return [
            Refused(image=_hashed(row.path), domain=row.domain or "", code=error.code) for row, error in self.unread
        ]

    def paths(self) -> Iterator[tuple[str, Path]]:
        """Which image of the results lies where, those included that could not be read."""
        yield from ((seen.image, seen.row.path) for seen in self.images)
        yield from ((_hashed(row.path), row.path) for row, _ in self.unread)

    def of(self, domains: Collection[str]) -> list[int]:
        """Positions of the images of some domains."""
        return [i for i, domain in enumerate(self.scores.domain) if domain in domains]


def _hashed(path: Path) -> str:
    return hashlib.sha256(str(path).encode()).hexdigest()[:16]


def gather(
    manifest: Manifest,
    classifier: Any,
    methods: Mapping[str, Transform],
    *,
    classifiers: Mapping[str, Mapping[str, Any]] | None = None,
    roles: Collection[Role] = TEST,
    run: RunOptions,
) -> Material:
    """Score the rows of a manifest, each of which has a domain and a label, but for those that the classifier knows.

    Parameters
    ----------
    manifest : Manifest
        Its column `oracle_path`, where it has one, adds the method "oracle".
    classifier : Classifier
        Where it has a record of its training (`trained_on`), images and patients of that record are left out.
    methods : mapping of name to object with ``transform``
    classifiers : mapping of method to mapping of domain to Classifier, optional
        As `observe` has it.
    roles : collection of Role
        What part of the record is left out.
    run : RunOptions

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
            next_step="Add a column 'domain', or name it with domain=.",
        )
    label_indices(table["label"], classifier.config.classes)  # before hours are spent on reading
    asked = list(manifest)
    rows, left_out = _parted(asked, _known(classifier, asked, None, roles))
    observed = observe(
        rows,
        {NONE: Unchanged(), **methods},
        classifier,
        classifiers=classifiers,
        embedded=_chosen(rows, run.seed),
        run=run,
    )
    unread = [(row, seen) for row, seen in zip(rows, observed, strict=True) if isinstance(seen, IsotoneError)]
    run.refuse(error for _, error in unread)
    read = [seen for seen in observed if not isinstance(seen, IsotoneError)]
    images, known = _parted(read, _known(classifier, [seen.row for seen in read], read, roles))
    left_out += [seen.row for seen in known]
    if not images and not left_out:
        raise unread[0][1] if unread else IsotoneError("E_DATA", "no image to evaluate on")
    names = [NONE, *methods]
    if "oracle_path" in table and table["oracle_path"].notna().any():
        named = {row.path: Path(p) for row, p in zip(asked, table["oracle_path"], strict=True) if pd.notna(p)}
        _add_oracle([seen for seen in images if seen.row.path in named], named, classifier, roles, run)
        names.append(ORACLE)
    return Material(_scores(images, rows, names, classifier.config.classes), images, unread, left_out)


def _known(
    classifier: Any, rows: Sequence[Row], images: Sequence[Observation] | None, roles: Collection[Role]
) -> list[bool]:
    """Which rows the classifier was trained on; without images, by their patients alone."""
    record: TrainingRecord | None = getattr(classifier, "trained_on", None)
    if record is None:
        return [False] * len(rows)
    identities = None if images is None else [seen.identity for seen in images]
    return record.holds([row.patient_id for row in rows], identities, roles)


def _parted(items: Sequence[T], apart: Sequence[bool]) -> tuple[list[T], list[T]]:
    """The others, and those that are to stand apart."""
    return [i for i, out in zip(items, apart, strict=True) if not out], list(compress(items, apart))


def _chosen(rows: Sequence[Row], seed: int) -> set[int]:
    """Positions of `EMBEDDED` images of each domain."""
    taken: Counter[str | None] = Counter()
    chosen = set()
    for i in np.random.default_rng(seed).permutation(len(rows)).tolist():
        taken[rows[i].domain] += 1
        if taken[rows[i].domain] <= EMBEDDED:
            chosen.add(i)
    return chosen


def _add_oracle(
    images: Sequence[Observation],
    paths: Mapping[Path, Path],
    classifier: Any,
    roles: Collection[Role],
    run: RunOptions,
) -> None:
    """Fill in what the classifier says of the twins of images, at these paths."""
    rows = [replace(seen.row, path=paths[seen.row.path]) for seen in images]
    method = {ORACLE: Unchanged()}
    observed = observe(rows, method, classifier, label="oracle", run=run)
    read = [(seen, twin) for seen, twin in zip(images, observed, strict=True) if not isinstance(twin, IsotoneError)]
    twins = [twin for _, twin in read]
    for (seen, twin), known in zip(read, _known(classifier, [t.row for t in twins], twins, roles), strict=True):
        if not known:
            seen.probabilities[ORACLE] = twin.probabilities[ORACLE]


def _scores(
    images: Sequence[Observation], rows: Sequence[Row], methods: Sequence[str], classes: Sequence[str]
) -> Scores:
    """The table of some images; patients are numbered as they come in the rows."""
    number: dict[str, int] = {}
    for row in rows:
        number.setdefault(_person(row), len(number))
    nothing = np.full(len(classes), np.nan)
    said = {m: [seen.probabilities.get(m, nothing) for seen in images] for m in methods}
    return Scores(
        classes=tuple(classes),
        image=np.array([seen.image for seen in images], dtype=str),
        patient=np.array([number[_person(seen.row)] for seen in images], np.int64),
        domain=np.array([seen.row.domain for seen in images], dtype=str),
        view=np.array([seen.view for seen in images], dtype=str),
        label=label_indices([seen.row.label for seen in images], classes),
        probabilities={m: np.array(tables, np.float64).reshape(-1, len(classes)) for m, tables in said.items()},
    )


def _person(row: Row) -> str:
    return f"row {row.path}" if row.patient_id is None else row.patient_id


def refuse_nothing(material: Material) -> None:
    """Go on with images alone that the classifier was not trained on.

    Raises
    ------
    IsotoneError
        E_DATA: there are none.
    """
    if not material.images:
        raise IsotoneError(
            "E_DATA",
            "the classifier was trained on every image that could be scored, or on its patient",
            next_step="Add labelled images of other patients.",
        )


def pooled_histogram(material: Material, domains: Collection[str], method: str) -> NDArray[np.floating] | None:
    """Foreground grey levels under a method, images weighted alike within a domain and domains alike; None: none."""
    pools = []
    for domain in domains:
        images = [material.images[i] for i in material.of([domain])]
        found = [seen.histograms[method] for seen in images if method in seen.histograms]
        if found:
            pools.append(np.mean(found, axis=0))
    return np.mean(pools, axis=0) if pools else None


def add_distances(
    material: Material, rows: Sequence[ResultRow], reference_domains: Sequence[str], *, seed: int = 0
) -> None:
    """Fill in how far each source domain, under each method, lies from the untouched reference."""
    pooled = pooled_histogram(material, reference_domains, NONE)
    reference, patients = _features(material, reference_domains, NONE)
    for row in rows if pooled is not None else ():
        mine = None if row.reference else pooled_histogram(material, [row.domain], row.method)
        if mine is None or pooled is None:
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
        positions = [i for i in material.of([row.domain]) if row.method in material.images[i].curves]
        curves = np.array([material.images[i].curves[row.method] for i in positions])
        if len(np.unique(np.round(curves, 5), axis=0)) > 1:
            row.label_probe_auc = grouped_auc(curves, scores.label[positions], _patients(scores, positions), seed=seed)


def _features(material: Material, domains: Collection[str], method: str) -> tuple[NDArray[np.floating], list[int]]:
    positions = [i for i in material.of(domains) if method in material.images[i].features]
    return np.array([material.images[i].features[method] for i in positions]), _patients(material.scores, positions)


def _patients(scores: Scores, positions: Sequence[int]) -> list[int]:
    return [int(p) for p in scores.patient[positions]]


def grey_statistics_auc(material: Material, *, seed: int = 0) -> dict[str, float | None]:
    """Per domain, what whole-image grey statistics alone reach; where it is high, the tone is the label."""
    scores, found = material.scores, {}
    for domain in scores.domains:
        positions = material.of([domain])
        statistics = np.array([material.images[i].statistics for i in positions])
        found[domain] = grouped_auc(statistics, scores.label[positions], _patients(scores, positions), seed=seed)
    return found
