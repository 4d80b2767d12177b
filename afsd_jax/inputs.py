"""What a detector looks at: video files, arrays of frames, or videos prepared before.

Whatever the source, each network's stream (RGB or optical flow) gets the same number of frames.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import ml_collections
import numpy as np

from afsd_jax.data.decode import media
from afsd_jax.errors import UserError


class Input(NamedTuple):
    """One video ready for the networks.

    name: without folder and suffix.
    streams: for each network uint8 [N,H,W,channels], sampled at `fps`.
    fps: frames per second.
    duration_s: of the video, seconds.
    """

    name: str
    streams: list[np.ndarray]
    fps: float
    duration_s: float


def video_files(given: Sequence[Path]) -> list[Path]:
    """Returns the files given, and in place of each folder the videos in it and below it.

    Raises:
      UserError: a file is missing, a folder has no video, or two files have the same name.
    """
    names: dict[str, Path] = {}
    for path in (path for one in given for path in _videos_in(one)):
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        if path.stem in names:
            raise UserError(
                f"{names[path.stem]} and {path} have the same name; detections are kept by name, "
                "so detect them one after the other into two files"
            )
        names[path.stem] = path
    return list(names.values())


def _videos_in(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = [video for video in media.find(path, "rgb").values() if media.is_video(video)]
    if not found:
        raise UserError(f"{path}: no video is in this folder")
    return found


def from_video(
    path: str | os.PathLike[str],
    configs: Sequence[ml_collections.ConfigDict],
    flow_method: str = "tvl1",
) -> Input:
    """Decodes a video file for networks of these configurations; flow is computed where needed.

    Args:
      path: of the video.
      configs: of the networks, sampling alike.
      flow_method: tvl1, as published, or dis, about a hundred times faster.

    Raises:
      UserError: the file is missing, damaged or no video, or flow cannot be computed.
    """
    from afsd_jax.data.decode.flow import compute_flow
    from afsd_jax.data.decode.video import read_video

    data = configs[0].data
    size = (data.frame_size, data.frame_size)
    video = read_video(path, data.fps, size, data.max_frames)
    frames = {"rgb": video.frames}
    if any(config.data.stream == "flow" for config in configs):
        frames["flow"] = np.stack(list(compute_flow(video.frames, flow_method)))
    streams = [frames[config.data.stream] for config in configs]
    return Input(Path(path).stem, streams, video.fps, video.duration_s)


def from_arrays(
    paths: Sequence[Path], fps: float | None = None, durations: Mapping[str, float] | None = None
) -> Input:
    """Opens frames prepared as arrays, one file a network; they are read as they are used.

    Args:
      paths: .npy files, uint8 [N,H,W,channels].
      fps: frames per second; None: as many as give the duration.
      durations: seconds by name; default: number of frames / fps.

    Raises:
      UserError: a file is missing or no such array, or there is neither rate nor duration.
    """
    from afsd_jax.data.decode.sources import open_array

    streams = [open_array(path) for path in paths]
    name, count = paths[0].stem, len(streams[0])
    duration_s = (durations or {}).get(name)
    if duration_s is not None and not (
        isinstance(duration_s, int | float) and 0 < duration_s < float("inf")
    ):
        raise UserError(f"{name}: its duration must be a positive number, not {duration_s!r}")
    fps = fps or (duration_s and count / duration_s)
    if not fps:
        raise UserError(f"{paths[0]}: an array has no frame rate; give --fps or --durations")
    return Input(name, streams, fps, duration_s or count / fps)


def from_prepared(
    configs: Sequence[ml_collections.ConfigDict], data_dir: str | os.PathLike[str], split: str = ""
) -> tuple[int, Iterator[Input]]:
    """Opens a split of the prepared data sets that the configurations name.

    Args:
      configs: of the networks.
      data_dir: folder of prepared data sets.
      split: of them; by default the configuration's test split.

    Returns:
      The number of videos, and an iterator over them that decodes ahead.

    Raises:
      UserError: a data set is missing or damaged, or the streams' videos differ.
    """
    from afsd_jax.data.whole_videos import PreparedSplit

    def open_split(data: ml_collections.ConfigDict) -> PreparedSplit:
        data = data.copy_and_resolve_references()
        data.data_dir = os.fspath(data_dir)
        return PreparedSplit(data, split or data.test_split)

    splits = [open_split(config.data) for config in configs]
    names = splits[0].names
    for other in splits[1:]:
        if other.names != names:
            odd = sorted(set(names) ^ set(other.names))
            raise UserError(
                f"{other.folder}: its videos are not those of {splits[0].folder}"
                + (f", such as {odd[0]}" if odd else "")
            )
    return len(names), (
        Input(videos[0].name, [v.frames for v in videos], videos[0].fps, videos[0].duration_s)
        for videos in zip(*splits, strict=True)
    )
