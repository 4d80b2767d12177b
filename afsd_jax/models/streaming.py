"""XLA's trunk on a video piece by piece; see `video_trunk`.

Each temporal convolution or pool stores the last cells of its input for the next piece. All pieces
have one shape, so one program computes them; cells of later layers lag behind the frames, and those
outside the video are set to zero, as "SAME" padding does.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from afsd_jax.models import i3d
from afsd_jax.models.convolution import conv3d, same_padding
from afsd_jax.models.max_pool import max_pool3d
from afsd_jax.runtime.compilation import compiled

FoldedWeights = Mapping[str, tuple[jax.Array, jax.Array]]  # kernel and bias of each unit
Cache = dict[str, jax.Array]  # the last cells of each unit's input
UNKNOWN = 2**30  # frames of a video whose end is not yet known


class Cells(NamedTuple):
    """Cells of one piece: `x` [1,n,H,W,C], which lag behind the frames by `delay` cells."""

    x: jax.Array
    delay: int


class _State(NamedTuple):
    """The state before the next piece: the cache, and the number of frames before it."""

    cache: Cache
    first: int


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


class XlaSteps:
    """Computes the trunk's endpoints of a video in steps; see `video_trunk.TrunkSteps`.

    Attributes:
      piece: frames of a step.
    """

    def __init__(
        self,
        parameters: Mapping[str, Any],
        frame_shape: Sequence[int],
        endpoints: Sequence[str],
        dtype: DTypeLike = jnp.float32,
        piece: int = 0,
    ):
        """Compiles nothing yet.

        Args:
          parameters: weights of the network by name, such as `trunk.Mixed_3b.b0.conv.kernel`.
          frame_shape: (H, W, channels) of the frames.
          endpoints: names of the endpoints to return.
          dtype: compute type.
          piece: frames of a step, a multiple of 8; 0: the fastest number for the backend.
        """
        # On CPUs larger pieces are no faster and take more memory; GPUs need more work at a time.
        self.piece = piece or (16 if jax.default_backend() == "cpu" else 256)
        weights = fold_norms(parameters)
        self._weights = jax.tree.map(lambda x: jnp.asarray(x, dtype), weights)
        self._strides = [i3d.endpoint_stride(name)[0] for name in endpoints]
        self._shape = (1, self.piece, *frame_shape)
        self._delays: list[int] = []

        def step(
            weights: FoldedWeights, cache: Cache, frames: jax.Array, first: Any, total: Any
        ) -> tuple[list[jax.Array], Cache]:
            piece = _Piece(weights, cache, first, total)
            cells = piece.endpoints(frames.astype(dtype), endpoints)
            self._delays = [delay for _, delay in cells]
            return [x[0].astype(jnp.float32) for x, _ in cells], piece.cache

        frames = jax.ShapeDtypeStruct(self._shape, jnp.float32)
        _, self._empty = jax.eval_shape(step, self._weights, {}, frames, 0, 0)
        self._step = compiled(step, donate_argnums=1)

    def start(self) -> _State:
        """Returns the state before a video: zeros, like "SAME" padding."""
        return _State(jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), self._empty), 0)

    def step(
        self, state: _State, frames: np.ndarray, is_last: bool
    ) -> tuple[list[np.ndarray], _State]:
        """Computes a piece; see `video_trunk.TrunkSteps.step`."""
        cache, first = state
        total = first + len(frames) if is_last else UNKNOWN
        lag = max(d * stride for d, stride in zip(self._delays, self._strides, strict=True))
        end = total + lag if is_last else first + self.piece
        frames = np.concatenate([frames, np.zeros((self.piece, *frames.shape[1:]), np.float32)])
        found: list[list[np.ndarray]] = [[] for _ in self._strides]
        while first < end:
            piece = frames[None, : self.piece]
            cells, cache = self._step(self._weights, cache, piece, first, total)
            for parts, x, stride, delay in zip(
                found, cells, self._strides, self._delays, strict=True
            ):
                place = first // stride - delay  # of the piece's first cell
                parts.append(np.asarray(x)[max(-place, 0) : max(total // stride - place, 0)])
            first += self.piece
            frames = np.zeros_like(frames)
        return [np.concatenate(parts) for parts in found], _State(cache, first)


class _Piece:
    """The trunk on one piece.

    Attributes:
      cache: cells for the next piece.
    """

    def __init__(
        self, weights: FoldedWeights, before: Cache, first: jax.Array | int, total: jax.Array | int
    ):
        """Computes nothing yet.

        Args:
          weights: result of `fold_norms`.
          before: the previous piece's cache.
          first: number of frames before this piece, a multiple of its length.
          total: number of frames in the video, a multiple of the last endpoint's stride. Frames
            after it are ignored.
        """
        self._weights, self._before = weights, before
        self._first, self._total = first, total
        self.cache: Cache = {}

    def endpoints(self, frames: jax.Array, names: Sequence[str]) -> list[Cells]:
        """Returns the endpoints' cells that frames [1,N,H,W,channels] complete."""
        self._num_frames = frames.shape[1]
        cells, found = Cells(frames, 0), {}
        for name in i3d.endpoints_until(*names):
            if name in i3d.POOLS:
                kernel_size, strides = i3d.POOLS[name]
                x, delay = self._with_cached(name, cells, kernel_size[0], strides[0])
                cells = Cells(max_pool3d(x, kernel_size, strides, pad_time=False), delay)
            elif name in i3d.UNITS:
                cells = self._unit(name, cells, i3d.UNITS[name][2])
            else:
                cells = self._mixed(name, cells)
            found[name] = cells
        return [found[name] for name in names]

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
        frames_per_cell = self._num_frames // count
        place = self._first // frames_per_cell - delay + jnp.arange(count)
        inside = (place >= 0) & (place < self._total // frames_per_cell)
        x = jnp.where(inside[:, None, None, None], x, 0)
        before = self._before.get(name, jnp.zeros((1, cached, *x.shape[2:]), x.dtype))
        x = jnp.concatenate([before, x], axis=1)
        self.cache[name] = x[:, x.shape[1] - cached :]
        return Cells(x, (cached + delay - padding) // stride)
