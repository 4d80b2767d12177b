"""Pillow's bicubic filter as a program that XLA compiles for CPUs: the same bytes in less time.

Pillow computes in integers: it rounds each weight to a multiple of 2^-22, sums a row in 32 bits,
rounds and clips to 8 bits, then does the same with the columns. Integer sums do not depend on their
order, so this program sums neighbouring rows at once with vector instructions.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_BITS = 22  # bits of a weight's fraction
_SUPPORT = 2.0  # reach of the filter to each side, pixels
_BAND = 20  # rows that are transposed at a time


@functools.cache
def is_possible() -> bool:
    """Returns whether JAX may use the CPU here."""
    try:
        return bool(_cpu())
    except (RuntimeError, AssertionError):  # JAX is restricted to other platforms
        return False


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes a uint8 [H, W, 3] image to (height, width)."""
    return np.asarray(_resize(jax.device_put(image, _cpu()), size))


def weights(length: int, resized: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the weights of the filter along one axis, as Pillow computes them.

    Args:
      length: length of the axis, pixels.
      resized: m, length of the axis after resizing, pixels.

    Returns:
      int32 [m], the first input pixel of each output pixel, and int32 [m, taps], the weights of
      that pixel and those after it, in units of 2^-22.
    """
    scale = length / resized
    stretch = max(scale, 1.0)
    reach = _SUPPORT * stretch
    centres = (np.arange(resized) + 0.5) * scale
    first = np.maximum((centres - reach + 0.5).astype(np.int32), 0)
    end = np.minimum((centres + reach + 0.5).astype(np.int32), length)
    taps = int((end - first).max())
    start = np.minimum(first, length - taps).astype(np.int32)
    pixels = start[:, None] + np.arange(taps)
    exact = _bicubic((pixels - centres[:, None] + 0.5) * (1.0 / stretch))
    exact[(pixels < first[:, None]) | (pixels >= end[:, None])] = 0.0
    exact /= np.cumsum(exact, axis=1)[:, -1:]  # in Pillow's order of summation
    return start, np.trunc(exact * 2**_BITS + np.copysign(0.5, exact)).astype(np.int32)


def _bicubic(x: np.ndarray) -> np.ndarray:
    x, a = np.abs(x), -0.5
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


def _cpu() -> jax.Device:
    return jax.local_devices(backend="cpu")[0]


@functools.partial(jax.jit, static_argnames="size")
def _resize(image: jax.Array, size: tuple[int, int]) -> jax.Array:
    height, width, channels = image.shape
    # XLA transposes a few rows with vector instructions, but a whole image pixel by pixel.
    bands = (image[top : top + _BAND] for top in range(0, height, _BAND))
    turned = [band.transpose(1, 0, 2).reshape(width, -1) for band in bands]
    columns = _weighted(jnp.concatenate(turned, axis=1), size[1])
    columns = columns.reshape(size[1], height, channels)
    rows = columns.transpose(1, 0, 2).reshape(height, size[1] * channels)
    return _weighted(rows, size[0]).reshape(*size, channels)


def _weighted(lines: jax.Array, resized: int) -> jax.Array:
    """Resizes uint8 [n, width] to [resized, width]."""
    starts, taps = weights(len(lines), resized)

    def line(start_and_taps: tuple[jax.Array, jax.Array]) -> jax.Array:
        start, tap = start_and_taps
        total = jnp.full(lines.shape[1], 1 << (_BITS - 1), jnp.int32)
        # Unrolled, this compiles to one loop along the line; a sum over an axis would loop over the
        # taps.
        for i in range(taps.shape[1]):
            total += lax.dynamic_index_in_dim(lines, start + i, keepdims=False) * tap[i]
        return jnp.clip(total >> _BITS, 0, 255).astype(jnp.uint8)

    return lax.map(line, (jnp.asarray(starts), jnp.asarray(taps)))
