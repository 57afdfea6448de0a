"""What the baselines that look at anatomy share: like is compared with like, as in the fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, Self, TypeVar

import numpy as np

from isotone.baselines.baseline import Baseline
from isotone.baselines.grey_levels import GreyLevels
from isotone.data.descriptors.foreground import regions
from isotone.data.descriptors.image_set import FEWEST, MOST
from isotone.data.sample import SIZE, TakeSample
from isotone.imaging.radiograph import Radiograph

T = TypeVar("T")


class AnatomyBaseline(Baseline, Generic[T]):
    """A baseline that learns anatomy from anatomy, or whole images from whole images.

    Air is told from anatomy where most images of the reference show some (`isotone.data.descriptors.image_set.MOST`),
    as in `isotone.estimation.scanner_curve`. An image that shows air is then compared, by its anatomy, with the anatomy
    of the images that do. An image without air is compared, whole, with the reference's images without air, or with
    all of them if fewer than one in ten have none (`isotone.data.descriptors.image_set.FEWEST`). Elsewhere, and
    always without `foreground`, all pixels count, collimation and marks apart.

    A subclass says what is kept of grey levels (`_keep`), and how that is written to JSON and read again.

    Parameters
    ----------
    foreground : bool
        False: all pixels but padding, whatever they show.
    """

    def __init__(self, *, foreground: bool = True) -> None:
        self.foreground = foreground
        self.fitted = False

    def fit(self, reference: Iterable[Radiograph]) -> Self:
        """Learn from the images of the reference, each with the same weight.

        Raises
        ------
        RadiographError
            E_EMPTY_IMAGE: fewer than two grey levels.
        IsotoneError
            E_DATA: no image.
        """
        if self.foreground:
            self._fit_apart([_both(radiograph) for radiograph in reference])
        else:
            self._air, self._whole = False, self._keep([GreyLevels.of(radiograph) for radiograph in reference])
        self.fitted = True
        return self

    def learned(self) -> dict[str, Any]:
        """What was learned of anatomy and of whole images."""
        self.refuse_unfitted()
        parts = {"whole": self._whole} | ({"anatomy": self._anatomy} if self._air else {})
        return {"air": self._air} | {name: self._to_json(part) for name, part in parts.items()}

    def remember(self, learned: Mapping[str, Any]) -> None:
        """Take it in the place of a fit."""
        self._air, self._whole = learned["air"] is True, self._from_json(learned["whole"])
        if self._air:
            self._anatomy = self._from_json(learned["anatomy"])
        self.fitted = True

    def _keep(self, reference: Sequence[GreyLevels]) -> T:
        raise NotImplementedError

    def _to_json(self, kept: T) -> Any:
        raise NotImplementedError

    def _from_json(self, entry: Any) -> T:
        raise NotImplementedError

    def _fit_apart(self, both: Sequence[tuple[GreyLevels, GreyLevels, bool]]) -> None:
        showing = float(np.mean([air for *_, air in both])) if both else 0.0
        self._air = showing >= MOST
        alone = [picture for _, picture, air in both if not (self._air and air)]
        enough = len(alone) >= max(1, FEWEST * len(both))
        self._whole = self._keep(alone if enough else [picture for _, picture, _ in both])
        if self._air:
            self._anatomy = self._keep([anatomy for anatomy, _, air in both if air])

    def _compared(self, radiograph: Radiograph) -> tuple[GreyLevels, T]:
        """The grey levels of an image to transform, and what was learned of its like; refused where not fitted."""
        self.refuse_unfitted()
        if not self.foreground:
            return GreyLevels.of(radiograph), self._whole
        anatomy, picture, air = _both(radiograph)
        return (anatomy, self._anatomy) if self._air and air else (picture, self._whole)


def _both(radiograph: Radiograph) -> tuple[GreyLevels, GreyLevels, bool]:
    """Of the anatomy and of the picture, on every k-th pixel, and whether the image shows air."""
    parts, small = regions(TakeSample()(radiograph)), radiograph.decimated(SIZE)
    anatomy, picture = (GreyLevels.of(small, mask) for mask in (parts.foreground, parts.picture))
    return anatomy, picture, bool(parts.background.any())
