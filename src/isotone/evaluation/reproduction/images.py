"""Every image decoded once, at the classifier's size, in two files that are mapped into memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from isotone._runtime.files import replace_file
from isotone.curves.tone_curve import quantize
from isotone.data.descriptors.foreground import regions
from isotone.data.images import map_images
from isotone.data.manifests.manifest import Manifest
from isotone.data.sample import SIZE, Sample, TakeSample
from isotone.errors import IsotoneError
from isotone.imaging.radiograph import Radiograph
from isotone.imaging.resize import to_square

Grey = NDArray[np.float32]
Indices = NDArray[np.intp]

TABLE, FULL_RANGE, WINDOWED = "images.csv", "full-range.npy", "display-window.npy"
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
    rows = list(manifest)
    table = manifest.table.reindex(columns=[*COLUMNS]).astype(object)
    # Numbers in the place of patients' identifiers: all that the results need.
    named = table["patient_id"].fillna("row " + pd.Series(table.index.astype(str), table.index))
    table["patient_id"] = pd.factorize(named)[0]
    shape = (2, len(rows), shrink.image_size, shrink.image_size)
    refused: dict[int, IsotoneError] = {}
    with replace_file(folder / FULL_RANGE) as one, replace_file(folder / WINDOWED) as two:
        files = [np.lib.format.open_memmap(f, "w+", np.uint16, shape[1:]) for f in (one, two)]
        for k, (_, seen) in enumerate(map_images(rows, shrink, workers=workers, quiet=quiet)):
            if isinstance(seen, IsotoneError):
                refused[k] = seen
                continue
            files[0][k], files[1][k] = seen
        for file in files:
            file.flush()
    table.insert(0, "image", np.arange(len(rows)))
    with replace_file(folder / TABLE) as temporary:
        table.drop(index=list(refused)).to_csv(temporary, index=False)
    return list(refused.values())


@dataclass(frozen=True, eq=False)
class Images:
    """What `decode` wrote; images are named by their number in the manifest.

    Attributes
    ----------
    table : DataFrame
        `COLUMNS`, by number; patients as numbers.
    full_range, windowed : uint16 array of shape (n, S, S)
        Presentation values × 65535.
    """

    table: pd.DataFrame
    full_range: NDArray[np.uint16]
    windowed: NDArray[np.uint16]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Map the files of a folder."""
        text = dict.fromkeys(("domain", "label", "patient_id", "split", "view"), str)
        table = pd.read_csv(folder / TABLE, dtype=text, index_col="image", keep_default_na=False)
        return cls(table, *(np.load(folder / name, mmap_mode="r") for name in (FULL_RANGE, WINDOWED)))

    def grey(self, numbers: Indices) -> Grey:
        """Full range, float32 of shape (n, S, S) in [0, 1]."""
        return self.full_range[numbers].astype(np.float32) / np.float32(65535)

    def displayed(self, numbers: Indices) -> Grey:
        """Through each file's display window; full range where it has none."""
        return self.windowed[numbers].astype(np.float32) / np.float32(65535)

    def radiographs(self, numbers: Indices) -> list[Radiograph]:
        """For methods that map one image at a time."""
        return [Radiograph.from_array(self.full_range[n], bits=16) for n in numbers]

    def samples(self, numbers: Indices, split: Sequence[str]) -> list[Sample]:
        """For fits."""
        step = -(-self.full_range.shape[1] // SIZE)
        samples = []
        for n, name in zip(numbers, split, strict=True):
            row, pixels = self.table.loc[n], self.full_range[n][::step, ::step].copy()
            samples.append(
                Sample(
                    pixels=pixels,
                    valid=np.ones(pixels.shape, bool),
                    prepared=self.grey(np.array([n]))[0],
                    label=row["label"],
                    patient=row["patient_id"],
                    domain=row["domain"],
                    split=name,
                )
            )
        return samples
