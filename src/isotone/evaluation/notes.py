"""What a reader of the results would otherwise miss: what was left out, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from isotone.baselines.adapted_classifier import ADAPTATIONS
from isotone.data.manifests.manifest import Manifest
from isotone.evaluation.headline import listed
from isotone.evaluation.observations import Material
from isotone.evaluation.predict import Transform
from isotone.evaluation.results import Results
from isotone.evaluation.scores import NONE


def notes_of(
    results: Results, material: Material, methods: Mapping[str, Transform], manifest: Manifest
) -> Iterator[str]:
    """Of the images left out, of what methods refused, and of what could not be worked out: a sentence each."""
    unlabelled = int(manifest.select(splits=["test"]).table["label"].isna().sum())
    if unlabelled:
        yield f"{unlabelled} test rows have no label and are left out."
    if material.unread:
        yield f"{len(material.unread)} images could not be read and are left out for every method."
    said = {row.domain for row in material.left_out}  # in the cautions, with the reason
    for domain in results.reference_domains:
        if domain not in {*material.scores.domains, *said}:
            yield f"The manifest has no test row of the reference domain {domain}."
    for name in methods:
        yield from _refusals(material, results, name)
    if not results.thresholds:
        yield "No threshold was frozen: the reference has no labelled validation rows."
    for domain in material.scores.domains:
        yield from _undefined(results, domain)


def _refusals(material: Material, results: Results, method: str) -> Iterator[str]:
    """What a method refused: all images of some domains, or some images of a domain."""
    without: dict[str, list[str]] = {}
    for domain in material.scores.domains:
        images = [material.images[i] for i in material.of([domain])]
        codes = [seen.refused[method] for seen in images if method in seen.refused]
        kinds = f" ({', '.join(sorted(set(codes)))})" if codes else ""
        if results.row(domain, method) is None:
            without.setdefault(kinds, []).append(domain)
        elif codes:
            yield (
                f"{method} refused {len(codes)} of {len(images)} images of {domain}{kinds}: they keep their "
                "untouched score, so that all methods are judged on the same images."
            )
    if method in ADAPTATIONS:
        return  # the reference keeps its own classifier, and `adapt_classifiers` says why a source has none
    for kinds, domains in without.items():
        yield f"{method} has nothing for {listed(domains)}{kinds}."


def _undefined(results: Results, domain: str) -> Iterator[str]:
    row = results.row(domain, NONE)
    if row is None:
        return
    absent = [c for c, value in row.accuracy_per_class.items() if value is None]
    if absent:
        yield f"{domain} has no test image of {', '.join(absent)}."
    if row.auc is None:
        yield f"{domain} has test images of one class alone: it has neither an AUC nor a worst-group accuracy."
    elif row.auc_ci is None:
        yield f"{domain} has too few patients for an interval of the AUC ({row.patients})."
