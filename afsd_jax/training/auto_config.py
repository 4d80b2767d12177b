"""Chooses fields of a configuration from the data set, with a reason for each.

A field is chosen if it has its value in `config.OPEN`; every other field stays as it is.
"""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import ml_collections
import numpy as np

from afsd_jax.config import OPEN
from afsd_jax.data.action_lengths import LONGEST_CLIP, find_lost
from afsd_jax.data.builders.prepared_report import stored_geometry, stored_groups
from afsd_jax.data.clips.geometry import frame_unit, usual_crop
from afsd_jax.data.clips.training_clips import video_clips
from afsd_jax.data.decode.frame_geometry import FrameGeometry
from afsd_jax.data.splits import open_data_set, read_part
from afsd_jax.data.storage.prepared_folder import PreparedFolder
from afsd_jax.data.storage.prepared_video import PreparedVideo
from afsd_jax.errors import UserError
from afsd_jax.io.names import first_names
from afsd_jax.training import endpoints
from afsd_jax.training.auto_splits import TRAIN, Splits, choose_splits
from afsd_jax.types import OWN_CROPS

CLIP_LENGTHS = (128, 256, 512, LONGEST_CLIP)  # frames; memory and time grow with them
MOST_CLIPS = 1000  # with more clips, they overlap less
BATCH_SIZE = 4
ROOM = 8  # max_actions is a multiple, so that programs serve data sets that differ a little
STEPS = (600, 6000)  # fewest and most steps of a run
EPOCHS = 6
MOST_EVALUATIONS = 20
PATIENCE = 8  # evaluations
FEW_ACTIONS = 10  # a class with fewer actions gets a warning
MOST_NAMES = 8  # of classes in a line
_SIDES = re.compile(r"\b(left|right|clockwise|anticlockwise|counterclockwise)\b", re.IGNORECASE)


class ChosenField(NamedTuple):
    """The value chosen for a field, and the reason in words."""

    field: str
    value: float | str | bool | tuple[str, ...]
    reason: str


class _Chooser:
    """Sets open fields of a configuration.

    Attributes:
      config: the configuration.
      open_fields: names of the fields that were open at the beginning.
      chosen: the fields set so far.
    """

    def __init__(self, config: ml_collections.ConfigDict):
        self.config, self.chosen = config, list[ChosenField]()
        self.open_fields = {
            f"{section}.{name}"
            for section, name in (field.split(".") for field in OPEN)
            if config[section][name] == OPEN[f"{section}.{name}"]
        }

    def choose(self, field: str, value: float | str | bool | tuple[str, ...], reason: str) -> None:
        """Sets the field if it was open."""
        if field in self.open_fields:
            self.config.update_from_flattened_dict({field: value})
            self.chosen.append(ChosenField(field, value, reason))


def choose_fields(
    config: ml_collections.ConfigDict, devices: int = 1
) -> tuple[ml_collections.ConfigDict, list[ChosenField], list[str]]:
    """Chooses the open fields from the training split of the configuration's data set.

    Args:
      config: the configuration; a field is open if it has its value in `config.OPEN`.
      devices: number of devices that share a batch.

    Returns:
      A copy of the configuration, the chosen fields, and warnings about the data. Without open
      fields there are neither choices nor warnings.

    Raises:
      UserError: the data set is missing or damaged, or no training video has an action.
    """
    config = config.copy_and_resolve_references()
    chooser, data = _Chooser(config), config.data
    if not chooser.open_fields:
        return config, [], []
    folder = open_data_set(data)
    whole, training = _choose_splits(chooser, folder)
    names = folder.class_names
    labels, lengths = _actions(whole)
    usual = _usual_length(labels, lengths)
    _choose_geometry(chooser, stored_geometry(folder.path))
    _choose_frames(chooser, whole)
    _choose_endpoints(chooser)
    num_clips = _choose_clips(chooser, whole, training, usual)
    _choose_batch_size(chooser, num_clips, devices)
    sides = [name for name in names if _SIDES.search(name)]
    chooser.choose("data.flip", 0.0 if sides else 0.5, _flip_reason(sides))
    _choose_epochs(chooser, num_clips)
    labels, lengths = _actions(training)
    longest = max(video.num_frames for video in whole)
    return config, chooser.chosen, _warnings(labels, lengths, names, data.clip_length, longest)


