"""How fast a frozen classifier degrades when its own reference images get another response."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isotone._runtime.run_options import RunOptions
from isotone.data.manifests.manifest import Manifest
from isotone.errors import IsotoneError
from isotone.evaluation.metric_table import PAIRED
from isotone.evaluation.observations import gather, refuse_nothing
from isotone.evaluation.resampled import Resampled
from isotone.evaluation.scores import NONE
from isotone.evaluation.training_overlap import Training
from isotone.imaging.radiograph import Radiograph

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Response:
    """A made-up scanner: another map of the grey levels of [0, 1]; picklable."""

    kind: str
    amount: float

    def transform(self, radiograph: Radiograph) -> Radiograph:
        """The image as that scanner would have written it."""
        return radiograph.map_tone(lambda x: RESPONSES[self.kind](x, self.amount))


RESPONSES: dict[str, Callable[[Floats, float], Floats]] = {
    "gamma": lambda x, a: x**a,
    "window": lambda x, a: (x - a) / (1 - 2 * a),
    "range": lambda x, a: a / 2 + (1 - a) * x,
    "bits": lambda x, a: np.rint(x * (2**a - 1)) / (2**a - 1),
}
"""Exponent; share cut off at either end; share of the range left empty; bit depth."""

GRID = {
    "gamma": (0.5, 0.7, 1.4, 2.0),
    "window": (0.05, 0.1, 0.2),
    "range": (0.1, 0.3, 0.5),
    "bits": (8, 6, 4),
}


@dataclass(frozen=True)
class Degradation:
    """The classifier under one response.

    Attributes
    ----------
    response : str
        E.g. "gamma 2".
    worst_group_accuracy, auc : float or None
    auc_ci : pair of float or None
        95 % interval of the AUC over patients.
    loss : float or None
        Of worst-group accuracy against the untouched images, with its 95 % interval.
    loss_ci : pair of float or None
    """

    response: str
    worst_group_accuracy: float | None
    auc: float | None
    auc_ci: tuple[float, float] | None
    loss: float | None
    loss_ci: tuple[float, float] | None


def degrade(manifest: Manifest, classifier: Any, training: Training, *, run: RunOptions) -> list[Degradation]:
    """Score labelled reference images under every response of `GRID`; the untouched come first.

    Parameters
    ----------
    manifest : Manifest
        Labelled rows of the reference; those that the classifier was trained on, by its record, are left out.
    classifier : Classifier
    training : Training
        Gets the number of rows that are left out.

    Raises
    ------
    IsotoneError
        No image could be read, the classifier was trained on all of them, or a label is no class.
    """
    methods = {f"{kind} {amount:g}": Response(kind, amount) for kind, amounts in GRID.items() for amount in amounts}
    plain = Manifest(manifest.table.drop(columns="oracle_path", errors="ignore"))
    material = gather(plain, classifier, methods, run=replace(run, on_refusal=None))
    scores, domains = material.scores, manifest.domains
    training.add("test", material.left_out, scores.domain, domains)
    refuse_nothing(material)
    resampled, (auc, worst), found = Resampled(scores, seed=run.seed), PAIRED, []
    for name in (NONE, *methods):
        both = resampled.scores.scored(name)
        if not both.any():
            raise IsotoneError("E_DATA", "no image survives a change of its response")
        now, area = (resampled.estimate(metric, name, both) for metric in (worst, auc))
        gap = resampled.gain(worst, NONE, both, other=name)
        found.append(Degradation(name, now.point, area.point, area.ci, gap.point, gap.ci))
    return found
