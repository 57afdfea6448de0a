"""The stages that tone curves are made of, each monotone with a closed-form inverse.

Nothing here knows of files or of torch: the arithmetic works on whatever array type comes in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from isotone.errors import ModelError

A = TypeVar("A")
Floats = NDArray[np.float64]

STORED = ("uint8", "int8", "uint16", "int16")
"""Types that images are stored in."""


def apply_steps(x: A, coefficients: Any) -> A:
    """Eq. 1 of the paper: ``x ← x + α_n · x · (1 − x)`` for n = 1…N.

    Parameters
    ----------
    x : array or tensor
        Grey levels in [0, 1], any shape.
    coefficients : sequence of N floats, arrays or tensors
        α_n in [−1, 1]; each broadcasts against `x`.

    Returns
    -------
    array or tensor
        Of the type, shape and range of `x`.
    """
    y: Any = x
    for alpha in coefficients:
        y = y + alpha * y * (1 - y)
    return y  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of Eq. 1, ``y = x + α x (1 − x)`` with α in [−1, 1]."""

    alpha: float

    def __post_init__(self) -> None:
        if not abs(self.alpha) <= 1:  # NaN fails too
            raise ModelError("E_CURVE", f"a step's coefficient {self.alpha} lies outside [-1, 1]")

    def __call__(self, x: A) -> A:
        return apply_steps(x, (self.alpha,))

    def inverse(self) -> InverseStep:
        return InverseStep(self.alpha)

    def slope_range(self, lo: Floats, hi: Floats) -> tuple[Floats, Floats]:
        """Smallest and largest slope on each interval [lo, hi]."""
        return _ordered(1 + self.alpha * (1 - 2 * lo), 1 + self.alpha * (1 - 2 * hi))


@dataclass(frozen=True, slots=True)
class InverseStep:
    """The exact inverse of a step, ``x = 2y / ((1 + α) + √((1 + α)² − 4αy))`` with |α| < 1."""

    alpha: float

    def __post_init__(self) -> None:
        if not abs(self.alpha) < 1:
            raise ModelError("E_CURVE", f"an inverse step's coefficient {self.alpha} lies outside (-1, 1)")

    def __call__(self, y: A) -> A:
        a, value = self.alpha, as_floating(y)
        root = ((1 + a) ** 2 - 4 * a * value).clip((1 - abs(a)) ** 2) ** 0.5
        return 2 * value / ((1 + a) + root)  # type: ignore[no-any-return]

    def inverse(self) -> Step:
        return Step(self.alpha)

    def slope_range(self, lo: Floats, hi: Floats) -> tuple[Floats, Floats]:
        """Smallest and largest slope on each interval [lo, hi]."""
        low, high = Step(self.alpha).slope_range(self(lo), self(hi))
        return 1 / high, 1 / low


@dataclass(frozen=True, slots=True)
class Affine:
    """``y = gain · x + offset``, clipped to [0, 1]: a lifted black or a narrow range, invertible where unclipped."""

    gain: float
    offset: float

    def __post_init__(self) -> None:
        if not (0 < self.gain < 1e6 and abs(self.offset) < 1e6):
            raise ModelError("E_CURVE", f"the affine stage ({self.gain}, {self.offset}) is not increasing")

    def __call__(self, x: A) -> A:
        return (self.gain * as_floating(x) + self.offset).clip(0, 1)  # type: ignore[no-any-return]

    def inverse(self) -> Affine:
        return Affine(1 / self.gain, -self.offset / self.gain)

    def slope_range(self, lo: Floats, hi: Floats) -> tuple[Floats, Floats]:
        """Smallest and largest slope on each interval [lo, hi]."""
        low, high = self.gain * lo + self.offset, self.gain * hi + self.offset
        inside = (low >= 0) & (high <= 1)
        outside = (high < 0) | (low > 1)
        return np.where(inside, self.gain, 0.0), np.where(outside, 0.0, self.gain)


