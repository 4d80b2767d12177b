"""From a prepared data set to batches of training clips, and to whole videos for evaluation.

Frames are read and decoded by tf.data; what is known about them stays in NumPy. Clips are shuffled
before anything is read, so that a batch is a function of the seed and the step alone: any step can
be started at, and each host decodes nothing but its share.
"""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import ml_collections
import numpy as np

from afsd_jax.config import STREAM_CHANNELS
from afsd_jax.data.clips.consistency import consistency_clip, cut_length
from afsd_jax.data.clips.training_clips import Clip, boundary_targets, video_clips
from afsd_jax.data.clips.windows import centre_crop
from afsd_jax.data.storage import schema
from afsd_jax.data.storage.prepared import FrameReader, PreparedVideo, open_folder, read_videos
from afsd_jax.errors import UserError

if TYPE_CHECKING:
    import tensorflow as tf
    import tensorflow_datasets as tfds

Batch = dict[str, np.ndarray]


class TrainingData:
    """The training clips of a prepared data set.

    Attributes:
      class_names: of the action classes; the network's label is the index plus 1.
      num_clips: in the split.
      steps_per_epoch: batches in an epoch, over all hosts; the remaining clips wait for the next.
    """

    def __init__(
        self, config: ml_collections.ConfigDict, process_index: int = 0, process_count: int = 1
    ):
        """Finds the clips; reads no frames.

        Args:
          config: see `afsd_jax.config`.
          process_index: of this host.
          process_count: hosts that share every batch.

        Raises:
          UserError: the data set is missing or damaged, does not fit the configuration, or has
            fewer clips than a batch.
        """
        self._config = config
        builder, self._videos = _open(config.data, config.data.train_split)
        self.class_names = schema.class_names(builder)
        self._clips: list[tuple[int, Clip]] = []
        self._cuts: list[int] = []  # of each video
        for number, video in enumerate(self._videos):
            found = video_clips(video.num_frames, video.segments, video.labels, config.data)
            self._clips += [(number, clip) for clip in found.clips]
            self._cuts.append(cut_length(found.min_action, config.data.consistency))
            most = max((len(clip.labels) for clip in found.clips), default=0)
            if most > config.data.max_actions:
                raise UserError(
                    f"{video.path}: a clip of {video.name} has {most} actions; set "
                    f"data.max_actions (now {config.data.max_actions}) to at least that"
                )
        self.num_clips = len(self._clips)
        batch_size = config.train.batch_size
        self.steps_per_epoch = self.num_clips // batch_size
        if not self.steps_per_epoch:
            raise UserError(
                f"{builder.data_path}: split {config.data.train_split} has {self.num_clips} clips, "
                f"fewer than train.batch_size = {batch_size}"
            )
        if batch_size % process_count:
            raise UserError(
                f"train.batch_size = {batch_size} must be a multiple of the {process_count} hosts"
            )
        self._local_size = batch_size // process_count
        self._process_index = process_index

    def batches(self, start_step: int = 0) -> Iterator[Batch]:
        """Yields this host's share of each batch, without end.

        Batch s, and every random choice in it, depends on `config.seed` and s alone; the hosts'
        shares one after another are the batch of a single host.

        Args:
          start_step: number of the first batch.

        Yields:
          A dict of arrays, B = clips of this host, T = `data.clip_length`, S = `data.crop_size`,
          M = `data.max_actions`:
          frames: uint8 [B, T, S, S, C], cropped and mirrored at random, 0 after the video's end.
          num_frames: int32 [B], those before the video's end.
          segments: float32 [B, M, 2], (start, end) in frames. labels: int32 [B, M], 0 is padding.
          start_target, end_target: uint8 [B, T]; see `clips.boundary_targets`.
          consistency_index: int32 [B, T], consistency_segments: float32 [B, 3, 2]; see
            `consistency.ConsistencyClip`. consistency_mask: bool [B], whether there is one.
        """
        import tensorflow as tf

        data = self._config.data
        epoch, step = divmod(start_step, self.steps_per_epoch)
        reader = FrameReader(self._videos)
        rows = tf.data.Dataset.range(epoch, np.iinfo(np.int64).max).flat_map(
            lambda number: tf.data.Dataset.from_tensor_slices(
                tf.ensure_shape(
                    tf.numpy_function(self._epoch, [number], tf.int64, stateful=False),
                    [None, len(_Row._fields)],
                )
            )
        )
        clips = rows.skip(step * self._local_size).map(
            lambda row: (row, self._read_clip(reader, _Row(*tf.unstack(row)))),
            num_parallel_calls=_threads(),
        )
        shape = (data.clip_length, data.crop_size, data.crop_size, self._videos[0].shape[2])
        batched = clips.padded_batch(self._local_size, ([None], shape), drop_remainder=True)
        for numbers, frames in _arrays(batched, self._videos[0].path.parent):
            described = [self._describe(_Row(*row.tolist())) for row in numbers]
            batch = {key: np.stack([clip[key] for clip in described]) for key in described[0]}
            yield {"frames": frames, **batch}

    def _epoch(self, epoch: int) -> np.ndarray:
        """Returns the rows of this host's clips in one epoch: int64 [steps · B, 8]."""
        seed, data = self._config.seed, self._config.data
        order = np.random.default_rng((seed, epoch)).permutation(self.num_clips)
        order = order[: self.steps_per_epoch * self._config.train.batch_size]
        share = order.reshape(self.steps_per_epoch, -1, self._local_size)[:, self._process_index]
        height, width, _ = self._videos[0].shape
        rows = []
        for clip in share.ravel().tolist():
            rng = np.random.default_rng((seed, epoch, clip))
            video, (offset, *_) = self._clips[clip]
            stop = min(offset + data.clip_length, self._videos[video].num_frames)
            y = rng.integers(height - data.crop_size + 1)
            x = rng.integers(width - data.crop_size + 1)
            rows.append(_Row(epoch, clip, video, offset, stop, y, x, rng.random() < data.flip))
        return np.array(rows, np.int64)

    def _read_clip(self, reader: FrameReader, row: "_Row") -> "tf.Tensor":
        """Reads, crops and mirrors the frames of a clip: uint8 [n, S, S, C], n ≤ T."""
        import tensorflow as tf

        data = self._config.data
        crop = (row.y, row.x, data.crop_size, data.crop_size)
        frames = reader(row.video, row.start, row.stop, crop)
        return tf.cond(row.flip > 0, lambda: self._mirror(frames), lambda: frames)

    def _mirror(self, frames: "tf.Tensor") -> "tf.Tensor":
        import tensorflow as tf

        # TensorFlow mirrors a single image of three channels several times faster than a clip.
        rows = tf.reshape(frames, [-1, *frames.shape[2:]])
        frames = tf.reshape(tf.reverse(rows, [1]), tf.shape(frames))
        if self._config.data.stream == "flow" and self._config.data.negate_flipped_flow:
            frames = tf.concat([255 - frames[..., :1], frames[..., 1:]], axis=-1)
        return frames

    def _describe(self, row: "_Row") -> Batch:
        """Returns all that is known about a clip but its frames."""
        data = self._config.data
        video, clip = self._clips[row.clip]
        count, length = len(clip.labels), data.clip_length
        segments = np.zeros((data.max_actions, 2), np.float32)
        segments[:count] = clip.segments
        labels = np.zeros(data.max_actions, np.int32)
        labels[:count] = clip.labels
        start, end = boundary_targets(clip.segments, length)
        rng = np.random.default_rng((self._config.seed, row.epoch, row.clip, 1))
        consistent = consistency_clip(
            clip.segments, length, self._cuts[video], lambda options: int(rng.integers(options))
        )
        index = np.arange(length, dtype=np.int32) if consistent is None else consistent.index
        regions = np.zeros((3, 2)) if consistent is None else consistent.segments
        return {
            "num_frames": np.array(row.stop - row.start, np.int32),
            "segments": segments,
            "labels": labels,
            "start_target": start,
            "end_target": end,
            "consistency_index": index,
            "consistency_segments": regions.astype(np.float32),
            "consistency_mask": np.array(consistent is not None),
        }


