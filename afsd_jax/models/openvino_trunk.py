"""The trunk in OpenVINO, for inference on CPUs.

OpenVINO's convolutions on CPUs are about twice as fast as XLA's. It is optional:
`pip install "afsd-jax[openvino]"`.
"""

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from afsd_jax.models import i3d
from afsd_jax.models.convolution import same_padding
from afsd_jax.models.streaming import FoldedWeights, fold_norms

Trunk = Callable[[np.ndarray], list[np.ndarray]]
# Orders of axes that turn [B,T,H,W,C] into [B,C,T,H,W] and back.
_CHANNELS_FIRST, _CHANNELS_LAST = (0, 4, 1, 2, 3), (0, 2, 3, 4, 1)
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
    graph = _Graph(_folded(parameters), shape, endpoints)
    request = _compiled([graph.outputs[name] for name in endpoints], [graph.clips], precision)

    def trunk(clips: np.ndarray) -> list[np.ndarray]:
        results = request.infer([np.ascontiguousarray(clips)], share_inputs=True)
        return [results[index] for index in range(len(endpoints))]

    return trunk


class _State(NamedTuple):
    """The state before a piece: the cells that each layer keeps, and the pieces before it."""

    kept: list[np.ndarray]
    num_pieces: int


class OpenVinoSteps:
    """Computes the trunk's endpoints of a video in steps; see `video_trunk.TrunkSteps`.

    Each layer stores the cells that its next output needs. Before a video these are the padding
    before it; the last piece has the padding after the video appended.

    Pieces inside a long video have equal shapes. A graph of these fixed shapes is about 15 % faster
    than the one for all shapes, and is built for the first video that is long enough to need it.

    Attributes:
      piece: frames of a step.
    """

    piece = 64  # the first piece must complete a cell of Mixed_5c, which takes 56 frames
    # Pieces of a video in the graph for all shapes: building the other takes as long as is won in
    # about so many. It is their number in the video that counts, not in the process, so that a
    # video's result, down to its rounding, does not depend on earlier videos.
    _NUM_BEFORE_FIXED = 8

    def __init__(
        self,
        parameters: Mapping[str, Any],
        frame_shape: Sequence[int],
        endpoints: Sequence[str],
        precision: str = "float32",
    ):
        """Compiles the trunk for frames (H, W, channels); other arguments are those of `build`."""
        self._weights, self._endpoints = _folded(parameters), endpoints
        self._frame_shape, self._precision = tuple(frame_shape), precision
        graph = _PieceGraph(self._weights, (1, -1, *frame_shape), endpoints)
        self._layers = graph.layers
        self._any_shape = self._request(graph)
        self._fixed_shape: Any = None
        self._lock = threading.Lock()

    def start(self) -> _State:
        """Returns the state before a video: the padding before it, for each layer."""
        return _State([layer.zeros(layer.padding[0]) for layer in self._layers], 0)

    def step(
        self, state: _State, frames: np.ndarray, is_last: bool
    ) -> tuple[list[np.ndarray], _State]:
        """Computes a piece; see `video_trunk.TrunkSteps.step`."""
        inputs = [np.ascontiguousarray(frames[None]), *state.kept]
        is_fixed = state.num_pieces >= self._NUM_BEFORE_FIXED and not is_last
        if not is_fixed:
            inputs += [layer.zeros(layer.padding[1] if is_last else 0) for layer in self._layers]
        with self._lock:  # OpenVINO overwrites its results in the next call
            if is_fixed and self._fixed_shape is None:
                counts = [x.shape[1] for x in state.kept]
                shape = (1, self.piece, *self._frame_shape)
                graph = _PieceGraph(self._weights, shape, self._endpoints, counts)
                self._fixed_shape = self._request(graph)
            request = self._fixed_shape if is_fixed else self._any_shape
            results = request.infer(inputs, share_inputs=True)
            found = [results[index].copy() for index in range(len(results))]
        cells, kept = found[: len(self._endpoints)], found[len(self._endpoints) :]
        return [x[0] for x in cells], _State(kept, state.num_pieces + 1)

    def _request(self, graph: "_PieceGraph") -> Any:
        befores, afters, kept = zip(
            *((layer.before, layer.after, layer.kept) for layer in graph.layers), strict=True
        )
        inputs = [graph.clips, *befores, *(x for x in afters if x is not None)]
        outputs = [*(graph.outputs[name] for name in self._endpoints), *kept]
        return _compiled(outputs, inputs, self._precision)


