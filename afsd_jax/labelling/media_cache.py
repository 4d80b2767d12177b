"""Files that are made from videos once: where they lie, and the small ones, pictures and sound."""

import hashlib
import io
import math
import os
from pathlib import Path

import av
import msgspec
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from PIL import Image

from afsd_jax.data.decode.container import open_container, video_stream
from afsd_jax.data.decode.video_reader import upright
from afsd_jax.errors import UserError
from afsd_jax.io.files import atomic_write, read_bytes
from afsd_jax.labelling.label_videos import Video

_HEIGHT = 144  # pixels of a thumbnail
_AT = 0.3  # of a video's length, where its thumbnail is
_PEAKS = 50  # a second, of a waveform
_MOST_PEAKS = 400_000
_SAMPLES = 8000  # a second, of the sound that peaks are measured in


def cached_path(folder: Path, video: Video, suffix: str) -> Path:
    """Returns where a file that is made from a video lies; another content has another place.

    Raises:
      UserError: the video is gone.
    """
    try:
        state = video.path.stat()
    except OSError as error:
        raise UserError(f"{video.path}: cannot be read ({error.strerror})") from error
    identity = (os.path.abspath(video.path), state.st_size, state.st_mtime_ns)
    digest = hashlib.sha256(os.fsencode(repr(identity))).hexdigest()[:20]
    return folder / f"{digest}{suffix}"


def thumbnail(folder: Path, video: Video) -> bytes:
    """Returns a JPEG picture of a video, which is kept in a folder.

    Raises:
      UserError: the video cannot be read.
    """
    path = cached_path(folder, video, ".jpg")
    if not path.exists():
        picture = Image.fromarray(_picture(video))
        picture.thumbnail((4 * _HEIGHT, _HEIGHT))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=80)
        with atomic_write(path) as temporary:
            temporary.write_bytes(buffer.getvalue())
    return read_bytes(path)


def _picture(video: Video) -> NDArray[np.uint8]:
    """Returns a frame of a video, [H, W, 3], without reading all of the file if possible."""
    for at_s in (_AT * video.duration_s, 0.0):
        with open_container(video.path) as container:
            stream = video_stream(container, video.path)
            try:
                if at_s:
                    container.seek(round(at_s * av.time_base))
                for frame in container.decode(stream):
                    image: NDArray[np.uint8] = upright(frame, VideoReformatter())
                    return image
            except av.FFmpegError:
                continue
    raise UserError(f"{video.path}: no frame can be decoded; the file is damaged")


def waveform(folder: Path, video: Video) -> bytes:
    """Returns the loudness of a video's sound as JSON: peaks from 0 to 255, and how many a second.

    It is kept in a folder.

    Raises:
      UserError: the video cannot be read.
    """
    path = cached_path(folder, video, ".json")
    if not path.exists():
        per_second = _PEAKS if video.duration_s * _PEAKS <= _MOST_PEAKS else 5
        peaks = _peaks(video, per_second) if video.sound else np.zeros(0, np.uint8)
        content = {"peaks": peaks.tolist(), "per_second": per_second}
        with atomic_write(path) as temporary:
            temporary.write_bytes(msgspec.json.encode(content))
    return read_bytes(path)


def _peaks(video: Video, per_second: int) -> NDArray[np.uint8]:
    """Returns the largest amplitude in each part of a second, uint8 [N]."""
    size = _SAMPLES // per_second
    peaks = np.zeros(math.ceil(video.duration_s * per_second) + 1, np.int32)
    with open_container(video.path) as container:
        resampler = av.AudioResampler("s16", "mono", _SAMPLES)
        start_s = (container.start_time or 0) / av.time_base
        try:
            for frame in container.decode(audio=0):
                for part in resampler.resample(frame):
                    samples = np.abs(part.to_ndarray()[0].astype(np.int32))
                    at = round(((part.time or 0.0) - start_s) * _SAMPLES)
                    bins = (np.arange(len(samples)) + max(at, 0)) // size
                    inside = bins < len(peaks)
                    np.maximum.at(peaks, bins[inside], samples[inside])
        except av.FFmpegError:
            pass  # the rest of a damaged sound is silent
    return (peaks[:-1] >> 7).clip(0, 255).astype(np.uint8)
