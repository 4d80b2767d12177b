"""Which video an annotation is of, by the path or name that it states.

A path may be of another machine, or lack folders or the suffix. So the name of its file must agree,
and of videos with that name the one is chosen whose folders agree most.
"""

import collections
import dataclasses
import itertools
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from afsd_jax.data.annotations.checks import without_suffix
from afsd_jax.data.decode.media import is_video, source_stem
from afsd_jax.errors import UserError
from afsd_jax.io.names import composed, first_names, split_name, video_name
from afsd_jax.io.video_names import folders_of, possible_names
from afsd_jax.types import AnnotatedVideo

_MOST_NAMES = 5  # in a message


class _Match(NamedTuple):
    """A video, and how many folders above it agree with a stated path."""

    name: str
    folders: int


def stated_stem(path: PurePosixPath) -> str:
    """Returns the name of a stated video without the suffix of a video; numbers are kept."""
    return composed(without_suffix(path.name))


def match_paths(
    annotated: Mapping[str, AnnotatedVideo],
    paths: Mapping[str, Path],
    prefixes: Sequence[str] = ("",),
) -> dict[str, str]:
    """Returns the names of the videos that annotations are of, by the names of the annotations.

    Args:
      annotated: annotations by name; those whose video is not found are left out of the result.
      paths: files by the names of the videos; see `io.video_names`.
      prefixes: what may stand before a stated name in the name of its file.

    Raises:
      UserError: several files may be meant, or two stated paths may mean one file.
    """
    by_stem = collections.defaultdict(list)
    for name, path in paths.items():
        by_stem[source_stem(path)].append(name)

    def match(name: str, video: AnnotatedVideo) -> _Match | None:
        stated = PurePosixPath(video.file or name)
        if not video.file and name in paths:
            return _Match(name, 0)
        for prefix in prefixes:
            if found := by_stem.get(prefix + stated_stem(stated)):
                return _nearest(stated, found, paths, video.place)
        for exact in (stated_stem(stated), composed(stated.name)):
            if exact in paths:
                return _Match(exact, 0)
        found = by_stem.get(video_name(stated), []) if is_video(Path(stated)) else []
        return _nearest(stated, found, paths, video.place) if found else None

    return _distinct(annotated, {name: match(name, video) for name, video in annotated.items()})


def match_names(
    annotated: Mapping[str, AnnotatedVideo],
    names: Collection[str],
    prefixes: Sequence[str] = ("",),
) -> dict[str, str]:
    """Returns the same as `match_paths` for videos of which only the names are known.

    Raises:
      UserError: several videos may be meant, or two stated paths may mean one video.
    """
    known = set(names)

    def match(name: str, video: AnnotatedVideo) -> _Match | None:
        stated = PurePosixPath(video.file or name)
        folders = folders_of(stated) if video.file else []
        possible = possible_names(stated, stated_stem(stated)) if video.file else [name]
        for prefix in prefixes:
            found = [text for text in (prefix + text for text in possible) if text in known]
            if found:
                name = found[-1]
                return _Match(name, possible.index(name.removeprefix(prefix)) // 2)
        if video.file and not folders:
            endings = tuple(f"__{text}" for text in possible)
            meant = [text for text in sorted(known) if text.endswith(endings)]
            if len(meant) > 1:
                raise _ambiguous(stated, meant, video.place)
        return None

    return _distinct(annotated, {name: match(name, video) for name, video in annotated.items()})


def fullest(stated: Mapping[str, str]) -> dict[str, str]:
    """Returns for each stated path the fullest one that it is a part of, such as itself.

    The path take is a part of cam1/take and of take.mp4, and both are parts of cam1/take.mp4.

    Args:
      stated: the place of each path, for messages.

    Raises:
      UserError: a path is a part of several.
    """
    whole: dict[str, tuple[str, ...]] = {}
    containing: dict[tuple[str, ...], set[str]] = collections.defaultdict(set)
    for text in stated:
        path = PurePosixPath(text)
        folders = folders_of(path)
        whole[text] = (*folders, composed(path.name))
        for ending, start in itertools.product(
            {stated_stem(path), composed(path.name)}, range(len(folders) + 1)
        ):
            containing[*folders[start:], ending].add(text)
    result = {}
    for text, place in stated.items():
        others = containing[whole[text]]
        full = sorted(other for other in others if containing[whole[other]] == {other})
        if len(full) > 1:
            raise _ambiguous(PurePosixPath(text), full, place)
        result[text] = full[0]
    return result


def _nearest(
    stated: PurePosixPath, found: Sequence[str], paths: Mapping[str, Path], place: str
) -> _Match:
    """Returns the file that agrees most with a stated path.

    Raises:
      UserError: several files agree as much.
    """

    def agreement(name: str) -> tuple[int, bool]:
        path = _absolute(paths[name])
        return _common(stated, path), composed(path.name) == composed(stated.name)

    ranked = {name: agreement(name) for name in found}
    best = max(ranked.values())
    chosen = [name for name in found if ranked[name] == best]
    if len(chosen) > 1:
        raise _ambiguous(stated, [_shown(paths[name]) for name in chosen], place)
    return _Match(chosen[0], best[0])


def _common(first: PurePosixPath, second: PurePosixPath | Path) -> int:
    """Returns how many folders above two files have the same names, from the lowest on."""
    pairs = zip(reversed(folders_of(first)), reversed(folders_of(second)), strict=False)
    return len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))


