"""Max pooling in three dimensions, with a cheap gradient."""

import functools

import jax
import jax.numpy as jnp

from afsd_jax.models.convolution import pad_same, unfold


def max_pool3d(
    x: jax.Array,
    kernel_size: tuple[int, int, int],
    strides: tuple[int, int, int],
    pad_time: bool = True,
) -> jax.Array:
    """Max-pools [B,T,H,W,C], "SAME"-padded with zeros, which for inputs ≥ 0 equals -inf.

    A box maximum is separable, and one-dimensional maxima of slices are cheap on every backend.
    Among equal cells, the first by time, then height, then width gets the gradient.

    Args:
      pad_time: whether time is padded as well as space.

    Example:
      >>> x = jnp.arange(6.0).reshape(1, 6, 1, 1, 1)
      >>> max_pool3d(x, (2, 1, 1), (2, 1, 1)).ravel().tolist()
      [1.0, 3.0, 5.0]
    """
    for axis in (3, 2, 1):
        taps, stride = kernel_size[axis - 1], strides[axis - 1]
        if taps > 1 or stride > 1:
            if pad_time or axis > 1:
                x = pad_same(x, axis, taps, stride)
            x = _maxima(x, axis, taps, stride)
    return x


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _maxima(x: jax.Array, axis: int, taps: int, stride: int) -> jax.Array:
    return functools.reduce(jnp.maximum, unfold(x, axis, taps, stride))


def _maxima_forward(
    x: jax.Array, axis: int, taps: int, stride: int
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    y = _maxima(x, axis, taps, stride)
    return y, (x, y)


def _maxima_backward(
    axis: int,
    taps: int,
    stride: int,
    residuals: tuple[jax.Array, jax.Array],
    cotangent: jax.Array,
) -> tuple[jax.Array]:
    x, y = residuals
    groups = -(-x.shape[axis] // stride)
    phases = [jnp.zeros((), x.dtype)] * stride
    free = jnp.ones((), bool)
    for tap, cells in enumerate(unfold(x, axis, taps, stride)):
        equal = cells == y
        share = jnp.where(free & equal, cotangent, 0)
        free = free & ~equal
        # A tap reads every stride-th cell, that is one phase of each group of `stride` cells.
        group, phase = divmod(tap, stride)
        padding = [(0, 0)] * x.ndim
        padding[axis] = (group, groups - group - share.shape[axis])
        phases[phase] = phases[phase] + jnp.pad(share, padding)
    shape = (*x.shape[:axis], groups * stride, *x.shape[axis + 1 :])
    phases = [jnp.broadcast_to(p, (*x.shape[:axis], groups, *x.shape[axis + 1 :])) for p in phases]
    by_x = jnp.stack(phases, axis + 1).reshape(shape)
    return (jax.lax.slice_in_dim(by_x, 0, x.shape[axis], axis=axis),)


_maxima.defvjp(_maxima_forward, _maxima_backward)
