"""The disk that prepared frames will need, said and checked before anything is decoded."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from afsd_jax.config import STREAM_CHANNELS
from afsd_jax.data.builders.plan_checks import stated_s
from afsd_jax.data.preparation import frame_bytes
from afsd_jax.data.tasks import Task
from afsd_jax.errors import WriteError
from afsd_jax.io.disk_space import free_bytes, size_in_words

log = logging.getLogger(__name__)

_MOST_OPENED = 200  # videos whose lengths are read; of more videos, these are a sample
_USUAL_RATE = 25.0  # frames a second of a video that keeps its own rate


class _Size(NamedTuple):
    """Bytes of an encoded picture: a header, and a share of the raw values."""

    header: int
    share: float


# Of usual videos at JPEG's quality 95; and of frames of a single colour, the smallest ones.
_USUAL = {"jpeg": _Size(600, 0.13), "png": _Size(100, 0.65)}
_LEAST = {"jpeg": _Size(300, 0.0), "png": _Size(60, 0.0)}


def check_space(tasks: Sequence[Task], folder: Path, parts: Path) -> None:
    """Reports how much disk the frames of a new data set will need, and what is free.

    Args:
      tasks: one task per video.
      folder: folder of prepared data sets, which need not exist.
      parts: folder of the shards that a killed run has completed; they are not written again.

    Raises:
      WriteError: even frames of a single colour would not fit.
    """
    opened = tasks[:: max(math.ceil(len(tasks) / _MOST_OPENED), 1)]
    counts = [_num_frames(task) for task in opened]
    scale = len(tasks) / max(len(opened), 1)
    done = sum(path.stat().st_size for path in parts.glob("*.tfrecord"))
    usual, least = (
        scale * sum(n * _frame_bytes(t, size) for n, t in zip(counts, opened, strict=True)) - done
        for size in (_USUAL, _LEAST)
    )
    free = free_bytes(folder)
    videos = f"{len(tasks)} video" + "s" * (len(tasks) != 1)
    if least > free and len(opened) == len(tasks):
        raise WriteError(
            f"{folder}: cannot be written (No space: the frames of {videos} need more than "
            f"{size_in_words(least)}, {size_in_words(free)} are free)"
        )
    needs = f"{folder}: the frames of {videos} need about {size_in_words(max(usual, 0))}"
    log.log(
        logging.WARNING if usual > free else logging.INFO,
        "%s; %s are free",
        needs,
        size_in_words(free),
    )


def _num_frames(task: Task) -> float:
    """Returns about how many frames of a task are stored."""
    if task.timeline is not None:
        return task.timeline.num_frames
    count = stated_s(task) * (task.fps or _USUAL_RATE)
    return min(count, task.max_frames) if task.max_frames else count


def _frame_bytes(task: Task, sizes: dict[str, _Size]) -> float:
    if every := frame_bytes(task):
        return every
    size = sizes[task.encoding]
    return size.header + size.share * task.size**2 * STREAM_CHANNELS[task.stream]
