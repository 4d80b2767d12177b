"""Warnings about annotations before hours are spent: times in another unit, doubtful classes."""

import collections
import logging
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from afsd_jax.config_checks import FEATURES
from afsd_jax.data import preparation
from afsd_jax.data.action_lengths import find_lost
from afsd_jax.data.builders.class_checks import warn_of_classes
from afsd_jax.data.builders.sampling_choice import length_lines
from afsd_jax.data.decode.video_reader import stated_duration, stated_rate
from afsd_jax.data.tasks import Plan, Task, TaskResult
from afsd_jax.errors import UserError
from afsd_jax.io.names import first_names
from afsd_jax.types import Action

log = logging.getLogger(__name__)

_SLACK_S = 1.0  # by which an action may end after its video before its times are doubted
_FASTEST = 130  # frames a second of a usual video; times that are larger still look like others
_MOST_NAMES = 8  # of classes in a line
_MOST_OPENED = 50  # videos whose own rates are read
_FEW_EXAMPLES = 10  # of a class to train with
_SPLITS = {"train", "validation", "test"}


class _Timed(NamedTuple):
    """An action, and its video's name and length in seconds."""

    action: Action
    video: str
    duration_s: float


def check_plan(plan: Plan, left_out: Sequence[str], place: str) -> tuple[str, ...]:
    """Checks actions and classes before anything is decoded; logs what may be wrong.

    Args:
      plan: plan of the preparation.
      left_out: notes on what was left out in reading the annotations.
      place: the annotations, for messages.

    Returns:
      What was logged, and which classes have few examples, which no decoding makes worse.

    Raises:
      UserError: no action is left, or nine tenths begin after the end of their videos.
    """
    if not any(task.actions for task in plan.tasks):
        if left_out:
            raise UserError(f"{place}: no action is left; {left_out[0]}")
        return _logged([f"{place}: none of the {len(plan.tasks)} videos has an action"])
    timed = _timed((task, stated_s(task)) for task in plan.tasks)
    if _hardly_any_left(timed) or _most_are(_late(timed), timed):  # a header may be wrong
        timed = _timed((task, _exact_s(task)) for task in plan.tasks)
    lines = _check_times(timed, place)
    lines += [] if lines else _warn_of_lengths(plan, timed)
    lines += [*warn_of_classes(plan), *_warn_of_splits(plan)]
    return (*_logged(lines), *_few_examples(plan))


def _logged(lines: Sequence[str]) -> tuple[str, ...]:
    for line in lines:  # decoding may take hours
        log.warning("%s", line)
    return tuple(lines)


def check_results(plan: Plan, results: Sequence[TaskResult], place: str) -> None:
    """Checks the actions of the prepared videos, whose lengths are known now.

    Raises:
      UserError: all begin after the end of their videos.
    """
    done = [(t, r.duration_s) for t, r in zip(plan.tasks, results, strict=True) if not r.error]
    timed = _timed(done)
    if _hardly_any_left(timed):
        _check_times(timed, place)


def stated_s(task: Task) -> float:
    """Returns the length of a task's video in seconds, as its header states it."""
    return task.timeline.duration_s if task.timeline else stated_duration(task.path)


def _exact_s(task: Task) -> float:
    try:
        return preparation.open_source(task).duration_s
    except UserError:
        return 0.0


def _timed(tasks: Iterable[tuple[Task, float]]) -> list[_Timed]:
    return [
        _Timed(action, task.name, duration_s)
        for task, duration_s in tasks
        for action in task.actions
    ]


def _left(timed: Sequence[_Timed]) -> list[_Timed]:
    """Returns the actions that do not begin after the end of their videos, as far as is known."""
    return [t for t in timed if not 0 < t.duration_s <= t.action.start_s]


def _hardly_any_left(timed: Sequence[_Timed]) -> bool:
    """Returns whether nine tenths of the actions begin after the end of their videos."""
    return bool(timed) and 10 * len(_left(timed)) <= len(timed)


