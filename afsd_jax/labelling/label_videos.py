"""The videos that are labelled: their files, and what a browser needs to know of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import av

from afsd_jax.data.annotations.checks import check_name
from afsd_jax.data.decode.container import open_container, video_stream
from afsd_jax.data.decode.frame_times import FrameTimes, as_played, read_frame_times
from afsd_jax.data.decode.recordings import parts_of
from afsd_jax.errors import UserError

# What browsers play: containers, by FFmpeg's names, with their types, and codecs of 8 bits.
_TYPES = {"mov,mp4,m4a,3gp,3g2,mj2": "video/mp4", "matroska,webm": "video/webm"}
_CODECS = {
    "video/mp4": {"h264", "av1", "dav1d", "vp9"},
    "video/webm": {"vp8", "vp9", "av1", "dav1d"},
}
_PIXELS = {"yuv420p", "yuvj420p"}
_SOUNDS = {"video/mp4": {"aac", "mp3", "opus", "flac"}, "video/webm": {"opus", "vorbis"}}
_ANY_RATE = 1e9  # frames per second: no delay is shorter than a frame


class Video(NamedTuple):
    """A video that can be labelled.

    Attributes:
      name: name of the video.
      path: its file.
      duration_s: length, seconds.
      width, height: of the picture, pixels.
      sound: whether it has sound.
      media_type: type of the file in HTTP, if browsers play it; "" if they need a copy.
    """

    name: str
    path: Path
    duration_s: float
    width: int
    height: int
    sound: bool
    media_type: str


def read_videos(paths: Mapping[str, Path]) -> tuple[list[Video], list[str]]:
    """Returns the videos that can be read, by their names, and a line for each that cannot.

    Args:
      paths: the files, by the names of the videos.
    """
    videos, unreadable = [], []
    for name, path in sorted(paths.items()):
        try:
            videos.append(_read(name, path))
        except UserError as error:
            unreadable.append(str(error))
    return videos, unreadable


def _read(name: str, path: Path) -> Video:
    check_name(name, "name of the video", f"{path}: cannot be labelled, rename it")
    with open_container(path) as container:
        stream = video_stream(container, path)
        codec = stream.codec_context
        duration_s = max(container.duration or 0, 0) / av.time_base
        width, height, sound = codec.width, codec.height, bool(container.streams.audio)
        media_type = "" if len(parts_of(path)) > 1 else _playable(container, stream)
    return Video(
        name, path, duration_s or played_times(path).duration_s, width, height, sound, media_type
    )


def _playable(container: av.container.InputContainer, stream: av.VideoStream) -> str:
    """Returns the type in HTTP of a file that browsers play; "" if not all of them do."""
    media_type = _TYPES.get(container.format.name, "")
    codec = stream.codec_context
    if codec.name.removeprefix("lib") not in _CODECS.get(media_type, ()):
        return ""
    sounds = {sound.codec_context.name for sound in container.streams.audio}
    if codec.pix_fmt not in _PIXELS or not sounds <= _SOUNDS[media_type]:
        return ""
    # Chromium seeks in an mp4 file only as far as its length, without the time before its start.
    start_s = (container.start_time or 0) / av.time_base
    if media_type == "video/mp4" and start_s * float(stream.average_rate or 25) >= 1:
        return ""
    return media_type


def played_times(path: Path) -> FrameTimes:
    """Returns when each frame of a file is shown in a player.

    Raises:
      UserError: the file cannot be read.
    """
    return as_played(read_frame_times(path), _ANY_RATE)