def _shown(path: Path) -> str:
    """Returns a file with its folder, as annotations may state it."""
    return "/".join([*folders_of(_absolute(path))[-1:], path.name])


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))


def _ambiguous(stated: PurePosixPath, meant: Sequence[str], place: str) -> UserError:
    return UserError(
        f"{place}: {str(stated)!r} may be {first_names(meant, _MOST_NAMES)}; write its folder and "
        "suffix too, or remove the other files"
    )


def _distinct(
    annotated: Mapping[str, AnnotatedVideo], matches: Mapping[str, _Match | None]
) -> dict[str, str]:
    """Returns the matches without those of videos that another annotation fits better.

    Raises:
      UserError: two annotations that state different folders fit as well.
    """
    best: dict[str, str] = {}
    ranked = {name: match for name, match in matches.items() if match is not None}
    for name in sorted(ranked, key=lambda name: -ranked[name].folders):
        best.setdefault(ranked[name].name, name)
    result = {}
    for name, match in ranked.items():
        first = best[match.name]
        one, other = annotated[first], annotated[name]
        if first == name or _may_be_one(one, other):
            result[name] = match.name
        elif one.file and other.file and match.folders == ranked[first].folders:
            raise UserError(
                f"{other.place}: {other.file!r} and {one.file!r} of {one.place} may both be the "
                f"video {match.name!r}; two videos need two files or two names"
            )
    return result


def _may_be_one(one: AnnotatedVideo, other: AnnotatedVideo) -> bool:
    """Returns whether no folder contradicts that two annotations are of one video."""
    if not (one.file and other.file):
        return False
    paths = PurePosixPath(one.file), PurePosixPath(other.file)
    shorter = min(len(folders_of(path)) for path in paths)
    return _common(*paths) == shorter or (one.observed and other.observed)


def renamed(
    annotated: Mapping[str, AnnotatedVideo], names: Mapping[str, str]
) -> dict[str, AnnotatedVideo]:
    """Returns annotations by the names of their videos; those of one video become one.

    Args:
      annotated: annotations by name.
      names: names of their videos, by name of the annotation; others keep their names.

    Raises:
      UserError: annotations of one video state different subsets.
    """
    result: dict[str, AnnotatedVideo] = {}
    for name, video in annotated.items():
        new = names.get(name, name)
        result[new] = joined(new, result[new], video) if new in result else video
    return result


def joined(name: str, one: AnnotatedVideo, other: AnnotatedVideo) -> AnnotatedVideo:
    """Returns the annotations of one video that are stated under two paths, with a note on it.

    Raises:
      UserError: they state different subsets, groups or crops.
    """
    if split_name(one.subset) != split_name(other.subset):
        raise two_values("subset", name, (other.place, other.subset), (one.place, one.subset))
    if one.group != other.group:
        raise two_values("group", name, (other.place, other.group), (one.place, one.group))
    if one.crop and other.crop and one.crop != other.crop:
        raise two_values("crop", name, (other.place, other.crop), (one.place, one.crop))
    actions, notes = (*one.actions, *other.actions), (*one.notes, *other.notes)
    if one.observed:
        notes += (f"{other.place}: {other.file!r} and {one.file!r} are taken for one video",)
    crop = one.crop or other.crop
    return dataclasses.replace(one, actions=actions, notes=notes, crop=crop)


def two_values(column: str, name: str, here: tuple[str, str], there: tuple[str, str]) -> UserError:
    """Returns the error for a video with two values of a column; each has its place and value."""
    (place, value), (first_place, first) = here, there
    return UserError(
        f"{place}: video {name!r} has {column} {value!r} here and {first!r} in {first_place}"
    )
