"""Baselines on the classifier's side: for each source scanner a classifier adapted to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from isotone.data.manifests.manifest import Manifest
from isotone.data.sample import Sample, load_samples
from isotone.errors import IsotoneError, UsageError

ADAPTATIONS = ("batch-norm-adaptation", "fine-tuning")
"""Names of these baselines: the first reads no label, the second the same labels as a fit does."""


def adapt_classifiers(
    names: Sequence[str], manifest: Manifest, classifier: Any, *, seed: int = 0, workers: int = 1, quiet: bool = False
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Adapt the classifier to the train (and val) rows of every source domain.

    Returns
    -------
    classifiers : dict of name to dict of domain to Classifier
    notes : list of str
        One sentence for each baseline and reason why it could not be adapted.
    """
    adapted: dict[str, dict[str, Any]] = {name: {} for name in names}
    lacking: dict[tuple[str, str], list[str]] = {}
    reference = classifier.config.reference_domains
    for domain in [d for d in manifest.domains if d not in reference] if names else []:
        samples = {s: _samples(manifest, domain, s, classifier, workers, quiet) for s in ("train", "val")}
        for name in names:
            try:
                adapted[name][domain] = _adapt(name, classifier, samples, seed)
            except IsotoneError as error:
                lacking.setdefault((name, error.what), []).append(domain)
    return adapted, [f"Baseline {name} is left out for {', '.join(d)}: {what}." for (name, what), d in lacking.items()]


def _samples(manifest: Manifest, domain: str, split: str, classifier: Any, workers: int, quiet: bool) -> list[Sample]:
    try:
        rows = list(manifest.select(domains=[domain], splits=[split]))
    except UsageError:
        return []
    return load_samples(rows, classifier.prepare, workers=workers, quiet=quiet)[0]


def _adapt(name: str, classifier: Any, samples: dict[str, list[Sample]], seed: int) -> Any:
    from isotone.networks.training.adaptation import adapt_batch_norm, fine_tune  # torch

    if name == "fine-tuning":
        return fine_tune(classifier, samples["train"], samples["val"], seed=seed)
    prepared = [s.prepared for s in samples["train"] if s.prepared is not None]
    return adapt_batch_norm(classifier, np.stack(prepared) if prepared else np.empty((0, 1, 1), np.float32))
