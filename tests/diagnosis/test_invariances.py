"""No measure depends on names, or on the order or the unit in which things are written."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afsd_jax import evaluation
from afsd_jax.diagnosis.analysis import diagnose
from afsd_jax.types import Action, AnnotatedVideo, Detection
from tests.evaluated import evaluations

TIOUS = (0.3, 0.5, 0.75)


def measures(truth, found, scale=1.0, names=lambda label: label):
    """What must not change: numbers by label, without what depends on drawn samples."""
    result = diagnose(evaluation.tabulate(truth, found), TIOUS, samples=20, step_s=0.5 * scale)
    values = result.as_dict()
    classes = values["operating_points"]["classes"]
    for point in (values["operating_points"]["all"], *classes.values()):
        for drawn in ("interval", "f1_interval"):
            point.pop(drawn)
    for group in values["characteristics"].get("length", []):
        for edge in ("low", "high"):
            group[edge] = None if group[edge] is None else group[edge] / scale
    order = np.argsort([names(label) for label in result.tables.classes])
    confusion = np.array(values["time_steps"].pop("confusion"))
    order_and_background = [*order, len(order)]
    taken_for = np.array(values["confusion"]["unfound_taken_for"])
    values["time_steps"].pop("step_s")
    kept = {
        "ap": {names(k): v for k, v in values["ap"].items()},
        "points": {names(k): v for k, v in classes.items()},
        "point": values["operating_points"]["all"],
        "steps": {names(k): v for k, v in values["time_steps"].pop("classes").items()},
        "confusion": confusion[order_and_background][:, order_and_background].tolist(),
        "taken_for": taken_for[:, order][:, :, order].tolist(),
    }
    others = (
        "false_positives", "normalised", "false_negatives", "characteristics", "calibration",
        "segmentation", "time_steps", "average_mAP",
    )  # fmt: skip
    return kept | {key: values[key] for key in others}


def same(ours, theirs):
    """Compares nested values; numbers may differ in their last digits."""
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for key, value in ours.items():
            same(value, theirs[key])
    elif isinstance(ours, list):
        assert len(ours) == len(theirs)
        for value, other in zip(ours, theirs, strict=True):
            same(value, other)
    else:
        assert ours == pytest.approx(theirs, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(evaluations(), st.randoms(use_true_random=False))
def test_order_of_videos_and_of_detections(evaluated, random):
    truth, found = evaluated
    videos, others = list(truth), list(found)
    random.shuffle(videos)
    random.shuffle(others)
    shuffled = {name: random.sample(found[name], len(found[name])) for name in others}
    same(measures(truth, found), measures({name: truth[name] for name in videos}, shuffled))


@settings(max_examples=25, deadline=None)
@given(evaluations())
def test_names_of_classes_and_videos(evaluated):
    truth, found = evaluated

    def renamed(items):
        return [
            item._replace(label=item.label[::-1])
            if isinstance(item, Detection)
            else Action(item.label[::-1], item.start_s, item.end_s)
            for item in items
        ]

    others = {
        f"x{name}": AnnotatedVideo("test", video.duration_s, tuple(renamed(video.actions)))
        for name, video in truth.items()
    }
    detections = {f"x{name}": renamed(items) for name, items in found.items()}
    same(measures(truth, found), measures(others, detections, names=lambda label: label[::-1]))


@settings(max_examples=25, deadline=None)
@given(evaluations(), st.sampled_from([0.25, 2.0, 1024.0]))
def test_unit_of_time(evaluated, scale):
    truth, found = evaluated
    others = {
        name: AnnotatedVideo(
            "test",
            video.duration_s * scale,
            tuple(Action(a.label, a.start_s * scale, a.end_s * scale) for a in video.actions),
        )
        for name, video in truth.items()
    }
    detections = {
        name: [Detection(d.label, d.score, d.start_s * scale, d.end_s * scale) for d in items]
        for name, items in found.items()
    }
    ours, theirs = measures(truth, found), measures(others, detections, scale)
    for values in (ours, theirs):  # rounded edges of groups follow powers of ten, not of two
        values["characteristics"].pop("length", None)
    same(ours, theirs)
