"""The trunk as a graph of OpenVINO's operations, on clips and on pieces of videos."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from afsd_jax.models import i3d
from afsd_jax.models.convolution import same_padding
from afsd_jax.models.streaming import FoldedWeights

# Orders of axes that turn [B,T,H,W,C] into [B,C,T,H,W] and back.
_CHANNELS_FIRST, _CHANNELS_LAST = (0, 4, 1, 2, 3), (0, 2, 3, 4, 1)
_STEM = "Conv3d_1a_7x7"
PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}  # and OpenVINO's names


def import_openvino() -> Any:
    """Imports OpenVINO, which must be installed, and returns it."""
    # Without this, importing OpenVINO starts a process that reports the import over the network.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def _takes_pairs(precision: str, shape: Sequence[int]) -> bool:
    """Returns whether the stem takes frames [..., W, channels] as pairs of pixels; see `ClipGraph`.

    In float32 this gains nothing. Units for bfloat16 multiply many channels at a time.
    """
    return precision == "bfloat16" and shape[-2] % 2 == 0


# Applies an operation to an input with paddings (before, after) of time, height and width.
_Padded = Callable[[Any, list[int], list[int]], Any]


class ClipGraph:
    """The trunk as operations of OpenVINO.

    With frames in pairs, two neighbouring pixels of a row are one of twice the channels, and the
    stem has half the taps and a stride of 1 along the row. That only reshapes frames and kernel.

    Attributes:
      clips: the input.
      outputs: endpoints by name up to the last requested one, channels last.
    """

    def __init__(
        self,
        weights: FoldedWeights,
        shape: Sequence[int],
        endpoints: Sequence[str],
        precision: str,
    ):
        self._ops, self._weights = import_openvino().opset13, weights
        self._in_pairs = _takes_pairs(precision, shape)
        self.clips = self._parameter(shape)
        self._frames = self._paired(self.clips, *shape[-2:]) if self._in_pairs else self.clips
        self.outputs: dict[str, Any] = {}
        x = self._transposed(self._frames, _CHANNELS_FIRST)
        for name in i3d.endpoints_until(*endpoints):
            if name in i3d.POOLS:
                x = self._pool(x, *i3d.POOLS[name])
            elif name in i3d.UNITS:
                x = self._unit(x, name, i3d.UNITS[name][2])
            else:
                x = self._mixed(x, name)
            self.outputs[name] = self._transposed(x, _CHANNELS_LAST)

    def _parameter(self, shape: Sequence[int], dtype: str = "f32") -> Any:
        openvino = import_openvino()
        kind = getattr(openvino.Type, dtype)
        return self._ops.parameter(openvino.PartialShape(list(shape)), kind)

    def _paired(self, frames: Any, width: int, channels: int) -> Any:
        pairs = self._ops.constant(np.array([0, 0, 0, width // 2, 2 * channels]))  # 0: as it is
        return self._ops.reshape(frames, pairs, True)

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
        if self._in_pairs and name == _STEM:
            kernel, strides = _for_pairs(kernel), (*strides[:2], 1)
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


class Layer(NamedTuple):
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

    def zeros(self, count: int) -> Any:
        """Returns so many cells of zeros, of the type of `before`."""
        openvino = import_openvino()
        tensor = openvino.Tensor(self.before.get_element_type(), [1, count, *self.shape])
        tensor.data[...] = 0
        return tensor


class PieceGraph(ClipGraph):
    """The trunk on a piece of a video.

    Attributes:
      layers: the layers that read several cells along time.
    """

    def __init__(
        self,
        weights: FoldedWeights,
        shape: Sequence[int],
        endpoints: Sequence[str],
        precision: str,
        counts: Sequence[int] = (),
    ):
        """Builds the graph.

        Args:
          weights: folded weights.
          shape: of a piece, [1,n,H,W,channels]; n is -1 if it differs.
          endpoints: names of the endpoints to compute.
          precision: precision of matrix products, float32 or bfloat16, and type of kept cells:
            OpenVINO joins cells in float32 if some of them are an output in float32.
          counts: number of cells that each layer keeps, if n and they are fixed.
        """
        self.layers: list[Layer] = []
        self._counts, self._state_type = counts, PRECISIONS[precision]
        super().__init__(weights, shape, endpoints, precision)

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
        earlier = self._parameter((1, kept_before, *space, channels), self._state_type)
        later = None
        if not self._counts:
            later = self._parameter((1, -1, *space, channels), self._state_type)
        around = [ops.convert(x, "f32") for x in (earlier, later) if x is not None]
        if is_first:  # frames have channels last: they and the kept ones are transposed as one
            cells = ops.concat([around[0], self._frames, *around[1:]], 1)
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
        kept = ops.convert(kept, self._state_type)
        padding = same_padding(taps * stride, taps, stride)
        self.layers.append(Layer(earlier, later, kept, padding, (*space, channels)))
        return result

    def _in_step(self, x: Any) -> Any:
        one, minus_one, axis = (self._ops.constant(np.array([value])) for value in (1, -1, 2))
        return self._padded(
            x, (3, 1, 1), (1, 1, 1), lambda x, *_: self._ops.slice(x, one, minus_one, one, axis)
        )


def _for_pairs(kernel: Any) -> Any:
    """Returns the stem's kernel [t,h,w,in,out], w odd, for pairs of pixels: [t,h,w',2*in,out].

    With a stride of 2 on rows of even length, "SAME" padding puts the first tap on the even pixel
    of a pair, for 7 taps. The last pair has a tap of zeros.
    """
    time, height, width, channels, out = kernel.shape
    padded = np.pad(kernel, [(0, 0), (0, 0), (0, 1), (0, 0), (0, 0)])
    return padded.reshape(time, height, (width + 1) // 2, 2 * channels, out)


def _sizes(x: Any, first: int = 2) -> list[int]:
    """Returns the sizes of x [B,C,T,H,W] from an axis on; -1: not known."""
    node = x.output(0) if hasattr(x, "output") else x
    shape = node.get_partial_shape()
    return [size.get_length() if size.is_static else -1 for size in list(shape)[first:]]


def _paddings(
    sizes: Sequence[int], kernel_size: Sequence[int], strides: Sequence[int]
) -> list[tuple[int, int]]:
    return [same_padding(*axis) for axis in zip(sizes, kernel_size, strides, strict=True)]
