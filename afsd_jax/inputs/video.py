"""What a detector looks at: video files, arrays of frames, or videos prepared before.

Whatever the source, each network's stream (RGB or optical flow) gets the same number of frames.
"""

import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import ml_collections
import numpy as np
from numpy.typing import NDArray

from afsd_jax.data.decode.container import ByteSource
from afsd_jax.errors import UserError
from afsd_jax.types import VideoLabel

if TYPE_CHECKING:
    from afsd_jax.data.whole_videos import WholeVideo

Frames = Sequence[NDArray[np.uint8]]  # one moment's, for each network


class Input(NamedTuple):
    """One video ready for the networks.

    name: without folder and suffix.
    frames: for each network uint8 [H,W,channels], one after another, once.
    num_frames: that come; of a stream 0 until it has ended.
    fps: frames per second.
    duration_s: of the video, seconds; detections may be cut there; of a stream as `num_frames`.
    label: class and score factor of a video-level classifier.
    damaged: returns how many packets and frames are damaged, of those passed so far.
    passed_s: of a stream, whose end nobody knows: returns the seconds that have come so far.
    """

    name: str
    frames: Iterable[Frames]
    num_frames: int
    fps: float
    duration_s: float
    label: VideoLabel | None = None
    damaged: Callable[[], int] = lambda: 0
    passed_s: Callable[[], float] | None = None


class Source(NamedTuple):
    """What opens a video when its turn comes, and the video's name, for messages."""

    name: str
    open: Callable[[], Input]


def from_video(
    path: str | os.PathLike[str],
    configs: Sequence[ml_collections.ConfigDict],
    flow_method: str | None = None,
) -> Input:
    """Decodes a video file for networks of these configurations; flow is computed where needed.

    Args:
      path: of the video.
      configs: of the networks, sampling alike.
      flow_method: tvl1 or dis; None: what each network's configuration says.

    Raises:
      UserError: the file is missing, damaged or no video, or flow cannot be computed.
    """
    from afsd_jax.data.decode.video_reader import VideoReader

    data = configs[0].data
    reader = VideoReader(path, data.fps, (data.frame_size,) * 2, data.max_frames)
    frames = with_flow(reader, configs, flow_method)
    known = reader.num_frames, reader.fps, reader.duration_s
    return Input(Path(path).stem, frames, *known, damaged=lambda: reader.damaged)


def from_stream(
    source: ByteSource,
    name: str,
    configs: Sequence[ml_collections.ConfigDict],
    flow_method: str | None = None,
) -> Input:
    """Decodes a video that comes once, as through a pipe, for networks of these configurations.

    Args:
      source: of the bytes.
      name: of the source.
      configs: of the networks, sampling alike.
      flow_method: tvl1 or dis; None: what each network's configuration says.

    Raises:
      UserError: it is no video that can be read so, or a network sees whole videos at once.
    """
    from afsd_jax.data.decode.pipe_reader import PipeReader

    data = configs[0].data
    if data.max_frames:
        raise UserError(
            f"{name}: this checkpoint sees a whole video at once (config.data.max_frames="
            f"{data.max_frames}), so it takes no stream; give a file"
        )
    reader = PipeReader(source, name, data.fps, (data.frame_size,) * 2)
    return Input(
        name,
        with_flow(reader, configs, flow_method),
        0,
        reader.fps,
        0.0,
        damaged=lambda: reader.damaged,
        passed_s=lambda: reader.duration_s,
    )


def with_flow(
    frames: Iterable[NDArray[np.uint8]],
    configs: Sequence[ml_collections.ConfigDict],
    flow_method: str | None,
) -> Iterator[Frames]:
    """Yields what each network sees of RGB frames; flow is computed for those that want it.

    Raises:
      UserError: flow cannot be computed.
    """
    from afsd_jax.data.decode.flow import compute_flow

    copies = itertools.tee(frames, len(configs))
    streams = [
        compute_flow(copy, flow_method or config.data.flow_method)
        if config.data.stream == "flow"
        else copy
        for copy, config in zip(copies, configs, strict=True)
    ]
    return zip(*streams, strict=True)


