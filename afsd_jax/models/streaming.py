"""The trunk applied to a video piece by piece, without the whole video in memory.

Each temporal convolution or pool stores the last cells of its input for the next piece. So each
cell is computed once from its complete receptive field, and the result equals that of the trunk on
all frames at once. Overlapping windows would compute cells twice, and cut off their input.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from afsd_jax.models import i3d
from afsd_jax.models.convolution import conv3d, same_padding
from afsd_jax.models.max_pool import max_pool3d

STRIDE, _ = i3d.endpoint_stride("Mixed_5c")  # frames per cell of the result
DELAY = 6  # cells; a cell's result needs 48 more frames
FoldedWeights = Mapping[str, tuple[jax.Array, jax.Array]]  # kernel and bias of each unit
Cache = dict[str, jax.Array]  # the last cells of each unit's input


class Cells(NamedTuple):
    """Cells of one piece: `x` [1,n,H,W,C], which lag behind the frames by `delay` cells."""

    x: jax.Array
    delay: int


def fold_norms(parameters: Mapping[str, Any], eps: float = 1e-3) -> FoldedWeights:
    """Folds each unit's BatchNorm into its convolution.

    Args:
      parameters: weights of the trunk by name, such as `trunk.Mixed_3b.b0.conv.kernel`.
      eps: epsilon of the norms.

    Returns:
      Kernel [t,h,w,in,out] and bias [out] by the unit's name, such as `Mixed_3b.b0`.
    """
    units = {}
    for name, kernel in parameters.items():
        unit, is_kernel, _ = name.removeprefix("trunk.").partition(".conv.kernel")
        if is_kernel:
            scale, bias, mean, var = (
                parameters[f"trunk.{unit}.norm.{leaf}"] for leaf in ("scale", "bias", "mean", "var")
            )
            factor = scale / (var + eps) ** 0.5
            units[unit] = kernel * factor, bias - mean * factor
    return units


def empty_cache(weights: FoldedWeights, shape: tuple[int, ...]) -> Cache:
    """Returns the cache for the first piece of a video: zeros, like "SAME" padding.

    Args:
      weights: result of `fold_norms`.
      shape: shape of the pieces, [1,N,H,W,channels].
    """
    frames = jax.ShapeDtypeStruct(shape, jnp.float32)
    _, cache = jax.eval_shape(trunk_step, weights, {}, frames, 0, 0)
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), cache)


def trunk_step(
    weights: FoldedWeights,
    cache: Cache,
    frames: jax.Array,
    first: jax.Array | int,
    total: jax.Array | int,
) -> tuple[jax.Array, Cache]:
    """Applies the trunk to a video's next piece.

    Args:
      weights: result of `fold_norms`.
      cache: cache after the previous piece, or `empty_cache`.
      frames: [1,N,H,W,channels] in [-1, 1]; N is a multiple of `STRIDE`.
      first: number of frames before this piece, a multiple of N.
      total: number of frames in the whole video, a multiple of `STRIDE`. Frames after it are
        ignored; continue with them until `DELAY` cells after the video's end are computed.

    Returns:
      N / STRIDE cells of Mixed_5c, [1,n,H',W',C'], and the cache for the next piece. The first
      `DELAY` cells of a video come before its first cell.
    """
    piece = _Piece(weights, cache, first, total)
    cells, delay = piece.trunk(frames)
    assert delay == DELAY
    return cells, piece.cache


class _Piece:
    """The trunk on one piece.

    Attributes:
      cache: cells for the next piece.
    """

    def __init__(
        self, weights: FoldedWeights, before: Cache, first: jax.Array | int, total: jax.Array | int
    ):
        """`before` is the previous piece's cache; the others are those of `trunk_step`."""
        self._weights, self._before = weights, before
        self._first, self._total = first, total
        self.cache: Cache = {}

    def trunk(self, frames: jax.Array) -> Cells:
        """Returns the cells of Mixed_5c that frames [1,N,H,W,channels] complete."""
        self._num_frames = frames.shape[1]
        cells = Cells(frames, 0)
        for name in i3d.ENDPOINTS:
            if name in i3d.POOLS:
                kernel_size, strides = i3d.POOLS[name]
                x, delay = self._with_cached(name, cells, kernel_size[0], strides[0])
                cells = Cells(max_pool3d(x, kernel_size, strides, pad_time=False), delay)
            elif name in i3d.UNITS:
                cells = self._unit(name, cells, i3d.UNITS[name][2])
            else:
                cells = self._mixed(name, cells)
        return cells

    def _mixed(self, name: str, cells: Cells) -> Cells:
        b1, b2 = (
            self._unit(f"{name}.{b}b", self._unit(f"{name}.{b}a", cells)) for b in ("b1", "b2")
        )
        x, delay = self._with_cached(name, cells, 3, 1)
        pooled = max_pool3d(x, (3, 3, 3), (1, 1, 1), pad_time=False)
        b0 = self._unit(f"{name}.b0", Cells(x[:, 1:-1], delay))
        b3 = self._unit(f"{name}.b3b", Cells(pooled, delay))
        return Cells(jnp.concatenate([b.x for b in (b0, b1, b2, b3)], axis=-1), delay)

    def _unit(self, name: str, cells: Cells, strides: tuple[int, int, int] = (1, 1, 1)) -> Cells:
        kernel, bias = self._weights[name]
        x, delay = self._with_cached(name, cells, kernel.shape[0], strides[0])
        x = conv3d(x, kernel, strides, pad_time=False)
        return Cells(jax.nn.relu(x + bias), delay)

    def _with_cached(self, name: str, cells: Cells, taps: int, stride: int) -> Cells:
        """Returns a unit's cached cells followed by these: the input of all its taps.

        The returned `delay` is that of the unit's output.
        """
        if taps == 1:
            return cells
        x, delay = cells
        count = x.shape[1]
        padding = same_padding(count, taps, stride)[0]
        cached = taps - stride
        cached += (padding - delay - cached) % stride
        # Outside the video every level is zero, like "SAME" padding.
        place = self._first * count // self._num_frames - delay + jnp.arange(count)
        inside = (place >= 0) & (place < self._total * count // self._num_frames)
        x = jnp.where(inside[:, None, None, None], x, 0)
        before = self._before.get(name, jnp.zeros((1, cached, *x.shape[2:]), x.dtype))
        x = jnp.concatenate([before, x], axis=1)
        self.cache[name] = x[:, x.shape[1] - cached :]
        return Cells(x, (cached + delay - padding) // stride)
