"""What an image shows of its scanner: its tone, and what no tone curve can change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from isotone.baselines.grey_levels import GreyLevels
from isotone.data.descriptors.foreground import regions
from isotone.data.sample import SIZE, TakeSample
from isotone.evaluation.predict import PERCENTILES
from isotone.imaging.radiograph import Radiograph

Floats = NDArray[np.float64]

CROP = 512
"""Side in pixels of the piece at full resolution in which texture is looked at."""
TEXTURE = ("noise", "sharpness", "grain")
FIELD = ("share of foreground", "aspect ratio")


@dataclass(frozen=True)
class Traits:
    """One image's traits.

    Attributes
    ----------
    tone : float64 array of shape (7,)
        `PERCENTILES` of the foreground's grey levels at full range: a scanner's curve maps them one by one.
    texture : float64 array of shape (3,)
        `TEXTURE`, on ranks of the grey levels: no increasing tone curve changes them.
    field : float64 array of shape (2,)
        `FIELD`, likewise.
    view, intent, modality : str
        "" where the header has none.
    """

    tone: Floats
    texture: Floats
    field: Floats
    view: str
    intent: str
    modality: str


def traits(radiograph: Radiograph) -> Traits:
    """The traits of an image.

    Raises
    ------
    RadiographError
        E_EMPTY_IMAGE: fewer than two grey levels.
    """
    mask = regions(TakeSample()(radiograph), slack=0.0).foreground  # blur is told by texture, not here
    header = radiograph.header
    return Traits(
        tone=GreyLevels.of(radiograph.decimated(SIZE), mask).percentiles(PERCENTILES),
        texture=_texture(radiograph, mask),
        field=np.array([mask.mean(), header.columns / header.rows]),
        view=header.view or "",
        intent=header.intent or "",
        modality=header.modality or "",
    )


def _texture(radiograph: Radiograph, mask: NDArray[np.bool_]) -> Floats:
    ranks, inside = _ranks(radiograph, mask)
    # Filters that reach beyond the anatomy would measure its outline.
    inner = ndimage.binary_erosion(inside, iterations=8, border_value=1)
    inner = inner if inner.sum() > 100 else inside
    fine = np.abs(ranks - ndimage.uniform_filter(ranks, 3))[inner]
    coarse = np.abs(ndimage.uniform_filter(ranks, 5) - ndimage.uniform_filter(ranks, 15))[inner]
    flat = fine[coarse <= np.median(coarse)]  # where there are no edges, the fine detail is noise
    centred = ranks - ndimage.uniform_filter(ranks, 15)
    pairs = inner[:, 1:] & inner[:, :-1]
    grain = (centred[:, 1:] * centred[:, :-1])[pairs].mean() / max((centred[inner] ** 2).mean(), 1e-12)
    return np.array([np.median(flat), fine.mean() / max(coarse.mean(), 1e-12), grain])


def _ranks(radiograph: Radiograph, mask: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
    """A piece from the middle of the foreground: of each pixel the share of its foreground that is darker, and mask."""
    shape = radiograph.stored.shape
    step = -(-max(shape) // SIZE)
    inside = np.kron(mask, np.ones((step, step), bool))[: shape[0], : shape[1]]
    centre = [int(np.median(i)) if len(i) else n // 2 for i, n in zip(np.nonzero(inside), shape, strict=True)]
    starts = [max(0, min(c - CROP // 2, n - CROP)) for c, n in zip(centre, shape, strict=True)]
    piece = tuple(slice(a, a + CROP) for a in starts)
    stored, inside = radiograph.stored[piece], inside[piece]
    order = np.argsort(radiograph.tone, kind="stable")
    counts = np.bincount(stored[inside], minlength=len(radiograph.tone))[order]
    share = np.empty(len(order))
    share[order] = (np.cumsum(counts) - counts / 2) / max(inside.sum(), 1)
    return share[stored], inside