def import_openvino() -> Any:
    """Imports OpenVINO, which must be installed, and returns it."""
    # Without this, importing OpenVINO starts a process that reports the import over the network.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def _folded(parameters: Mapping[str, Any]) -> FoldedWeights:
    return fold_norms({k: np.asarray(v) for k, v in parameters.items() if k.startswith("trunk.")})


def _compiled(outputs: Sequence[Any], inputs: Sequence[Any], precision: str) -> Any:
    """Returns a request that computes the outputs from the inputs."""
    openvino = import_openvino()
    settings = {
        "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
    }
    model = openvino.Model(list(outputs), list(inputs))
    return openvino.Core().compile_model(model, "CPU", settings).create_infer_request()


# Applies an operation to an input with paddings (before, after) of time, height and width.
_Padded = Callable[[Any, list[int], list[int]], Any]


class _Graph:
    """The trunk as operations of OpenVINO.

    Attributes:
      clips: the input.
      outputs: endpoints by name up to the last requested one, channels last.
    """

    def __init__(self, weights: FoldedWeights, shape: Sequence[int], endpoints: Sequence[str]):
        self._ops, self._weights = import_openvino().opset13, weights
        self.clips = self._parameter(shape)
        self.outputs: dict[str, Any] = {}
        x = self._transposed(self.clips, _CHANNELS_FIRST)
        for name in i3d.endpoints_until(*endpoints):
            if name in i3d.POOLS:
                x = self._pool(x, *i3d.POOLS[name])
            elif name in i3d.UNITS:
                x = self._unit(x, name, i3d.UNITS[name][2])
            else:
                x = self._mixed(x, name)
            self.outputs[name] = self._transposed(x, _CHANNELS_LAST)

    def _parameter(self, shape: Sequence[int]) -> Any:
        return self._ops.parameter(import_openvino().PartialShape(list(shape)), np.float32)

    def _transposed(self, x: Any, order: Sequence[int]) -> Any:
        return self._ops.transpose(x, self._ops.constant(np.array(order)))

    def _mixed(self, x: Any, name: str) -> Any:
        branches = [self._in_step(self._unit(x, f"{name}.b0"))]
        for branch in ("b1", "b2"):
            branches.append(self._unit(self._unit(x, f"{name}.{branch}a"), f"{name}.{branch}b"))
        branches.append(self._unit(self._pool(x, (3, 3, 3), (1, 1, 1)), f"{name}.b3b"))
        return self._ops.concat(branches, 1)

    def _in_step(self, x: Any) -> Any:
        """Returns the cells of a branch without taps that those with three taps complete, too."""
        return x

    def _unit(self, x: Any, name: str, strides: Sequence[int] = (1, 1, 1)) -> Any:
        kernel, bias = self._weights[name]
        # Given arrays, `convolution` and `add` would copy them value by value, through lists.
        constant = self._ops.constant
        out_first = constant(np.ascontiguousarray(kernel.transpose(4, 3, 0, 1, 2)))

        def convolution(x: Any, before: list[int], after: list[int]) -> Any:
            return self._ops.convolution(x, out_first, list(strides), before, after, [1, 1, 1])

        x = self._padded(x, kernel.shape[:3], strides, convolution)
        return self._ops.relu(self._ops.add(x, constant(bias.reshape(1, -1, 1, 1, 1))))

    def _pool(self, x: Any, kernel_size: Sequence[int], strides: Sequence[int]) -> Any:
        def pool(x: Any, before: list[int], after: list[int]) -> Any:
            # Inputs are never negative, so padding with -inf equals padding with zeros.
            size, steps = list(kernel_size), list(strides)
            return self._ops.max_pool(x, steps, [1, 1, 1], before, after, size).output(0)

        return self._padded(x, kernel_size, strides, pool)

    def _padded(
        self, x: Any, kernel_size: Sequence[int], strides: Sequence[int], operation: _Padded
    ) -> Any:
        """Applies an operation to x, "SAME"-padded."""
        pairs = _paddings(_sizes(x), kernel_size, strides)
        return operation(x, [before for before, _ in pairs], [after for _, after in pairs])


