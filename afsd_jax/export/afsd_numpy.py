"""Windows of a video for an exported AFSD network, and detections from its outputs.

This file needs only NumPy. `network.json`, which lies beside it, holds the numbers that it uses.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

_SHORTEST_S = np.float32(1e-5)  # the least length with which a picked segment counts


def read_description(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the content of `network.json`."""
    with open(os.path.join(folder, "network.json"), encoding="utf-8") as file:
        description: dict[str, Any] = json.load(file)
    return description


def sampled(count: int, rate: float, description: Mapping[str, Any]) -> tuple[list[int], float]:
    """Returns which frames of a video at a constant rate the network sees, and their rate.

    Args:
      count: number of frames of the video.
      rate: its frames per second.
      description: of the network.

    Returns:
      Positions, not decreasing (a slow video repeats frames), and sampled frames per second.
    """
    fps = description["fps"] or rate
    if description["max_frames"]:
        fps = min(fps, rate * description["max_frames"] / count)
    kept, counter = [], 0.0
    for index in range(count):
        counter += 1
        while counter >= rate / fps:
            counter -= rate / fps
            kept.append(index)
    return kept, fps


def placement(
    height: int, width: int, description: Mapping[str, Any], pixel_aspect: float = 1.0
) -> tuple[tuple[int, int, int, int], tuple[int, int], tuple[int, int]]:
    """Returns which part of a picture a frame shows, and where.

    Args:
      height: of the upright picture, pixels.
      width: of the upright picture, pixels.
      description: of the network.
      pixel_aspect: width over height of a pixel.

    Returns:
      Left, top, right and bottom of the part; width and height to which it is resized; and its left
      and top in the frame, which is black elsewhere (128 for flow).
    """
    size = description["frame_size"]
    left, top, right, bottom = _part(description.get("crop", ""), height, width, pixel_aspect)
    rows, columns = bottom - top, right - left
    aspect = columns / rows * pixel_aspect
    shape = description.get("keep_aspect", "squeeze")
    if shape == "letterbox":
        wide = min(max(round(size * aspect), 1), size)
        high = min(max(round(size / aspect), 1), size)
        corner = (size - wide) // 2, (size - high) // 2
        return (left, top, right, bottom), (wide, high), corner
    if shape == "center":
        high = min(rows, max(round(columns * pixel_aspect), 1))
        wide = min(columns, max(round(rows / pixel_aspect), 1))
        left, top = left + (columns - wide) // 2, top + (rows - high) // 2
        right, bottom = left + wide, top + high
    return (left, top, right, bottom), (size, size), (0, 0)


def _part(crop: str, height: int, width: int, pixel_aspect: float) -> tuple[int, int, int, int]:
    """Returns left, top, right and bottom of a crop in stored pixels."""
    if not crop:
        return 0, 0, width, height
    played = (width * pixel_aspect, height) * 2
    x, y, w, h = (
        float(text[:-1]) / 100 * whole if text.endswith("%") else float(text)
        for text, whole in zip(crop.split(","), played, strict=True)
    )
    if x + w > played[0] + 0.5 or y + h > played[1] + 0.5:
        raise ValueError(f"the crop {crop} lies partly outside of a {width}x{height} picture")
    left, right = (min(round(end / pixel_aspect), width) for end in (x, x + w))
    top, bottom = (min(round(end), height) for end in (y, y + h))
    return left, top, right, bottom


