"""What each tap of a kernel sees along one axis, padded "SAME" as XLA does."""

import jax
import jax.numpy as jnp


def same_padding(size: int, kernel_size: int, stride: int) -> tuple[int, int]:
    """Returns the padding before and after by which `size` cells give ceil(size/stride)."""
    total = max(kernel_size - (size % stride or stride), 0)
    return total // 2, total - total // 2


def pad_same(x: jax.Array, axis: int, kernel_size: int, stride: int) -> jax.Array:
    """Pads an axis with zeros so that a kernel gives ceil(size/stride) cells."""
    padding = [(0, 0)] * x.ndim
    padding[axis] = same_padding(x.shape[axis], kernel_size, stride)
    return jnp.pad(x, padding)


def taps_of(x: jax.Array, axis: int, kernel_size: int, stride: int) -> list[jax.Array]:
    """Returns, for each of the `kernel_size` taps, the cells of a padded axis that it sees."""
    last = (x.shape[axis] - kernel_size) // stride * stride
    return [
        jax.lax.slice_in_dim(x, tap, tap + last + 1, stride, axis) for tap in range(kernel_size)
    ]


def shifted(
    x: jax.Array, axis: int, kernel_size: int, stride: int, padded: bool = True
) -> list[jax.Array]:
    """Returns what `taps_of` does of an axis that is padded first, unless `padded` is false."""
    x = pad_same(x, axis, kernel_size, stride) if padded else x
    return taps_of(x, axis, kernel_size, stride)