def _actions(videos: Sequence[PreparedVideo]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the classes of all actions, counted from 0, and their lengths in frames."""
    labels = np.concatenate([video.labels for video in videos]) - 1
    return labels, np.concatenate([np.diff(video.segments)[:, 0] for video in videos])


def _choose_geometry(chooser: _Chooser, stored: FrameGeometry) -> None:
    crop = "the part of the pictures that was prepared" if stored.crop else "the whole pictures"
    if stored.crop == OWN_CROPS:
        crop = "each video has its own crop; state one for each new camera"
    chooser.choose("data.crop", stored.crop, crop)
    chooser.choose(
        "data.keep_aspect", stored.keep_aspect, "how pictures became square, as prepared"
    )


def _choose_splits(
    chooser: _Chooser, folder: PreparedFolder
) -> tuple[list[PreparedVideo], list[PreparedVideo]]:
    """Chooses the splits, and whether training stops early.

    Returns:
      All videos that train or validate, and those that train.
    """
    data, is_open = chooser.config.data, "data.train_split" in chooser.open_fields
    stated = None if is_open else data.train_split
    videos = read_part(folder, stated or TRAIN)
    if not any(len(video.labels) for video in videos):
        raise UserError(
            f"{folder.path}: no video of split {stated or TRAIN} has an action; annotate some, and "
            "prepare the data set again"
        )
    splits = choose_splits(videos, stored_groups(folder.path), folder.splits, stated)
    if "data.validation_split" not in chooser.open_fields:
        reason = "the validation split is stated"
        splits = Splits(stated or TRAIN, data.validation_split, 0, (reason,) * 3)
    chooser.choose("data.train_split", splits.train, splits.reasons[0])
    chooser.choose("data.validation_split", splits.validation, splits.reasons[1])
    chooser.choose("train.cross_validation", splits.folds, splits.reasons[2])
    patience = PATIENCE if data.validation_split else 0
    reason = "evaluations without a better one before training stops"
    chooser.choose("train.early_stop", patience, reason)
    known = {stated or TRAIN: videos}
    training = read_part(folder, data.train_split, known)
    others = read_part(folder, data.validation_split, known) if data.validation_split else []
    names = {video.name for video in videos}
    return [*videos, *(video for video in others if video.name not in names)], training


def _choose_frames(chooser: _Chooser, videos: Sequence[PreparedVideo]) -> None:
    rates = {video.fps for video in videos}
    rate = rates.pop() if len(rates) == 1 else 0.0
    reason = "frames a second, as prepared" if rate else "the videos' own rates"
    chooser.choose("data.fps", rate, reason)
    chooser.choose("data.frame_size", videos[0].shape[0], "pixels, as prepared")
    size = chooser.config.data.frame_size
    chooser.choose("data.crop_size", usual_crop(size), "pixels, six sevenths of frame_size")


def _choose_clips(
    chooser: _Chooser,
    whole: Sequence[PreparedVideo],
    training: Sequence[PreparedVideo],
    usual: float,
) -> int:
    """Chooses how clips are cut.

    Args:
      chooser: sets the fields.
      whole: all videos that train or validate.
      training: those that train.
      usual: length that most actions do not exceed, frames.

    Returns:
      The number of training clips.
    """
    data, longest = chooser.config.data, max(video.num_frames for video in whole)
    chooser.choose("data.clip_length", *_clip_length(usual, longest))
    chooser.choose("inference.window_stride", data.clip_length // 2, "frames, half a clip")
    unit = frame_unit(chooser.config.model)
    for divisor in (8, 4, 2):
        if "data.clip_stride" in chooser.open_fields:
            data.clip_stride = data.clip_length // divisor
        counts = [len(actions) for actions in _actions_of_clips(training, data, unit)]
        if sum(counts) <= MOST_CLIPS:
            break
    reason = f"frames, which gives {sum(counts)} training clips"
    chooser.choose("data.clip_stride", data.clip_stride, reason)
    most = max((x for actions in _actions_of_clips(whole, data, unit) for x in actions), default=1)
    room = -(-most // ROOM) * ROOM
    chooser.choose("data.max_actions", room, f"actions, room for the {most} of the fullest clip")
    return sum(counts)


def _choose_endpoints(chooser: _Chooser) -> None:
    # Later endpoints recognise objects better, and directions of motion worse.
    reason = "endpoints of the trunk that the heads read; this one sees directions of motion"
    chooser.choose("model.pyramid_inputs", endpoints.CHOICES[0], reason)
    last = chooser.config.model.pyramid_inputs[-1]
    chooser.choose("model.frozen_until", last, "the trunk does not learn up to this endpoint")


def _choose_batch_size(chooser: _Chooser, num_clips: int, devices: int) -> None:
    size = math.ceil(min(BATCH_SIZE, num_clips) / devices) * devices
    reason = f"clips a step, on {devices} device{'s' * (devices > 1)}"
    chooser.choose("train.batch_size", size, reason)


def _choose_epochs(chooser: _Chooser, num_clips: int) -> None:
    train = chooser.config.train
    steps = max(num_clips // max(train.batch_size, 1), 1)  # in an epoch
    fewest, most = (math.ceil(limit / steps) for limit in STEPS)
    chooser.choose("train.epochs", min(max(EPOCHS, fewest), most), f"epochs, each of {steps} steps")
    between = max(round(train.epochs / MOST_EVALUATIONS), 1)
    interval = f"{between} epoch{'s' * (between > 1)}"
    chooser.choose("train.evaluate_every", interval, "from one evaluation to the next")


def choice_lines(choices: Sequence[ChosenField]) -> list[str]:
    """Returns lines that tell a person what was chosen, and why; none without choices."""
    if not choices:
        return []
    values = [
        repr(x.value) if isinstance(x.value, str | tuple) else f"{x.value:g}" for x in choices
    ]
    field, width = max(len(choice.field) for choice in choices), max(map(len, values))
    lines = ["chosen for this data set (you can set each field yourself):"]
    for choice, value in zip(choices, values, strict=True):
        lines.append(f"  config.{choice.field:<{field}} = {value:<{width}} {choice.reason}")
    return lines


def _usual_length(labels: np.ndarray, lengths: np.ndarray) -> float:
    """Returns the length that 95 % of the actions do not exceed, nor 90 % of each class.

    Classes with fewer than `FEW_ACTIONS` actions do not count by themselves.
    """
    classes = [lengths[labels == label] for label in np.unique(labels)]
    ends = [np.percentile(x, 90) for x in classes if len(x) >= FEW_ACTIONS]
    return float(max(np.percentile(lengths, 95), *ends, 0.0))


def _clip_length(usual: float, longest: int) -> tuple[int, str]:
    """Chooses by the length of most actions and the longest video, both in frames."""
    for length in CLIP_LENGTHS:
        if length >= 2 * usual:
            return (
                length,
                f"frames; 95 % of the actions last up to {usual:.0f}, half a clip or less",
            )
        if length >= longest:
            return length, f"frames; the longest video has {longest}"
    return length, f"frames, the longest choice; 95 % of the actions last up to {usual:.0f}"


def _actions_of_clips(
    videos: Sequence[PreparedVideo], data: ml_collections.ConfigDict, unit: int
) -> list[list[int]]:
    """Returns the number of actions of each clip of each video, the most wherever it is shifted."""
    found = [video_clips(v.num_frames, v.segments, v.labels, data, unit) for v in videos]
    return [[max(len(c.labels) for c in shifted) for shifted in v.shifted] for v in found]


def _flip_reason(sides: Sequence[str]) -> str:
    if sides:
        return f"share of mirrored clips; {sides[0]!r} mirrored is another class"
    return "share of mirrored clips; set 0 if a mirrored action is of another class"


def _warnings(
    labels: np.ndarray,
    lengths: np.ndarray,
    names: Sequence[str],
    clip_length: int,
    longest: int,
) -> list[str]:
    """Returns a line about each unusual property of the actions.

    Args:
      labels: int [N], class of each action, counted from 0.
      lengths: [N], frames.
      names: names of the classes.
      clip_length: frames.
      longest: frames of the longest video.
    """
    counts = np.bincount(labels, minlength=len(names))
    numbers = sorted(zip(counts.tolist(), names, strict=True), key=lambda entry: entry[0])
    few = [f"{name!r} ({count})" for count, name in numbers if count < FEW_ACTIONS]
    lines = [
        f"fewer than {FEW_ACTIONS} actions in the training videos: "
        f"{first_names(few, MOST_NAMES)}; such classes are hardly found"
    ] * bool(few)
    rows = np.stack([lengths, np.full(len(lengths), longest)], axis=1)
    lost = find_lost({name: rows[labels == i] for i, name in enumerate(names)}, clip_length)
    ends = (lost.short_line, "more"), (lost.long_line, "fewer")
    return lines + [
        f"{line}; prepare the videos again with {change} frames per second (fps auto chooses)"
        for line, change in ends
        if line
    ]