def of_arrays(
    streams: Sequence[NDArray[np.uint8]],
    fps: float,
    duration_s: float,
    configs: Sequence[ml_collections.ConfigDict],
    name: str = "",
) -> Input:
    """Returns a video given as frames.

    Args:
      streams: for each network uint8 [N,H,W,channels], sampled at `fps`.
      fps: frames per second.
      duration_s: of the video.
      configs: of the networks.
      name: of the video.

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
    counts = [len(frames) for frames in streams]
    if len(set(counts)) > 1:
        raise _different(name, counts)
    return Input(name, zip(*streams, strict=True), counts[0], fps, duration_s)


def from_arrays(
    paths: Sequence[Path],
    configs: Sequence[ml_collections.ConfigDict],
    fps: float | None = None,
    durations: Mapping[str, float] | None = None,
) -> Input:
    """Opens frames prepared as arrays, one file a network; they are read as they are used.

    Args:
      paths: .npy files, uint8 [N,H,W,channels].
      configs: of the networks.
      fps: frames per second; None: as many as give the duration.
      durations: seconds by name; default: number of frames / fps.

    Raises:
      UserError: a file is missing or no such array, does not fit the networks, or there is neither
        rate nor duration.
    """
    from afsd_jax.data.decode.sources import iterate_array, open_array

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
    video = of_arrays(streams, fps, duration_s or count / fps, configs, name)
    return video._replace(frames=zip(*map(iterate_array, paths), strict=True))


def of_prepared(streams: Sequence["WholeVideo"]) -> Input:
    """Returns a video of a prepared data set, which each network sees as a stream of its own.

    Raises:
      UserError: the streams' numbers of frames differ.
    """
    first = streams[0]
    counts = [stream.num_frames for stream in streams]
    if len(set(counts)) > 1:
        raise _different(first.name, counts)
    frames = zip(*(stream.frames for stream in streams), strict=True)
    return Input(first.name, frames, first.num_frames, first.fps, first.duration_s)


def _different(name: str, counts: Sequence[int]) -> UserError:
    place, numbers = f"{name}: " if name else "", ", ".join(map(str, counts))
    return UserError(f"{place}the streams have different numbers of frames: {numbers}")


class Prepared:
    """The videos of a split of the prepared data sets that the networks' configurations name.

    Attributes:
      durations_s: seconds of each video, by name, in the order of iteration.
      actions: true ones of each video, by name.
      files: that they are read from.
    """

    def __init__(
        self,
        configs: Sequence[ml_collections.ConfigDict],
        data_dir: str | os.PathLike[str],
        split: str = "",
    ):
        """Finds the videos; reads no frames.

        Args:
          configs: of the networks.
          data_dir: folder of prepared data sets.
          split: of them; by default the configuration's test split.

        Raises:
          UserError: a data set is missing or damaged, or the streams' videos differ.
        """
        from afsd_jax.data.whole_videos import PreparedSplit

        def open_split(data: ml_collections.ConfigDict) -> PreparedSplit:
            data = data.copy_and_resolve_references()
            data.data_dir = os.fspath(data_dir)
            return PreparedSplit(data, split or data.test_split)

        self._configs = configs
        self._splits = [open_split(config.data) for config in configs]
        first = self._splits[0]
        for other in self._splits[1:]:
            if other.names != first.names:
                odd = sorted(set(first.names) ^ set(other.names))
                raise UserError(
                    f"{other.folder}: its videos are not those of {first.folder}"
                    + (f", such as {odd[0]}" if odd else "")
                )
        self.durations_s = dict(zip(first.names, first.durations_s, strict=True))
        self.actions = first.actions
        self.files = [
            path for one in self._splits for path in sorted(one.folder.glob("*")) if path.is_file()
        ]

    def sources(self, names: Sequence[str]) -> Iterator[Source]:
        """Yields the videos of these names, decoded ahead, in the order of `durations_s`.

        Each is to be read before the next is taken.
        """
        for videos in zip(*(split.choose(names) for split in self._splits), strict=True):
            yield Source(videos[0].name, functools.partial(of_prepared, videos))
