"""Preparing videos, each by itself: resumable, on every core or on Apache Beam.

Each video becomes one shard and then a JSON file with the result. A killed run leaves only complete
shards, and the next run continues with the videos that have none. If an earlier preparation has the
same frames, they are copied instead of decoded; if nothing has changed, the shard is linked.
"""

import contextlib
import dataclasses
import json
import os
import shutil
import signal
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from afsd_jax.config import STREAM_CHANNELS
from afsd_jax.config_checks import FEATURES
from afsd_jax.data.decode.feature_rows import FeatureRows
from afsd_jax.data.decode.flow import FlowReader
from afsd_jax.data.decode.frame_geometry import WHOLE
from afsd_jax.data.decode.resize import start_jax_when_needed
from afsd_jax.data.decode.sources import (
    FrameSource,
    ResizedFrames,
    flow_images,
    open_array,
    open_sampled_array,
)
from afsd_jax.data.decode.video_reader import VideoReader
from afsd_jax.data.storage import frame_codec, schema, shards
from afsd_jax.data.storage.prepared_video import read_all_frames
from afsd_jax.data.tasks import Task, TaskResult, place_actions
from afsd_jax.errors import UserError, WriteError
from afsd_jax.io import files
from afsd_jax.runtime.child_processes import worker_pool


def shard_path(task: Task, folder: Path) -> Path:
    """Returns the path of a task's shard."""
    return folder / f"{task.key()}.tfrecord"


def prepare_videos(
    tasks: Sequence[Task], folder: Path, workers: int = 0, beam_options: Any = None
) -> list[TaskResult]:
    """Prepares videos into `folder`, except those that are there already.

    Args:
      tasks: one task per video.
      folder: folder of the shards; see `shard_path`. On Beam, every worker must reach it.
      workers: number of processes; 0 uses one per core.
      beam_options: Apache Beam's pipeline options, or None to run here.

    Returns:
      The results of the tasks, in their order. Videos that cannot be read have an error.

    Raises:
      UserError: a process died, or Beam is not installed.
    """
    files.make_folder(folder)
    results = {task: _read_result(task, folder) or _link_shard(task, folder) for task in tasks}
    todo = [task for task, result in results.items() if result is None]
    if beam_options is not None:
        _run_on_beam(todo, folder, beam_options)
        results = {task: _read_result(task, folder, failed=True) for task in tasks}
    else:
        bar = tqdm(total=len(tasks), initial=len(tasks) - len(todo), unit="video", desc="prepared")
        with bar:
            for task, result in _run_here(todo, folder, workers or os.cpu_count() or 1):
                results[task] = result
                bar.update()
    finished = [result for result in results.values() if result is not None]
    if len(finished) < len(tasks):
        raise UserError(
            f"Beam's workers left no result for {len(tasks) - len(finished)} videos in {folder}; "
            "source and output must be on a file system that all workers share"
        )
    return finished


def prepare_video(task: Task, folder: Path, threads: int = 1) -> TaskResult:
    """Prepares one video: writes its shard, then its result beside it.

    Raises:
      WriteError: the folder cannot be written to.
    """
    try:
        result = _copy_frames(task, folder) or _decode(task, folder, threads)
    except WriteError:  # not the video's fault
        raise
    except UserError as error:
        result = TaskResult(task.name, task.split, str(error))
    files.write_json(_result_path(task, folder), dataclasses.asdict(result))
    return result


def link_or_copy(source: Path, target: Path) -> None:
    """Gives a file a second name, or copies it where links are not supported.

    Raises:
      WriteError: neither is possible, such as on a full disk.
    """
    with files.naming_failure(target):
        target.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            os.link(source, target)
            return
    with files.atomic_write(target) as temporary:
        shutil.copyfile(source, temporary)


def _link_shard(task: Task, folder: Path) -> TaskResult | None:
    """Links the earlier shard if nothing has changed; otherwise returns None."""
    earlier = task.earlier
    if earlier is None or earlier.key != task.key():
        return None
    link_or_copy(earlier.path, shard_path(task, folder))
    files.write_json(_result_path(task, folder), dataclasses.asdict(earlier.result))
    return earlier.result


def _copy_frames(task: Task, folder: Path) -> TaskResult | None:
    """Writes new annotations with the earlier frames; returns None if there are none."""
    if task.earlier is None:
        return None
    path, result = task.earlier.path, task.earlier.result
    try:
        ((_, positions),) = shards.read_index(path, schema.features())
    except UserError:
        return None
    frames = shards.read_frames(path, positions, range(len(positions) - 1))
    num_bytes = _write_shard(task, folder, result, frames)
    return dataclasses.replace(result, split=task.split, num_bytes=num_bytes)


