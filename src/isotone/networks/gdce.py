"""GDCE, Global Deep Curve Estimation: the paper's network from an image to the coefficients of Eq. 1."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from isotone.curves.stages import apply_steps
from isotone.curves.tone_curve import ToneCurve
from isotone.imaging.radiograph import Radiograph

MAX_ITERATIONS = 1024
"""A model file that asks for more is no model, but a way to fill the memory."""


class GDCE(nn.Module):
    """The paper's network: one coefficient per step of Eq. 1, from the whole image.

    Two channels, x and 1 − x; `num_layers` 3×3 convolutions of 16, 32, 64, … channels with ReLU and a 2×2
    average pool after every one but the last; the mean; three linear layers; tanh.

    Parameters
    ----------
    num_layers : int
        L, 1 to 9.
    num_iterations : int
        N, 1 to `MAX_ITERATIONS`.
    input_size : int
        Side in pixels of what the network sees; at least ``2**(num_layers − 1)``.

    Raises
    ------
    ValueError
        `num_layers`, `num_iterations` or `input_size` out of range.

    Examples
    --------
    >>> import torch, isotone
    >>> network = isotone.GDCE(num_layers=3, num_iterations=4, input_size=32)
    >>> images = torch.rand(2, 1, 32, 32)
    >>> network(images).shape, network.coefficients(images).shape
    (torch.Size([2, 1, 32, 32]), torch.Size([2, 4]))
    """

    def __init__(self, num_layers: int = 5, num_iterations: int = 8, input_size: int = 256) -> None:
        super().__init__()
        if not 1 <= num_layers <= 9:
            raise ValueError(f"GDCE has 1 to 9 layers, not {num_layers}")
        if not 2 ** (num_layers - 1) <= input_size <= 2048:  # each layer but the last halves it
            raise ValueError(f"GDCE of {num_layers} layers cannot see {input_size} pixels")
        if not 1 <= num_iterations <= MAX_ITERATIONS:
            raise ValueError(f"a curve has 1 to {MAX_ITERATIONS} steps, not {num_iterations}")
        self.num_layers = num_layers
        self.num_iterations = num_iterations
        self.input_size = input_size
        channels = [2, *(16 * 2**i for i in range(num_layers))]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(channels):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)]
        self.features = nn.Sequential(*layers[:-1])
        self.head = nn.Sequential(
            nn.Linear(channels[-1], 64),
            nn.ReLU(),
            nn.Linear(64, 32),
            nn.ReLU(),
            nn.Linear(32, num_iterations),
            nn.Tanh(),
        )

    def coefficients(self, images: Tensor) -> Tensor:
        """α of shape (B, num_iterations) in [−1, 1] for images of shape (B, 1, H, W) in [0, 1]."""
        x = torch.cat([images, 1 - images], dim=1)
        x = F.interpolate(x, (self.input_size, self.input_size), mode="bilinear", align_corners=False)
        return self.head(self.features(x).mean((2, 3)))  # type: ignore[no-any-return]

    def forward(self, images: Tensor) -> Tensor:
        """Harmonized images: shape (B, 1, H, W) and [0, 1], as the images that went in."""
        return apply_steps(images, self.coefficients(images).T[..., None, None, None])


@torch.inference_mode()
def gdce_curve(network: GDCE, radiograph: Radiograph) -> ToneCurve:
    """The curve that the network gives one image.

    The network sees few interpolated pixels; only the four stored pixels around each of them are looked
    up, so that the size of the image hardly matters.

    Parameters
    ----------
    network : GDCE
        In evaluation mode.
    radiograph : Radiograph

    Returns
    -------
    ToneCurve
        Of the coefficients that `GDCE.coefficients` gives the whole image.
    """
    device = next(network.parameters()).device
    images = torch.from_numpy(sample_bilinear(radiograph, network.input_size)).to(device)[None, None]
    return ToneCurve([float(alpha) for alpha in network.coefficients(images)[0]])


def sample_bilinear(radiograph: Radiograph, size: int) -> NDArray[np.float32]:
    """What `GDCE.coefficients` interpolates from the pixels of an image, from a few of them alone.

    Returns
    -------
    float32 array of shape (size, size)
        As ``F.interpolate(pixels, (size, size), mode="bilinear", align_corners=False)``; of an image that was read
        reduced, at the same places of the whole image.
    """
    step, header = radiograph.step, radiograph.header
    whole = radiograph.stored.shape if step == 1 else (header.rows, header.columns)
    rows, columns = (
        _neighbours(length, full, size, step) for length, full in zip(radiograph.stored.shape, whole, strict=True)
    )
    tone = radiograph.tone.astype(np.float32)

    def levels(row: NDArray[np.intp], column: NDArray[np.intp]) -> NDArray[np.float32]:
        return tone[radiograph.stored[np.ix_(row, column)]]

    (top, bottom, down), (left, right, across) = rows, columns
    upper = (1 - across) * levels(top, left) + across * levels(top, right)
    lower = (1 - across) * levels(bottom, left) + across * levels(bottom, right)
    return (1 - down[:, None]) * upper + down[:, None] * lower


def _neighbours(
    length: int, whole: int, size: int, step: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """The two pixels around each of `size` positions along a side, and the weight of the second.

    The side has `length` pixels, every `step`-th of `whole`.
    """
    scale = np.float64(np.float32(whole) / np.float32(size))  # torch keeps it in single precision
    position = (scale * (np.arange(size) + 0.5) - 0.5).astype(np.float32).clip(0)
    position = (position / step).astype(np.float32)
    first = position.astype(np.intp).clip(0, length - 1)
    return first, (first + 1).clip(0, length - 1), position - first.astype(np.float32)
