"""Resizing images with Pillow's bicubic filter, as the reference implementation does."""

import sys
from collections import Counter

import numpy as np
from PIL import Image

from afsd_jax.runtime import devices

FRAME_SIZE = (112, 112)

# Pixels in images of one shape after which a program is compiled: half a minute of 720p at 10
# frames per second. Pillow takes a few seconds for them; a compiled program saves two thirds of
# that, and compiling takes a second or two.
_MANY = 3e8
_LARGEST = 3840 * 2160  # pixels; larger images do not fit the cache, and Pillow is as fast

_may_start_jax = False
_seen: Counter[tuple[tuple[int, ...], tuple[int, int]]] = Counter()


def resize(image: np.ndarray, size: tuple[int, int] = FRAME_SIZE) -> np.ndarray:
    """Resizes uint8 [H, W] or [H, W, C] to (height, width) with Pillow's bicubic filter.

    After many colour images of one shape, a program compiled for that shape (`bicubic`) computes
    the same bytes instead of Pillow. JAX is not started only for this, since it would reserve a
    GPU's memory; see `start_jax_when_needed`.
    """
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    if image.ndim == 3 and image.shape[2] != 3:
        channels = np.moveaxis(image, 2, 0)
        return np.stack([resize(np.ascontiguousarray(channel), size) for channel in channels], -1)
    if image.ndim == 3 and image.shape[0] * image.shape[1] <= _LARGEST:
        key = image.shape, (height, width)
        _seen[key] += image.shape[0] * image.shape[1]
        if _seen[key] > _MANY and ("jax" in sys.modules or _may_start_jax):
            from afsd_jax.data.decode import bicubic

            if bicubic.is_possible():
                return bicubic.resize(np.ascontiguousarray(image), (height, width))
    return by_pillow(image, (height, width))


def by_pillow(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes like `resize`, always with Pillow."""
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))


def start_jax_when_needed() -> None:
    """Lets `resize` start JAX, on the CPU only, in a process that uses JAX for nothing else."""
    global _may_start_jax
    _may_start_jax = True
    devices.use_cpu_only()
