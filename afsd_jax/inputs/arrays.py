"""Videos given as arrays of frames, in memory or in .npy files, opened for the networks."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_collections
import numpy as np
from numpy.typing import NDArray

from afsd_jax.config_checks import FEATURES
from afsd_jax.data.decode import sources
from afsd_jax.data.decode.feature_rows import FeatureRows
from afsd_jax.data.decode.frame_geometry import fit_picture, place_picture
from afsd_jax.data.decode.frame_times import FrameTimes, sample_indices, sampled_rate
from afsd_jax.data.decode.video_reader import MAX_REPEATS
from afsd_jax.errors import UserError
from afsd_jax.inputs.video import OpenVideo, frames_for_networks, geometry_of
from afsd_jax.io.names import video_name


def checked_array(video: Any, fps: Any) -> tuple[NDArray[np.uint8], float]:
    """Returns the frames and the frame rate, after checking their types and values.

    Args:
      video: must be uint8 [N, H, W, 3], RGB.
      fps: must be a positive number, frames per second.

    Raises:
      UserError: the array has another type or shape or no frames, or `fps` is no positive number.
    """
    expected = "a path, or a NumPy array, uint8 [frames, height, width, 3]"
    if not isinstance(video, np.ndarray):
        raise UserError(f"a video must be {expected}, not a {type(video).__name__}")
    if video.dtype != np.uint8 or video.ndim != 4 or video.shape[-1] != 3:
        raise UserError(f"a video must be {expected}, not {video.dtype} {list(video.shape)}")
    if not video.size:
        raise UserError(f"the video has no frames or no pixels: its shape is {list(video.shape)}")
    if fps is None:
        raise UserError("an array has no frame rate; give fps=, its frames per second")
    if isinstance(fps, bool) or not isinstance(fps, int | float | np.number) or not fps > 0:
        raise UserError(f"fps={fps!r}: must be a positive number")
    if not math.isfinite(fps):
        raise UserError(f"fps={fps!r}: must be a finite number")
    return video, float(fps)


def open_array(
    frames: NDArray[np.uint8],
    fps: float,
    configs: Sequence[ml_collections.ConfigDict],
    flow_method: str | None = None,
) -> OpenVideo:
    """Opens RGB frames of any size and rate: samples and resizes them as those of a file.

    Args:
      frames: uint8 [N, H, W, 3], RGB; passed `checked_array`.
      fps: frames per second, constant.
      configs: configurations of the networks, which sample alike.
      flow_method: tvl1 or dis; None: the method in each network's configuration.

    Raises:
      UserError: the video is shorter than one sampled frame, `fps` is far below the networks'
        rate, or the crop is outside of the frames.
    """
    data, count = configs[0].data, len(frames)
    rate, size = sampled_rate(fps, count, data.fps, data.max_frames), (data.frame_size,) * 2
    duration_s = count / fps
    if rate > MAX_REPEATS * fps or not math.isfinite(duration_s):
        raise UserError(f"fps={fps:g}: too low for a network that sees {rate:g} frames a second")
    timing = FrameTimes(np.empty(0, np.int64), np.arange(count) / fps, fps, True, duration_s)
    indices = sample_indices(timing, rate)
    if not len(indices):
        raise UserError(
            f"the video, {duration_s:.3f} s, is too short for one frame at {rate:g} frames per "
            "second"
        )
    height, width = frames.shape[1:3]
    placed = place_picture(geometry_of(data), (height, width), size, name="the video")
    sampled = (fit_picture(frames[index], placed, size) for index in indices)
    seen = frames_for_networks(sampled, configs, flow_method)
    return OpenVideo("video", seen, len(indices), rate, duration_s)


def open_sampled(
    streams: Sequence[NDArray[np.uint8]],
    fps: float,
    duration_s: float,
    configs: Sequence[ml_collections.ConfigDict],
    name: str = "",
) -> OpenVideo:
    """Opens frames that are already sampled and resized for the networks.

    Args:
      streams: one array for each network, uint8 [N, H, W, channels], sampled at `fps`.
      fps: frames per second.
      duration_s: length of the video, seconds.
      configs: configurations of the networks.
      name: name of the video.

    Raises:
      UserError: the frames' type or shape does not fit the networks.
    """
    place = f"{name}: " if name else ""
    for frames, config in zip(streams, configs, strict=True):
        channels, size = config.model.in_channels, config.data.crop_size
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != channels:
            raise UserError(
                f"{place}frames must be uint8 [frames, height, width, {channels}], "
                f"not {frames.dtype} {list(frames.shape)}"
            )
        if min(frames.shape[1:3]) < size:
            raise UserError(
                f"{place}frames of {frames.shape[2]}x{frames.shape[1]} pixels are smaller than the "
                f"network's {size}x{size}; resize them to {config.data.frame_size}"
            )
    count = common_length(name, [len(frames) for frames in streams])
    return OpenVideo(name, zip(*streams, strict=True), count, fps, duration_s)


def open_array_files(
    paths: Sequence[Path],
    configs: Sequence[ml_collections.ConfigDict],
    fps: float | None = None,
    durations: Mapping[str, float] | None = None,
    name: str | None = None,
) -> OpenVideo:
    """Opens sampled frames in .npy files, one for each network; they are read as they are used.

    Args:
      paths: .npy files, uint8 [N, H, W, channels]; for a network on features, those of one video.
      configs: configurations of the networks.
      fps: frames per second; None: number of frames / duration.
      durations: seconds by video name; default: number of frames / fps.
      name: name of the video; None: that of the first file.

    Raises:
      UserError: a file is missing or no such array, does not fit the networks, or has neither a
        rate nor a duration.
    """
    name = video_name(paths[0]) if name is None else name
    duration_s = (durations or {}).get(name)
    if duration_s is not None and not (
        isinstance(duration_s, int | float) and 0 < duration_s < float("inf")
    ):
        raise UserError(f"{name}: its duration must be a positive number, not {duration_s!r}")
    if configs[0].data.stream == FEATURES:
        return _open_rows(paths[0], configs[0].data.fps, duration_s, name)
    streams = [sources.open_array(path) for path in paths]
    count = len(streams[0])
    fps = fps or (duration_s and count / duration_s)
    if not fps:
        raise UserError(
            f"{paths[0]}: an array has no frame rate; give its frame rate or its duration"
        )
    video = open_sampled(streams, fps, duration_s or count / fps, configs, name)
    return video._replace(frames=zip(*map(sources.iterate_array, paths), strict=True))


def _open_rows(path: Path, fps: float, duration_s: float | None, name: str) -> OpenVideo:
    """Opens features at the rate `fps`; 0: at any rate."""
    rows = FeatureRows(path, duration_s)
    if fps and not math.isclose(rows.fps, fps, rel_tol=1e-3):
        raise UserError(
            f"{path}: has {rows.fps:g} rows a second, but the checkpoint was trained on {fps:g}"
        )
    return OpenVideo(name, ((row,) for row in rows), rows.num_frames, rows.fps, rows.duration_s)


def common_length(name: str, counts: Sequence[int]) -> int:
    """Returns the number of frames that a video's streams all have.

    Raises:
      UserError: the streams differ.
    """
    if len(set(counts)) > 1:
        place, numbers = f"{name}: " if name else "", ", ".join(map(str, counts))
        raise UserError(f"{place}the streams have different numbers of frames: {numbers}")
    return counts[0]
