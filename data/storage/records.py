"""Frames of a prepared data set by their place in its files.

Training reads a few seconds out of long videos, in random order. In a shard the frames of a video
lie one after another; where it is known where each begins, a clip is one short read, and the order
of clips can be any at all.
"""

import contextlib
import mmap
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import ml_collections
import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2
from tqdm import tqdm

from afsd_jax.data.storage.frame_codec import Crop, decode, decode_tf
from afsd_jax.errors import UserError

if TYPE_CHECKING:
    import tensorflow as tf

_CHECKSUM = 4  # bytes of it, behind each record


class PreparedVideo(NamedTuple):
    """One video of a prepared data set.

    Attributes:
      name: unique in the data set.
      fps: sampled frames per second.
      duration_s: of the video, seconds.
      encoding: of the frames; see `frame_codec`.
      shape: (height, width, channels) of a decoded frame.
      segments: float64 [A, 2], (start, end) of the actions in sampled frames.
      labels: int32 [A], classes from 1 on.
      path: of the shard.
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


def open_data_set(data: ml_collections.ConfigDict) -> tfds.core.DatasetBuilder:
    """Opens the newest version of a prepared data set.

    Args:
      data: the field `data` of a configuration.

    Raises:
      UserError: there is none.
    """
    return open_folder(Path(data.data_dir) / data.dataset / data.stream)


def open_folder(folder: Path) -> tfds.core.DatasetBuilder:
    """Opens a prepared folder: a version of a data set, or the newest version in the folder.

    Raises:
      UserError: nothing has been prepared there.
    """
    versions = [path.parent for path in folder.glob("*.*.*/dataset_info.json")]
    newest = max(versions, key=lambda path: [int(n) for n in path.name.split(".")], default=folder)
    if not (newest / "dataset_info.json").exists():
        raise UserError(
            f"{folder}: no prepared data set; make it with scripts/prepare_data.py, or set "
            "data.data_dir to the folder given to it as --output"
        )
    return tfds.builder_from_directory(newest)


def read_videos(builder: tfds.core.DatasetBuilder, split: str) -> list[PreparedVideo]:
    """Returns the videos of a split in their order, without reading the frames themselves.

    Args:
      builder: of a prepared data set.
      split: a name such as train, or a part of one such as train[:10%].

    Raises:
      UserError: there is no such split or nothing in it, a shard is damaged, or the videos' frames
        differ in size or encoding.
    """
    info = builder.info
    try:
        parts = info.splits[split].file_instructions
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{builder.data_path}: no split {split!r}; there are {', '.join(info.splits)}"
        ) from error
    if info.file_format != tfds.core.FileFormat.TFRECORD:
        raise UserError(f"{builder.data_path}: is stored as {info.file_format}, not as tfrecord")
    videos = []
    for part in tqdm(parts, desc=f"indexing {split}", unit="file", delay=2):
        stop = None if part.take < 0 else part.skip + part.take
        videos += _read_shard(Path(part.filename), info.features)[part.skip : stop]
    if not videos:
        raise UserError(f"{builder.data_path}: split {split} has no videos")
    for video in videos:
        if (video.encoding, video.shape) != (videos[0].encoding, videos[0].shape):
            raise UserError(
                f"{video.path}: frames are {video.encoding} {video.shape}, but those of "
                f"{videos[0].path} {videos[0].encoding} {videos[0].shape}; prepare them alike"
            )
    return videos


def read_frames(video: PreparedVideo, numbers: Sequence[int]) -> np.ndarray:
    """Reads single frames of a video without TensorFlow: uint8 [len(numbers), H, W, C].

    Raises:
      UserError: the shard is missing or damaged.
    """
    frames = []
    try:
        with video.path.open("rb") as file:
            for number in numbers:
                start, stop = video.positions[number : number + 2].tolist()
                file.seek(start)
                entry = file.read(stop - start)
                ((_, begin, end),) = _fields(entry, 0, stop - start)
                frames.append(decode(entry[begin:end], video.encoding, *video.shape))
    except (OSError, ValueError, IndexError) as error:
        raise _damaged(video.path) from error
    return np.stack(frames)


class FrameReader:
    """Reads and decodes frames inside a tf.data pipeline.

    Videos whose frames have one encoding and size are known by their number.
    """

    def __init__(self, videos: Sequence[PreparedVideo]):
        """Holds the positions of all frames: 8 bytes each.

        Args:
          videos: at least one.
        """
        import tensorflow as tf

        with contextlib.suppress(RuntimeError):  # raised where TensorFlow is in use already
            tf.config.set_visible_devices([], "GPU")  # they are JAX's
        self._encoding, self._shape = videos[0].encoding, videos[0].shape
        self._paths = tf.constant([str(video.path) for video in videos])
        self._sizes = tf.constant([video.path.stat().st_size for video in videos], tf.int64)
        counts = [len(video.positions) for video in videos]
        self._first = tf.constant(np.cumsum([0, *counts[:-1]]), tf.int64)
        self._positions = tf.constant(np.concatenate([video.positions for video in videos]))
        # The bytes before a frame that tell its length; as many are sure to follow the last frame.
        tag = int(np.diff(videos[0].positions[:2]).sum()) - int(np.prod(self._shape))
        self._raw_tag = tag if self._encoding == "raw" and 0 < tag <= _CHECKSUM else 0

    def __call__(
        self, video: "tf.Tensor", start: "tf.Tensor", stop: "tf.Tensor", crop: Crop | None = None
    ) -> "tf.Tensor":
        """Returns the frames [start, stop) of a video: uint8 [stop - start, rows, columns, C].

        Args:
          video: number of the video.
          start: the first frame.
          stop: behind the last frame.
          crop: see `encoding.decode_tf`.
        """
        import tensorflow as tf

        path, size = self._paths[video], self._sizes[video]
        begin = self._positions[self._first[video] + start]
        end = self._positions[self._first[video] + stop]
        # TensorFlow reads a part of a file as fixed-length records between a header and a footer.
        if self._raw_tag:
            # The records of raw frames, each followed by the next one's tag.
            length = (end - begin) // (stop - start)
            begin, end = begin + self._raw_tag, end + self._raw_tag
            records = tf.data.FixedLengthRecordDataset(path, length, begin, size - end)
            frames = records.batch(stop - start).get_single_element()
        else:
            part = tf.data.FixedLengthRecordDataset(path, end - begin, begin, size - end)
            _, (frames,) = tf.io.decode_proto(
                part.get_single_element(), "tensorflow.BytesList", ["value"], [tf.string]
            )
        return decode_tf(frames, self._encoding, *self._shape, crop)


def _read_shard(path: Path, features: tfds.features.FeaturesDict) -> list[PreparedVideo]:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return [
                _read_example(data, start, stop, path, features) for start, stop in _records(data)
            ]
    except (OSError, ValueError, IndexError, struct.error) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> UserError:
    return UserError(f"{path}: the shard is missing or damaged; prepare the data set again")


def _records(data: mmap.mmap) -> Iterator[tuple[int, int]]:
    """Yields where each record of a TFRecord file begins and ends."""
    position = 0
    while position < len(data):
        (length,) = struct.unpack_from("<Q", data, position)
        start, stop = position + 12, position + 12 + length
        position = stop + 4
        if position > len(data):
            raise ValueError("truncated")
        yield start, stop


def _read_example(
    data: mmap.mmap, start: int, stop: int, path: Path, features: tfds.features.FeaturesDict
) -> PreparedVideo:
    """Reads all but the frames of a serialised tf.train.Example, and finds these."""
    example = tf_example_pb2.Example()
    positions = [0]
    for entry, key, value, end in _map_entries(data, start, stop):
        if key != b"frames":
            example.features.MergeFromString(data[entry:end])
            continue
        for _, first, last in _fields(data, value, end):  # of Feature: its BytesList
            positions = [first, *(frame_end for _, _, frame_end in _fields(data, first, last))]
    example.features.feature["frames"].bytes_list.SetInParent()
    fields = features.deserialize_example_np(example.SerializeToString())
    actions = fields["annotations"]
    return PreparedVideo(
        fields["name"].decode(),
        float(fields["fps"]),
        float(fields["duration_s"]),
        fields["encoding"].decode(),
        (int(fields["height"]), int(fields["width"]), int(fields["channels"])),
        np.array([actions["start_frame"], actions["end_frame"]], np.float64).T.reshape(-1, 2),
        np.array(actions["label"], np.int32) + 1,
        path,
        np.array(positions, np.int64),
    )


def _map_entries(data: mmap.mmap, start: int, stop: int) -> Iterator[tuple[int, bytes, int, int]]:
    """Yields of each feature of a tf.train.Example its start, name, content's start, and end."""
    for _, first, last in _fields(data, start, stop):  # of Example: its Features
        for entry, begin, end in _fields(data, first, last):  # of Features: a map's entries
            (_, key, key_end), (_, value, value_end) = _fields(data, begin, end)
            yield entry, data[key:key_end], value, value_end


def _fields(data: mmap.mmap | bytes, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Yields where each length-delimited field of a message, its content begins, and it ends."""
    while start < stop:
        if data[start] & 7 != 2:
            raise ValueError("no length-delimited field")
        begin = start + 1
        length = shift = 0
        while True:
            byte = data[begin]
            begin += 1
            length |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
        end = begin + length
        if end > stop:
            raise ValueError("a field is longer than its message")
        yield start, begin, end
        start = end
