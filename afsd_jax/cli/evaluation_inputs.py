"""Reads the inputs of `afsd evaluate`, with notes on everything in them that lowers mAP."""

import dataclasses
import difflib
import os
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from afsd_jax.cli.printing import counted, print_list, print_text
from afsd_jax.data.annotations import (
    Annotations,
    match_names,
    read_annotations,
    renamed,
    split_name,
)
from afsd_jax.evaluation import AMBIGUOUS, BENCHMARKS, without_ambiguous
from afsd_jax.io import thumos14_kit
from afsd_jax.io.activitynet_json import choose_subset
from afsd_jax.io.names import video_name
from afsd_jax.io.predictions_file import read_detections
from afsd_jax.io.video_names import possible_names
from afsd_jax.types import Action, AnnotatedVideo, DetectionColumns

SHOWN = 5  # names in a note


class Evaluated(NamedTuple):
    """Detections and ground truth of one evaluation.

    Attributes:
      name: name of the predictions.
      truth: annotated videos.
      found: their detections.
      tious: thresholds.
      notes: facts that may lower the result; already printed.
      classes: all classes, which fix the colours; None: those of the truth.
      failed: why videos failed.
      folder: folder of the checkpoint's step, if a checkpoint in a folder detected.
    """

    name: str
    truth: Annotations
    found: DetectionColumns
    tious: tuple[float, ...]
    notes: list[str]
    classes: Sequence[str] | None = None
    failed: Sequence[str] = ()
    folder: Path | None = None


def read_evaluated(args: Namespace) -> list[Evaluated]:
    """Reads, or detects, what the command line names; prints notes on it.

    Raises:
      UserError: a file is malformed, the subset is missing, or nothing can be detected.
    """
    if args.checkpoint:
        return [_detected(args)]
    benchmark = BENCHMARKS[args.benchmark or "thumos14"]
    annotated, notes = read_truth(args.ground_truth, args.rule)
    every = [read_detections(path) for path in args.predictions]  # before the first note is printed
    names = {name for found in every for name in found.videos}
    annotated = renamed(annotated, match_names(annotated, names))
    notes += [n for v in annotated.values() for n in v.notes if n not in notes]
    truth = choose_truth(annotated, args.subset, benchmark.subset, args.ground_truth)
    print_list("note", notes, " on the ground truth")
    print_notes(truth.notes)
    evaluated = []
    for found, name in zip(every, names_of(args.predictions), strict=True):
        lines = mismatches(truth, found)
        print_notes(f"{name}: {line}" if len(args.predictions) > 1 else line for line in lines)
        tious = args.tiou or benchmark.tious
        evaluated.append(Evaluated(name, truth.videos, found, tious, truth.notes + lines))
    return evaluated


def _detected(args: Namespace) -> Evaluated:
    from afsd_jax.cli.evaluation_detect import detect_in_split

    done = detect_in_split(args.checkpoint, args.data_dir, args.split)
    tious = args.tiou or (BENCHMARKS[args.benchmark].tious if args.benchmark else done.tious)
    split = f"split {args.split}" if args.split else "test split"
    notes = absent_classes(done.truth, done.classes, split)
    print_notes(notes)
    found, name = DetectionColumns.of(done.found), f"{args.checkpoint.name}, {split}"
    return Evaluated(name, done.truth, found, tious, notes, done.classes, done.failed, done.folder)


def absent_classes(truth: Annotations, classes: Sequence[str], split: str) -> list[str]:
    """Returns a line about classes of the network of which the truth has no action, if any."""
    present = {action.label for video in truth.values() for action in video.actions}
    absent = [label for label in classes if label not in present]
    if not absent:
        return []
    return [
        f"the {split} has no action of {len(absent)} of {counted(len(classes), 'class', 'es')}: "
        f"nothing is known about {_listed(map(repr, absent))}"
    ]


def files_by_name(files: Mapping[str, Path], names: Iterable[str]) -> dict[str, Path]:
    """Returns the files of videos, which have longer names if they were named beside others.

    Args:
      files: files by the names that tell them apart; see `io.video_names`.
      names: names of the videos.
    """
    possible: dict[str, list[Path]] = {name: [path] for name, path in files.items()}
    for path in files.values():
        for name in possible_names(Path(os.path.abspath(path)), video_name(path)):
            if name not in files:
                possible.setdefault(name, []).append(path)
    return {name: possible[name][0] for name in names if len(possible.get(name, ())) == 1}


def names_of(paths: Sequence[Path]) -> list[str]:
    """Returns the shortest names that tell files apart: their last part, or their paths."""
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def print_notes(lines: Iterable[str]) -> None:
    """Prints what may lower the result."""
    for line in lines:
        print_text(f"note: {line}", file=sys.stderr)


class Truth(NamedTuple):
    """The videos to evaluate on.

    videos: the videos of the subset, by name, with the actions that can be found.
    notes: lines about actions that were left out or cut, and about the names of subsets.
    others: names of the file's videos that are in other subsets.
    """

    videos: Annotations
    notes: list[str]
    others: frozenset[str]


def read_truth(path: Path, rule: str) -> tuple[Annotations, list[str]]:
    """Returns the annotations in a file or folder, and notes on what was left out.

    Args:
      path: annotations in any supported format, a prepared folder or one above it, or the folder of
        the THUMOS'14 kit.
      rule: one of `evaluation.RULES`; only the kit's knows Ambiguous actions.

    Raises:
      UserError: as `read_annotations` and `read_kit` do.
    """
    if not thumos14_kit.is_kit(path):
        if path.is_dir():
            from afsd_jax.data.prepared_truth import truth_file  # loads TFDS

            path = truth_file(path)
        annotated = read_annotations(path)
        return annotated, [note for video in annotated.values() for note in video.notes]
    kit = thumos14_kit.read_kit(path)
    if rule != "activitynet":
        return kit, []
    clear = without_ambiguous(kit)
    left_out = sum(len(kit[name].actions) - len(clear[name].actions) for name in kit)
    note = f"{path}: {counted(left_out, 'Ambiguous action')} left out; see --rule thumos14-kit"
    return clear, [note] if left_out else []


