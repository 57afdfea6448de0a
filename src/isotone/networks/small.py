"""A small convolutional network that a CPU trains in a minute."""

from __future__ import annotations

from torch import Tensor, nn

WIDTHS = (16, 32, 64, 96)


class SmallNet(nn.Module):
    """Grey levels of shape (n, 1, h, w) in [0, 1] to logits of shape (n, C).

    Four blocks of a strided 3×3 convolution, batch normalization and ReLU, then the mean and a linear layer.
    Nothing in it normalizes one image by itself, so that it depends on the tone as larger networks do.
    """

    def __init__(self, num_classes: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(_block(i, o) for i, o in zip((1, *WIDTHS), WIDTHS, strict=False)))
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(WIDTHS[-1], num_classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(x).mean((2, 3)))  # type: ignore[no-any-return]


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )
