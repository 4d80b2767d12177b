"""Reading, cropping and mirroring the frames of clips inside a tf.data pipeline."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import ml_collections
import numpy as np

from afsd_jax.data.splits import iterate_arrays, parallel_map
from afsd_jax.data.storage.prepared_video import FrameReader, PreparedVideo

if TYPE_CHECKING:
    import tensorflow as tf


class View(NamedTuple):
    """First row and column of the crop of a clip's frames, pixels, and whether it is mirrored."""

    y: int
    x: int
    flip: bool


class ClipView(NamedTuple):
    """Frames [start, stop) of a video in a view; the fields are scalar tensors inside tf.data."""

    video: int
    start: int
    stop: int
    y: int
    x: int
    flip: int


class ClipReader:
    """Reads clips of videos, which are named by their numbers.

    Attributes:
      shape: (T, S, S, C), the shape of a full clip.
    """

    def __init__(self, videos: Sequence[PreparedVideo], data: ml_collections.ConfigDict):
        """Reads no frames yet.

        Args:
          videos: at least one; all have frames of the same encoding and size.
          data: the field `data` of a configuration.
        """
        self._frames, self._data = FrameReader(videos), data
        self._folder = videos[0].path.parent
        channels = videos[0].shape[2]
        self.shape = (data.clip_length, data.crop_size, data.crop_size, channels)

    def __call__(self, clip: ClipView) -> "tf.Tensor":
        """Returns the frames of a clip: uint8 [n, S, S, C], n ≤ T."""
        import tensorflow as tf

        size = self._data.crop_size
        frames = self._frames(clip.video, clip.start, clip.stop, (clip.y, clip.x, size, size))
        return tf.cond(clip.flip > 0, lambda: self._mirror(frames), lambda: frames)

    def read(self, clips: Sequence[ClipView]) -> Iterator[np.ndarray]:
        """Yields the frames of each clip in their order, prefetched: uint8 [n, S, S, C].

        Raises:
          UserError: frames cannot be read.
        """
        import tensorflow as tf

        rows = np.array(clips, np.int64).reshape(-1, len(ClipView._fields))
        frames_of_clips = parallel_map(
            tf.data.Dataset.from_tensor_slices(rows),
            lambda row: self(ClipView(*tf.unstack(row))),
        )
        yield from iterate_arrays(frames_of_clips, self._folder)

    def _mirror(self, frames: "tf.Tensor") -> "tf.Tensor":
        import tensorflow as tf

        # TensorFlow mirrors an image of three channels several times faster than a clip.
        rows = tf.reshape(frames, [-1, *frames.shape[2:]])
        frames = tf.reshape(tf.reverse(rows, [1]), tf.shape(frames))
        if self._data.stream == "flow" and self._data.negate_flipped_flow:
            frames = tf.concat([255 - frames[..., :1], frames[..., 1:]], axis=-1)
        return frames
