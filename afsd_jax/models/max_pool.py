"""Max pooling in three dimensions, with a cheap gradient."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from afsd_jax.models.convolution import pad_same, same_padding, unfold


def max_pool3d(
    x: jax.Array,
    kernel_size: tuple[int, int, int],
    strides: tuple[int, int, int],
    pad_time: bool = True,
    implementation: str | None = None,
) -> jax.Array:
    """Max-pools [B,T,H,W,C], "SAME"-padded with zeros, which for inputs ≥ 0 equals -inf.

    Among equal cells, the first by time, then height, then width gets the gradient.

    Args:
      pad_time: whether time is padded as well as space.
      implementation: "separable" takes the maximum along one axis after the other, which needs the
        fewest operations; "window" reads and writes each array once, as far as possible. None: the
        faster one on the default backend.

    Example:
      >>> x = jnp.arange(6.0).reshape(1, 6, 1, 1, 1)
      >>> max_pool3d(x, (2, 1, 1), (2, 1, 1)).ravel().tolist()
      [1.0, 3.0, 5.0]
    """
    if implementation is None:
        implementation = "separable" if jax.default_backend() == "cpu" else "window"
    if implementation == "window":
        padding = [
            same_padding(*sizes) for sizes in zip(x.shape[1:4], kernel_size, strides, strict=True)
        ]
        if not pad_time:
            padding[0] = (0, 0)
        return _window_maxima(x, kernel_size, strides, tuple(padding))
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


Padding = tuple[tuple[int, int], ...]  # before and after, by axis


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _window_maxima(
    x: jax.Array, kernel_size: tuple[int, ...], strides: tuple[int, ...], padding: Padding
) -> jax.Array:
    lowest = jnp.array(-jnp.inf, x.dtype)
    window = ((1, *kernel_size, 1), (1, *strides, 1), ((0, 0), *padding, (0, 0)))
    return jax.lax.reduce_window(x, lowest, jax.lax.max, *window)


def _window_forward(
    x: jax.Array, kernel_size: tuple[int, ...], strides: tuple[int, ...], padding: Padding
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    y = _window_maxima(x, kernel_size, strides, padding)
    return y, (x, y)


def _window_backward(
    kernel_size: tuple[int, ...],
    strides: tuple[int, ...],
    padding: Padding,
    residuals: tuple[jax.Array, jax.Array],
    cotangent: jax.Array,
) -> tuple[jax.Array]:
    x, y = residuals
    padded = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    extents = [(n - 1) * stride + 1 for n, stride in zip(y.shape[1:4], strides, strict=True)]
    taps = list(np.ndindex(*kernel_size))
    # The first tap of each window that reads its maximum: one byte instead of a value and a place.
    first = jnp.full(y.shape, -1, jnp.int8)
    for number, tap in reversed(list(enumerate(taps))):
        limits = [start + extent for start, extent in zip(tap, extents, strict=True)]
        cells = jax.lax.slice(
            padded,
            (0, *tap, 0),
            (x.shape[0], *limits, x.shape[4]),
            (1, *strides, 1),
        )
        first = jnp.where(cells == y, jnp.int8(number), first)
    by_x = jnp.zeros((), jnp.promote_types(x.dtype, jnp.float32))
    for number, tap in enumerate(taps):
        share = jnp.where(first == number, cotangent, 0).astype(by_x.dtype)
        places = [
            (start - before, size + before - start - extent, stride - 1)
            for start, (before, _), size, extent, stride in zip(
                tap, padding, x.shape[1:4], extents, strides, strict=True
            )
        ]
        zero = jnp.zeros((), by_x.dtype)
        by_x = by_x + jax.lax.pad(share, zero, ((0, 0, 0), *places, (0, 0, 0)))
    return (by_x.astype(x.dtype),)


_window_maxima.defvjp(_window_forward, _window_backward)
