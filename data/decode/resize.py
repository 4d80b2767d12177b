"""Resizing images by Pillow's bicubic filter, as the reference implementation does."""

import os
import sys
from collections import Counter

import numpy as np
from PIL import Image

FRAME_SIZE = (112, 112)

# Of one shape, pixels. Those of about five minutes of 720p at 10 frames a second are a few seconds
# of Pillow's time, of which a compiled program saves two thirds and takes one to be compiled.
_MANY = 3e8
_LARGEST = 3840 * 2160  # pixels of an image; what is larger fits no cache, and Pillow is as fast

_seen: Counter[tuple[tuple[int, ...], tuple[int, int]]] = Counter()


def resize(image: np.ndarray, size: tuple[int, int] = FRAME_SIZE) -> np.ndarray:
    """Resizes a uint8 [H, W, 3] or [H, W] image to (height, width): Pillow's bicubic filter.

    After many colour images of one shape a program compiled for it takes Pillow's place
    (`bicubic`), which computes the same bytes; not so in a process that has no use for JAX.
    """
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    if image.ndim == 3 and image.shape[0] * image.shape[1] <= _LARGEST and _jax_is_at_hand():
        key = image.shape, (height, width)
        _seen[key] += image.shape[0] * image.shape[1]
        if _seen[key] > _MANY:
            from afsd_jax.data.decode import bicubic

            if bicubic.is_possible():
                return bicubic.resize(np.ascontiguousarray(image), (height, width))
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def _jax_is_at_hand() -> bool:
    # Started where nothing else uses it, JAX would take a GPU's memory.
    return "jax" in sys.modules or os.environ.get("JAX_PLATFORMS") == "cpu"
