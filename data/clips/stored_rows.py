"""Reading clips of given features without TensorFlow, at any speed."""

from collections.abc import Sequence

import numpy as np

from afsd_jax.data.clips.clip_reader import ClipView
from afsd_jax.data.clips.speed import resample
from afsd_jax.data.storage.frame_codec import frame_dtype
from afsd_jax.data.storage.prepared_video import PreparedVideo, read_frames


class StoredRows:
    """Reads the rows of given features of prepared videos, which are named by their numbers."""

    def __init__(self, videos: Sequence[PreparedVideo]):
        """Reads nothing yet."""
        self._videos = videos

    def __call__(self, clip: ClipView, count: int) -> np.ndarray:
        """Returns a clip's rows, resampled to `count` of them: float16 [count, 1, 1, C].

        Rows after the video's end are 0.

        Raises:
          UserError: the shard is missing or damaged.
        """
        video = self._videos[clip.video]
        found = range(clip.start, min(clip.stop, video.num_frames))
        rows = np.zeros((clip.stop - clip.start, *video.shape), frame_dtype(video.encoding))
        rows[: len(found)] = list(read_frames(video, found))
        if len(rows) == count:
            return rows
        flat = resample(rows.reshape(len(rows), -1), count, len(rows) / count)
        return flat.reshape(count, *video.shape)
