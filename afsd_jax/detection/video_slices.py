"""A trunk on the frames of one video, which are decoded while it computes."""

import itertools
import threading
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from afsd_jax.models.video_trunk import VideoTrunk
from afsd_jax.runtime.prefetch import prefetch


def video_slices(
    trunk: VideoTrunk, frames: Iterable[NDArray[np.uint8]]
) -> Iterator[list[NDArray[np.float32]]]:
    """Yields the slices of a video as they are complete: of each endpoint its cells.

    Args:
      trunk: the trunk.
      frames: uint8 [H, W, channels]; read one after another.
    """
    run = trunk.start()

    def pieces(cancelled: threading.Event) -> Iterator[NDArray[np.uint8]]:
        rest = iter(frames)
        while (taken := list(itertools.islice(rest, trunk.piece))) and not cancelled.is_set():
            yield np.stack(taken)

    for piece in prefetch(pieces, 1):
        yield run.add(piece)
    yield run.end()
