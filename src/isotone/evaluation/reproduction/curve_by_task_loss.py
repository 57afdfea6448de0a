"""One curve for a scanner by the task loss alone: what a network per image has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from isotone._runtime.run_options import RunOptions
from isotone.curves.stages import Affine, InverseStep, Stage, Step
from isotone.curves.tone_curve import ToneCurve
from isotone.data.sample import Sample
from isotone.data.sampling import balanced_batches
from isotone.networks.classifier import Classifier
from isotone.networks.losses import task_loss
from isotone.networks.training.loop import Row, Schedule, run_epochs
from isotone.networks.training.precision import Steps
from isotone.networks.training.score import Criterion
from isotone.networks.training.task import Labelled, validation

STEEPEST = 0.99
"""Bound of |α|: an inverse step has none at 1."""
STEP_RATE, AFFINE_RATE = 3e-2, 5e-4
"""Learning rates of Adam: an affine stage that learns as fast as the steps ends in worse curves."""
BATCH_SIZE = 32


class LearnedCurve(nn.Module):
    """A tone curve as a module: images of shape (n, 1, h, w) in [0, 1] → the same through the curve.

    Parameters
    ----------
    num_iterations : int
        Number of steps; all start at the identity.
    bidirectional : bool
        Every other step an inverse step; False: Eq. 1 alone.
    affine : pair of float, optional
        Gain and offset that an affine stage before the steps starts with.
    """

    def __init__(self, num_iterations: int, bidirectional: bool, affine: tuple[float, float] | None = None) -> None:
        super().__init__()
        self.bidirectional = bidirectional
        self.steps = nn.Parameter(torch.zeros(num_iterations))
        # The logarithm of the gain, so that the stage stays increasing.
        start = None if affine is None else torch.tensor([np.log(affine[0]), affine[1]], dtype=torch.float32)
        self.affine = None if start is None else nn.Parameter(start)

    def forward(self, images: Tensor) -> Tensor:
        affine = None if self.affine is None else (self.affine[0].exp(), self.affine[1])
        return self._through(STEEPEST * self.steps.tanh(), affine)(images)

    @torch.no_grad()
    def curve(self) -> ToneCurve:
        """The curve in plain numbers."""
        affine = None if self.affine is None else (self.affine[0].double().exp().item(), self.affine[1].item())
        return self._through((STEEPEST * self.steps.double().tanh()).tolist(), affine)

    def _through(self, alphas: Any, affine: tuple[Any, Any] | None) -> ToneCurve:
        stages: list[Stage] = [] if affine is None else [Affine(*affine)]
        for i, alpha in enumerate(alphas):
            stages.append(InverseStep(alpha) if self.bidirectional and i % 2 else Step(alpha))
        return ToneCurve(stages)


def fit_curve_by_task(
    source: Sequence[Sample],
    val: Sequence[Sample],
    classifier: Classifier,
    *,
    num_iterations: int = 8,
    bidirectional: bool = False,
    affine: bool = False,
    epochs: int = 30,
    seed: int = 0,
) -> ToneCurve:
    """Fit one curve to a source domain so that the frozen classifier agrees with its labels (Eq. 2 alone).

    Parameters
    ----------
    source, val : sequence of Sample
        Training and validation images of the source domain, with `label` and `prepared`. The epoch with the best
        worst-group accuracy on `val` is kept, of equal ones that with the lowest cross-entropy there; of few images
        in `val` that with the lowest cross-entropy (`Criterion`).
    classifier : Classifier
    num_iterations : int
        Number of steps.
    bidirectional : bool
        Every other step an inverse step; False: Eq. 1 alone.
    affine : bool
        An affine stage before the steps, that starts by stretching the source's own range to [0, 1].
    epochs : int
    seed : int

    Returns
    -------
    ToneCurve

    Raises
    ------
    IsotoneError
        E_DATA: no labelled image in either, or a label that the classifier does not know.
    """
    ours = Labelled.of(source, classifier.config.classes, "the source domain's train split")
    unseen = Labelled.of(val, classifier.config.classes, "the source domain's val split")
    network = LearnedCurve(num_iterations, bidirectional, _stretch(ours.images) if affine else None)
    network.to(classifier.device)
    groups = [{"params": [network.steps], "lr": STEP_RATE}]
    if network.affine is not None:
        groups.append({"params": [network.affine], "lr": AFFINE_RATE})
    steps = Steps(torch.optim.Adam(groups), classifier.device)

    def train(rng: np.random.Generator) -> Row:
        total = []
        for batch in balanced_batches(ours.names, BATCH_SIZE, rng):
            images, numbers = ours.batch(batch, classifier.device)
            loss = task_loss(classifier.logits(network(images)), numbers)
            steps(loss)
            total.append(loss.item())
        return {"task_loss": float(np.mean(total))}

    run_epochs(
        network,
        steps,
        Schedule(epochs, criterion=Criterion.of(unseen.names)),
        train,
        lambda: validation(network, classifier, unseen),
        run=RunOptions(seed, quiet=True),
        label="fitting a curve",
    )
    return network.curve()


def _stretch(images: Sequence[NDArray[np.float32]]) -> tuple[float, float]:
    """Gain and offset that stretch what the images use of [0, 1], but for a thousandth at either end."""
    low, high = np.quantile(np.stack(images), (0.001, 0.999))
    gain = 1 / max(float(high - low), 1e-3)
    return gain, -gain * float(low)
