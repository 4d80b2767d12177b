"""A graph of ONNX operations, written node by node. Needs the package `onnx`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

_OPSET, _IR_VERSION = 18, 9  # old enough for runtimes of 2023

Shape = Sequence[int | str]  # a name stands for a size that may differ from call to call


class OnnxGraph:
    """The operations and constants of one model, in the order in which they were added.

    Values are names. Calling the graph adds an operation and returns its result.

    Example:
      >>> graph = OnnxGraph()
      >>> x = graph.input("x", np.float32, ["n", 2])
      >>> y = graph("Add", x, graph.constant(np.float32([1, 2])))
      >>> model = graph.model({"y": (y, np.float32, ["n", 2])})
      >>> [node.op_type for node in model.graph.node]
      ['Add', 'Identity']
    """

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._inputs: list[Any] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], TensorProto] = {}

    def input(self, name: str, dtype: Any, shape: Shape) -> str:
        """Adds an input of the model, and returns it."""
        self._inputs.append(_described(name, dtype, shape))
        return name

    def constant(self, value: Any) -> str:
        """Returns a constant array; equal ones are stored once."""
        array = np.ascontiguousarray(value)
        key = str(array.dtype), np.shape(value), array.tobytes()
        if key not in self._constants:
            name = f"constant_{len(self._constants)}"
            self._constants[key] = numpy_helper.from_array(array.reshape(key[1]), name)
        return self._constants[key].name

    def whole(self, *values: int) -> str:
        """Returns a constant int64 vector, as shapes, axes and indices are given."""
        return self.constant(np.array(values, np.int64))

    def number(self, value: float) -> str:
        """Returns a constant float32 scalar."""
        return self.constant(np.float32(value))

    def cast(self, value: str, dtype: Any) -> str:
        """Adds a conversion to a NumPy type, and returns its result."""
        return self("Cast", value, to=_type(dtype))

    def __call__(self, operation: str, *inputs: str, **attributes: Any) -> str:
        """Adds an operation of ONNX with one result, and returns the result."""
        result = f"{operation}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operation, inputs, [result], result, **attributes))
        return result

    def model(self, outputs: Mapping[str, tuple[str, Any, Shape]]) -> ModelProto:
        """Returns the model.

        Args:
          outputs: by name: the value, its NumPy type and its shape.
        """
        nodes = [
            helper.make_node("Identity", [value], [name]) for name, (value, _, _) in outputs.items()
        ]
        described = [_described(name, dtype, shape) for name, (_, dtype, shape) in outputs.items()]
        constants = list(self._constants.values())
        graph = helper.make_graph(
            [*self._nodes, *nodes], "afsd", self._inputs, described, constants
        )
        opsets = [helper.make_opsetid("", _OPSET)]
        return helper.make_model(
            graph, producer_name="afsd-jax", opset_imports=opsets, ir_version=_IR_VERSION
        )


def _described(name: str, dtype: Any, shape: Shape) -> Any:
    return helper.make_tensor_value_info(name, _type(dtype), list(shape))


def _type(dtype: Any) -> int:
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