def windows(
    frames: Mapping[str, np.ndarray], description: Mapping[str, Any]
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Yields each window's first frame, and the network's inputs for it, in batches of one.

    Args:
      frames: by stream (rgb, flow): sampled frames, uint8 [N, H, W, channels], with H and W the
        `frame_size` of the network; its `crop_size` is cut out of their centre.
      description: of the network.
    """
    length, side = description["clip_length"], description["crop_size"]
    count = len(next(iter(frames.values())))
    for offset in window_offsets(count, description):
        shown = min(length, count - offset)
        inputs = {"num_frames": np.array([shown], np.int32)}
        for stream, images in frames.items():
            top, left = (round((size - side) / 2) for size in images.shape[1:3])
            window = np.zeros((1, length, side, side, images.shape[3]), np.uint8)
            window[0, :shown] = images[
                offset : offset + shown, top : top + side, left : left + side
            ]
            inputs[stream] = window
        yield offset, inputs


def window_offsets(count: int, description: Mapping[str, Any]) -> list[int]:
    """Returns the first frame of each window of a video with `count` sampled frames."""
    last = count - description["clip_length"]
    if description["one_window"] or last <= 0:
        return [0]
    return sorted({*range(0, last + 1, description["window_stride"]), last})


def detections(
    outputs: Iterable[tuple[int, np.ndarray, np.ndarray]],
    fps: float,
    description: Mapping[str, Any],
    duration_s: float | None = None,
    video_label: tuple[str, float] | None = None,
) -> list[dict[str, Any]]:
    """Returns the actions of a video, best first, each with label, score, start_s and end_s.

    Args:
      outputs: for each window its first frame, and what the network gave for it: segments
        [1, K, 2] and scores [1, K, C].
      fps: rate of the sampled frames.
      description: of the network.
      duration_s: length of the video, seconds, at which detections are cut if the network's
        configuration says so.
      video_label: class of the whole video and a factor of all scores, for a network that locates
        actions of any class.
    """
    segments, scores = _candidates(outputs, fps, description["score_threshold"])
    counts = scores > description["score_threshold"]
    found = []
    for column, name in enumerate(description["classes"]):
        rows = np.flatnonzero(counts[:, column])
        picks, decayed = suppress(segments[rows], scores[rows, column], description)
        picked = segments[rows[picks]]
        if description["voting_tiou"] > 0:
            weights = (scores * counts).sum(1)
            picked = _voted(picked, segments, weights, description["voting_tiou"])
        if description["clip_to_video"] and duration_s is not None:
            picked = np.clip(picked, 0, np.float32(duration_s))
        label, factor = video_label or (name, 1.0)
        found += [
            {"label": label, "score": score * factor, "start_s": start_s, "end_s": end_s}
            for (start_s, end_s), score in zip(picked.tolist(), decayed.tolist(), strict=True)
            if end_s > start_s
        ]
    return sorted(found, key=lambda detection: -detection["score"])


def _candidates(
    outputs: Iterable[tuple[int, np.ndarray, np.ndarray]], fps: float, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns segments [R, 2], seconds, and scores [R, C-1], where an action's is high enough."""
    segments, scores = [], []
    for offset, in_window, of_classes in outputs:
        actions = of_classes[0, :, 1:]  # class 0 is the background
        rows = (actions > threshold).any(-1)
        segments.append((in_window[0, rows] + np.float32(offset)) / np.float32(fps))
        scores.append(actions[rows])
    return np.concatenate(segments), np.concatenate(scores)


def suppress(
    segments: np.ndarray, scores: np.ndarray, description: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Non-maximum suppression in one class, soft or plain.

    The highest score is picked, and those of overlapping segments are lowered, until none reaches
    the threshold.

    Returns:
      Rows of the picked segments, and their lowered scores, in the order of picking.
    """
    order = np.argsort(segments[:, 0], kind="stable")
    (start, end), left = segments[order].T, scores[order].astype(np.float32)
    rows: list[int] = []
    decayed: list[np.float32] = []
    while len(left) and len(rows) < description["max_detections"]:
        top = int(left.argmax())
        if not left[top] >= description["nms_threshold"]:
            break
        rows.append(top)
        decayed.append(left[top])
        overlap = _tiou(start, end, start[top], end[top])
        if description["nms"] == "plain":
            left[overlap > np.float32(description["nms_tiou"])] = -np.inf
        else:
            left *= np.exp(-(overlap**2) / np.float32(description["nms_sigma"]))
        left[top] = -np.inf
    return order[np.array(rows, int)], np.array(decayed, np.float32)


def _tiou(start: Any, end: Any, other_start: Any, other_end: Any) -> np.ndarray:
    overlap = np.maximum(np.minimum(end, other_end) - np.maximum(start, other_start), 0)
    union = np.maximum(other_end - other_start, _SHORTEST_S) + (end - start) - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=overlap > 0)


def _voted(
    picked: np.ndarray, candidates: np.ndarray, weights: np.ndarray, least: float
) -> np.ndarray:
    """Returns segments [M, 2] averaged with the candidates that overlap them well."""
    start, end = candidates.T
    overlap = _tiou(start, end, picked[:, :1], picked[:, 1:])
    share = np.where(overlap >= np.float32(least), overlap, 0) * weights
    total = share.sum(1, keepdims=True)
    return np.divide(share @ candidates, total, out=picked.copy(), where=total > 0)
