"""Learning from a frozen classifier: one step, and the epochs, of whatever maps images to images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from isotone.errors import IsotoneError
from isotone.networks.losses import Features, perceptual_loss, pooled, task_loss
from isotone.networks.training.score import worst_group_accuracy

if TYPE_CHECKING:
    from isotone.data.sample import Sample
    from isotone.networks.classifier import Classifier


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images and labels.

    Attributes
    ----------
    images : list of n float32 arrays of shape (S, S) in [0, 1]
        Never joined into one array: they may be mapped from a file that is larger than the memory.
    numbers : int64 array of shape (n,)
        Place of each label among the classifier's classes.
    names : list of str
        The labels.
    """

    images: list[NDArray[np.float32]]
    numbers: NDArray[np.int64]
    names: list[str]

    @classmethod
    def of(cls, samples: Sequence[Sample], classes: Sequence[str], what: str) -> Self:
        """Samples that have a label and a prepared image.

        Raises
        ------
        IsotoneError
            E_DATA: there are none, or a label is not among `classes`; `what` names them in the message.
        """
        kept = [(s.prepared, s.label) for s in samples if s.prepared is not None and s.label is not None]
        if not kept:
            raise IsotoneError("E_DATA", f"{what} has no labelled image")
        images, names = zip(*kept, strict=True)
        unknown = sorted(set(names) - set(classes))
        if unknown:
            raise IsotoneError("E_DATA", f"{what} has a label that the classifier lacks: {unknown[0]!r}")
        numbers = np.array([classes.index(name) for name in names], np.int64)
        return cls(list(images), numbers, list(names))

    def batch(self, indices: NDArray[np.intp], device: torch.device) -> tuple[Tensor, Tensor]:
        """Images of shape (n, 1, S, S) and class numbers of shape (n,)."""
        images = torch.from_numpy(np.stack([self.images[i] for i in indices])).unsqueeze(1)
        return images.to(device), torch.from_numpy(self.numbers[indices]).to(device)


def losses(
    network: nn.Module,
    classifier: Classifier,
    features: Features | None,
    source: tuple[Tensor, Tensor],
    reference: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor]:
    """L_P and L_CE of one step, as the authors ran it; the reference images pass through the network too.

    Parameters
    ----------
    network : nn.Module
        H, images → images.
    classifier : Classifier
        D.
    features : callable or None
        Perceptual network; None: L_P is 0.
    source, reference : pairs of tensors
        Images (n, 1, S, S) and class numbers (n,).

    Returns
    -------
    perceptual, task : Tensor
        ``P(H(s), r) + P(H(r), r)`` and ``CE(D(H(s)), y_s) + CE(D(H(r)), y_r)``.
    """
    (s, y_s), (r, y_r) = source, reference
    harmonized = network(torch.cat([s, r]))
    n = len(s)
    logits = classifier.logits(harmonized)
    task = task_loss(logits[:n], y_s) + task_loss(logits[n:], y_r)
    if features is None:
        return torch.zeros_like(task), task
    with torch.no_grad():
        wanted = pooled(features, r)
    ours = pooled(features, harmonized)
    return perceptual_loss(ours[:n], wanted) + perceptual_loss(ours[n:], wanted), task


def validation(network: nn.Module, classifier: Classifier, val: Labelled, batch_size: int = 64) -> dict[str, float]:
    """``worst_group_accuracy`` and ``val_loss`` of the classifier behind the network."""
    logits = []
    with torch.no_grad():
        for part in np.array_split(np.arange(len(val.names)), -(-len(val.names) // batch_size)):
            images, _ = val.batch(part, classifier.device)
            logits.append(classifier.logits(network(images)).cpu())
    scores = torch.cat(logits)
    chosen = np.array(classifier.config.classes)[scores.argmax(1).numpy()]
    return {
        "worst_group_accuracy": worst_group_accuracy(val.names, chosen),
        "val_loss": float(task_loss(scores, torch.from_numpy(val.numbers))),
    }
