"""The grayscale stages of PS3.3 C.11 as tables over every possible stored value.

An image of n bits has 2ⁿ stored values at most, so each stage is computed once per value, in float64, and the image
itself is looked up once at the end. Nothing here knows of files.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

VOI_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
"""Values of VOILUTFunction (0028,1056)."""


def stored_values(bits: int, signed: bool) -> Floats:
    """Every stored value of `bits` bits, from the smallest to the largest.

    Parameters
    ----------
    bits : int
        BitsStored, 1 to 16.
    signed : bool
        PixelRepresentation 1: two's complement.

    Returns
    -------
    float64 array of shape (2**bits,)
    """
    return np.arange(2**bits, dtype=np.float64) - (2 ** (bits - 1) if signed else 0)


def rescale(values: Floats, slope: float, intercept: float) -> Floats:
    """Modality LUT as slope and intercept (PS3.3 C.11.1).

    Raises
    ------
    ValueError
        The slope is 0 or either number is not finite.
    """
    if slope == 0 or not np.isfinite([slope, intercept]).all():
        raise ValueError("the rescale slope is 0 or not finite")
    return slope * values + intercept


def look_up(values: Floats, entries: NDArray[np.integer], first: int) -> Floats:
    """A LUT of the Modality or VOI LUT Sequence (PS3.3 C.11.1.1, C.11.2.1.1).

    Parameters
    ----------
    values : float64 array
        Input; fractions, which a rescale slope can make, are rounded to the nearest integer.
    entries : integer array
        LUTData.
    first : int
        First stored pixel value mapped; what lies below or beyond the table takes its first or last entry.

    Returns
    -------
    float64 array of the shape of `values`
        In the units of `entries`.

    Raises
    ------
    ValueError
        The table is empty.
    """
    if not len(entries):
        raise ValueError("the table has no entries")
    index = np.clip(np.rint(values) - first, 0, len(entries) - 1)
    found: Floats = entries[index.astype(np.intp)].astype(np.float64)
    return found


def window(values: Floats, center: float, width: float, function: str = "LINEAR") -> Floats:
    """A display window (PS3.3 C.11.2.1.2 and C.11.2.1.3).

    Parameters
    ----------
    values : float64 array
        Output of the Modality LUT.
    center, width : float
        WindowCenter and WindowWidth, in the units of `values`.
    function : str
        One of `VOI_FUNCTIONS`.

    Returns
    -------
    float64 array of the shape of `values`
        In [0, 1].

    Raises
    ------
    ValueError
        A number is not finite, the width is too small for the function, or the function is unknown.
    """
    if not np.isfinite([center, width]).all():
        raise ValueError("the window is not finite")
    if function not in VOI_FUNCTIONS:
        raise ValueError("the VOI LUT function is unknown")
    if width < 1 if function == "LINEAR" else width <= 0:
        raise ValueError(f"the width is too small for {function}")
    if function == "SIGMOID":
        with np.errstate(over="ignore"):  # exp overflows to infinity far below the center, where the limit is 0
            return 1 / (1 + np.exp(-4 * (values - center) / width))
    if function == "LINEAR":  # pixels are one unit wide, hence the halves
        center, width = center - 0.5, width - 1
    if width == 0:
        return (values > center).astype(np.float64)
    with np.errstate(over="ignore"):
        inside = (values - center) / width + 0.5
    return np.where(values <= center - width / 2, 0.0, np.where(values > center + width / 2, 1.0, inside))


def full_range(values: Floats) -> Floats:
    """Linear map of the smallest of `values` to 0 and of the largest to 1.

    `values` are the modality output of all *possible* stored values, so that the result does not depend on the
    image. The smallest is black whichever stored value it comes from: a negative rescale slope inverts.

    Raises
    ------
    ValueError
        All values are equal, or one is not finite.
    """
    low, high = float(values.min()), float(values.max())
    if not 0 < high - low < np.inf:
        raise ValueError("the modality output has no range")
    return (values - low) / (high - low)