class _Layer(NamedTuple):
    """Inputs and output of a layer that reads several cells along time.

    before, after: cells before those of the piece, and after them; `after` is None if shapes are
      fixed, as they are inside a video only.
    kept: the cells that its next output needs.
    padding: number of cells of padding before and after the video.
    shape: (height, width, channels) of a cell.
    """

    before: Any
    after: Any
    kept: Any
    padding: tuple[int, int]
    shape: tuple[int, ...]

    def zeros(self, count: int) -> np.ndarray:
        """Returns so many cells of zeros."""
        return np.zeros((1, count, *self.shape), np.float32)


class _PieceGraph(_Graph):
    """The trunk on a piece of a video.

    Attributes:
      layers: the layers that read several cells along time.
    """

    def __init__(
        self,
        weights: FoldedWeights,
        shape: Sequence[int],
        endpoints: Sequence[str],
        counts: Sequence[int] = (),
    ):
        """Builds the graph.

        Args:
          weights: folded weights.
          shape: of a piece, [1,n,H,W,channels]; n is -1 if it differs.
          endpoints: names of the endpoints to compute.
          counts: number of cells that each layer keeps, if n and they are fixed.
        """
        self.layers: list[_Layer] = []
        self._counts = counts
        super().__init__(weights, shape, endpoints)

    def _padded(
        self, x: Any, kernel_size: Sequence[int], strides: Sequence[int], operation: _Padded
    ) -> Any:
        taps, stride = kernel_size[0], strides[0]
        channels, _, *space = _sizes(x, first=1)
        pairs = _paddings(space, kernel_size[1:], strides[1:])
        before, after = ([0, *side] for side in zip(*pairs, strict=True))
        if taps == 1:
            return operation(x, before, after)
        ops, is_first = self._ops, not self.layers
        kept_before = self._counts[len(self.layers)] if self._counts else -1
        earlier = self._parameter((1, kept_before, *space, channels))
        later = None if self._counts else self._parameter((1, -1, *space, channels))
        around = [earlier] if later is None else [earlier, later]
        if is_first:  # frames have channels last: they and the kept ones are transposed as one
            cells = ops.concat([earlier, self.clips, *around[1:]], 1)
            joined = self._transposed(cells, _CHANNELS_FIRST)
        else:
            around = [self._transposed(side, _CHANNELS_FIRST) for side in around]
            cells = joined = ops.concat([around[0], x, *around[1:]], 2)
        result = operation(joined, before, after)
        # Constants where shapes are fixed, as OpenVINO finds by itself.
        count = ops.gather(ops.shape_of(result), ops.constant(np.array([2])), ops.constant(0))
        consumed = ops.multiply(count, ops.constant(np.array([stride])))
        axis, one, end = (ops.constant(np.array([n])) for n in (1 if is_first else 2, 1, 2**31))
        kept = ops.slice(cells, consumed, end, one, axis)
        kept = kept if is_first else self._transposed(kept, _CHANNELS_LAST)
        padding = same_padding(taps * stride, taps, stride)
        self.layers.append(_Layer(earlier, later, kept, padding, (*space, channels)))
        return result

    def _in_step(self, x: Any) -> Any:
        one, minus_one, axis = (self._ops.constant(np.array([value])) for value in (1, -1, 2))
        return self._padded(
            x, (3, 1, 1), (1, 1, 1), lambda x, *_: self._ops.slice(x, one, minus_one, one, axis)
        )


def _sizes(x: Any, first: int = 2) -> list[int]:
    """Returns the sizes of x [B,C,T,H,W] from an axis on; -1: not known."""
    node = x.output(0) if hasattr(x, "output") else x
    shape = node.get_partial_shape()
    return [size.get_length() if size.is_static else -1 for size in list(shape)[first:]]


def _paddings(
    sizes: Sequence[int], kernel_size: Sequence[int], strides: Sequence[int]
) -> list[tuple[int, int]]:
    return [same_padding(*axis) for axis in zip(sizes, kernel_size, strides, strict=True)]
