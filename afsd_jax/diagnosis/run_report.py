"""The page of a training run with its story: what the log and the best evaluation say."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from afsd_jax.diagnosis.advice import few_in_words
from afsd_jax.diagnosis.false_negatives import analyse_false_negatives
from afsd_jax.diagnosis.false_positives import analyse_false_positives
from afsd_jax.diagnosis.run_figure import figure_in_words
from afsd_jax.diagnosis.run_findings import HOW_TO_VALIDATE, Verdict, chance_map, judge
from afsd_jax.diagnosis.validation_files import read_validation
from afsd_jax.diagnosis.weak_classes import (
    CONFUSION,
    FEW_EXAMPLES,
    SHORT_ACTIONS,
    ClassExamples,
    WeakClass,
    find_weak_classes,
)
from afsd_jax.errors import printable
from afsd_jax.evaluation import Tables, match, score
from afsd_jax.evaluation.overlaps import tiou
from afsd_jax.io.files import read_json, write_json
from afsd_jax.io.json_fields import field, number, require_dict
from afsd_jax.io.run_log import VALIDATION
from afsd_jax.report import run_page
from afsd_jax.report.run_story import Example, RunStory

TRAINING_CLASSES = "training_classes.json"
EXAMPLES = 3
TIOU = 0.5  # at which actions count as found; the nearest threshold


def write_run_report(workdir: str | os.PathLike[str]) -> None:
    """Writes the page of a run into its folder.

    Raises:
      UserError: the folder contains no run, a file is malformed, or the page cannot be written.
    """
    run_page.write_page(workdir, tell_story(Path(workdir)))


def write_training_classes(workdir: Path, lengths: Mapping[str, Sequence[float]]) -> None:
    """Writes the number and the median length of each class's training examples.

    Args:
      workdir: folder of the run.
      lengths: lengths of the examples of each class, seconds.
    """
    content = {
        label: {"actions": len(values), "median_s": float(np.median(values)) if values else 0.0}
        for label, values in lengths.items()
    }
    write_json(workdir / TRAINING_CLASSES, content)


def tell_story(workdir: Path) -> RunStory:
    """Returns the story of a run.

    Raises:
      UserError: the folder contains no run, or a file is malformed.
    """
    run, validation = run_page.read_run(workdir), read_validation(workdir)
    training = _read_training_classes(workdir)
    if validation is None or (run.best is None and not validation.how):
        verdict = judge(run.records, None)
        advice = (HOW_TO_VALIDATE,) if run.best is None else _advice(verdict, ())
        return RunStory(verdict.sentences, (), (), advice, tuple(training))
    tables, tious = validation.tables, validation.tious
    h = int(np.argmin(np.abs(np.array(tious) - TIOU)))
    matched = match(tables, tious)
    errors = analyse_false_positives(tables, tuple(tious), normalised=False, matched=matched)
    misses = analyse_false_negatives(tables, errors, matched=matched)
    metrics = score(tables, tious, matched)
    verdict = judge(run.records, chance_map(tables, tious), metrics.average_map)
    ap = run.best[VALIDATION].get("ap", {}) if run.best else metrics.as_dict()["ap"]
    weak = find_weak_classes(tables, h, ap, misses, training)
    few = few_in_words(len(tables.actions), len(np.unique(tables.action_videos)))
    return RunStory(
        (*verdict.sentences, figure_in_words(validation), *([few] if few else [])),
        tuple((f"{printable(x.label)} ({100 * x.ap:.0f} %)", x.text) for x in weak),
        _examples(tables),
        _advice(verdict, weak),
        tuple(training),
    )


def _read_training_classes(workdir: Path) -> dict[str, ClassExamples]:
    """Returns the training examples of each class; {} if the run is of an earlier version."""
    path = workdir / TRAINING_CLASSES
    if not path.exists():
        return {}
    found = {}
    for label, entry in require_dict(read_json(path, 2**24), str(path)).items():
        place = f"{path}: {label!r}"
        count, median = (
            number(field(require_dict(entry, place), name, place), f"{place}.{name}")
            for name in ("actions", "median_s")
        )
        found[label] = ClassExamples(int(count), median)
    return found


def _advice(verdict: Verdict, weak: Sequence[WeakClass]) -> tuple[str, ...]:
    """Returns what to try next."""
    advice = []
    if verdict.learned is False:
        advice += [
            "Look at the prepared data (afsd inspect): do the labelled bars lie where the actions "
            "are?",
            "Train longer (config.train.epochs), and with the trunk (--config videos:finetune, "
            "which needs a GPU) if classes differ by motion alone.",
        ]
    if verdict.over_fitted:
        advice.append(
            "Label more training videos, from other places and with other people: that helps "
            "most against over-fitting. More steps will not help."
        )
    if verdict.rising:
        advice.append("Train longer: set config.train.epochs to twice its value, in a new folder.")
    few, short, confused = (
        [x for x in weak if reason in x.reasons]
        for reason in (FEW_EXAMPLES, SHORT_ACTIONS, CONFUSION)
    )
    if few:
        advice.append(f"Label more examples of {_named(few)}.")
    if short:
        advice.append(
            "Prepare the videos with more frames per second (afsd prepare --fps), for "
            f"{_named(short)}."
        )
    advice += [
        f"Label more examples of '{printable(x.label)}' and '{printable(x.other)}' beside each "
        "other, and check that both are labelled by the same rule."
        for x in confused
    ]
    return tuple(advice) or ("Nothing stands out: more labelled videos are the surest way on.",)


def _named(classes: Sequence[WeakClass]) -> str:
    return ", ".join(f"'{printable(x.label)}'" for x in classes)


def _examples(tables: Tables) -> tuple[Example, ...]:
    """Returns the videos with the largest, the middle and the smallest share of found actions."""
    known = np.unique(tables.action_videos)
    found = [_example(tables, int(video)) for video in known]
    ranked = sorted(found, key=lambda x: (-x.found / len(x.truth), x.name))
    places = {round(x) for x in np.linspace(0, len(ranked) - 1, EXAMPLES)} if ranked else set()
    return tuple(ranked[place] for place in sorted(places))


def _example(tables: Tables, video: int) -> Example:
    """Returns a video with as many of its best detections as it has true actions.

    An action is found if one of these detections has its class and a tIoU of `TIOU` or more.
    """
    actions = np.flatnonzero(tables.action_videos == video)
    best = np.flatnonzero(tables.detection_videos == video)[: len(actions)]
    alike = tables.action_classes[actions, None] == tables.detection_classes[best]
    (start, end), other = tables.actions[actions].T, tables.detections[best].T
    overlap = tiou(start[:, None], end[:, None], *other)
    found = int((alike & (overlap >= TIOU)).any(axis=1).sum())
    truth, detected = (
        tuple(
            (tables.classes[label], float(start), float(end), float(value))
            for label, (start, end), value in zip(labels, segments, values, strict=True)
        )
        for labels, segments, values in (
            (tables.action_classes[actions], tables.actions[actions], np.ones(len(actions))),
            (tables.detection_classes[best], tables.detections[best], tables.scores[best]),
        )
    )
    duration = float(tables.durations[video])
    end = max(bar[2] for bar in (*truth, *detected))
    known = np.isfinite(duration) and duration > 0
    return Example(tables.videos[video], duration if known else end, found, truth, detected)
