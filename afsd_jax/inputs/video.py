"""A video opened for the networks, from a file or through a pipe.

Whatever the source, each network's stream (RGB or optical flow) has the same number of frames.
"""

import functools
import itertools
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import ml_collections
import numpy as np
from numpy.typing import NDArray

from afsd_jax.data.decode.flow import compute_flow
from afsd_jax.data.decode.frame_geometry import FrameGeometry
from afsd_jax.data.decode.pipe_reader import PipeReader
from afsd_jax.data.decode.recordings import ByteSource
from afsd_jax.data.decode.video_reader import VideoReader
from afsd_jax.errors import UserError
from afsd_jax.io.names import video_name
from afsd_jax.types import OWN_CROPS, VideoLabel

log = logging.getLogger(__name__)

# Of one time a frame [H, W, channels] for each network: uint8, or float16 for a row of features.
Frames = Sequence[NDArray[Any]]


class OpenVideo(NamedTuple):
    """A video opened for the networks.

    Attributes:
      name: name of the video; see `io.video_names`.
      frames: yields each time's frames, one for each network; can be iterated over once.
      num_frames: number of times that `frames` yields; 0 for a pipe that has not ended.
      fps: frames per second.
      duration_s: length of the video, seconds; detections may be clipped to it; 0 for a pipe that
        has not ended.
      label: class and score factor from a video-level classifier.
      damaged: returns the number of damaged packets and frames among those read so far.
      aspect: returns width over height of the picture as it is played, once a frame has been read;
        None: unknown.
      seconds_read: only of a pipe, whose length is unknown: returns the seconds read so far.
    """

    name: str
    frames: Iterable[Frames]
    num_frames: int
    fps: float
    duration_s: float
    label: VideoLabel | None = None
    damaged: Callable[[], int] = lambda: 0
    aspect: Callable[[], float | None] = lambda: None
    seconds_read: Callable[[], float] | None = None

    @property
    def is_pipe(self) -> bool:
        """Whether the video comes through a pipe, so that its length is unknown until it ends."""
        return self.seconds_read is not None


class VideoSource(NamedTuple):
    """A video that is not open yet.

    Attributes:
      name: name of the video, for messages.
      open: opens it.
    """

    name: str
    open: Callable[[], OpenVideo]


def open_file(
    path: str | os.PathLike[str],
    configs: Sequence[ml_collections.ConfigDict],
    flow_method: str | None = None,
    name: str | None = None,
    crop: str | None = None,
) -> OpenVideo:
    """Opens a video file; its frames are decoded, and flow computed, as they are used.

    Args:
      path: video file.
      configs: configurations of the networks, which sample alike.
      flow_method: tvl1 or dis; None: the method in each network's configuration.
      name: name of the video; None: that of the file.
      crop: the part of its pictures that is used, as of `FrameGeometry`; None: the configuration's.

    Raises:
      UserError: the file is missing, damaged or no video, or flow cannot be computed.
    """
    data = configs[0].data
    size, geometry = (data.frame_size,) * 2, geometry_of(data, crop)
    reader = VideoReader(path, data.fps, size, data.max_frames, geometry=geometry)
    return OpenVideo(
        video_name(path) if name is None else name,
        frames_for_networks(reader, configs, flow_method),
        reader.num_frames,
        reader.fps,
        reader.duration_s,
        damaged=lambda: reader.damaged,
        aspect=lambda: reader.aspect,
    )


def open_pipe(
    content: ByteSource,
    name: str,
    configs: Sequence[ml_collections.ConfigDict],
    flow_method: str | None = None,
) -> OpenVideo:
    """Opens a video whose bytes can be read only once, in order.

    Args:
      content: the bytes.
      name: name of the video.
      configs: configurations of the networks, which sample alike.
      flow_method: tvl1 or dis; None: the method in each network's configuration.

    Raises:
      UserError: the bytes are no video that can be read in order, or a network needs a whole video
        at once.
    """
    data = configs[0].data
    if data.max_frames:
        raise UserError(
            f"{name}: this checkpoint sees a whole video at once (config.data.max_frames="
            f"{data.max_frames}), so it cannot detect in a pipe; give a file"
        )
    reader = PipeReader(content, name, data.fps, (data.frame_size,) * 2, geometry_of(data))
    return OpenVideo(
        name,
        frames_for_networks(reader, configs, flow_method),
        0,
        reader.fps,
        0.0,
        damaged=lambda: reader.damaged,
        aspect=lambda: reader.aspect,
        seconds_read=lambda: reader.duration_s,
    )


def geometry_of(data: ml_collections.ConfigDict, crop: str | None = None) -> FrameGeometry:
    """Returns how the pictures of a new video become frames.

    Args:
      data: the field `data` of a configuration.
      crop: the part that is used; None: the configuration's.
    """
    if crop is None and data.crop == OWN_CROPS:
        _warn_of_own_crops()
    return FrameGeometry(data.crop if crop is None else crop, data.keep_aspect)


@functools.cache
def _warn_of_own_crops() -> None:
    log.warning(
        "the training videos had different crops, so none is known for other videos; whole "
        "pictures are used where no crop is given"
    )


def frames_for_networks(
    frames: Iterable[NDArray[np.uint8]],
    configs: Sequence[ml_collections.ConfigDict],
    flow_method: str | None,
) -> Iterator[Frames]:
    """Yields what each network sees of RGB frames: the frame itself, or its optical flow.

    Raises:
      UserError: flow cannot be computed.
    """
    streams = [
        compute_flow(copy, flow_method or config.data.flow_method)
        if config.data.stream == "flow"
        else copy
        for copy, config in zip(itertools.tee(frames, len(configs)), configs, strict=True)
    ]
    return zip(*streams, strict=True)
