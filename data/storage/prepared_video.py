"""Prepared data sets: opening them, listing their videos and reading frames by number."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from tqdm import tqdm

from afsd_jax.data.storage import prepared_checks, schema, shards
from afsd_jax.data.storage.frame_codec import Crop, decode, decode_tf, frame_bytes
from afsd_jax.data.storage.prepared_folder import PreparedFolder
from afsd_jax.errors import UserError
from afsd_jax.types import Action

if TYPE_CHECKING:
    import tensorflow as tf


class PreparedVideo(NamedTuple):
    """One video of a prepared data set.

    Attributes:
      name: name of the video, unique in the data set.
      fps: sampled frames per second.
      duration_s: length of the video, seconds.
      encoding: encoding of the frames; see `frame_codec`.
      shape: (height, width, channels) of a decoded frame.
      segments: float64 [A, 2], (start, end) of the actions in sampled frames.
      labels: int32 [A], classes from 1 on.
      path: the shard.
      positions: int64 [N + 1], where each of the N frames begins in the shard, and the last ends.
    """

    name: str
    fps: float
    duration_s: float
    encoding: str
    shape: tuple[int, int, int]
    segments: np.ndarray
    labels: np.ndarray
    path: Path
    positions: np.ndarray

    @property
    def num_frames(self) -> int:
        """Number of sampled frames."""
        return len(self.positions) - 1


def read_videos(folder: PreparedFolder, split: str) -> list[PreparedVideo]:
    """Returns the videos of a split in their order, without reading frames.

    Args:
      folder: a prepared data set.
      split: a name such as train, or a part of one such as train[:10%].

    Raises:
      UserError: there is no such split or nothing in it, a shard is damaged, two videos have one
        name, or the videos' frames differ in size or encoding.
    """
    try:
        parts = folder.splits[split].file_instructions
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{folder.path}: no split {split!r}; there are {', '.join(folder.splits)}"
        ) from error
    videos: list[PreparedVideo] = []
    for part in tqdm(parts, desc=f"indexing {split}", unit="file", delay=2):
        stop = None if part.take < 0 else part.skip + part.take
        found = read_shard(Path(part.filename), schema.features(), len(folder.class_names))
        if len(found) != part.examples_in_shard:
            raise UserError(
                f"{part.filename}: holds {len(found)} videos, not {part.examples_in_shard} as the "
                "data set says; prepare it again"
            )
        videos += found[part.skip : stop]
    if not videos:
        raise UserError(f"{folder.path}: split {split} has no videos")
    names: set[str] = set()
    for video in videos:
        if (video.encoding, video.shape) != (videos[0].encoding, videos[0].shape):
            raise UserError(
                f"{video.path}: frames are {video.encoding} {video.shape}, but those of "
                f"{videos[0].path} {videos[0].encoding} {videos[0].shape}; prepare them alike"
            )
        if video.name in names:
            raise UserError(f"{video.path}: video {video.name!r} is in the split twice")
        names.add(video.name)
    return videos


def actions_of(video: PreparedVideo, class_names: Sequence[str]) -> list[Action]:
    """Returns the true actions of a video, sorted by their start, in seconds."""
    segments = zip(video.labels.tolist(), (video.segments / video.fps).tolist(), strict=True)
    actions = [Action(class_names[label - 1], *times) for label, times in segments]
    return sorted(actions, key=lambda action: action.start_s)


def read_shard(
    path: Path, features: tfds.features.FeaturesDict, num_classes: int | None = None
) -> list[PreparedVideo]:
    """Returns the videos of one shard, without reading frames.

    Args:
      path: file of the shard.
      features: see `schema.features`.
      num_classes: number of classes that labels may have; None: any.

    Raises:
      UserError: the shard is missing or damaged, or states what no video has.
    """
    videos = []
    with shards.naming_damage(path):
        for fields, positions in shards.read_index(path, features):
            actions = fields["annotations"]
            segments = np.array([actions["start_frame"], actions["end_frame"]], np.float64)
            video = PreparedVideo(
                fields["name"].decode(),
                float(fields["fps"]),
                float(fields["duration_s"]),
                fields["encoding"].decode(),
                (int(fields["height"]), int(fields["width"]), int(fields["channels"])),
                segments.T.reshape(-1, 2),
                np.array(actions["label"], np.int64).astype(np.int32) + 1,
                path,
                positions,
            )
            prepared_checks.check_video(video, num_classes)
            shards.check_pictures(path, positions, video.encoding, video.shape)
            videos.append(video)
    return videos


def read_frames(video: PreparedVideo, numbers: Iterable[int]) -> Iterator[np.ndarray]:
    """Yields the frames with these numbers, without TensorFlow: uint8 [H, W, C].

    Raises:
      UserError: the shard is missing or damaged.
    """
    with shards.naming_damage(video.path):
        for frame in shards.read_frames(video.path, video.positions, numbers):
            yield decode(frame, video.encoding, *video.shape)


def read_all_frames(path: Path) -> Iterator[np.ndarray]:
    """Yields all frames of a shard that holds one video: uint8 [H, W, C].

    Raises:
      UserError: the shard is missing or damaged.
    """
    (video,) = read_shard(path, schema.features())
    yield from read_frames(video, range(video.num_frames))


class FrameReader:
    """Reads and decodes frames inside a tf.data pipeline.

    All videos have frames of the same encoding and size; a video is named by its number.
    """

    def __init__(self, videos: Sequence[PreparedVideo]):
        """Takes at least one video; stores the positions of all frames, 8 bytes each."""
        import tensorflow as tf

        with contextlib.suppress(RuntimeError):  # raised if TensorFlow is in use already
            tf.config.set_visible_devices([], "GPU")  # JAX uses the GPUs
        self._encoding, self._shape = videos[0].encoding, videos[0].shape
        self._frame_bytes = frame_bytes(self._encoding, self._shape)
        for video in videos if self._frame_bytes else ():
            if len(set(np.diff(video.positions).tolist())) > 1:
                raise UserError(f"{video.path}: raw frames differ in size; prepare it again")
        self._paths = tf.constant([str(video.path) for video in videos])
        self._sizes = tf.constant([video.path.stat().st_size for video in videos], tf.int64)
        counts = [len(video.positions) for video in videos]
        self._first = tf.constant(np.cumsum([0, *counts[:-1]]), tf.int64)
        self._positions = tf.constant(np.concatenate([video.positions for video in videos]))

    def __call__(
        self, video: "tf.Tensor", start: "tf.Tensor", stop: "tf.Tensor", crop: Crop | None = None
    ) -> "tf.Tensor":
        """Returns the frames [start, stop) of a video: uint8 [stop - start, rows, columns, C].

        Args:
          video: number of the video.
          start: number of the first frame.
          stop: number after the last frame.
          crop: see `frame_codec.decode_tf`.
        """
        first = self._first[video]
        begin, end = self._positions[first + start], self._positions[first + stop]
        frames = shards.read_frames_tf(
            self._paths[video], self._sizes[video], begin, end, self._frame_bytes
        )
        return decode_tf(frames, self._encoding, *self._shape, crop)
