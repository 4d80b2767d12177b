"""The trunk in OpenVINO, for inference on CPUs.

OpenVINO's convolutions on CPUs are about twice as fast as XLA's. It is optional:
`pip install "afsd-jax[openvino]"`.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from afsd_jax.models import i3d
from afsd_jax.models.convolution import same_padding
from afsd_jax.models.streaming import FoldedWeights, fold_norms

Trunk = Callable[[np.ndarray], list[np.ndarray]]
PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


def is_installed() -> bool:
    """Returns whether OpenVINO can be imported."""
    return find_spec("openvino") is not None


def build(
    parameters: Mapping[str, Any],
    shape: Sequence[int],
    endpoints: Sequence[str],
    precision: str = "float32",
) -> Trunk:
    """Compiles the trunk for clips of one shape.

    Args:
      parameters: weights of the network by name, such as `trunk.Mixed_3b.b0.conv.kernel`.
      shape: shape of the clips, [B,T,H,W,channels].
      endpoints: names of the endpoints to return.
      precision: precision of matrix products, float32 or bfloat16.

    Returns:
      A function from float32 clips in [-1, 1] to the endpoints, float32 [B,T',H',W',C']. Its arrays
      are valid until the next call.
    """
    openvino = _openvino()
    trunk_only = {k: np.asarray(v) for k, v in parameters.items() if k.startswith("trunk.")}
    graph = _Graph(fold_norms(trunk_only), shape, endpoints)
    model = openvino.Model([graph.outputs[name] for name in endpoints], [graph.clips])
    settings = {
        "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
    }
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()

    def trunk(clips: np.ndarray) -> list[np.ndarray]:
        results = request.infer([np.ascontiguousarray(clips)], share_inputs=True)
        return [results[index] for index in range(len(endpoints))]

    return trunk


def _openvino() -> Any:
    # Without this, importing OpenVINO starts a process that reports the import over the network.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


class _Graph:
    """The trunk as operations of OpenVINO.

    Attributes:
      clips: the input.
      outputs: endpoints by name up to the last requested one, channels last.
    """

    def __init__(self, weights: FoldedWeights, shape: Sequence[int], endpoints: Sequence[str]):
        self._ops, self._weights = _openvino().opset13, weights
        self.clips = self._ops.parameter(list(shape), np.float32)
        self.outputs: dict[str, Any] = {}
        x = self._transposed(self.clips, (0, 4, 1, 2, 3))
        for name in i3d.endpoints_until(*endpoints):
            if name in i3d.POOLS:
                x = self._pool(x, *i3d.POOLS[name])
            elif name in i3d.UNITS:
                x = self._unit(x, name, i3d.UNITS[name][2])
            else:
                x = self._mixed(x, name)
            self.outputs[name] = self._transposed(x, (0, 2, 3, 4, 1))

    def _transposed(self, x: Any, order: Sequence[int]) -> Any:
        return self._ops.transpose(x, self._ops.constant(np.array(order)))

    def _mixed(self, x: Any, name: str) -> Any:
        branches = [self._unit(x, f"{name}.b0")]
        for branch in ("b1", "b2"):
            branches.append(self._unit(self._unit(x, f"{name}.{branch}a"), f"{name}.{branch}b"))
        branches.append(self._unit(self._pool(x, (3, 3, 3), (1, 1, 1)), f"{name}.b3b"))
        return self._ops.concat(branches, 1)

    def _unit(self, x: Any, name: str, strides: Sequence[int] = (1, 1, 1)) -> Any:
        kernel, bias = self._weights[name]
        before, after = _padding(x, kernel.shape[:3], strides)
        # Given arrays, `convolution` and `add` would copy them value by value, through lists.
        constant = self._ops.constant
        out_first = constant(np.ascontiguousarray(kernel.transpose(4, 3, 0, 1, 2)))
        x = self._ops.convolution(x, out_first, list(strides), before, after, [1, 1, 1])
        return self._ops.relu(self._ops.add(x, constant(bias.reshape(1, -1, 1, 1, 1))))

    def _pool(self, x: Any, kernel_size: Sequence[int], strides: Sequence[int]) -> Any:
        # Inputs are never negative, so padding with -inf equals padding with zeros.
        before, after = _padding(x, kernel_size, strides)
        pool = self._ops.max_pool(x, list(strides), [1, 1, 1], before, after, list(kernel_size))
        return pool.output(0)


def _padding(
    x: Any, kernel_size: Sequence[int], strides: Sequence[int]
) -> tuple[list[int], list[int]]:
    sizes = list(x.get_output_shape(0) if hasattr(x, "get_output_shape") else x.get_shape())[2:]
    pairs = [same_padding(*axis) for axis in zip(sizes, kernel_size, strides, strict=True)]
    return [before for before, _ in pairs], [after for _, after in pairs]
