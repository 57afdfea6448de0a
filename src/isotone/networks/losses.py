"""The paper's loss: a perceptual term (Eq. 3), a task term (Eq. 2), and two ways to add them.

"sum" is Eq. 4 as published; "weighted" is what the authors ran.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

LossForm = Literal["sum", "weighted"]
Features = Callable[[Tensor], Tensor]
"""Images of shape (n, 1, h, w) in [0, 1] → feature maps of shape (n, K, h', w')."""


def pooled(features: Features, images: Tensor) -> Tensor:
    """Feature maps averaged over the image: shape (n, K)."""
    return features(images).mean((2, 3))


def perceptual_loss(ours: Tensor, reference: Tensor) -> Tensor:
    """Eq. 3: mean absolute difference of pooled features.

    Parameters
    ----------
    ours, reference : Tensor of shape (n, K)
        Image i of a batch is compared with image i of the other: any reference image will do.
    """
    return F.l1_loss(ours, reference)


def task_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Eq. 2: cross-entropy of the frozen classifier's logits (n, C) with labels (n,) as class numbers."""
    return F.cross_entropy(logits, labels)


def total_loss(perceptual: Tensor, task: Tensor, form: LossForm = "weighted", weight: float = 0.95) -> Tensor:
    """Both terms together.

    Parameters
    ----------
    perceptual, task : Tensor
        L_P and L_CE, scalars.
    form : {"sum", "weighted"}
        "sum": ``L_P + L_CE`` (Eq. 4). "weighted": ``λ·k·L_P + (1 − λ)·L_CE`` with ``k = floor(L_CE / L_P)``,
        a constant to the gradient: 0, and no perceptual term, whenever L_CE < L_P.
    weight : float
        λ in [0, 1] of "weighted".
    """
    if form == "sum":
        return perceptual + task
    ratio = torch.floor(task.detach() / perceptual.detach())
    k = torch.nan_to_num(ratio, nan=0.0, posinf=0.0)  # features that agree exactly need no term
    return weight * k * perceptual + (1 - weight) * task