class WholeVideo(NamedTuple):
    """A whole video as a detector sees it.

    Attributes:
      name: of the video.
      fps: sampled frames per second.
      duration_s: seconds.
      frames: uint8 [N, S, S, C], centre crops.
    """

    name: str
    fps: float
    duration_s: float
    frames: np.ndarray


class PreparedSplit:
    """The whole videos of a prepared split, decoded ahead.

    Attributes:
      folder: of the data set.
      names: of this host's videos, in the order of iteration.
    """

    def __init__(
        self,
        data: ml_collections.ConfigDict,
        split: str,
        process_index: int = 0,
        process_count: int = 1,
    ):
        """Finds the videos; reads no frames.

        Args:
          data: that part of a configuration.
          split: of the data set.
          process_index: of this host.
          process_count: hosts that share the videos.

        Raises:
          UserError: the data set is missing or damaged, or does not fit the configuration.
        """
        builder, videos = _open(data, split)
        self.folder = Path(builder.data_path)
        self._videos, self._data = videos[process_index::process_count], data
        self.names = [video.name for video in self._videos]

    def __iter__(self) -> Iterator[WholeVideo]:
        """Yields the videos.

        Raises:
          UserError: frames cannot be read.
        """
        import tensorflow as tf

        videos, crop_size, length = self._videos, self._data.crop_size, self._data.clip_length
        if not videos:
            return
        reader = FrameReader(videos)
        y, x = (centre_crop(side, crop_size) for side in videos[0].shape[:2])
        parts = [
            (number, start, min(start + length, video.num_frames))
            for number, video in enumerate(videos)
            for start in range(0, video.num_frames, length)
        ]
        decoded = tf.data.Dataset.from_tensor_slices(np.array(parts, np.int64)).map(
            lambda part: reader(part[0], part[1], part[2], (y, x, crop_size, crop_size)),
            num_parallel_calls=_threads(),
        )
        frames = _arrays(decoded, videos[0].path.parent)
        for number, group in itertools.groupby(parts, lambda part: part[0]):
            video = videos[number]
            whole = np.empty((video.num_frames, crop_size, crop_size, video.shape[2]), np.uint8)
            for _, start, stop in group:
                whole[start:stop] = next(frames)
            yield WholeVideo(video.name, video.fps, video.duration_s, whole)


