"""The trunk on a whole video that is never whole in memory: frames come piece by piece.

Between pieces, each convolution and pool over time keeps the last cells of its input. So every
cell is computed once, from all that it sees, and the result is that of the trunk on all frames at
once: nothing is computed twice, as it is where windows overlap, and nothing is cut off.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from afsd_jax.models import i3d
from afsd_jax.models.convolution import conv3d, same_padding
from afsd_jax.models.max_pool import max_pool3d

STRIDE, _ = i3d.endpoint_stride("Mixed_5c")  # frames per cell of the result
DELAY = 6  # cells by which the result comes late: 48 frames must be seen beyond a frame
Weights = Mapping[str, tuple[jax.Array, jax.Array]]  # a unit's kernel and bias
Kept = dict[str, jax.Array]


class Cells(NamedTuple):
    """The cells that one piece gives: `x` [1,n,H,W,C], the first of them `delay` cells late."""

    x: jax.Array
    delay: int


def fold_norms(parameters: Mapping[str, Any], eps: float = 1e-3) -> Weights:
    """Folds each unit's BatchNorm into its convolution.

    Args:
      parameters: of the trunk by name, `trunk.Mixed_3b.b0.conv.kernel`.
      eps: of the norms.

    Returns:
      Kernel [t,h,w,in,out] and bias [out] by the unit's name, `Mixed_3b.b0`.
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


def empty(weights: Weights, shape: tuple[int, ...]) -> Kept:
    """Returns what is kept before the first piece of a video: zeros, as "SAME" pads them.

    Args:
      weights: of `fold_norms`.
      shape: of the pieces, [1,N,H,W,channels].
    """
    frames = jax.ShapeDtypeStruct(shape, jnp.float32)
    _, kept = jax.eval_shape(trunk_step, weights, {}, frames, 0, 0)
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), kept)


def trunk_step(
    weights: Weights, kept: Kept, frames: jax.Array, first: jax.Array | int, total: jax.Array | int
) -> tuple[jax.Array, Kept]:
    """Takes a video's next piece.

    Args:
      weights: of `fold_norms`.
      kept: what the piece before has left; see `empty`.
      frames: [1,N,H,W,channels] in [-1, 1]; N is a multiple of `STRIDE`.
      first: the number of frames before this piece, a multiple of N.
      total: the number of frames of the whole video, a multiple of `STRIDE`. Frames behind it are
        not seen; go on with them until `DELAY` cells behind the video are there.

    Returns:
      N / STRIDE cells of Mixed_5c, [1,n,H',W',C'], and what is kept for the next piece. The first
      cell of the video is the one after `DELAY` others.
    """
    piece = _Piece(weights, kept, first, total)
    cells, delay = piece.trunk(frames)
    assert delay == DELAY
    return cells, piece.kept


class _Piece:
    """One piece's way through the trunk.

    Attributes:
      kept: the cells to give to the next piece.
    """

    def __init__(
        self, weights: Weights, before: Kept, first: jax.Array | int, total: jax.Array | int
    ):
        """Takes what the piece before has kept; `first`: the place of the piece among frames."""
        self._weights, self._before = weights, before
        self._first, self._total = first, total
        self.kept: Kept = {}

    def trunk(self, frames: jax.Array) -> Cells:
        """Returns the cells of Mixed_5c that frames [1,N,H,W,channels] in [-1, 1] complete."""
        self._num_frames = frames.shape[1]
        cells = Cells(frames, 0)
        for name in i3d.ENDPOINTS:
            if name in i3d.POOLS:
                kernel_size, strides = i3d.POOLS[name]
                x, delay = self._seen(name, cells, kernel_size[0], strides[0])
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
        x, delay = self._seen(name, cells, 3, 1)
        pooled = max_pool3d(x, (3, 3, 3), (1, 1, 1), pad_time=False)
        b0 = self._unit(f"{name}.b0", Cells(x[:, 1:-1], delay))
        b3 = self._unit(f"{name}.b3b", Cells(pooled, delay))
        return Cells(jnp.concatenate([b.x for b in (b0, b1, b2, b3)], axis=-1), delay)

    def _unit(self, name: str, cells: Cells, strides: tuple[int, int, int] = (1, 1, 1)) -> Cells:
        kernel, bias = self._weights[name]
        x, delay = self._seen(name, cells, kernel.shape[0], strides[0])
        x = conv3d(x, kernel, strides, pad_time=False)
        return Cells(jax.nn.relu(x + bias), delay)

    def _seen(self, name: str, cells: Cells, taps: int, stride: int) -> Cells:
        """Returns these cells and before them those kept for it: all that the taps see.

        Its `delay` is that of the cells which the taps give.
        """
        if taps == 1:
            return cells
        x, delay = cells
        count = x.shape[1]
        padding = same_padding(count, taps, stride)[0]
        kept = taps - stride
        kept += (padding - delay - kept) % stride
        # Outside of the video there are zeros on every level, as "SAME" pads them.
        place = self._first * count // self._num_frames - delay + jnp.arange(count)
        inside = (place >= 0) & (place < self._total * count // self._num_frames)
        x = jnp.where(inside[:, None, None, None], x, 0)
        before = self._before.get(name, jnp.zeros((1, kept, *x.shape[2:]), x.dtype))
        x = jnp.concatenate([before, x], axis=1)
        self.kept[name] = x[:, x.shape[1] - kept :]
        return Cells(x, (kept + delay - padding) // stride)
