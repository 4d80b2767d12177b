"""A video in memory, as it came from a camera or a reader, for the networks."""

import math
from collections.abc import Sequence
from typing import Any

import ml_collections
import numpy as np
from numpy.typing import NDArray

from afsd_jax.data.decode.frame_times import FrameTimes, sample_indices, sampled_rate
from afsd_jax.data.decode.resize import resize
from afsd_jax.data.decode.video_reader import MAX_REPEATS
from afsd_jax.errors import UserError
from afsd_jax.inputs.video import Input, with_flow


def check_video(video: Any, fps: Any) -> NDArray[np.uint8]:
    """Returns a video given as an array, if it is one.

    Args:
      video: should be uint8 [N, H, W, 3], RGB.
      fps: its frames per second.

    Raises:
      UserError: it is of another type or shape, has no frames, or `fps` is no positive number.
    """
    wanted = "a path, or a NumPy array, uint8 [frames, height, width, 3]"
    if not isinstance(video, np.ndarray):
        raise UserError(f"a video must be {wanted}, not a {type(video).__name__}")
    if video.dtype != np.uint8 or video.ndim != 4 or video.shape[-1] != 3:
        raise UserError(f"a video must be {wanted}, not {video.dtype} {list(video.shape)}")
    if not video.size:
        raise UserError(f"the video has no frames or no pixels: its shape is {list(video.shape)}")
    if fps is None:
        raise UserError("an array has no frame rate; give fps=, its frames per second")
    if isinstance(fps, bool) or not isinstance(fps, int | float | np.number) or not fps > 0:
        raise UserError(f"fps={fps!r}: must be a positive number")
    if not math.isfinite(fps):
        raise UserError(f"fps={fps!r}: must be a finite number")
    return video


def from_array(
    video: NDArray[np.uint8],
    fps: float,
    configs: Sequence[ml_collections.ConfigDict],
    flow_method: str | None = None,
) -> Input:
    """Samples and resizes frames for networks of these configurations, as `inputs.from_video` does.

    Args:
      video: uint8 [N, H, W, 3], RGB, of any size; `check_video` has passed it.
      fps: its frames per second, constant.
      configs: of the networks, sampling alike.
      flow_method: tvl1 or dis, of the flow where a network wants it; None: as it was trained.

    Raises:
      UserError: it is shorter than one sampled frame, or `fps` is far below the networks' rate.
    """
    data, count = configs[0].data, len(video)
    rate, size = sampled_rate(fps, count, data.fps, data.max_frames), (data.frame_size,) * 2
    duration_s = count / fps
    if rate > MAX_REPEATS * fps or not math.isfinite(duration_s):
        raise UserError(f"fps={fps:g}: too low for a network that sees {rate:g} frames a second")
    timing = FrameTimes(np.empty(0, np.int64), np.arange(count) / fps, fps, True, duration_s)
    kept = sample_indices(timing, rate)
    if not len(kept):
        raise UserError(
            f"the video, {duration_s:.3f} s, is too short for one frame at {rate:g} frames per "
            "second"
        )
    frames = with_flow((resize(video[index], size) for index in kept), configs, flow_method)
    return Input("video", frames, len(kept), rate, duration_s)
