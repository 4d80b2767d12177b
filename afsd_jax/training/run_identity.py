"""The meaning of a run's weights: its classes, the sampling of its frames, and its videos.

A resumed run must keep them. Otherwise output k of the heads becomes another action, frames another
length of time, and metrics of different videos stand beside each other in one log.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import ml_collections
import numpy as np

from afsd_jax.data.storage.prepared_video import PreparedVideo
from afsd_jax.errors import UserError
from afsd_jax.io import fingerprint
from afsd_jax.io.names import first_names
from afsd_jax.types import ANY_ACTION
from afsd_jax.weights import checkpoint
from afsd_jax.weights.loading import CLASS_HEADS

_FIELDS = (
    *("stream", "fps", "max_frames", "frame_size", "crop_size", "clip_length"),
    *("class_agnostic", "negate_flipped_flow", "keep_aspect"),
)
_SPLITS = {"train": "train_split", "validation": "validation_split"}  # fields of config.data
_DIGITS = 12  # hexadecimal ones, of a digest
_SHOWN = 5  # names in a message
_MOST_VIDEOS = 20_000  # of a split whose videos are stored one by one, in each checkpoint

Splits = dict[str, dict[str, Any]]
Tree = TypeVar("Tree")
log = logging.getLogger(__name__)


class Allowed(NamedTuple):
    """Intended differences of a resumed run.

    renames: new names of classes by their old names.
    changed_data: whether videos of the training or validation split may have changed.
    """

    renames: Mapping[str, str] = {}
    changed_data: bool = False


NOTHING = Allowed()


class RunIdentity(NamedTuple):
    """The classes and videos of a run.

    class_names: names of the network's classes.
    labels: names of the data set's classes, in the order of their labels.
    videos: the videos of the training split and, if there is one, of the validation split; keys are
      train and validation.
    """

    class_names: list[str]
    labels: list[str]
    videos: Mapping[str, Sequence[PreparedVideo]]

    def splits(
        self, config: ml_collections.ConfigDict, old_names: Mapping[str, str] | None = None
    ) -> Splits:
        """Returns what a checkpoint stores about the splits, as JSON values.

        For each split its name and, for each video, digests of its frames and of its actions. The
        frames are known by their rate and by the size of each of them; they are not read.

        Args:
          config: the resolved configuration.
          old_names: earlier names of renamed classes; the digests then are those of these names.
        """
        old_names = old_names or {}
        labels = [old_names.get(name, name) for name in self.labels]
        if config.data.class_agnostic:
            labels = [ANY_ACTION] * len(labels)
        return {
            split: {
                "name": config.data[_SPLITS[split]],
                "videos": _digests_of(videos, labels),
            }
            for split, videos in self.videos.items()
        }


def _digests_of(videos: Sequence[PreparedVideo], labels: Sequence[str]) -> dict[str, list[str]]:
    """Returns digests of frames and actions by video; of very many, those of all together."""
    found = {video.name: _digests(video, labels) for video in videos}
    if len(found) <= _MOST_VIDEOS:
        return found
    names, parts = list(found), zip(*found.values(), strict=True)
    together = [fingerprint.of_values(names, list(part))[:_DIGITS] for part in parts]
    return {f"all {len(found)} videos": together}


def _digests(video: PreparedVideo, labels: Sequence[str]) -> list[str]:
    """Returns digests of a video's frames and of its actions."""
    sizes = {"sizes": np.diff(video.positions)}
    frames = fingerprint.of_arrays([sizes], video.fps, video.encoding, list(video.shape))
    names = [labels[label - 1] for label in video.labels.tolist()]
    actions = sorted(zip(names, video.segments.tolist(), strict=True))
    return [frames[:_DIGITS], fingerprint.of_values(actions)[:_DIGITS]]


def check_resumed(
    folder: Path, config: ml_collections.ConfigDict, run: RunIdentity, allowed: Allowed
) -> list[int] | None:
    """Checks that a run is the one whose checkpoints lie in the folder.

    Args:
      folder: folder of the checkpoints; without any, the run is new, and nothing is checked.
      config: the resolved configuration of the run.
      run: classes and videos of the run.
      allowed: differences that are made on purpose.

    Returns:
      For each class its index among those of the last checkpoint; None: the same order.

    Raises:
      UserError: sampling, classes or videos differ, and that is not allowed.
    """
    step = max(checkpoint.steps(folder), default=None)
    if step is None:
        return None
    saved = checkpoint.read_description(folder, step)
    # First the classes: with other ones, training chooses other values of the fields, too.
    order = class_order(saved.class_names, run.class_names, allowed.renames, folder)
    for name in _FIELDS:
        now, then = config.data[name], saved.config.data[name]
        if now != then:
            raise UserError(
                f"{folder}: config.data.{name}={now!r}, but the run began with {then!r}; set it to "
                f"that, or {elsewhere(folder)}"
            )
    old_names = {new: old for old, new in allowed.renames.items() if old in saved.class_names}
    changes = data_changes(saved.splits, run.splits(config, old_names))
    is_main = jax.process_index() == 0
    if changes and not allowed.changed_data:
        raise UserError(
            f"{folder}: the data are not those that the run was trained on: {'; '.join(changes)}. "
            f"Prepare them as they were, allow changed data, or {elsewhere(folder)}"
        )
    if changes and is_main:
        log.warning("%s: continues with changed data: %s", folder, "; ".join(changes))
    if order is not None and is_main:
        log.info(
            "%s: the classes are in another order now; their outputs, moments and averages were "
            "moved to the new order",
            folder,
        )
    return order


