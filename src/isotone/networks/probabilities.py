"""A classifier as one module from grey levels to probabilities, plain enough to be traced and exported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from isotone.networks.classifier import Classifier

SMALLEST, NEARLY_ONE = 1e-12, 1 - 1e-7
"""As in `isotone.networks.forward`."""


class Probabilities(nn.Module):
    """Grey levels of shape (n, 1, S, S) in [0, 1] → probabilities of shape (n, C), as `Classifier.predict` gives them.

    Parameters
    ----------
    classifier : Classifier
        Its network is shared, not copied.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        config = classifier.config
        self.network = classifier.module
        self.channels, self.inverted, self.is_probability = config.channels, config.inverted, config.output
        self.register_buffer("mean", torch.tensor(config.mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(config.std).view(1, -1, 1, 1))
        size = config.image_size
        with (
            torch.inference_mode()
        ):  # whether the network gives one number per image is fixed, and so no part of a trace
            given = self.network(torch.zeros(2, config.channels, size, size, device=classifier.device))
        self.single = given.numel() == 2

    def forward(self, grey: Tensor) -> Tensor:
        x = 1 - grey if self.inverted else grey
        x = (x.repeat(1, self.channels, 1, 1) - self.mean) / self.std
        given: Tensor = self.network(x).float()
        if self.single:
            score = given.reshape(-1, 1)
            if self.is_probability == "probabilities":
                score = score.clamp(SMALLEST, NEARLY_ONE).logit()
            given = torch.cat([torch.zeros_like(score), score], 1)
        elif self.is_probability == "probabilities":
            given = given.clamp(SMALLEST, 1.0).log()
        return given.softmax(1)
