"""Did a network learn? Parameters at the ends of the tanh, and a classifier that knows no more than a guess."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from isotone.networks.gdce import GDCE
from isotone.networks.training.loop import Row
from isotone.networks.training.task import Labelled

END = 0.99
"""|α| from which on a curve parameter counts as at an end of the tanh, whose slope is 1 − α² (0.02 here)."""
SATURATED = 0.5
"""Share of such parameters from which on a network counts as saturated: it hardly learns any more. Raised, fewer are
warned of; chosen here."""
BATCH = 64
"""Validation images at a time."""


def learned(rows: Sequence[Row], labels: Sequence[str]) -> bool:
    """Whether a run was of use: not saturated, and behind its network the classifier knows more than a guess.

    A guess gives each class of the validation images the same probability, a cross-entropy of log C.

    Parameters
    ----------
    rows : sequence of dict
        Of `fit_gdce`.
    labels : sequence of str
        Of the validation images.
    """
    kept = kept_of(rows)
    return kept["saturated"] < SATURATED and kept["val_loss"] < np.log(len(set(labels)))


def warnings_of(rows: Sequence[Row], labels: Sequence[str]) -> list[str]:
    """What the fit warns of, each with its stable code: parameters as those of `learned`, both tries together."""
    kept, said = kept_of(rows), []
    if kept["saturated"] >= SATURATED:
        said.append(
            f"W_SATURATED {100 * kept['saturated']:.0f} % of the curve parameters lie at the ends of the tanh (|α| of "
            f"{END} or more), where they hardly learn: lower the learning rate"
        )
    if not kept["val_loss"] < np.log(len(set(labels))):
        said.append(
            f"W_UNLEARNED with the curves of this network the classifier's cross-entropy on validation images is "
            f"{kept['val_loss']:.2f}, and a guess among their {len(set(labels))} classes has "
            f"{np.log(len(set(labels))):.2f}: train longer, try other learning rates, or use "
            'method="scanner"; the paper\'s curve (Eq. 1) cannot lower a lifted black'
        )
    return said


def kept_of(rows: Sequence[Row]) -> Row:
    """The epoch whose weights the network has."""
    return next(row for row in rows if row["kept"])


@torch.no_grad()
def saturated_share(network: nn.Module, images: Labelled, device: torch.device) -> float:
    """Share of the curve parameters of these images that lie at the tanh's ends; 0 for a network without any.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode.
    images : Labelled
    device : torch.device
    """
    if not isinstance(network, GDCE):
        return 0.0
    parts = np.array_split(np.arange(len(images.names)), -(-len(images.names) // BATCH))
    ends = [network.coefficients(images.batch(part, device)[0]).abs() >= END for part in parts]
    return float(torch.cat(ends).float().mean())