def class_order(
    then: Sequence[str], now: Sequence[str], renames: Mapping[str, str], folder: Path
) -> list[int] | None:
    """Returns for each class its index among the earlier ones; None: the order is the same.

    Args:
      then: names of the classes in the last checkpoint.
      now: names of the classes.
      renames: new names by old names; one that the checkpoint has already is left out.
      folder: folder of the checkpoints, for messages.

    Raises:
      UserError: the classes are not the same, or a class to rename does not exist.
    """
    for old, name in renames.items():
        if name not in now:
            raise UserError(f"{old} is renamed to {name}, but the data set has no class {name}")
        if old not in then and name not in then:
            raise UserError(f"{folder}: the run has no class {old} to rename; it has {_few(then)}")
        if old in then and name in then:
            raise UserError(f"{folder}: {old} is renamed, but the run has a class {name} already")
    before = [renames.get(name, name) for name in then]
    twice = next((name for name, count in Counter(before).items() if count > 1), None)
    if twice is not None:
        raise UserError(f"{folder}: two classes are renamed to {twice}")
    if before == list(now):
        return None
    if set(before) == set(now):
        return [before.index(name) for name in now]
    new, gone = ([x for x in a if x not in b] for a, b in ((now, before), (before, now)))
    parts = [_said(names, word) for names, word in ((new, "new"), (gone, "gone")) if names]
    renamed = " state which class was renamed," if len(new) == len(gone) else ""
    raise UserError(
        f"{folder}: {len(now)} classes now, {len(then)} then: {', '.join(parts)}; give the classes "
        f"that the run began with,{renamed} or {elsewhere(folder)}"
    )


def data_changes(then: Mapping[str, Any], now: Splits) -> list[str]:
    """Returns a text for each split whose videos have changed; both as of `RunIdentity.splits`.

    A split that one of them lacks is not compared: checkpoints of earlier versions have none.
    """
    texts = []
    for split in _SPLITS:
        if split not in then or split not in now:
            continue
        before, after = then[split]["videos"], now[split]["videos"]
        both = [name for name in after if name in before]
        kinds = {
            "new": [name for name in after if name not in before],
            "gone": [name for name in before if name not in after],
            "with other frames": [name for name in both if after[name][0] != before[name][0]],
            "with other actions": [name for name in both if after[name][1] != before[name][1]],
        }
        changed = [f"{len(names)} {kind} ({_few(names)})" for kind, names in kinds.items() if names]
        if changed:
            counts = f"{len(after)} videos now, {len(before)} then, "
            called, earlier = now[split]["name"], then[split]["name"]
            called += f", earlier {earlier}" if earlier != called else ""
            counts *= len(after) != len(before)
            texts.append(f"{split} split ({called}): {counts}{', '.join(changed)}")
    return texts


def reorder_classes(tree: Tree, order: Sequence[int] | None) -> Tree:
    """Returns weights, moments or averages by name, with the outputs of the heads reordered.

    Args:
      tree: nested containers of arrays; an array below a key that names a class head has the
        classes on its last axis, after the background.
      order: see `class_order`.
    """
    if order is None:
        return tree
    index = np.array([0, *(1 + number for number in order)])

    def reordered(path: tuple[Any, ...], value: jax.Array) -> jax.Array:
        keys = [str(getattr(key, "key", "")) for key in path]
        return value[..., index] if any(key.startswith(CLASS_HEADS) for key in keys) else value

    return jax.tree_util.tree_map_with_path(reordered, tree)


def elsewhere(folder: Path) -> str:
    """Returns the advice to begin another run."""
    return (
        f"train in another folder, from these weights if you like (config.train.init_from={folder})"
    )


def _few(names: Sequence[str]) -> str:
    return first_names(names, _SHOWN)


def _said(names: Sequence[str], word: str) -> str:
    return f"{_few(names)} {'is' if len(names) == 1 else 'are'} {word}"
