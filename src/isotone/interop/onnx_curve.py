"""A tone curve as nodes of an ONNX graph, in double precision: N steps in single would lose the sixth decimal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from isotone.curves.stages import Affine, InverseStep, Knots, Stage, Step
from isotone.curves.tone_curve import ToneCurve
from isotone.errors import ModelError

OPSET = 18
"""First with an antialiased Resize."""
IR_VERSION = 10
"""Of onnx 1.16; runtimes refuse later ones than they know."""
CELLS = 2**16
"""Cells of [0, 1] that tell the segment of a free curve; no two knots lie in one."""


class Nodes:
    """Nodes and constants of a graph while it is written; each call gives the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """A node with one result."""
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(self, value: Any, dtype: Any = np.float64) -> str:
        """A constant."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def clip(self, x: str, low: float = 0.0, high: float = 1.0) -> str:
        """Limit to an interval."""
        return self.add("Clip", x, self.constant(low), self.constant(high))

    def curve(self, x: str, curve: ToneCurve) -> str:
        """A tensor of float32 grey levels through a curve; float32 again.

        Raises
        ------
        ModelError
            E_EXPORT: a free curve whose knots lie too close.
        """
        y = self.clip(self.add("Cast", x, to=TensorProto.DOUBLE))
        for stage in curve.stages:
            y = self._stage(y, stage)
        return self.add("Cast", self.clip(y), to=TensorProto.FLOAT)

    def _stage(self, x: str, stage: Stage) -> str:
        match stage:
            case Step(alpha):
                rest = self.add("Sub", self.constant(1), x)
                return self.add("Add", x, self.add("Mul", self.add("Mul", self.constant(alpha), x), rest))
            case InverseStep(alpha):
                inside = self.add("Sub", self.constant((1 + alpha) ** 2), self.add("Mul", self.constant(4 * alpha), x))
                root = self.add("Sqrt", self.clip(inside, (1 - abs(alpha)) ** 2, 4.0))
                return self.add(
                    "Div", self.add("Mul", self.constant(2), x), self.add("Add", self.constant(1 + alpha), root)
                )
            case Affine(gain, offset):
                return self.clip(self.add("Add", self.add("Mul", self.constant(gain), x), self.constant(offset)))
            case Knots(xs, ys):
                return self._knots(x, np.array(xs), np.array(ys))

    def _knots(self, x: str, xs: np.ndarray, ys: np.ndarray) -> str:
        """The cell of a grey level tells its segment, or the one before."""
        edges = np.arange(CELLS) / CELLS
        first = np.searchsorted(xs, edges, "right") - 1
        if (np.diff(np.searchsorted(xs[:-1], [*edges, 1.0], "left")) > 1).any():
            raise ModelError("E_EXPORT", f"two knots of a free curve lie within 1/{CELLS}")
        cell = self.add("Floor", self.clip(self.add("Mul", x, self.constant(CELLS)), 0, CELLS - 1))
        found = self.add("Gather", self.constant(first, np.int64), self.add("Cast", cell, to=TensorProto.INT64))
        last = len(xs) - 2
        following = self.add("Gather", self.constant([*xs[1:-1], 2.0]), found)
        beyond = self.add("Cast", self.add("GreaterOrEqual", x, following), to=TensorProto.INT64)
        segment = self.add("Min", self.add("Add", found, beyond), self.constant(last, np.int64))
        left, level, slope = (
            self.add("Gather", self.constant(values), segment)
            for values in (xs[:-1], ys[:-1], np.diff(ys) / np.diff(xs))
        )
        return self.add("Add", level, self.add("Mul", slope, self.add("Sub", x, left)))

    def model(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """The whole graph as a model."""
        graph = helper.make_graph(self.nodes, "isotone", inputs, outputs, self.constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="isotone")
        made.ir_version = IR_VERSION
        onnx.checker.check_model(made, full_check=True)
        return made


def image_like(name: str) -> Any:
    """A batch of grey images of any size, float32."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1, "rows", "columns"])