@dataclass(frozen=True, slots=True)
class Knots:
    """A free monotone curve: straight lines from (0, 0) to (1, 1) through points that increase in both directions."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def __post_init__(self) -> None:
        for axis in (self.x, self.y):
            values = np.asarray(axis, np.float64)
            if len(values) < 2 or values[0] != 0 or values[-1] != 1 or not (np.diff(values) > 0).all():
                raise ModelError("E_CURVE", "the knots of a free curve do not increase from 0 to 1")
        if len(self.x) != len(self.y):
            raise ModelError("E_CURVE", "the knots of a free curve do not come in pairs")

    def __call__(self, x: A) -> A:
        y: Any = as_floating(x)
        if isinstance(y, np.ndarray):
            y = np.interp(y, self.x, self.y).astype(y.dtype)
        else:  # a tensor: the same lines as a sum of ramps, exact at the knots and differentiable
            slopes = np.diff(self.y) / np.diff(self.x)
            corners = zip(slopes.tolist(), self.x[:-1], self.x[1:], strict=True)
            y = sum(slope * (y - left).clip(0, right - left) for slope, left, right in corners)
        return y  # type: ignore[no-any-return]

    def inverse(self) -> Knots:
        return Knots(self.y, self.x)

    def slope_range(self, lo: Floats, hi: Floats) -> tuple[Floats, Floats]:
        """Smallest and largest slope on each interval [lo, hi]."""
        slopes = np.diff(self.y) / np.diff(self.x)
        last = len(slopes) - 1
        first = np.clip(np.searchsorted(self.x, lo, "right") - 1, 0, last)
        final = np.clip(np.searchsorted(self.x, hi, "left") - 1, first, last)
        spans = [slopes[i : j + 1] for i, j in zip(first, final, strict=True)]
        return np.array([s.min() for s in spans]), np.array([s.max() for s in spans])


Stage = Step | InverseStep | Affine | Knots
STAGES: dict[str, Callable[..., Stage]] = {
    "step": Step,
    "inverse-step": InverseStep,
    "affine": Affine,
    "knots": lambda x, y: Knots(tuple(x), tuple(y)),
}


def as_floating(x: Any) -> Any:
    """Tensors and floating arrays as they are, the rest as float64."""
    if isinstance(x, np.ndarray | np.generic | float | int | list | tuple):
        array = np.asarray(x)
        return array if array.dtype.kind == "f" else array.astype(np.float64)
    return x


def refuse_other_scales(x: Any) -> None:
    """Refuse what is not on the scale of a curve, 0 to 1, and would be clipped to it.

    Raises
    ------
    ValueError
        Arrays of 8- or 16-bit integers, whatever their values, and tensors of integers; other integers than 0 and 1;
        floats below -1 or above 2; no real numbers.
    """
    if hasattr(x, "is_floating_point") and hasattr(x, "device"):
        fits, kind = _tensor_fits(x), str(x.dtype).removeprefix("torch.")
    else:
        array = np.asarray(x)
        kind = str(array.dtype)
        stored = isinstance(x, np.ndarray | np.generic) and kind in STORED
        fits = not stored and array.dtype.kind in "fiub" and _in_range(array, slack=array.dtype.kind == "f")
    if not fits:
        raise ValueError(
            f"a curve maps grey levels from 0 to 1, and this is {kind} on another scale: divide stored values by the "
            "largest possible one, 2**bits - 1, or let Radiograph.from_array(…, bits=…) do it"
        )


def _in_range(values: Any, *, slack: bool) -> bool:
    """Whether all lie in [0, 1], or at most 1 beside it."""
    return not (values.size and (values.max() > 1 + slack or values.min() < -int(slack)))


def _tensor_fits(x: Any) -> bool:
    """Floating point and, where its values can be looked at now (neither traced nor without any), within range."""
    if not x.is_floating_point():
        return False
    import torch  # it is loaded: there is a tensor

    if x.device.type == "meta" or x.numel() == 0 or torch.compiler.is_compiling():
        return True
    low, high = torch.aminmax(x.detach())
    return not (bool(low < -1) or bool(high > 2))


def _ordered(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    return np.minimum(a, b), np.maximum(a, b)
