"""Opening a video file so that nothing but the file itself is ever read."""

import os
from pathlib import Path
from typing import Protocol

import av

from afsd_jax.errors import UserError

# Only a file's own bytes are ever read: no network, and no format that names other files to open.
_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": "asf,av1,avi,dv,flv,gif,h264,hevc,ivf,m4v,matroska,mov,mpeg,mpegts,"
    "mpegvideo,mxf,nut,obu,ogg,rm,wav,wtv,yuv4mpegpipe",
}


class ByteSource(Protocol):
    """Bytes that come one after another, as through a pipe."""

    def read(self, size: int) -> bytes:
        """Returns at most so many of the next bytes; none at the end."""


def open_container(path: Path) -> av.container.InputContainer:
    """Opens a file as FFmpeg's container, whatever its name looks like.

    Raises:
      UserError: it is missing, no regular file, empty, unreadable, or of no format of videos.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a folder, not a video")
    if not path.exists():
        raise UserError(f"{path}: no such file")
    if not path.is_file():
        raise UserError(f"{path}: is a pipe, socket or device, not a file")
    if not path.stat().st_size:
        raise UserError(f"{path}: the file is empty")
    try:
        return av.open(file_url(path), options=dict(_OPTIONS), metadata_errors="replace")
    except PermissionError as error:
        raise UserError(f"{path}: cannot be read (permission denied)") from error
    except (av.FFmpegError, OSError) as error:
        raise UserError(f"{path}: not a video, or a truncated one") from error


def open_pipe(source: ByteSource, name: str) -> av.container.InputContainer:
    """Opens a video that comes as bytes, once, without seeking.

    Args:
      source: of the bytes.
      name: of the source, for messages.

    Raises:
      UserError: it is empty, no video, or of a format that must be sought in.
    """
    try:
        return av.open(source, "r", options=dict(_OPTIONS), metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise unreadable_pipe(name) from error


def unreadable_pipe(name: str) -> UserError:
    """Returns what is said of bytes that are no video, or one that must be sought in."""
    return UserError(
        f"{name}: no video, or none that can be read as it comes (most mp4 files cannot); send "
        "MPEG-TS or Matroska, as ffmpeg -i VIDEO -c copy -f matroska - does"
    )


def file_url(path: str | os.PathLike[str]) -> str:
    """Returns what FFmpeg takes for this file and not for a protocol, as the name 12:30.mp4."""
    return f"file:{os.path.abspath(path)}"


def video_stream(container: av.container.InputContainer, path: Path | str) -> av.VideoStream:
    """Returns the best video stream of the container that `path` holds.

    Raises:
      UserError: there is none.
    """
    stream = container.streams.best("video")
    if not isinstance(stream, av.VideoStream) or stream.codec_context is None:
        raise UserError(f"{path}: no video, or truncated: it has no video stream")
    return stream
