"""Four invented vendors: how each turns an exposure into stored values.

The line integral becomes presentation values as the reference scanner shows them; the other three apply a
response of their own to these, in floating point, before anything is rounded to a bit depth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isotone.curves.tone_curve import quantize

Floats = NDArray[np.float64]

FULL_SCALE = 4.8
"""Line integral where the reference scanner's response bends into its shoulder: 60 mm of glandular tissue."""

BLACK = 0.02
"""Presentation value of air; quantum noise below it is not clipped."""


LOW_RANGE = 1 / 3
"""Exponent of Dogwood: tissue lies in the lower 0.4 of the range, from black. Raised, its images look more like the
reference's. Chosen so that the untouched classifier is at chance or below and a window of 0.4 brings the AUC to about
0.8, as in the paper's Fig. 3, and within the reach of Eq. 1 (docs/results_gdce.md)."""


@dataclass(frozen=True)
class Scanner:
    """An invented scanner.

    Attributes
    ----------
    manufacturer, model : str
        As in the DICOM header; together the domain.
    bits : int
        BitsStored.
    inverted : bool
        MONOCHROME1.
    window : (float, float) or None
        Center and width in stored values where they matter; None: the identity, 2^(bits − 1) and 2^bits.
    response, undo : callables
        Presentation value of the reference scanner → this scanner's, over [0, 1], and back.
    formula : str
        `response` in words.
    """

    manufacturer: str
    model: str
    bits: int
    inverted: bool
    window: tuple[float, float] | None
    response: Callable[[Floats], Floats]
    undo: Callable[[Floats], Floats]
    formula: str

    @property
    def domain(self) -> str:
        """As isotone names a scanner: manufacturer and model."""
        return f"{self.manufacturer} {self.model}"

    @property
    def window_or_identity(self) -> tuple[float, float]:
        """Window center and width for the header (PS3.3 C.11.2.1.2)."""
        return self.window or (2.0 ** (self.bits - 1), 2.0**self.bits)

    def stored(self, line_integral: Floats) -> NDArray[np.uint16]:
        """Stored values of an exposure, each within half a level of the response."""
        shown = self.response(reference_presentation(line_integral))
        return quantize(1 - shown if self.inverted else shown, self.bits).astype(np.uint16)


def reference_presentation(line_integral: Floats) -> Floats:
    """What the reference scanner shows, in [0, 1): linear in the log of the exposure, with a soft shoulder.

    Parameters
    ----------
    line_integral : float64 array, any shape
        Of `draw_breast`: about 0 in air, up to about 5.
    """
    x = np.maximum(np.asarray(line_integral) / FULL_SCALE, -BLACK)
    return np.asarray(BLACK + (1 - BLACK) * x / (1 + np.abs(x) ** 6) ** (1 / 6))


def _identity(x: Floats) -> Floats:
    return x


def _compress(x: Floats) -> Floats:
    return np.asarray(np.log1p(12 * x) / np.log(13))


def _undo_compress(y: Floats) -> Floats:
    return np.asarray(np.expm1(y * np.log(13)) / 12)


def _expand(x: Floats) -> Floats:
    return 0.10 + 0.35 * np.asarray(x) ** 1.5


def _undo_expand(y: Floats) -> Floats:
    return np.clip((np.asarray(y) - 0.10) / 0.35, 0, 1) ** (1 / 1.5)


def _shrink(x: Floats) -> Floats:
    return 1 - (1 - 0.95 * np.asarray(x)) ** LOW_RANGE


def _undo_shrink(y: Floats) -> Floats:
    return np.clip((1 - (1 - np.asarray(y)) ** (1 / LOW_RANGE)) / 0.95, 0, 1)


ALDER = Scanner(
    "Alder", "Mammo One", 12, False, None, _identity, _identity,
    "x: linear in the logarithm of the exposure, with a soft shoulder",
)  # fmt: skip
BIRCH = Scanner(
    "Birch", "Mammo Two", 14, True, None, _compress, _undo_compress,
    "log(1 + 12 x) / log(13): compressive",
)  # fmt: skip
CEDAR = Scanner(
    "Cedar", "Mammo Three", 12, False, (1126.5, 1434.0), _expand, _undo_expand,
    "0.10 + 0.35 x^1.5: expansive, in a narrow range with lifted black",
)  # fmt: skip
DOGWOOD = Scanner(
    "Dogwood", "Mammo Four", 12, False, (819.0, 1638.0), _shrink, _undo_shrink,
    "1 - (1 - 0.95 x)^(1/3): a low range from black, after the paper's Senograph",
)  # fmt: skip

SCANNERS = (ALDER, BIRCH, CEDAR, DOGWOOD)
"""The reference scanner first."""
