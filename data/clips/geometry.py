"""Positions of clips, windows and crops in a video, and cutting windows out of it."""

import ml_collections
import numpy as np


def frame_unit(model: ml_collections.ConfigDict) -> int:
    """Returns the number of frames of which offsets of clips and windows are multiples.

    With the context of the whole video (`model.trunk_context`), clips and windows are slices of the
    trunk's cells. Otherwise they begin at any frame.

    Args:
      model: the field `model` of a configuration.
    """
    if model.trunk_context == "clip":
        return 1
    # Endpoints are named by their block, which is preceded by as many strides of 2.
    return {"3": 2, "4": 4, "5": 8}[model.pyramid_inputs[-1][len("Mixed_")]]


def window_offsets(
    num_frames: int, length: int, stride: int, one_window: bool = False, unit: int = 1
) -> list[int]:
    """Returns the first frame of each window: every `stride` frames, and the last possible.

    Args:
      num_frames: frames of the video.
      length: frames of a window.
      stride: distance between windows, frames.
      one_window: whether the whole video is one window at 0, whatever its length.
      unit: frames of which offsets are multiples, a divisor of `length`; see `frame_unit`. The last
        window then ends with the last unit that the video begins.

    Returns:
      Ascending offsets in frames. A video no longer than a window has one, at 0.
    """
    if one_window or num_frames <= length:
        return [0]
    last = -(-(num_frames - length) // unit) * unit
    offsets = [offset // unit * unit for offset in range(0, last + 1, stride)]
    return list(dict.fromkeys([*offsets, last]))


def cut_windows(
    frames: np.ndarray, offsets: list[int], length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts windows out of a video.

    Args:
      frames: uint8 [N, H, W, C].
      offsets: first frame of each window, W of them.
      length: T, frames of a window.

    Returns:
      (windows uint8 [W, T, H, W, C], num_frames int32 [W]): frames of a window from its num_frames
      on are after the end of the video and are 0; normalisation sets their final value.
    """
    windows = np.zeros((len(offsets), length, *frames.shape[1:]), frames.dtype)
    counts = np.empty(len(offsets), np.int32)
    for window, (out, offset) in enumerate(zip(windows, offsets, strict=True)):
        part = frames[offset : offset + length]
        out[: len(part)] = part
        counts[window] = len(part)
    return windows, counts


def usual_crop(frame_size: int) -> int:
    """Returns the usual height and width of the network's input: 6/7 of the frame's, as 96 of 112.

    It is even, and at least 32 pixels if the frame is as large.
    """
    return min(max(round(frame_size * 6 / 7 / 2) * 2, 32), frame_size)


def centre_crop(size: int, crop: int) -> int:
    """Returns the first row (or column) of the centre crop, rounded half to even."""
    return round((size - crop) / 2)


def crop_to_centre(frame: np.ndarray, size: int) -> np.ndarray:
    """Returns the centre [size, size, C] of a frame [H, W, C]."""
    y, x = (centre_crop(side, size) for side in frame.shape[:2])
    return frame[y : y + size, x : x + size]


def crop_places(height: int, width: int, crop: int) -> list[tuple[int, int]]:
    """Returns (y, x) of the centre crop, then of the crops in the four corners, without repeats.

    Source of the corners: Wang et al., "Temporal Segment Networks", ECCV 2016, §3.2.
    """
    bottom, right = height - crop, width - crop
    places = [(centre_crop(height, crop), centre_crop(width, crop))]
    places += [(0, 0), (0, right), (bottom, 0), (bottom, right)]
    return list(dict.fromkeys(places))
