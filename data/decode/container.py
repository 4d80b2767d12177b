"""Opening videos with FFmpeg so that nothing but the given file or pipe is ever read."""

import os
from collections.abc import Iterator
from pathlib import Path

import av

from afsd_jax.data.decode.recordings import ByteSource, Part, parts_of
from afsd_jax.errors import UserError
from afsd_jax.io.file_kinds import PICTURE, VIDEO, file_kind

_COVER = av.stream.Disposition.attached_pic
# No network, and no format that names other files to open.
_OPTIONS = {
    "protocol_whitelist": "file,subfile",
    "format_whitelist": "asf,av1,avi,dv,flv,gif,h264,hevc,ivf,m4v,matroska,mov,mpeg,mpegts,"
    "mpegvideo,mxf,nut,obu,ogg,rm,wav,wtv,yuv4mpegpipe",
}


def open_container(path: Path, part: Part | None = None) -> av.container.InputContainer:
    """Opens a file as FFmpeg's container, whatever its name looks like.

    Args:
      path: file.
      part: the recording to open, of several in the file; default: the file as a whole.

    Raises:
      UserError: it is missing, not a regular file, empty, unreadable, or not a video.
    """
    if path.is_dir():
        raise UserError(f"{path}: is a folder, not a video")
    if not path.exists():
        raise UserError(f"{path}: no such file")
    if not path.is_file():
        raise UserError(f"{path}: is a pipe, socket or device, not a file")
    if not path.stat().st_size:
        raise UserError(f"{path}: the file is empty")
    kind = file_kind(path)
    if kind == PICTURE:  # FFmpeg takes some for videos of one frame
        raise UserError(f"{path}: is a picture, not a video")
    url = file_url(path)
    if part is not None:
        url = f"subfile,,start,{part.start},end,{part.end},,:{url}"
    try:
        return av.open(url, options=dict(_OPTIONS), metadata_errors="replace")
    except PermissionError as error:
        raise UserError(f"{path}: cannot be read (permission denied)") from error
    except (av.FFmpegError, OSError) as error:
        other = kind is not None and kind != VIDEO
        text = f"is {kind}, not a video" if other else "not a video, or a truncated one"
        raise UserError(f"{path}: {text}") from error


def open_recordings(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Opens the recordings in a file, mostly one, and closes each before the next.

    Yields:
      (container, its video stream) of each.

    Raises:
      UserError: as of `open_container` and `video_stream`.
    """
    try:
        parts = parts_of(path) if path.is_file() else ()
    except OSError:
        parts = ()  # opening the file says what is wrong
    for part in parts if len(parts) > 1 else (None,):
        with open_container(path, part) as container:
            yield container, video_stream(container, path)


def open_pipe(source: ByteSource, name: str) -> av.container.InputContainer:
    """Opens a video that arrives through a pipe; it is read once, without seeking.

    Args:
      source: where the bytes come from.
      name: name of the source, for messages.

    Raises:
      UserError: it is empty, not a video, or its format needs seeking.
    """
    try:
        return av.open(source, "r", options=dict(_OPTIONS), metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise unreadable_pipe(name) from error


def unreadable_pipe(name: str) -> UserError:
    """Returns the error for bytes that are not a video, or a video whose format needs seeking."""
    return UserError(
        f"{name}: not a video, or one that cannot be read from a pipe (most mp4 files cannot); "
        "send MPEG-TS or Matroska, as ffmpeg -i VIDEO -c copy -f matroska - does"
    )


def file_url(path: str | os.PathLike[str]) -> str:
    """Returns a URL, so that FFmpeg does not take a name such as 12:30.mp4 for a protocol."""
    return f"file:{os.path.abspath(path)}"


def video_stream(container: av.container.InputContainer, path: Path | str) -> av.VideoStream:
    """Returns the best video stream of an open container; `path` is for messages.

    Raises:
      UserError: it has no video stream.
    """
    stream = container.streams.best("video")
    if container.streams.audio and (stream is None or stream.disposition & _COVER):
        raise UserError(f"{path}: is a sound file, not a video: it has no moving picture")
    if not isinstance(stream, av.VideoStream) or stream.codec_context is None:
        raise UserError(f"{path}: not a video, or truncated: it has no video stream")
    return stream
