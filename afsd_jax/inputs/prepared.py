"""The videos of a split of prepared data sets, opened for the networks."""

import contextlib
import copy
import functools
import itertools
import os
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import ml_collections
import numpy as np
from numpy.typing import NDArray

from afsd_jax.data.builders.prepared_report import stored_aspects
from afsd_jax.data.clips.geometry import centre_crop
from afsd_jax.data.splits import iterate_arrays, open_split, parallel_map
from afsd_jax.data.storage.prepared_folder import PreparedFolder
from afsd_jax.data.storage.prepared_video import FrameReader, PreparedVideo, actions_of
from afsd_jax.errors import UserError
from afsd_jax.inputs.arrays import common_length
from afsd_jax.inputs.video import OpenVideo, VideoSource
from afsd_jax.types import Action


class PreparedSplit:
    """The videos of a split of prepared data sets, one data set for each network.

    Attributes:
      data_sets: the opened data sets.
    """

    def __init__(
        self,
        configs: Sequence[ml_collections.ConfigDict],
        split: str = "",
        data_dir: str | os.PathLike[str] | None = None,
        process_index: int = 0,
        process_count: int = 1,
    ):
        """Finds the videos; reads no frames.

        Args:
          configs: configuration of each network, which names its data set.
          split: name of the split; by default each configuration's test split.
          data_dir: folder of prepared data sets; by default each configuration's.
          process_index: number of this host.
          process_count: number of hosts that share the videos.

        Raises:
          UserError: a data set is missing or damaged or does not fit its configuration, or the data
            sets hold different videos.
        """
        self._data = configs[0].data
        self.data_sets: list[PreparedFolder] = []
        self._videos: list[list[PreparedVideo]] = []  # of each data set
        for config in configs:
            data = config.data.copy_and_resolve_references()
            if data_dir is not None:
                data.data_dir = os.fspath(data_dir)
            opened, videos = open_split(data, split or data.test_split)
            self.data_sets.append(opened)
            self._videos.append(videos[process_index::process_count])
            names = [video.name for video in self._videos[-1]]
            if names != self.names:
                odd = sorted(set(names) ^ set(self.names))
                raise UserError(
                    f"{self.folders[-1]}: its videos are not those of {self.folders[0]}"
                    + (f", such as {odd[0]}" if odd else "")
                )

    @property
    def folders(self) -> list[Path]:
        """Folder of each data set."""
        return [data_set.path for data_set in self.data_sets]

    @property
    def videos(self) -> list[PreparedVideo]:
        """This host's videos, of the first data set."""
        return self._videos[0]

    @property
    def names(self) -> list[str]:
        """Names of this host's videos, in the order of `sources`."""
        return [video.name for video in self._videos[0]]

    @property
    def durations_s(self) -> dict[str, float]:
        """Seconds of each video, by name."""
        return {video.name: video.duration_s for video in self._videos[0]}

    @property
    def actions(self) -> dict[str, list[Action]]:
        """True actions of each video, by name."""
        class_names = self.data_sets[0].class_names
        return {video.name: actions_of(video, class_names) for video in self._videos[0]}

    @property
    def files(self) -> list[Path]:
        """Files of the data sets."""
        return [p for folder in self.folders for p in sorted(folder.glob("*")) if p.is_file()]

    def choose(self, names: Collection[str]) -> "PreparedSplit":
        """Returns the split with only the videos of these names."""
        wanted, chosen = set(names), copy.copy(self)
        chosen._videos = [[v for v in videos if v.name in wanted] for videos in self._videos]
        return chosen

    def sources(self) -> Iterator[VideoSource]:
        """Yields the videos; each must be read before the next one is taken.

        Frames are cropped to the centre, uint8 [S, S, C]. Reading those of a damaged video raises
        UserError; the other videos are not affected.
        """
        aspects = stored_aspects(self.folders[0])
        decoders = [_Decoder(videos, self._data) for videos in self._videos if videos]
        for number, videos in enumerate(zip(*self._videos, strict=True)):
            streams = [decoder.frames(number) for decoder in decoders]
            aspect = aspects.get(videos[0].name)
            yield VideoSource(videos[0].name, functools.partial(_open, videos, streams, aspect))
            for frames in streams:
                with contextlib.suppress(UserError):
                    deque(frames, maxlen=0)  # those not read precede the next video's


def _open(
    videos: Sequence[PreparedVideo],
    streams: Sequence[Iterator[NDArray[np.uint8]]],
    aspect: float | None,
) -> OpenVideo:
    first = videos[0]
    count = common_length(first.name, [video.num_frames for video in videos])
    frames = zip(*streams, strict=True)
    return OpenVideo(first.name, frames, count, first.fps, first.duration_s, aspect=lambda: aspect)


class _Decoder:
    """Decodes the frames of one data set's videos in advance, one video after another."""

    def __init__(self, videos: Sequence[PreparedVideo], data: ml_collections.ConfigDict):
        self._reader, self._folder = FrameReader(videos), videos[0].path.parent
        crop_size, length = data.crop_size, data.clip_length
        y, x = (centre_crop(side, crop_size) for side in videos[0].shape[:2])
        self._crop = y, x, crop_size, crop_size
        self._parts = [
            [
                (number, start, min(start + length, video.num_frames))
                for start in range(0, video.num_frames, length)
            ]
            for number, video in enumerate(videos)
        ]
        self._decoded = self._decode(first=0)

    def _decode(self, first: int) -> Iterator[NDArray[np.uint8]]:
        """Yields the parts of the videos from a number on: uint8 [frames, S, S, C]."""
        import tensorflow as tf

        parts = np.array(list(itertools.chain(*self._parts[first:])), np.int64).reshape(-1, 3)
        decoded = parallel_map(
            tf.data.Dataset.from_tensor_slices(parts),
            lambda part: self._reader(part[0], part[1], part[2], self._crop),
        )
        return iterate_arrays(decoded, self._folder)

    def frames(self, number: int) -> Iterator[NDArray[np.uint8]]:
        """Yields the frames of a video; all videos before it must have been read."""
        try:
            for _ in self._parts[number]:
                yield from next(self._decoded)
        except UserError:  # decoding goes on behind the damaged video
            self._decoded = self._decode(number + 1)
            raise
