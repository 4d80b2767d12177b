"""Names that tell videos apart and are safe as names of files.

Results, prepared data and pages store a video under its name, and files are called after it.
"""

import collections
import hashlib
import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePath
from typing import TypeVar

from afsd_jax.io.names import composed, video_name

P = TypeVar("P", bound=PurePath)

_JOINT = "__"  # between the names of folders and of the file
_MOST_BYTES = 190  # leaves room for a number, a suffix and what temporary files add
_LONGEST = 250  # of a name of a file, in bytes, without the suffix of what is written
_UNSAFE = frozenset('\\/:*?"<>|')  # in names of files, on some system


def video_names(paths: Iterable[Path], stem: Callable[[Path], str] = video_name) -> dict[str, Path]:
    """Returns files by the names of their videos, without those that are given twice.

    The names depend on the absolute paths alone; see `tell_apart`.

    Args:
      paths: the files, in any order.
      stem: returns the name of a video that no other file shares.

    Example:
      >>> found = video_names([Path("cam1/take.mp4"), Path("cam2/take.mp4"), Path("walk.mp4")])
      >>> {name: str(path) for name, path in found.items()}
      {'cam1__take': 'cam1/take.mp4', 'cam2__take': 'cam2/take.mp4', 'walk': 'walk.mp4'}
    """
    given: dict[Path, Path] = {}
    for path in paths:
        given.setdefault(Path(os.path.abspath(path)), path)
    return {name: given[place] for place, name in tell_apart(list(given), stem).items()}


def tell_apart(paths: Sequence[P], stem: Callable[[P], str]) -> dict[P, str]:
    """Returns a name for each path: all names differ, and are the same in any order of the paths.

    A path whose stem is alone has it as its name. Of paths with one stem, those in one folder keep
    their suffixes, and those in several folders get as many folders before it as tell them apart.
    What still has one name, such as names that hide what no file may be called, gets a number.

    Args:
      paths: the paths, each once.
      stem: returns the name of a path without suffix, composed.
    """
    groups: dict[str, list[P]] = collections.defaultdict(list)
    for path in paths:
        groups[stem(path)].append(path)
    alone = {group[0]: name for name, group in groups.items() if len(group) == 1}
    others: dict[P, str] = {}
    for group in groups.values():
        if len(group) > 1:
            others |= _with_folders(group, stem)
    counts = collections.Counter([*alone.values(), *others.values()])
    used = set(counts)
    for path in sorted(others):
        name = others[path]
        if counts[name] > 1:
            numbered = (f"{name} ({number})" for number in itertools.count(1))
            others[path] = next(text for text in numbered if text not in used)
            used.add(others[path])
    return {path: alone[path] if path in alone else others[path] for path in paths}


def _with_folders(group: Sequence[P], stem: Callable[[P], str]) -> dict[P, str]:
    """Returns names for paths of one stem, with the fewest folders that tell each from the rest."""
    beside = collections.Counter(path.parent for path in group)
    last = {p: stem(p) if beside[p.parent] == 1 else composed(p.name) for p in group}
    if len(beside) == 1:
        return {path: _joined([], last[path]) for path in group}
    folders = {path: folders_of(path) for path in group}
    names: dict[P, str] = {}
    for count in range(1, max(map(len, folders.values())) + 1):
        longer = {path: _joined(folders[path][-count:], last[path]) for path in group}
        counts = collections.Counter(longer.values())
        names |= {p: name for p, name in longer.items() if counts[name] == 1 and p not in names}
        if len(names) == len(group):
            break
    return {path: names.get(path) or _joined(folders[path][-1:], last[path]) for path in group}


def possible_names(path: PurePath, stem: str) -> list[str]:
    """Returns the names that a path may have beside others, the one with most folders last.

    Example:
      >>> possible_names(PurePath("day1/cam1/take.mp4"), "take")[:4]
      ['take', 'take.mp4', 'cam1__take', 'cam1__take.mp4']
    """
    folders, last = folders_of(path), composed(path.name)
    shortest = [stem, _joined([], last)]
    longer = [
        _joined(folders[-count:], ending)
        for count in range(1, len(folders) + 1)
        for ending in (stem, last)
    ]
    return [*shortest, *longer]


def file_name(name: str) -> str:
    """Returns the name of a video's files, without suffix: the video's, or its start and a digest.

    Only a name that leaves no room for a suffix, such as .json, is shortened.
    """
    content = os.fsencode(name)
    if len(content) <= _LONGEST:
        return name
    digest = hashlib.sha256(content).hexdigest()[:8]
    return f"{content[:_MOST_BYTES].decode('utf-8', 'ignore')}~{digest}"


def folders_of(path: PurePath) -> list[str]:
    """Returns the names of the folders above a path, composed, the uppermost first."""
    return [composed(part) for part in path.parent.parts if part not in (path.anchor, ".", "..")]


def _joined(folders: Sequence[str], ending: str) -> str:
    """Returns a name of folders and a file that is safe as a file name."""
    text = _JOINT.join([*folders, ending])
    safe = "".join("_" if c in _UNSAFE or not c.isprintable() else c for c in text)
    return safe.encode()[:_MOST_BYTES].decode("utf-8", "ignore")
