"""Chooses the fields of a configuration that are left to the data set, and says why.

A field with its value in `config.OPEN` is chosen; every other value stays as it is.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import ml_collections
import numpy as np

from afsd_jax.config import OPEN
from afsd_jax.data.clips.training_clips import video_clips
from afsd_jax.data.storage import schema
from afsd_jax.data.storage.prepared_video import PreparedVideo, open_folder, read_videos
from afsd_jax.errors import UserError

CLIP_LENGTHS = (128, 256, 512, 768)  # frames; memory and time grow with them
CROP = 6 / 7  # of the frame, as 96 of 112 pixels
MOST_CLIPS = 1000  # beyond which clips overlap less
BATCH_SIZE = 4
STEPS = (600, 6000)  # fewest and most
EPOCHS = 6
PATIENCE = 8
FEW_ACTIONS = 10  # of a class
_SIDES = re.compile(r"\b(left|right|clockwise|anticlockwise|counterclockwise)\b", re.IGNORECASE)


class Choice(NamedTuple):
    """A field's value, and the reason in words."""

    field: str
    value: float | str
    reason: str


def adapt(
    config: ml_collections.ConfigDict, devices: int = 1
) -> tuple[ml_collections.ConfigDict, list[Choice], list[str]]:
    """Chooses the open fields from the training split of the configuration's data set.

    Args:
      config: of which some fields may have their value in `config.OPEN`.
      devices: over which a batch will be spread.

    Returns:
      A copy of the configuration, the choices, and warnings about the data; without open fields
      there are none of either.

    Raises:
      UserError: the data set is missing or damaged, or no training video has an action.
    """
    config = config.copy_and_resolve_references()
    flat = config.to_dict()
    if not any(_is_open(flat, field) for field in OPEN):
        return config, [], []
    data = config.data
    builder = open_folder(Path(data.data_dir) / data.dataset / data.stream)
    videos = read_videos(builder, data.train_split)
    if not any(len(video.labels) for video in videos):
        raise UserError(
            f"{builder.data_path}: no video of split {data.train_split} has an action; annotate "
            "some, and prepare the data set again"
        )
    choices: list[Choice] = []

    def choose(field: str, value: float | str, reason: str) -> None:
        if _is_open(flat, field):
            config.update_from_flattened_dict({field: value})
            choices.append(Choice(field, value, reason))

    rates = {video.fps for video in videos}
    rate = rates.pop() if len(rates) == 1 else 0.0
    choose("data.fps", rate, "frames a second, as prepared" if rate else "the videos' own rates")
    side = videos[0].shape[0]
    choose("data.frame_size", side, "pixels, as prepared")
    crop = max(round(data.frame_size * CROP / 2) * 2, 32)
    choose("data.crop_size", min(crop, data.frame_size), "pixels, six sevenths of that")
    lengths = np.concatenate([np.diff(video.segments)[:, 0] for video in videos])  # frames
    choose("data.clip_length", *_clip_length(lengths, max(video.num_frames for video in videos)))
    choose("inference.window_stride", data.clip_length // 2, "frames, half a clip")
    for share in (8, 4, 2):
        if _is_open(flat, "data.clip_stride"):
            data.clip_stride = data.clip_length // share
        actions = _actions_of_clips(videos, data)
        count = len(actions)
        if count <= MOST_CLIPS:
            break
    choose("data.clip_stride", data.clip_stride, f"frames, which gives {count} training clips")
    choose("data.max_actions", max(actions, default=1), "the most in one clip")
    batch_size = math.ceil(min(BATCH_SIZE, count) / devices) * devices
    choose(
        "train.batch_size", batch_size, f"clips a step, on {devices} device{'s' * (devices > 1)}"
    )
    names = schema.class_names(builder)
    sides = [name for name in names if _SIDES.search(name)]
    choose("data.flip", 0.0 if sides else 0.5, _flip_reason(sides))
    per_epoch = max(count // max(config.train.batch_size, 1), 1)
    epochs = min(max(EPOCHS, math.ceil(STEPS[0] / per_epoch)), math.ceil(STEPS[1] / per_epoch))
    choose("train.epochs", epochs, f"of {per_epoch} steps each")
    has_validation = "validation" in builder.info.splits
    split = "validation" if has_validation else ""
    there = "is there" if has_validation else "is not there, so nothing is evaluated while training"
    choose("data.validation_split", split, f"a split validation {there}")
    patience = PATIENCE if data.validation_split else 0
    choose("train.early_stop", patience, "evaluations without a better one, then training stops")
    labels = np.concatenate([video.labels for video in videos]) - 1
    return config, choices, _warnings(labels, lengths, names, data.clip_length)


def choice_lines(choices: Sequence[Choice]) -> list[str]:
    """Returns lines that tell a person what was chosen, and why; none without choices."""
    if not choices:
        return []
    width = max(len(choice.field) for choice in choices)
    lines = ["chosen for this data set (set a field yourself to have it otherwise):"]
    for choice in choices:
        value = repr(choice.value) if isinstance(choice.value, str) else f"{choice.value:g}"
        lines.append(f"  config.{choice.field:<{width}} = {value:<6} {choice.reason}")
    return lines


def _is_open(config: dict, field: str) -> bool:
    section, name = field.split(".")
    return config[section][name] == OPEN[field]


def _clip_length(lengths: np.ndarray, longest: int) -> tuple[int, str]:
    """Chooses by the actions' lengths and the longest video, both in frames."""
    most = float(np.percentile(lengths, 95))
    for length in CLIP_LENGTHS:
        if length >= 2 * most:
            return length, f"frames, twice what 95 % of the actions last ({most:.0f}) or more"
        if length >= longest:
            return length, f"frames; the longest video has {longest}"
    return length, f"frames, the longest there is; 95 % of the actions last up to {most:.0f}"


def _actions_of_clips(
    videos: Sequence[PreparedVideo], data: ml_collections.ConfigDict
) -> list[int]:
    """Returns the number of actions of each training clip."""
    found = [video_clips(v.num_frames, v.segments, v.labels, data).clips for v in videos]
    return [len(clip.labels) for clips in found for clip in clips]


def _flip_reason(sides: Sequence[str]) -> str:
    if sides:
        return f"of the clips mirrored, for mirrored {sides[0]!r} is another class"
    return "of the clips mirrored; 0 if a mirrored action would be of another class"


def _warnings(
    labels: np.ndarray, lengths: np.ndarray, names: Sequence[str], clip_length: int
) -> list[str]:
    """Notes what is odd about the actions, given each one's class and length in frames."""
    counts = np.bincount(labels, minlength=len(names))
    lines = [
        f"class {name!r} has {count} action{'s' * (count != 1)} in the training videos; it will "
        f"hardly be found with fewer than {FEW_ACTIONS}"
        for name, count in zip(names, counts.tolist(), strict=True)
        if count < FEW_ACTIONS
    ]
    long = float((lengths > clip_length).mean())
    if long > 0.02:
        lines.append(
            f"{long:.0%} of the actions are longer than a clip and cannot be found whole; prepare "
            "the videos again with a lower --fps"
        )
    short = float((lengths < 8).mean())
    if short > 0.25:
        lines.append(
            f"{short:.0%} of the actions last fewer than 8 frames; prepare the videos again with a "
            "higher --fps"
        )
    return lines
