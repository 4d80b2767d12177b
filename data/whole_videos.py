"""The whole videos of a prepared split, as a detector sees them."""

import contextlib
import copy
import itertools
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import ml_collections
import numpy as np

from afsd_jax.data.clips.geometry import centre_crop
from afsd_jax.data.splits import iterate_arrays, num_threads, open_split
from afsd_jax.data.storage import schema
from afsd_jax.data.storage.prepared_video import FrameReader, actions_of
from afsd_jax.errors import UserError
from afsd_jax.types import Action


class WholeVideo(NamedTuple):
    """A whole video as a detector sees it.

    Attributes:
      name: of the video.
      fps: sampled frames per second.
      duration_s: seconds.
      num_frames: of it.
      frames: uint8 [S, S, C], centre crops, one after another, once; to be taken before the next
        video is.
    """

    name: str
    fps: float
    duration_s: float
    num_frames: int
    frames: Iterator[np.ndarray]


class PreparedSplit:
    """The whole videos of a prepared split, decoded ahead.

    Attributes:
      folder: of the data set.
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
        builder, videos = open_split(data, split)
        self.folder = Path(builder.data_path)
        self._videos, self._data = videos[process_index::process_count], data
        self._class_names = schema.class_names(builder)

    @property
    def names(self) -> list[str]:
        """Of this host's videos, in the order of iteration."""
        return [video.name for video in self._videos]

    @property
    def durations_s(self) -> list[float]:
        """Of these videos, seconds."""
        return [video.duration_s for video in self._videos]

    @property
    def actions(self) -> dict[str, list[Action]]:
        """True actions of these videos, by name."""
        return {video.name: actions_of(video, self._class_names) for video in self._videos}

    def choose(self, names: Collection[str]) -> "PreparedSplit":
        """Returns the split with only the videos of these names."""
        wanted, chosen = set(names), copy.copy(self)
        chosen._videos = [video for video in self._videos if video.name in wanted]
        return chosen

    def __iter__(self) -> Iterator[WholeVideo]:
        """Yields the videos; iterating over the frames of one raises UserError if it is damaged."""
        import tensorflow as tf

        videos, crop_size, length = self._videos, self._data.crop_size, self._data.clip_length
        if not videos:
            return
        reader = FrameReader(videos)
        y, x = (centre_crop(side, crop_size) for side in videos[0].shape[:2])
        parts = [
            [
                (number, start, min(start + length, video.num_frames))
                for start in range(0, video.num_frames, length)
            ]
            for number, video in enumerate(videos)
        ]

        def clips_from(first: int) -> Iterator[np.ndarray]:
            left = np.array(list(itertools.chain(*parts[first:])), np.int64).reshape(-1, 3)
            decoded = tf.data.Dataset.from_tensor_slices(left).map(
                lambda part: reader(part[0], part[1], part[2], (y, x, crop_size, crop_size)),
                num_parallel_calls=num_threads(),
            )
            return iterate_arrays(decoded, videos[0].path.parent)

        clips = clips_from(0)

        def frames_of(number: int) -> Iterator[np.ndarray]:
            nonlocal clips
            try:
                for _ in parts[number]:
                    yield from next(clips)
            except UserError:  # a damaged video does not cost the others
                clips = clips_from(number + 1)
                raise

        for number, video in enumerate(videos):
            frames = frames_of(number)
            yield WholeVideo(video.name, video.fps, video.duration_s, video.num_frames, frames)
            with contextlib.suppress(UserError):
                for _ in frames:  # what nobody wanted lies before the next video's
                    pass
