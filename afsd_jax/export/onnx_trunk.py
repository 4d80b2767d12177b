"""The trunk as operations of ONNX, channels first, with norms folded into convolutions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from afsd_jax.export.onnx_graph import OnnxGraph
from afsd_jax.models import i3d
from afsd_jax.models.convolution import same_padding
from afsd_jax.models.streaming import FoldedWeights

CHANNELS_FIRST, CHANNELS_LAST = (0, 4, 1, 2, 3), (0, 2, 3, 4, 1)


class _Cells(NamedTuple):
    """A value [B,C,*sizes]."""

    value: str
    sizes: tuple[int, ...]


def trunk(
    graph: OnnxGraph,
    weights: FoldedWeights,
    clips: str,
    sizes: Sequence[int],
    endpoints: Sequence[str],
) -> list[str]:
    """Adds the trunk; see `models.i3d.I3D`.

    Args:
      graph: gets the operations.
      weights: NumPy arrays, as `models.streaming.fold_norms` returns them.
      clips: float32 [B,channels,T,H,W] in [-1, 1].
      sizes: (T, H, W).
      endpoints: names of the endpoints to return.

    Returns:
      The endpoints [B,T',H',W',C'].
    """
    layers = _Layers(graph, weights)
    found: dict[str, str] = {}
    x = _Cells(clips, tuple(sizes))
    for name in i3d.endpoints_until(*endpoints):
        if name in i3d.POOLS:
            x = layers.pool(x, *i3d.POOLS[name])
        elif name in i3d.UNITS:
            x = layers.unit(x, name, i3d.UNITS[name][2])
        else:
            x = layers.mixed(x, name)
        if name in endpoints:
            found[name] = graph("Transpose", x.value, perm=CHANNELS_LAST)
    return [found[name] for name in endpoints]


class _Layers:
    def __init__(self, graph: OnnxGraph, weights: FoldedWeights):
        self._graph, self._weights = graph, weights

    def unit(self, x: _Cells, name: str, strides: Sequence[int] = (1, 1, 1)) -> _Cells:
        kernel, bias = map(np.asarray, self._weights[name])
        constants = map(self._graph.constant, (kernel.transpose(4, 3, 0, 1, 2), bias))
        sizes, place = _same(x.sizes, kernel.shape[:3], strides)
        convolved = self._graph("Conv", x.value, *constants, **place)
        return _Cells(self._graph("Relu", convolved), sizes)

    def pool(self, x: _Cells, kernel_size: Sequence[int], strides: Sequence[int]) -> _Cells:
        # ONNX pads with -inf, which equals zeros, because inputs are never negative.
        sizes, place = _same(x.sizes, kernel_size, strides)
        return _Cells(self._graph("MaxPool", x.value, **place), sizes)

    def mixed(self, x: _Cells, name: str) -> _Cells:
        branches = [
            self.unit(x, f"{name}.b0"),
            self.unit(self.unit(x, f"{name}.b1a"), f"{name}.b1b"),
            self.unit(self.unit(x, f"{name}.b2a"), f"{name}.b2b"),
            self.unit(self.pool(x, (3, 3, 3), (1, 1, 1)), f"{name}.b3b"),
        ]
        values = [branch.value for branch in branches]
        return _Cells(self._graph("Concat", *values, axis=1), x.sizes)


def _same(
    sizes: Sequence[int], kernel_size: Sequence[int], strides: Sequence[int]
) -> tuple[tuple[int, ...], dict[str, list[int]]]:
    """Returns the sizes after a "SAME"-padded operation, and its attributes."""
    axes = list(zip(sizes, kernel_size, strides, strict=True))
    before, after = zip(*(same_padding(*axis) for axis in axes), strict=True)
    place = {
        "kernel_shape": list(kernel_size),
        "strides": list(strides),
        "pads": [*before, *after],
    }
    return tuple(-(-size // stride) for size, _, stride in axes), place