class _Row(NamedTuple):
    """Where and how a clip is read; numbers in Python, scalar tensors inside tf.data."""

    epoch: int
    clip: int
    video: int
    start: int
    stop: int
    y: int
    x: int
    flip: int


def _open(
    data: ml_collections.ConfigDict, split: str
) -> tuple["tfds.core.DatasetBuilder", list[PreparedVideo]]:
    """Opens a split whose frames can be cropped and have the stream's channels."""
    builder = open_folder(Path(data.data_dir) / data.dataset / data.stream)
    videos = read_videos(builder, split)
    height, width, channels = videos[0].shape
    if min(height, width) < data.crop_size:
        raise UserError(
            f"{videos[0].path}: frames of {height}x{width} pixels are smaller than data.crop_size "
            f"= {data.crop_size}"
        )
    if channels != STREAM_CHANNELS[data.stream]:
        raise UserError(
            f"{videos[0].path}: frames have {channels} channels, but data.stream is {data.stream}"
        )
    return builder, videos


def _arrays(dataset: "tf.data.Dataset", folder: Path) -> Iterator[Any]:
    """Yields a data set's elements as arrays, reading ahead."""
    import tensorflow as tf

    try:
        yield from dataset.prefetch(2).with_options(_options()).as_numpy_iterator()
    except tf.errors.OpError as error:
        reason = error.message.partition("\n")[0]
        raise UserError(
            f"{folder}: frames cannot be read ({reason}); prepare the data set again"
        ) from error


def _threads() -> int:
    return os.cpu_count() or 1


def _options() -> "tf.data.Options":
    """Returns options by which tf.data keeps to its own few threads, and to one order."""
    import tensorflow as tf

    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False
    options.threading.private_threadpool_size = _threads()
    options.threading.max_intra_op_parallelism = 1
    return options
