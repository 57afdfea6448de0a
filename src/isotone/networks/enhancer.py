"""A pixel-wise enhancer: the control of the paper's claim (§3.2) that only a tone curve is safe from patterns."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 16


class PixelEnhancer(nn.Module):
    """A small residual U-Net: images of shape (n, 1, h, w) in [0, 1] to images of the same shape and range.

    Unlike a curve it may treat two pixels of one grey level differently, and so it can draw patterns that turn the
    classifier without mending the tone. It starts as the identity.
    """

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(1, WIDTH, 3, padding=1)
        self.middle = nn.Conv2d(WIDTH, 2 * WIDTH, 3, stride=2, padding=1)
        self.bottom = nn.Conv2d(2 * WIDTH, 2 * WIDTH, 3, padding=1)
        self.up = nn.Conv2d(3 * WIDTH, WIDTH, 3, padding=1)
        self.last = nn.Conv2d(WIDTH, 1, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        fine = F.relu(self.down(images))
        coarse = F.relu(self.bottom(F.relu(self.middle(fine))))
        coarse = F.interpolate(coarse, fine.shape[2:], mode="bilinear", align_corners=False)
        change: Tensor = self.last(F.relu(self.up(torch.cat([fine, coarse], dim=1)))).tanh()
        return (images + change).clamp(0, 1)