def _decode(task: Task, folder: Path, threads: int) -> TaskResult:
    source = open_source(task, threads)
    frames = (frame_codec.encode(frame, task.encoding) for frame in source)
    num_bytes = _write_shard(task, folder, source, frames)
    timeline = (source.fps, source.num_frames, source.duration_s, source.source_frames)
    aspect = round(source.aspect or 0.0, 4)
    known = *timeline, source.damaged, aspect, task.geometry.crop
    return TaskResult(task.name, task.split, None, num_bytes, *known)


def _write_shard(
    task: Task, folder: Path, source: FrameSource | TaskResult, frames: Iterable[bytes]
) -> int:
    """Writes the shard of a video and returns its size in bytes."""
    example = {
        "name": task.name,
        "fps": source.fps,
        "duration_s": source.duration_s,
        "encoding": task.encoding,
        "height": task.size,
        "width": task.size,
        "channels": channels_of(task),
        "annotations": place_actions(task, source)[0],
    }
    features = schema.features(task.class_names)
    return shards.write_example(shard_path(task, folder), features, example, frames)


def channels_of(task: Task) -> int:
    """Returns the number of channels of a task's frames."""
    return STREAM_CHANNELS[task.stream] or FeatureRows(task.path).channels


def open_source(task: Task, threads: int = 1) -> FrameSource:
    """Opens the frames of a task; flow is computed unless `path` holds it.

    Raises:
      UserError: the frames cannot be opened, or as raw frames they exceed the size of a shard.
    """
    size = (task.size, task.size)
    flow = task.stream == "flow"
    source: FrameSource
    frames: Iterable[np.ndarray]
    if task.stream == FEATURES:
        source = FeatureRows(task.path, task.timeline.duration_s if task.timeline else None)
    elif task.timeline is None:
        source = VideoReader(
            *(task.path, task.fps, size, task.max_frames, threads),
            count_frames=task.count_frames,
            geometry=task.geometry,
        )
    else:
        geometry = task.geometry
        if task.path.is_dir():
            flow, frames = False, flow_images(task.path, task.timeline)
        elif task.path.suffix == ".npy":
            flow = flow and open_array(task.path).shape[-1] == 3
            channels = 3 if flow else STREAM_CHANNELS[task.stream]
            frames = open_sampled_array(task.path, task.timeline, channels)
        else:
            frames, geometry = read_all_frames(task.path), WHOLE  # shaped when they were prepared
        source = ResizedFrames(task.timeline, frames, size, geometry, task.name)
    check_size(task, source.num_frames)
    return FlowReader(source, task.flow_method, threads) if flow else source


def check_size(task: Task, num_frames: int) -> None:
    """Raises UserError if this many frames, all of one size, exceed the size of a shard."""
    if size := frame_bytes(task):
        shards.check_frames(task.name, num_frames, size)


def frame_bytes(task: Task) -> int:
    """Returns the size of every stored frame; 0 for pictures, whose sizes differ."""
    return frame_codec.frame_bytes(task.encoding, (task.size, task.size, channels_of(task)))


def _result_path(task: Task, folder: Path) -> Path:
    return folder / f"{task.key()}.json"


def _read_result(task: Task, folder: Path, failed: bool = False) -> TaskResult | None:
    """Returns the result of an earlier run, or None; with `failed`, also a result with an error."""
    try:
        fields = json.loads(_result_path(task, folder).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    result = TaskResult(**fields)
    return result if failed or result.error is None else None


def _run_here(
    tasks: Sequence[Task], folder: Path, workers: int
) -> Iterator[tuple[Task, TaskResult]]:
    threads = max(1, workers // max(len(tasks), 1))
    pool = worker_pool(min(workers, len(tasks)) or 1, _begin_worker)
    try:
        futures = {pool.submit(prepare_video, task, folder, threads): task for task in tasks}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process died, perhaps because memory ran out; run the same command again to "
            "continue, with fewer workers"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_worker() -> None:
    # Ctrl-C ends a worker at once and without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    start_jax_when_needed()


def _run_on_beam(tasks: Sequence[Task], folder: Path, options: Any) -> None:
    try:
        import apache_beam as beam
    except ImportError as error:
        raise UserError("Apache Beam is not installed: pip install apache-beam") from error
    with files.naming_failure(folder), beam.Pipeline(options=options) as pipeline:
        _ = (
            pipeline
            | "Videos" >> beam.Create(list(tasks))
            | "Spread" >> beam.Reshuffle()
            | "Prepare" >> beam.Map(prepare_video, folder)
        )
