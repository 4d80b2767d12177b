"""A self-contained HTML page that shows a prepared data set."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from afsd_jax.data import summary
from afsd_jax.data.builders.prepared_report import stored_aspects, stored_geometry
from afsd_jax.data.clips.geometry import centre_crop, crop_to_centre, usual_crop
from afsd_jax.data.decode.frame_geometry import FrameGeometry
from afsd_jax.data.decode.resize import resize
from afsd_jax.data.storage.frame_codec import ROWS
from afsd_jax.data.storage.prepared_folder import INFO, open_folder
from afsd_jax.data.storage.prepared_video import (
    PreparedVideo,
    actions_of,
    read_frames,
    read_videos,
)
from afsd_jax.data.summary import SplitSummary
from afsd_jax.errors import UserError
from afsd_jax.report.colors import class_colors
from afsd_jax.report.render import counted, write_html
from afsd_jax.report.thumbnails import picture
from afsd_jax.report.tracks import bar_lanes, bar_ticks, clock

FRAMES_SHOWN = 10  # per video
_DIMMED = 0.4  # brightness of what the network does not see


class DataSet(NamedTuple):
    """An open prepared data set.

    Attributes:
      title: name and stream.
      folder: folder of the data set.
      class_names: class names in the order of their labels.
      videos: videos of each split.
    """

    title: str
    folder: Path
    class_names: list[str]
    videos: dict[str, list[PreparedVideo]]


def open_data_set(folder: str | os.PathLike[str]) -> DataSet:
    """Opens a prepared data set without reading its frames.

    Args:
      folder: folder of the data set, or a folder above it that contains no other data set.

    Raises:
      UserError: the folder contains no data set, or several.
    """
    folder = Path(folder)
    if not (folder / INFO).exists():
        streams = sorted({path.parent.parent for path in folder.rglob(INFO)})
        if len(streams) > 1:
            raise UserError(f"{folder}: contains {len(streams)} data sets; give {streams[0]}")
        folder = streams[0] if streams else folder
    opened = open_folder(folder)
    splits = sorted(opened.splits, key=lambda split: (split != "train", split))
    return DataSet(
        f"{opened.name} {opened.stream}".strip(),
        opened.path,
        opened.class_names,
        {split: read_videos(opened, split) for split in splits},
    )


def summarize(data: DataSet) -> dict[str, SplitSummary]:
    """Returns the statistics of each split."""
    return {split: summary.summarize(videos) for split, videos in data.videos.items()}


def write_page(path: str | os.PathLike[str], data: DataSet, max_videos: int = 12) -> None:
    """Writes one HTML file with statistics, histograms, frames and annotated timelines.

    The page contains its images and styles, so a browser is enough.

    Args:
      path: file to write, completely or not at all.
      data: the data set.
      max_videos: maximum number of videos shown with frames and timeline, evenly from all splits.

    Raises:
      UserError: a shard is damaged, or the page cannot be written.
    """
    splits = summarize(data)
    total = summary.combine(list(splits.values()))
    colors, aspects = class_colors(data.class_names), stored_aspects(data.folder)
    shown = [
        _video(video, split, data.class_names, colors, aspects.get(video.name, 1.0))
        for split, video in _pick_evenly(data.videos, max_videos)
    ]
    write_html(
        path,
        "data_page.html",
        title=f"Prepared data: {data.title}",
        folder=data.folder.parent,  # of one version; the commands find it
        frames=_frame_format(data.videos),
        seen=_seen(data.videos, stored_geometry(data.folder)),
        figures=_figures(data, total),
        splits=[(name, *summary.split_row(split)) for name, split in splits.items()],
        classes=_classes(data.class_names, colors, splits, total),
        lengths=_lengths(total.lengths_s),
        median=summary.length_range(total.lengths_s)[1],
        videos=shown,
        num_videos=total.videos,
    )


def _figures(data: DataSet, total: SplitSummary) -> list[tuple[str, str]]:
    """Returns the numbers at the top of the page and their names."""
    numbers = (
        counted(total.videos, "video"),
        summary.length_in_words(total.duration_s),
        counted(len(data.class_names), "class", "es"),
        counted(len(total.labels), "action"),
    )
    median, background = summary.length_range(total.lengths_s)[1], summary.split_row(total)[-1]
    figures = [(value, noun) for value, _, noun in (text.partition(" ") for text in numbers)]
    return [*figures, (median, "median action"), (background, "background")]


def _frame_format(videos: Mapping[str, Sequence[PreparedVideo]]) -> str:
    every = [video for members in videos.values() for video in members]
    if not every:
        return "no frames"
    height, width, channels = every[0].shape
    rates = sorted({round(video.fps, 2) for video in every})
    rate = f"{rates[0]:g}" if len(rates) == 1 else f"{rates[0]:g} to {rates[-1]:g}"
    if every[0].encoding == ROWS:
        return f"features: {channels} numbers, {rate} times per second"
    flow = ", flow: its direction is shown as hue, its speed as saturation" if channels == 2 else ""
    return f"{width} × {height} pixels, {every[0].encoding}, {rate} frames per second{flow}"


def _seen(videos: Mapping[str, Sequence[PreparedVideo]], geometry: FrameGeometry) -> str:
    """Returns in words what a network sees of the pictures; "" if there are none."""
    every = [video for members in videos.values() for video in members]
    if not every or every[0].encoding == ROWS:
        return ""
    side = usual_crop(every[0].shape[0])
    return f"{geometry.in_words()}; the network sees its centre, {side} × {side} pixels"


def _classes(
    names: Sequence[str],
    colors: Mapping[str, str],
    splits: Mapping[str, SplitSummary],
    total: SplitSummary,
) -> list[dict[str, Any]]:
    """Returns a row of the class histogram for each class."""
    counts = np.bincount(total.labels, minlength=len(names))
    most = max(counts.max(initial=0), 1)
    return [
        {
            "name": name,
            "color": colors[name],
            "count": f"{counts[label]:,}",
            "share": 100 * counts[label] / most,
            "splits": [f"{np.sum(part.labels == label):,}" for part in splits.values()],
            "lengths": summary.length_range(total.lengths_s[total.labels == label]),
        }
        for label, name in enumerate(names)
    ]


def _lengths(lengths_s: np.ndarray) -> list[tuple[str, str, str, float]]:
    """Returns start, end, count and height in percent of each bin of the length histogram."""
    bins = summary.length_histogram(lengths_s)
    most = max((count for *_, count in bins), default=1)
    return [(f"{start:g}", f"{stop:g}", f"{n:,}", 100 * n / most) for start, stop, n in bins]


def _pick_evenly(
    videos: Mapping[str, Sequence[PreparedVideo]], limit: int
) -> list[tuple[str, PreparedVideo]]:
    """Picks an equal number of videos from each split if possible, evenly from its whole range."""
    picked: list[tuple[str, PreparedVideo]] = []
    for done, (split, members) in enumerate(sorted(videos.items(), key=lambda item: len(item[1]))):
        count = min(len(members), (limit - len(picked)) // (len(videos) - done))
        places = np.linspace(0, len(members) - 1, count).round().astype(int)
        picked += [(split, members[i]) for i in places]
    order = list(videos)
    return sorted(picked, key=lambda item: order.index(item[0]))


def _video(
    video: PreparedVideo,
    split: str,
    class_names: Sequence[str],
    colors: dict[str, str],
    aspect: float,
) -> dict[str, Any]:
    """Returns the template's values for one video; `aspect` is width over height of its picture."""
    height, width = video.shape[:2]
    size = height, max(round(width * aspect), 1)
    numbers = ((np.arange(FRAMES_SHOWN) + 0.5) / FRAMES_SHOWN * video.num_frames).astype(int)
    has_pictures = video.num_frames and video.encoding != ROWS
    numbers = np.unique(numbers).tolist() if has_pictures else []
    shown = zip(numbers, read_frames(video, numbers), strict=True)
    frames = [(number / video.fps, _as_rgb(frame)) for number, frame in shown]
    duration_s = video.duration_s or 1.0
    actions = actions_of(video, class_names)
    occurring = {action.label for action in actions}
    return {
        "name": video.name,
        "split": split,
        "duration": clock(video.duration_s),
        "actions": len(actions),
        "frames": [
            picture(resize(_margin_dimmed(frame), size), time_s, duration_s)
            for time_s, frame in frames
        ],
        "seen": [
            picture(crop_to_centre(frame, usual_crop(height)), time_s, duration_s)
            for time_s, frame in frames
        ],
        "ticks": bar_ticks(duration_s),
        "classes": [(name, color) for name, color in colors.items() if name in occurring],
        "lanes": bar_lanes(actions, len(actions), duration_s, colors),
    }


def _margin_dimmed(frame: np.ndarray) -> np.ndarray:
    """Returns a frame [H, W, 3] whose margin, which the network does not see, is darker."""
    height, width = frame.shape[:2]
    side = usual_crop(height)
    top, left = centre_crop(height, side), centre_crop(width, side)
    dimmed = (frame * _DIMMED).astype(np.uint8)
    dimmed[top : top + side, left : left + side] = crop_to_centre(frame, side)
    return dimmed


def _as_rgb(frame: np.ndarray) -> np.ndarray:
    """Returns a frame as uint8 [H, W, 3] RGB.

    Flow, [H, W, 2], is shown with its direction as hue and its speed as saturation, so that no
    motion is white.
    """
    if frame.shape[2] == 3:
        return frame
    x, y = np.moveaxis(frame.astype(np.float32) - 127.5, 2, 0)
    hue = (np.arctan2(y, x) / (2 * np.pi) % 1) * 255
    speed = np.hypot(x, y) * 4
    colors = np.stack([hue, speed, np.full_like(speed, 255)], -1).clip(0, 255).astype(np.uint8)
    return np.asarray(Image.fromarray(colors, mode="HSV").convert("RGB"))
