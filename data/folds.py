"""Folds of a split by video: `train[1/5]` is the first of five, `train[not 1/5]` the other four.

A fold may be divided again: `train[not 1/5][2/4]`. The videos of one group are in one fold. The
folds depend on the names, groups and classes of the split's videos alone, so a split has the same
folds in every process and on every machine.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from afsd_jax.data.storage.prepared_folder import PreparedFolder
from afsd_jax.data.storage.prepared_video import PreparedVideo, read_videos
from afsd_jax.errors import UserError

_FOLD = re.compile(r"(?P<split>.+)\[(?P<rest>not )?(?P<number>\d{1,6})/(?P<count>\d{1,6})\]")


class Fold(NamedTuple):
    """One fold of a split, or all others.

    Attributes:
      split: name of the split, which may be a fold of another.
      number: number of the fold, from 1.
      parts: number of folds.
      rest: whether all other folds are meant.
    """

    split: str
    number: int
    parts: int
    rest: bool = False

    def __str__(self) -> str:
        return f"{self.split}[{'not ' * self.rest}{self.number}/{self.parts}]"


def parse_fold(split: str) -> Fold | None:
    """Returns the fold that a name means; None: it is another name.

    Raises:
      UserError: there is no such fold.

    Example:
      >>> parse_fold("train[not 1/5]")
      Fold(split='train', number=1, parts=5, rest=True)
    """
    found = _FOLD.fullmatch(split)
    if found is None:
        return None
    number, count = int(found["number"]), int(found["count"])
    if not 1 <= number <= count or count < 2:
        raise UserError(
            f"split {split!r}: there is no fold {number} of {count}; write one such as "
            f"{found['split']}[1/5], or {found['split']}[not 1/5] for all others"
        )
    return Fold(found["split"], number, count, found["rest"] is not None)


def together(first: str, second: str) -> str:
    """Returns the name of two splits as one; of a fold and all others, it is that of their split.

    Example:
      >>> together("train[not 1/5]", "train[1/5]"), together("train", "validation")
      ('train', 'train+validation')
    """
    one, other = parse_fold(first), parse_fold(second)
    if one and other and one._replace(rest=not one.rest) == other:
        return one.split
    return f"{first}+{second}"


def count_groups(videos: Iterable[PreparedVideo], groups: Mapping[str, str]) -> int:
    """Returns the number of groups of videos; a video without a group is one by itself."""
    return len({groups.get(video.name, video.name) for video in videos})


def read_split(
    folder: PreparedFolder,
    split: str,
    groups: Mapping[str, str],
    known: Mapping[str, list[PreparedVideo]] = {},
) -> list[PreparedVideo]:
    """Returns the videos of a split or of a fold of one, in the split's order.

    Args:
      folder: a prepared data set.
      split: a name such as train, a part of one such as train[:10%], a fold, or several of them
        joined by +.
      groups: the group of each video that has one, by name.
      known: the videos of splits that have been read, by the split's name.

    Raises:
      UserError: as `prepared_video.read_videos` does, the fold has no videos, or a video is in two
        of the joined splits.
    """
    if split in known:
        return known[split]
    if "+" in split:
        parts = [read_split(folder, part, groups, known) for part in split.split("+")]
        return _joined(parts, split)
    fold = parse_fold(split)
    if fold is None:
        return read_videos(folder, split)
    videos = read_split(folder, fold.split, groups, known)
    numbers = assign_folds(
        {video.name: set(video.labels.tolist()) for video in videos}, groups, fold.parts
    )
    chosen = [v for v in videos if (numbers[v.name] == fold.number) != fold.rest]
    if not chosen:
        units = count_groups(videos, groups)
        several = "groups of videos" if units < len(videos) else "videos"
        raise UserError(
            f"{folder.path}: split {split} has no videos, because {fold.split} has {units} "
            f"{several}; use fewer folds"
        )
    return chosen


def _joined(parts: Sequence[Sequence[PreparedVideo]], split: str) -> list[PreparedVideo]:
    videos = [video for part in parts for video in part]
    twice = [name for name, count in Counter(v.name for v in videos).items() if count > 1]
    if twice:
        raise UserError(f"split {split}: video {twice[0]!r} is in two of its parts")
    return videos


def assign_folds(
    classes: Mapping[str, Collection[int]], groups: Mapping[str, str], count: int
) -> dict[str, int]:
    """Returns the number of each video's fold, from 1.

    The rarest class goes first: each of its groups goes to the fold that lacks most videos of it
    (iterative stratification, Sechidis et al. 2011), and of equal ones to the first. Full folds
    take no more. So the first fold has every class of which there are two groups, as far as it has
    room. Groups without actions fill the folds. Large groups go first, then the order is that of a
    hash of their names.

    Args:
      classes: the classes of each video's actions, by the video's name.
      groups: the group of each video that has one, by name; any other video is alone.
      count: number of folds.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        members[unit_of(name, groups)].append(name)
    left = sorted(members, key=lambda unit: (-len(members[unit]), _hash(unit)))
    held = {unit: Counter(c for name in members[unit] for c in classes[name]) for unit in left}
    total: Counter[int] = sum(held.values(), Counter())
    wanted = [{c: number / count for c, number in total.items()} for _ in range(count)]
    room = [len(classes) / count] * count
    folds: dict[str, int] = {}
    while left:
        label = _rarest(left, held)
        unit = _first_unit(left, held, label)
        left.remove(unit)
        lack = room if label is None else [of_fold[label] for of_fold in wanted]
        place = _place(room, lack, len(members[unit]))
        room[place] -= len(members[unit])
        for c, number in held[unit].items():
            wanted[place][c] -= number
        folds |= dict.fromkeys(members[unit], place + 1)
    return folds


def unit_of(name: str, groups: Mapping[str, str]) -> str:
    """Returns a name for what is never divided: a video's group or, without one, the video."""
    group = groups.get(name)
    return f"video {name}" if group is None else f"group {group}"


def _rarest(left: Sequence[str], held: Mapping[str, Counter[int]]) -> int | None:
    """Returns the class that the fewest of the groups have; None: they have no actions."""
    counts = Counter(c for unit in left for c in held[unit])
    return min(counts, key=lambda c: (counts[c], c), default=None)


def _first_unit(left: Sequence[str], held: Mapping[str, Counter[int]], label: int | None) -> str:
    return next(unit for unit in left if label is None or label in held[unit])


def _place(room: Sequence[float], lack: Sequence[float], size: int) -> int:
    """Returns the index of the fold that a group of `size` videos goes to, of those with room."""
    free = [i for i, videos in enumerate(room) if videos >= size / 2]
    if not free:
        return max(range(len(room)), key=lambda i: (room[i], -i))
    return max(free, key=lambda i: (lack[i], -i))


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
