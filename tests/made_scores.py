"""Scores and results as an evaluation would have them, made by script."""

import numpy as np

from isotone.evaluation.evaluate import compare_methods
from isotone.evaluation.results import Provenance, ResultRow, Results
from isotone.evaluation.scores import Scores

REFERENCE, SOURCE = "Ref One", "Src <Two> & Sons"


def scores(quality: dict[tuple[str, str], float], *, patients: int = 60, classes: int = 3, seed: int = 0) -> Scores:
    """Made-up scores; quality 0 is a coin, 1 nearly perfect, by (domain, method); a missing pair: refused."""
    rng = np.random.default_rng(seed)
    domains = sorted({d for d, _ in quality})
    domain = np.repeat(domains, patients)
    label = np.tile(np.arange(patients) % classes, len(domains))
    noise = rng.normal(size=(len(label), classes))
    tables = {}
    for method in dict.fromkeys(m for _, m in quality):
        strength = np.array([quality.get((d, method), np.nan) for d in domain])
        logits = noise + 6 * strength[:, None] * np.eye(classes)[label]
        tables[method] = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return Scores(
        classes=tuple("ABCDEF"[:classes]),
        image=np.array([f"{i:016x}" for i in range(len(label))]),
        patient=np.arange(len(label)),
        domain=domain,
        view=np.full(len(label), ""),
        label=label,
        probabilities=tables,
    )


def results(quality: dict[tuple[str, str], float], **changes: int) -> Results:
    return compare_methods(scores(quality, **changes), [REFERENCE], {}, seed=0)


HELPS = {
    (REFERENCE, "none"): 0.8,
    (SOURCE, "none"): 0.1,
    (REFERENCE, "z-score"): 0.3,
    (SOURCE, "z-score"): 0.2,
    (REFERENCE, "curve"): 0.8,
    (SOURCE, "curve"): 0.7,
    (SOURCE, "oracle"): 0.8,
}

GOOD = Results(
    schema=1,
    classes=["A", "B"],
    reference_domains=["Ref"],
    rows=[ResultRow(domain="Ref", method="none", reference=True, n=4, patients=4, auc=0.5, auc_ci=(0.1, 0.9))],
    provenance=Provenance(isotone="0", python="3", seed=0, manifest="0" * 64),
)