def _late(timed: Sequence[_Timed]) -> list[_Timed]:
    """Returns the actions that end after their videos, as far as their lengths are known."""
    return [t for t in timed if 0 < t.duration_s < t.action.end_s - _SLACK_S]


def _most_are(some: Sequence[_Timed], timed: Sequence[_Timed]) -> bool:
    return 2 * len(some) > sum(t.duration_s > 0 for t in timed)


def _check_times(timed: Sequence[_Timed], place: str) -> list[str]:
    """Returns a line about times in another unit; raises UserError if hardly any action is left."""
    late, known = _late(timed), [t for t in timed if t.duration_s]
    if _hardly_any_left(timed):
        left = len(_left(timed))
        some, rest = (left, "each other one") if left else ("none", "each")
        raise UserError(
            f"{place}: of {len(timed)} actions, {some} would be left: {rest} begins after the end "
            f"of its video, {_explained(late)}"
        )
    if _most_are(late, timed):
        return [
            f"{place}: {len(late)} of {len(known)} actions end after their videos, "
            f"{_explained(late)}"
        ]
    if _look_like_minutes(known):
        return [
            f"{place}: all {len(known)} actions lie in the first sixtieth of their videos, and "
            "half of them last less than half a second; are their times minutes? They must be "
            "seconds"
        ]
    return []


def _explained(late: Sequence[_Timed]) -> str:
    """Returns an example of the actions, and the unit in which they may be."""
    (action, video, duration_s), *_ = late
    farthest = max(t.action.end_s / t.duration_s for t in late)
    unit = "milliseconds" if farthest > _FASTEST else "frames"
    return (
        f"such as {action.label!r} at {action.start_s:g} to {action.end_s:g} s in {video!r}, which "
        f"lasts {duration_s:.1f} s; times must be seconds, and these may be {unit}"
    )


def _look_like_minutes(timed: Sequence[_Timed]) -> bool:
    lengths = [t.action.end_s - t.action.start_s for t in timed]
    early = all(60 * t.action.end_s <= t.duration_s + _SLACK_S for t in timed)
    return len(timed) >= 5 and early and statistics.median(lengths) < 0.5


def _warn_of_lengths(plan: Plan, timed: Sequence[_Timed]) -> list[str]:
    """Returns lines about actions that are short or long for the rate, if all videos have it."""
    task = plan.tasks[0]
    if task.stream == FEATURES or not task.fps or task.max_frames:
        return []
    lengths = collections.defaultdict(list)
    for action, _, duration_s in timed:
        lengths[action.label].append((action.end_s - action.start_s, duration_s))
    lost = find_lost(lengths, scale=task.fps)
    if not lost.short_line and not lost.long_line:
        return []
    paths = [task.path for task in plan.tasks if task.timeline is None][:_MOST_OPENED]
    return length_lines(lengths, task.fps, list(filter(None, map(stated_rate, paths))))


def _few_examples(plan: Plan) -> list[str]:
    counts = collections.Counter(
        action.label for task in plan.tasks if task.split == "train" for action in task.actions
    )
    few = {name: counts[name] for name in plan.class_names if 0 < counts[name] < _FEW_EXAMPLES}
    if not few:
        return []
    shown = [f"{name!r} ({count})" for name, count in sorted(few.items(), key=lambda item: item[1])]
    return [
        f"fewer than {_FEW_EXAMPLES} actions in the split train: "
        f"{first_names(shown, _MOST_NAMES)}; such classes are hardly found"
    ]


def _warn_of_splits(plan: Plan) -> list[str]:
    counts = collections.Counter(task.split for task in plan.tasks)
    return [
        f"{counts[split]} of {len(plan.tasks)} videos are in the split {split!r}, which is neither "
        "of train, validation and test: is it a misspelt subset?"
        for split in sorted(counts.keys() - _SPLITS)
    ]
