"""The output of the Modality LUT for every stored value, and its displays; images of one scanner share their tables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

from isotone.imaging.grey_levels import grayscale
from isotone.imaging.grey_levels.grayscale import Floats

TABLES = 16
"""Kinds of images whose tables are kept, each of up to 0.5 MB for 16 bits."""


@dataclass(frozen=True, eq=False)
class Levels:
    """What each possible stored value is behind the Modality LUT.

    Attributes
    ----------
    values : float64 array of shape (2**bits,)
    """

    values: Floats

    @cached_property
    def tone(self) -> Floats:
        """These at full range, as `isotone.imaging.grey_levels.grayscale.full_range` gives and refuses them."""
        return _shared(grayscale.full_range(self.values))

    def window(self, center: float, width: float, function: str) -> Floats:
        """These through a window, as `isotone.imaging.grey_levels.grayscale.window` gives and refuses them."""
        return _windowed(self, center, width, function)


@lru_cache(maxsize=TABLES)
def rescaled(bits: int, signed: bool, slope: float, intercept: float) -> Levels:
    """The levels of slope and intercept, as `isotone.imaging.grey_levels.grayscale.rescale` gives and refuses them."""
    return Levels(_shared(grayscale.rescale(grayscale.stored_values(bits, signed), slope, intercept)))


@lru_cache(maxsize=TABLES)
def _windowed(levels: Levels, center: float, width: float, function: str) -> Floats:
    return _shared(grayscale.window(levels.values, center, width, function))


def _shared(table: Floats) -> Floats:
    """A table that many images have."""
    table.setflags(write=False)
    return table
