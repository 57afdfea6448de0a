"""The tone curve: a monotone map of grey levels, composed of stages that each have a closed-form inverse.

The paper's curve (Eq. 1) is a chain of `Step`. Its Schwarzian derivative is never positive, so that no chain of
steps can make a gamma below 1, a logarithm or an inverse S; with `InverseStep` in the chain it can.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isotone.curves.stages import (
    STAGES,
    Affine,
    Floats,
    InverseStep,
    Knots,
    Stage,
    Step,
    as_floating,
    refuse_other_scales,
)
from isotone.errors import ModelError

A = TypeVar("A")

SCHEMA = 1
ROUNDING = 4 * np.finfo(np.float64).eps
"""Bound on the relative rounding error of one stage."""


@dataclass(frozen=True)
class Certificate:
    """What is certain about a curve at the bit depth of an image.

    Attributes
    ----------
    strictly_monotone : bool
        Whether the smallest slope is above zero.
    min_slope, max_slope : float
        Bounds of the slope over [0, 1] (unit range in and out), from interval arithmetic.
    bits_in, bits_out : int
        Bit depths of the look-up table.
    levels_kept : int
        Distinct output values over all ``2**bits_in`` input values.
    inverse_error : float
        Bound of ``|inverse(curve(x)) − x|`` in float64, unit range; NaN where the curve clips.
    inverse_error_levels : float
        The same in grey levels of `bits_in`.
    unclipped : tuple of float
        The interval of [0, 1] that no affine stage clips.

    Examples
    --------
    >>> certificate = ToneCurve([0.5, -0.25]).certificate(bits_in=12)
    >>> certificate.strictly_monotone, certificate.levels_kept
    (True, 4096)
    """

    strictly_monotone: bool
    min_slope: float
    max_slope: float
    bits_in: int
    bits_out: int
    levels_kept: int
    inverse_error: float
    inverse_error_levels: float
    unclipped: tuple[float, float]


@dataclass(frozen=True)
class ToneCurve:
    """A monotone map of [0, 1] into [0, 1].

    Parameters
    ----------
    stages : sequence of float, Step, InverseStep, Affine or Knots
        Applied from first to last; a number α is a step of Eq. 1. No stages: the identity.

    Raises
    ------
    ModelError
        A coefficient lies outside its range.

    Examples
    --------
    >>> curve = ToneCurve([0.5, -0.25])
    >>> curve(0.5)
    0.56640625
    >>> curve.inverse()(curve(0.5))
    0.5
    """

    stages: tuple[Stage, ...]

    def __init__(self, stages: Sequence[float | Stage] = ()) -> None:
        built = tuple(s if isinstance(s, Step | InverseStep | Affine | Knots) else Step(float(s)) for s in stages)
        object.__setattr__(self, "stages", built)

    @property
    def coefficients(self) -> tuple[float, ...]:
        """α of every step and inverse step, in order."""
        return tuple(s.alpha for s in self.stages if isinstance(s, Step | InverseStep))

    def __call__(self, x: A) -> A:
        """Apply the curve to an array, tensor or number; what lies a little outside [0, 1] is clipped first.

        The type and the floating dtype that went in come out; the integers 0 and 1 become float64. Gradients flow
        through a tensor.

        Raises
        ------
        ValueError
            Stored values, or grey levels up to 255, perhaps: an array of 8- or 16-bit integers or a tensor of integers,
            other integers than 0 and 1, floats below -1 or above 2.
        """
        refuse_other_scales(x)
        y: Any = as_floating(x).clip(0, 1)
        for stage in self.stages:
            y = stage(y)
        y = y.clip(0, 1)
        return y.item() if isinstance(x, float | int) else y  # type: ignore[no-any-return]

    def then(self, other: ToneCurve) -> ToneCurve:
        """The composition: this curve first, `other` after it."""
        return ToneCurve(self.stages + other.stages)

    def inverse(self) -> ToneCurve:
        """The curve that undoes this one.

        Raises
        ------
        ModelError
            A step has ``|α| = 1``: the curve is flat somewhere and cannot be undone.
        """
        return ToneCurve([stage.inverse() for stage in reversed(self.stages)])

    def slope_bounds(self, start: float = 0.0, stop: float = 1.0) -> tuple[float, float]:
        """Lower and upper bound of the slope over [start, stop] in [0, 1], by interval arithmetic on 2,048 pieces."""
        edges = np.linspace(start, stop, 2049)
        low = np.ones(len(edges) - 1)
        high = low.copy()
        for stage in self.stages:
            least, most = stage.slope_range(edges[:-1], edges[1:])
            low, high = low * least, high * most
            edges = np.maximum.accumulate(np.clip(stage(edges), 0, 1))
        return float(low.min()), float(high.max())

    def min_slope(self) -> float:
        """Lower bound of the slope over [0, 1]."""
        return self.slope_bounds()[0]

    def max_slope(self) -> float:
        """Upper bound of the slope over [0, 1]."""
        return self.slope_bounds()[1]

    def unclipped(self) -> tuple[float, float]:
        """The interval of inputs that no affine stage clips (0 to 1 where there is none).

        Raises
        ------
        ModelError
            Nothing is left unclipped: the curve is constant.
        """
        lo, hi = 0.0, 1.0
        for i, stage in enumerate(self.stages):
            if isinstance(stage, Affine):
                before = ToneCurve(self.stages[:i])
                undo = stage.inverse()
                edges = undo.gain * np.array([0.0, 1.0]) + undo.offset
                inside = np.clip(edges, before(lo), before(hi))
                if not inside[0] < inside[1]:
                    raise ModelError("E_CURVE", "the affine stage maps every grey level to one end")
                lo, hi = (
                    bound if inside[k] == before(bound) else float(before.inverse()(float(inside[k])))
                    for k, bound in enumerate((lo, hi))
                )
        return lo, hi

    def inverse_error(self) -> float:
        """Bound of ``|inverse(curve(x)) − x|`` in float64 over the unclipped interval, in units of the full range.

        Every stage is monotone, so an interval widened at each stage by that stage's rounding contains whatever
        floating-point arithmetic makes of it.
        """
        lo, hi = self.unclipped()
        tails = np.geomspace(1e-17, 1e-3, 2048)
        unit = np.unique(np.concatenate([np.linspace(0, 1, 4097), tails, 1 - tails]))
        x = lo + (hi - lo) * unit
        low, high = x.copy(), x.copy()
        try:
            stages = self.stages + self.inverse().stages
        except ModelError:
            return math.nan
        for stage in stages:
            below, above = stage(low), stage(high)
            low = np.clip(below - ROUNDING * np.maximum(low, below), 0, 1)
            high = np.clip(above + ROUNDING * np.maximum(high, above), 0, 1)
        # The widths vary smoothly between the points of the grid; the factor 2 covers what lies between.
        return float(2 * np.maximum(high - x, x - low).max())

    def to_lut(self, bits_in: int, bits_out: int = 16) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """The curve as a look-up table of ``2**bits_in`` entries, each rounded to one of ``2**bits_out`` levels.

        Parameters
        ----------
        bits_in, bits_out : int
            1 to 16; entry i stands for the grey level ``i / (2**bits_in − 1)``.

        Returns
        -------
        uint8 or uint16 array
            uint8 where `bits_out` is at most 8.
        """
        for bits in (bits_in, bits_out):
            if not 1 <= bits <= 16:
                raise ValueError(f"a look-up table has 1 to 16 bits, not {bits}")
        levels = self(np.linspace(0, 1, 2**bits_in))
        return quantize(levels, bits_out)

    def distinct_levels(self, bits: int, bits_out: int | None = None) -> int:
        """How many of the ``2**bits`` grey levels stay apart in a table of `bits_out` bits (default: `bits`)."""
        return len(np.unique(self.to_lut(bits, bits_out or bits)))

    def certificate(self, bits_in: int = 12, bits_out: int = 16) -> Certificate:
        """The `Certificate` of this curve for images of `bits_in` bits written with `bits_out`."""
        low, high = self.slope_bounds()
        error = self.inverse_error()
        return Certificate(
            strictly_monotone=low > 0,
            min_slope=low,
            max_slope=high,
            bits_in=bits_in,
            bits_out=bits_out,
            levels_kept=self.distinct_levels(bits_in, bits_out),
            inverse_error=error,
            inverse_error_levels=error * (2**bits_in - 1),
            unclipped=self.unclipped(),
        )

    def to_json(self) -> str:
        """One line of JSON with a checksum; `from_json` gives the equal curve back."""
        body = {"schema": SCHEMA, "stages": [_stage_to_list(s) for s in self.stages]}
        return json.dumps(body | {"sha256": _checksum(body)})

    def _repr_html_(self) -> str:
        """The curve, its numbers and its checksum, for a notebook."""
        from isotone.curves.notebook import card, curve_panel

        proof = self.certificate()
        facts = {
            "coefficients": ", ".join(f"{alpha:+.4f}" for alpha in self.coefficients) or None,
            "stages": len(self.stages),
            "slope": f"{proof.min_slope:.4g} to {proof.max_slope:.4g}",
            "strictly monotone": "yes" if proof.strictly_monotone else "no",
            "levels kept": f"{proof.levels_kept} of {2**proof.bits_in} ({proof.bits_in} bits in, {proof.bits_out} out)",
            "not clipped": f"{proof.unclipped[0]:.4f} to {proof.unclipped[1]:.4f}",
            "undone within": f"{proof.inverse_error_levels:.2g} levels",
            "SHA-256": json.loads(self.to_json())["sha256"][:16],
        }
        return card("ToneCurve", facts, [curve_panel("tone curve", self)])

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The curve that `to_json` wrote.

        Raises
        ------
        ModelError
            Not such a text, altered since, of a later schema, or with a coefficient outside its range.
        """
        try:
            body = json.loads(text)
            claimed = body.pop("sha256")
            if body["schema"] != SCHEMA:
                raise ModelError("E_CURVE", f"a curve of schema {body['schema']!r} is not understood here")
            if claimed != _checksum(body):
                raise ModelError("E_CURVE", "the curve was altered after it was written")
            return cls([STAGES[kind](*values) for kind, *values in body["stages"]])
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise ModelError("E_CURVE", "the text holds no tone curve") from error

    @classmethod
    def fit(
        cls,
        x: ArrayLike,
        y: ArrayLike,
        *,
        num_iterations: int = 16,
        bidirectional: bool = True,
        affine: bool = False,
        weights: ArrayLike | None = None,
    ) -> Self:
        """The curve nearest to points in the sense of least squares.

        Parameters
        ----------
        x, y : array_like of shape (n,)
            Points of [0, 1]; `y` should not decrease with `x`.
        num_iterations : int
            Number of steps N.
        bidirectional : bool
            Every other step an inverse step; False: Eq. 1 alone.
        affine : bool
            Start with an affine stage, for a lifted black or a narrow range.
        weights : array_like of shape (n,), optional
            Weights of the squared errors.
        """
        from isotone.curves.least_squares import fit_stages  # SciPy is needed here alone

        return cls(
            fit_stages(
                np.asarray(x, np.float64),
                np.asarray(y, np.float64),
                num_iterations,
                bidirectional,
                affine,
                None if weights is None else np.asarray(weights, np.float64),
            )
        )


def quantize(levels: Floats, bits: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Grey levels in [0, 1] rounded to the nearest of ``2**bits`` integers."""
    whole: Floats = np.rint(np.multiply(levels, 2**bits - 1, dtype=np.float64))
    return whole.astype(np.uint8) if bits <= 8 else whole.astype(np.uint16)


def _stage_to_list(stage: Stage) -> list[Any]:
    match stage:
        case Step(alpha):
            return ["step", alpha]
        case InverseStep(alpha):
            return ["inverse-step", alpha]
        case Affine(gain, offset):
            return ["affine", gain, offset]
        case Knots(x, y):
            return ["knots", list(x), list(y)]


def _checksum(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
