"""Every image decoded once, at the classifier's size, and mapped into memory from then on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from isotone.curves.tone_curve import quantize
from isotone.data.cache import ArrayCache
from isotone.data.descriptors.foreground import regions
from isotone.data.images import map_images
from isotone.data.manifests.manifest import Manifest
from isotone.data.sample import SIZE, Sample, TakeSample
from isotone.errors import IsotoneError
from isotone.imaging.radiograph import Radiograph
from isotone.imaging.resize import to_square

Grey = NDArray[np.float32]
Indices = NDArray[np.intp]

FULL_RANGE, WINDOWED = "full-range", "display-window"
COLUMNS = ("domain", "label", "patient_id", "split", "view")


@dataclass(frozen=True)
class Shrink:
    """An image at full range and through its display window, as the classifier sees it; picklable.

    Parameters
    ----------
    image_size : int
        Side of the square, in pixels.
    cropped : bool
        Crop to the box around the anatomy first.
    """

    image_size: int
    cropped: bool

    def __call__(self, radiograph: Radiograph) -> NDArray[np.uint16]:
        """Presentation values × 65535, uint16 of shape (2, image_size, image_size)."""
        if self.cropped:
            radiograph = crop(radiograph)
        both = [to_square(r.pixels, self.image_size) for r in (radiograph, radiograph.displayed())]
        return quantize(np.stack(both), 16).astype(np.uint16)


def crop(radiograph: Radiograph) -> Radiograph:
    """The smallest box around the largest piece of anatomy ; the image itself where there is none."""
    step = -(-max(radiograph.stored.shape) // SIZE)
    pieces, count = ndimage.label(regions(TakeSample()(radiograph)).foreground)
    if not count:
        return radiograph
    foreground = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    (top, bottom), (left, right) = (np.flatnonzero(foreground.any(axis))[[0, -1]] for axis in (1, 0))
    box = np.s_[top * step : (bottom + 1) * step, left * step : (right + 1) * step]
    return replace(radiograph, stored=radiograph.stored[box].copy())


def decode(manifest: Manifest, folder: Path, shrink: Shrink, *, workers: int, quiet: bool) -> list[IsotoneError]:
    """Read every image of a manifest into a folder that `Images.load` reads; what is refused is returned."""
    for left in folder.glob("*.safetensors"):  # of an interrupted run, perhaps of another manifest
        left.unlink()
    table = manifest.table.reindex(columns=[*COLUMNS]).astype(object)
    # Numbers in the place of patients' identifiers: all that the results need.
    named = table["patient_id"].fillna("row " + pd.Series(table.index.astype(str), table.index))
    facts = table.assign(patient_id=pd.factorize(named)[0]).fillna("").astype(str).to_numpy()
    cache, refused = ArrayCache(folder), []
    for number, (_, seen) in enumerate(map_images(list(manifest), shrink, workers=workers, quiet=quiet)):
        if isinstance(seen, IsotoneError):
            refused.append(seen)
        else:
            cache.put(
                str(number), {FULL_RANGE: seen[0], WINDOWED: seen[1]}, dict(zip(COLUMNS, facts[number], strict=True))
            )
    cache.flush()
    return refused


@dataclass(frozen=True, eq=False)
class Images:
    """What `decode` wrote; images are named by their number in the manifest.

    Attributes
    ----------
    table : DataFrame
        `COLUMNS`, as strings, by number; patients as numbers.
    cache : ArrayCache
        Presentation values × 65535 by number, at full range and through the display window: uint16 of shape (S, S).
    """

    table: pd.DataFrame
    cache: ArrayCache

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Map the files of a folder."""
        cache = ArrayCache(folder)
        numbers = sorted(map(int, cache))
        return cls(pd.DataFrame([cache[str(n)][1] for n in numbers], pd.Index(numbers, name="image")), cache)

    def _stack(self, numbers: Indices, kind: str) -> Grey:
        return np.stack([self.cache[str(n)][0][kind] for n in numbers]).astype(np.float32) / np.float32(65535)

    def grey(self, numbers: Indices) -> Grey:
        """Full range, float32 of shape (n, S, S) in [0, 1]."""
        return self._stack(numbers, FULL_RANGE)

    def displayed(self, numbers: Indices) -> Grey:
        """Through each file's display window; full range where it has none."""
        return self._stack(numbers, WINDOWED)

    def radiographs(self, numbers: Indices) -> list[Radiograph]:
        """For methods that map one image at a time."""
        return [Radiograph.from_array(self.cache[str(n)][0][FULL_RANGE], bits=16) for n in numbers]

    def samples(self, numbers: Indices, split: Sequence[str]) -> list[Sample]:
        """For fits."""
        samples = []
        for n, name in zip(numbers, split, strict=True):
            row, whole = self.table.loc[n], self.cache[str(n)][0][FULL_RANGE]
            step = -(-len(whole) // SIZE)
            pixels = whole[::step, ::step].copy()
            facts = {"label": row["label"], "patient": row["patient_id"], "domain": row["domain"], "split": name}
            samples.append(Sample(pixels, np.ones(pixels.shape, bool), self.grey(np.array([n]))[0], **facts))
        return samples
