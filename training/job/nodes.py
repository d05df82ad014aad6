"""ONNX graphs written node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["OPSET", "Nodes", "Shape"]

OPSET: Final = 20
IR_VERSION: Final = 10
F64 = npt.NDArray[np.float64]
Shape = Sequence[str | int]


@final
class Nodes:
    """Nodes and constants as they are added; every call gives the name of what it made.

    Parameters
    ----------
    prefix : str
        Before every name, so that a graph inside another has names of its own.
    """

    def __init__(self, prefix: str = "") -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._prefix = prefix

    def constant(self, name: str, value: F64 | float) -> str:
        """A float32 constant."""
        name = self._prefix + name
        self._constants[name] = numpy_helper.from_array(np.asarray(value, np.float32), name)
        return name

    def whole(self, name: str, value: Sequence[int]) -> str:
        """An int64 constant."""
        name = self._prefix + name
        self._constants[name] = numpy_helper.from_array(np.asarray(value, np.int64), name)
        return name

    def add(self, kind: str, *inputs: str, to: str = "", **attributes: Any) -> str:  # noqa: ANN401
        """A node with one output."""
        return self.many(kind, inputs, [to or f"{self._prefix}{kind.lower()}_{len(self._nodes)}"], **attributes)[0]

    def many(self, kind: str, inputs: Sequence[str], into: Sequence[str], **attributes: Any) -> Sequence[str]:  # noqa: ANN401
        """A node with several outputs."""
        self._nodes.append(helper.make_node(kind, inputs, into, name=f"node_{into[0]}", **attributes))
        return into

    def cut(self, into: Sequence[str], what: str, sizes: Sequence[int]) -> Sequence[str]:
        """Pieces of the last axis."""
        return self.many("Split", [what, self.whole(f"sizes_of_{what}", sizes)], into, axis=-1)

    def joined(self, *parts: str, to: str = "") -> str:
        """Side by side on the last axis."""
        return self.add("Concat", *parts, to=to, axis=-1)

    def linear(self, what: str, name: str, weights: tuple[F64, F64]) -> str:
        """A product with weights of shape (out, in), and a bias."""
        weight, bias = weights
        return self.onto(self.constant(f"{name}_bias", bias), what, name, weight)

    def onto(self, base: str, what: str, name: str, weight: F64) -> str:
        """A product with weights of shape (out, in), added to what is there."""
        return self.add("Gemm", what, self.constant(f"{name}_weight", weight.T), base)

    def graph(self, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape]) -> onnx.GraphProto:
        """All of it as a graph of float32 inputs and outputs."""
        into, out_of = ([_value(name, shape) for name, shape in each.items()] for each in (inputs, outputs))
        return helper.make_graph(self._nodes, f"{self._prefix}job", into, out_of, list(self._constants.values()))

    def model(self, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape]) -> onnx.ModelProto:
        """All of it as a checked model."""
        opsets = [helper.make_opsetid("", OPSET)]
        graph = self.graph(inputs, outputs)
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="hashwarden")
        onnx.checker.check_model(model, full_check=True)
        return model


def _value(name: str, shape: Shape) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
