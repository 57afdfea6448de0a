"""The rival of a harmonizer: a classifier adapted to the source scanner, its images left alone."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from isotone._runtime.run_options import RunOptions
from isotone.data.sample import Sample
from isotone.data.sampling import balanced_batches
from isotone.errors import IsotoneError
from isotone.networks.classifier import Classifier
from isotone.networks.losses import task_loss
from isotone.networks.training.loop import Row, Schedule, run_epochs
from isotone.networks.training.precision import Steps
from isotone.networks.training.score import Criterion
from isotone.networks.training.task import Labelled, validation

EPOCHS = 20
LEARNING_RATE = 1e-4
BATCH = 12


def adapt_batch_norm(classifier: Classifier, prepared: NDArray[np.float32], batch_size: int = 32) -> Classifier:
    """A copy whose batch-normalisation statistics are those of other images; needs no labels.

    Schneider et al., "Improving robustness against common corruptions by covariate shift adaptation", NeurIPS 2020,
    with the source statistics alone (N = 0).

    Parameters
    ----------
    classifier : Classifier
        Stays as it is.
    prepared : float32 array of shape (n, S, S)
        Unlabelled images of the source scanner, as `Classifier.prepare` gives them.
    batch_size : int

    Raises
    ------
    IsotoneError
        E_DATA: the network has no batch normalisation, or there are fewer than two images.
    """
    adapted = Classifier(copy.deepcopy(classifier.module), classifier.config, device=classifier.device)
    layers = [m for m in adapted.module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not layers:
        raise IsotoneError("E_DATA", "the classifier has no batch normalisation to adapt")
    if len(prepared) < 2:
        raise IsotoneError("E_DATA", "there are fewer than two images to adapt to")
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the plain mean over all batches
        layer.train()
    # A last batch of one image would have no variance.
    for part in np.array_split(prepared, -(-len(prepared) // batch_size)):
        adapted.predict(part, batch_size)
    adapted.module.eval()
    return adapted


def fine_tune(classifier: Classifier, train: Sequence[Sample], val: Sequence[Sample], *, seed: int = 0) -> Classifier:
    """A copy trained on with labelled images of the source scanner; all weights learn.

    Adam at `LEARNING_RATE` for `EPOCHS` epochs of class-balanced batches; the epoch with the best worst-group
    accuracy on `val` is kept, of few images there that with the lowest cross-entropy (`Criterion`).

    Parameters
    ----------
    classifier : Classifier
        Stays as it is.
    train, val : sequence of Sample
        With `label` and `prepared`.
    seed : int

    Raises
    ------
    IsotoneError
        E_DATA: no labelled image in either, or a label that the classifier lacks.
    """
    classes = classifier.config.classes
    seen, unseen = Labelled.of(train, classes, "the source's train split"), Labelled.of(val, classes, "its val split")
    tuned = Classifier(copy.deepcopy(classifier.module), classifier.config, device=classifier.device)
    module = tuned.module.requires_grad_(True)
    steps = Steps(torch.optim.Adam(module.parameters(), LEARNING_RATE), tuned.device)

    def train_epoch(rng: np.random.Generator) -> Row:
        total = []
        for batch in balanced_batches(seen.names, BATCH, rng):
            loss = task_loss(tuned.logits((images := seen.batch(batch, tuned.device))[0]), images[1])
            steps(loss)
            total.append(loss.item())
        return {"train_loss": float(np.mean(total))}

    run_epochs(
        module,
        steps,
        Schedule(EPOCHS, criterion=Criterion.of(unseen.names)),
        train_epoch,
        lambda: validation(nn.Identity(), tuned, unseen),
        run=RunOptions(seed, quiet=True),
        label="fine-tuning",
    )
    return Classifier(module, classifier.config, device=classifier.device)
