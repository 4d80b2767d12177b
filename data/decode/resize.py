"""Resizing images by Pillow's bicubic filter, as the reference implementation does."""

import os
import sys
from collections import Counter

import numpy as np
from PIL import Image

FRAME_SIZE = (112, 112)

# Of one shape, pixels: half a minute of 720p at 10 frames a second. They take Pillow a few seconds;
# a compiled program saves two thirds of that, and takes a second or two to be compiled.
_MANY = 3e8
_LARGEST = 3840 * 2160  # pixels of an image; what is larger fits no cache, and Pillow is as fast

_may_start_jax = False
_seen: Counter[tuple[tuple[int, ...], tuple[int, int]]] = Counter()


def resize(image: np.ndarray, size: tuple[int, int] = FRAME_SIZE) -> np.ndarray:
    """Resizes a uint8 [H, W, 3] or [H, W] image to (height, width): Pillow's bicubic filter.

    After many colour images of one shape a program compiled for it takes Pillow's place
    (`bicubic`), which computes the same bytes, but not where JAX would be started for that alone,
    for it would take a GPU's memory; see `start_jax_when_needed`.
    """
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    if image.ndim == 3 and image.shape[0] * image.shape[1] <= _LARGEST:
        key = image.shape, (height, width)
        _seen[key] += image.shape[0] * image.shape[1]
        if _seen[key] > _MANY and ("jax" in sys.modules or _may_start_jax):
            from afsd_jax.data.decode import bicubic

            if bicubic.is_possible():
                return bicubic.resize(np.ascontiguousarray(image), (height, width))
    return by_pillow(image, (height, width))


def by_pillow(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes as `resize` does, by Pillow itself."""
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))


def start_jax_when_needed() -> None:
    """Lets `resize` start JAX, without GPUs, in a process that uses it for nothing else."""
    global _may_start_jax
    _may_start_jax = True
    os.environ["JAX_PLATFORMS"] = "cpu"
