"""A second architecture for the benchmarks: a small residual network, unlike the package's plain `SmallNet`.

It is a user's own network as far as the package is concerned: ``benchmarks.residual_net:build`` in its folder.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

STAGES = ((16, 2), (32, 2), (64, 2))
"""Channels and stride of each residual block."""


class Residual(nn.Module):
    """Two 3×3 convolutions beside a 1×1 projection (He et al. 2016, doi:10.1109/CVPR.2016.90)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.across = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(outputs) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        deep = self.norms[1](self.second(F.relu(self.norms[0](self.first(x)))))
        return F.relu(deep + self.norms[2](self.across(x)))


def build(classes: int = 2) -> nn.Module:
    """Grey levels of shape (n, 1, S, S) in [0, 1] to logits of shape (n, classes)."""
    blocks: list[nn.Module] = [nn.Conv2d(1, 16, 5, 2, 2, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    channels = 16
    for outputs, stride in STAGES:
        blocks.append(Residual(channels, outputs, stride))
        channels = outputs
    return nn.Sequential(
        *blocks, nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Dropout(0.2), nn.Linear(4 * channels, classes)
    )


def build_four() -> nn.Module:
    """The same for the four classes of breast density."""
    return build(4)
