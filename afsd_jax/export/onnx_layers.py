"""Layers over time as operations of ONNX: convolution, norm, upsampling, boundary max pooling."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from afsd_jax.export.onnx_graph import OnnxGraph
from afsd_jax.models.convolution import same_padding

_EPS = 1e-5  # of `models.layers.GroupNorm`


class OnnxLayers:
    """Adds layers with their weights, found by name, to a graph. Values are [B,t,C].

    With `lengths`, a value is several sequences concatenated along time.
    """

    def __init__(self, graph: OnnxGraph, weights: Mapping[str, Any], groups: int):
        """`weights` are a network's by name; `groups` of each GroupNorm."""
        self._graph, self._weights, self._groups = graph, weights, groups

    def _weight(self, name: str) -> np.ndarray:
        return np.asarray(self._weights[name], np.float32)

    def product(self, x: str, kernel: np.ndarray, bias: np.ndarray) -> str:
        """Adds x @ kernel + bias."""
        constant = self._graph.constant
        return self._graph("Add", self._graph("MatMul", x, constant(kernel)), constant(bias))

    def convolution(
        self, x: str, name: str, length: int, stride: int = 1, lengths: Sequence[int] = ()
    ) -> str:
        """Adds `models.layers.Conv1D`; `length` is t of the input."""
        kernel, bias = self._weight(f"{name}.kernel"), self._weight(f"{name}.bias")
        size, graph = kernel.shape[0], self._graph
        if size > 1:
            before, after = same_padding(length, size, stride)
            padded = graph("Pad", x, graph.whole(0, before, 0, 0, after, 0))
            last = (length + before + after - size) // stride * stride
            axis, steps = graph.whole(1), graph.whole(stride)
            taps = [
                graph("Slice", padded, graph.whole(tap), graph.whole(tap + last + 1), axis, steps)
                for tap in range(size)
            ]
            if len(lengths) > 1:
                masks = inside(lengths, size)[..., None]
                taps = [
                    graph("Mul", tap, graph.constant(mask))
                    for tap, mask in zip(taps, masks, strict=True)
                ]
            x = graph("Concat", *taps, axis=-1)
        return self.product(x, kernel.reshape(-1, kernel.shape[-1]), bias)

    def unit(
        self, x: str, name: str, length: int, stride: int = 1, lengths: Sequence[int] = ()
    ) -> str:
        """Adds a convolution, GroupNorm and ReLU: `models.layers.conv_norm_relu`."""
        x = self.convolution(x, f"{name}.conv", length, stride, lengths)
        return self.norm_relu(x, name, lengths or (-(-length // stride),))

    def spatial_unit(self, x: str, name: str, length: int) -> str:
        """Adds a convolution of x [B,t,H,W,C] that collapses space, GroupNorm and ReLU."""
        kernel, bias = self._weight(f"{name}.conv.kernel"), self._weight(f"{name}.conv.bias")
        flat = self._graph("Reshape", x, self._graph.whole(0, 0, -1))
        x = self.product(flat, kernel.reshape(-1, kernel.shape[-1]), bias)
        return self.norm_relu(x, name, (length,))

    def norm_relu(self, x: str, name: str, lengths: Sequence[int]) -> str:
        """Adds `models.layers.GroupNorm` and ReLU."""
        graph = self._graph
        grouped = graph("Reshape", x, graph.whole(0, 0, self._groups, -1))
        centred = graph("Sub", grouped, self._means(grouped, lengths))
        variance = self._means(graph("Mul", centred, centred), lengths)
        deviation = graph("Sqrt", graph("Add", variance, graph.number(_EPS)))
        normalised = graph("Reshape", graph("Div", centred, deviation), graph.whole(0, 0, -1))
        scale, bias = (self._weight(f"{name}.norm.{leaf}") for leaf in ("scale", "bias"))
        scaled = graph("Mul", normalised, graph.constant(scale))
        return graph("Relu", graph("Add", scaled, graph.constant(bias)))

    def _means(self, values: str, lengths: Sequence[int]) -> str:
        """Adds the mean over each cell's sequence and group of values [B,K,G,c]."""
        graph = self._graph
        if len(lengths) == 1:
            return graph("ReduceMean", values, graph.whole(1, 3))
        cell_means = graph("ReduceMean", values, graph.whole(3), keepdims=0)
        same = np.repeat(np.repeat(np.eye(len(lengths)), lengths, axis=0), lengths, axis=1)
        share = (same / np.repeat(lengths, lengths)).astype(np.float32)  # [K,K]
        means = graph("MatMul", graph.constant(share), cell_means)
        return graph("Unsqueeze", means, graph.whole(3))

    def upsample(self, x: str, length: int, new_length: int) -> str:
        """Adds nearest neighbours: [B,length,C] to [B,new_length,C]."""
        cells = np.repeat(np.arange(length), new_length // length)
        return self._graph("Gather", x, self._graph.whole(*cells), axis=1)


def inside(lengths: Sequence[int], kernel_size: int) -> np.ndarray:
    """Returns float32 [taps,K]: 1 where a tap reads the cell's own sequence, else 0."""
    index = np.concatenate([np.arange(length) for length in lengths])
    size = np.repeat(lengths, lengths)
    shifts = np.arange(kernel_size)[:, None] - (kernel_size - 1) // 2
    return ((index + shifts >= 0) & (index + shifts < size)).astype(np.float32)


def max_over_regions(
    graph: OnnxGraph, features: str, length: int, channels: int, regions: Sequence[str]
) -> str:
    """Adds boundary max pooling; see `kernels.boundary_max_pooling`.

    A table holds the maxima over every 1, 2, 4, ... cells. A region is the union of two of them.

    Args:
      graph: gets the operations.
      features: float32 [B,T,C].
      length, channels: T and C.
      regions: first and last cell of the start region, then of the end region, float32 [B,N] each;
        they are clamped to the features.

    Returns:
      float32 [B,N,C].
    """
    sizes, starts, levels = _table(graph, features, length)
    half = graph.whole(channels // 2)
    axis, end = graph.whole(2), graph.whole(channels)
    table = graph("Concat", *levels, axis=1)
    halves = [
        graph("Slice", table, graph.whole(0), half, axis),
        graph("Slice", table, half, end, axis),
    ]
    ranges, offsets = graph.whole(*sizes), graph.whole(*starts)
    results = []
    for cells, first, last in zip(halves, regions[::2], regions[1::2], strict=True):
        first, last = (_cell(graph, bound, length) for bound in (first, last))
        last = graph("Max", last, first)
        count = graph("Add", graph("Sub", last, first), graph.whole(1))
        level = _level(graph, count, sizes)
        left = graph("Add", graph("Gather", offsets, level), first)
        shift = graph("Sub", count, graph("Gather", ranges, level))
        results.append(
            graph("Max", *(_rows(graph, cells, at) for at in (left, graph("Add", left, shift))))
        )
    return graph("Concat", *results, axis=2)


def _table(graph: OnnxGraph, features: str, length: int) -> tuple[list[int], list[int], list[str]]:
    """Returns the cells of each level's ranges, each level's first row in the table, and levels."""
    axis = graph.whole(1)
    sizes, starts, levels = [1], [0], [features]
    while 2 * sizes[-1] <= length:
        size, rows = sizes[-1], length - sizes[-1] + 1
        left = graph("Slice", levels[-1], graph.whole(0), graph.whole(rows - size), axis)
        right = graph("Slice", levels[-1], graph.whole(size), graph.whole(rows), axis)
        levels.append(graph("Max", left, right))
        sizes.append(2 * size)
        starts.append(starts[-1] + rows)
    return sizes, starts, levels


def _cell(graph: OnnxGraph, bound: str, length: int) -> str:
    clamped = graph("Clip", bound, graph.number(0), graph.number(length - 1))
    return graph.cast(clamped, np.int64)


def _level(graph: OnnxGraph, count: str, sizes: Sequence[int]) -> str:
    """Returns the level [B,N] of the largest ranges that fit into regions of `count` cells."""
    if len(sizes) == 1:
        return graph("Sub", count, count)
    axis = graph.whole(2)
    fits = graph("GreaterOrEqual", graph("Unsqueeze", count, axis), graph.whole(*sizes[1:]))
    return graph("ReduceSum", graph.cast(fits, np.int64), axis, keepdims=0)


def _rows(graph: OnnxGraph, table: str, rows: str) -> str:
    """Returns the rows [B,N] of a table [B,R,C]: [B,N,C]."""
    return graph("GatherND", table, graph("Unsqueeze", rows, graph.whole(2)), batch_dims=1)