def choose_truth(annotated: Annotations, subset: str | None, usual: str, path: Path) -> Truth:
    """Returns the videos of a subset, without what cannot be found in them.

    Args:
      annotated: all annotations of a file.
      subset: subset to evaluate on; None: `usual`, or all videos if no subset is stated.
      usual: the benchmark's subset.
      path: the file or folder of annotations.

    Raises:
      UserError: no video has this subset.
    """
    notes = []
    chosen = annotated
    if subset or any(video.subset for video in annotated.values()):
        wanted = subset or usual
        present = Counter(video.subset for video in annotated.values())
        alike = [name for name in present if split_name(name) == split_name(wanted)]
        other = next((name for name in alike if name != wanted), None)
        if other and wanted not in present:
            notes.append(f"{path} spells the subset {wanted!r} as {other!r}")
            wanted = other
        elif other:
            notes.append(
                f"{path} has the subset {wanted!r} and, for {counted(present[other], 'video')}, "
                f"{other!r}; only {wanted!r} counts"
            )
        chosen = choose_subset(annotated, wanted, path)
    else:
        notes.append(f"{path} states no subsets: all {len(annotated)} videos count")
    found = {name: _findable(video) for name, video in chosen.items()}
    short, late, cut = (sum(counts[i] for _, counts in found.values()) for i in range(3))
    if short:
        notes.append(f"{counted(short, 'true action')} without length: left out")
    if late:
        notes.append(f"{counted(late, 'true action')} after the end of the video: left out")
    if cut:
        notes.append(f"{counted(cut, 'true action')} beyond the end of the video: cut there")
    videos = {name: video for name, (video, _) in found.items()}
    return Truth(videos, notes, frozenset(annotated.keys() - chosen.keys()))


def _findable(video: AnnotatedVideo) -> tuple[AnnotatedVideo, tuple[int, int, int]]:
    """Returns a video with its actions cut at its end, as preparation does.

    Also returns how many actions without length, how many after the end, and how many that end
    beyond it there were.
    """
    end_s = np.inf if video.duration_s is None else video.duration_s
    actions: list[Action] = []
    short = late = cut = 0
    for action in video.actions:
        if action.end_s <= action.start_s:
            short += 1
        elif action.start_s >= end_s:
            late += 1
        else:
            cut += action.end_s > end_s
            actions.append(dataclasses.replace(action, end_s=min(action.end_s, end_s)))
    return dataclasses.replace(video, actions=tuple(actions)), (short, late, cut)


def mismatches(truth: Truth, found: DetectionColumns) -> list[str]:
    """Returns lines about videos and labels that only the truth or only the predictions have."""
    lines = []
    of_video = np.bincount(found.video, minlength=len(found.videos))
    predicted = dict(zip(found.videos, of_video.tolist(), strict=True))
    silent = [name for name, v in truth.videos.items() if v.actions and not predicted.get(name)]
    foreign = {name: n for name, n in predicted.items() if name not in truth.videos}
    if foreign:
        elsewhere = len(foreign.keys() & truth.others)
        near = _alike(foreign.keys() - truth.others, silent)
        lines.append(
            f"{len(foreign)} of {len(predicted)} videos with predictions are not in the ground "
            f"truth's subset; their {counted(sum(foreign.values()), 'prediction')} do not count"
            + (f" ({elsewhere} of these videos are in its other subsets)" if elsewhere else "")
            + (f": {near}" if near else "")
        )
    if silent:
        actions = sum(len(truth.videos[name].actions) for name in silent)
        lines.append(
            f"there are no predictions for {len(silent)} of {len(truth.videos)} videos: their "
            f"{counted(actions, 'action')} count as missed: {_listed(map(repr, silent))}"
        )
    known = {action.label for video in truth.videos.values() for action in video.actions}
    known.discard(AMBIGUOUS)
    of_label = np.bincount(found.label, minlength=len(found.labels))
    counts = dict(zip(found.labels, of_label.tolist(), strict=True))
    strange = {label: n for label, n in counts.items() if label not in known}
    if strange:
        lines.append(
            f"{counted(sum(strange.values()), 'prediction')} with labels that the ground truth "
            f"does not have do not count: {_with_nearest(strange, known, strange)}"
        )
    return lines


def _alike(names: Iterable[str], known: Iterable[str]) -> str:
    """Returns video names, each with the known name that only a prefix or suffix tells apart."""
    texts = []
    for name in sorted(names):
        near = next((other for other in known if other in name or name in other), None)
        texts.append(f"{name!r}" + (f" (nearest: {near!r})" if near else ""))
    return _listed(texts)


def _with_nearest(names: Collection[str], known: Iterable[str], counts: Mapping[str, int]) -> str:
    """Returns labels, each with its count and the known label that resembles it most."""
    lower = {name.lower(): name for name in known}
    texts = []
    for name in list(names)[:SHOWN]:
        near = difflib.get_close_matches(name.lower(), lower, 1)
        parts = [f"{counts[name]}", *(f"nearest: {lower[other]!r}" for other in near)]
        texts.append(f"{name!r} ({', '.join(parts)})")
    return _listed(texts, len(names))


def _listed(texts: Iterable[str], count: int | None = None) -> str:
    texts = list(texts)
    more = (len(texts) if count is None else count) - SHOWN
    return ", ".join(texts[:SHOWN]) + (f" and {more} more" if more > 0 else "")
