"""What the figures say in words: each rule of docs/evaluation.md."""

import json

import numpy as np
import pytest

from afsd_jax import evaluation
from afsd_jax.diagnosis.advice import as_min_score
from afsd_jax.diagnosis.analysis import diagnose
from afsd_jax.types import Action, AnnotatedVideo, Detection


def diagnosed(videos, tious=(0.5,), **options):
    """The analysis of video: ([(label, start, end)], [(label, score, start, end)])."""
    truth = {
        name: AnnotatedVideo("test", 500.0, tuple(Action(*action) for action in actions))
        for name, (actions, _) in videos.items()
    }
    found = {name: [Detection(*item) for item in items] for name, (_, items) in videos.items()}
    return diagnose(evaluation.tabulate(truth, found), tious, samples=50, **options)


def runs(count, length=10.0, label="run"):
    """Actions of one class, one after another."""
    return [(label, 20.0 * i, 20.0 * i + length) for i in range(count)]


def detected(actions, shift=0.0, label=None, score=0.9):
    return [
        (label or name, score - i / 1000, start + shift, end + shift)
        for i, (name, start, end) in enumerate(actions)
    ]


def test_perfect_detections_leave_little_to_say():
    result = diagnosed({"a": (runs(10), detected(runs(10)))}, (0.3, 0.7), tiou=0.7)
    assert result.headline == (
        "mAP is 100.0 % at tIoU 0.3 to 0.7.",
        "This is from only 10 actions in 1 video: too few to know how good the detector is. In "
        "other videos the result may be quite different; evaluate 30 actions or more.",
        "No kind of error costs 1 point of mAP at tIoU 0.7.",
        "With one threshold for all classes, F1 is best at a score of 0.89: precision 100 %, "
        "recall 100 %. afsd detect shows what reaches this score with --min-score 0.891; afsd "
        "evaluate --calibrate keeps a threshold for each class with a checkpoint, and afsd detect "
        "then uses these.",
        "Scores are too low to be read as probabilities: they are off by 0.10 on average.",
    )
    assert result.to_label == ()


def test_intervals_are_named_where_there_are_several_videos():
    part = (runs(3), detected(runs(2)))
    one, two = diagnosed({"a": part}), diagnosed({"a": part, "b": (runs(4), detected(runs(4)))})
    assert not [sentence for sentence in one.headline if "interval" in sentence]
    said = [sentence for sentence in two.headline if "interval" in sentence]
    assert [sentence.split()[0] for sentence in said] == ["mAP", "This", "With"]
    assert one.as_dict()["intervals"]["average_mAP"]["low"] is None
    assert np.isnan(one.operating.overall.low)


@pytest.mark.parametrize("score", [0.73, 0.7285, 0.30000001192092896, 0.9999999, 1.0, 1e-5])
def test_a_least_score_keeps_the_detection_that_set_it(score):
    assert float(as_min_score(score)) <= score < float(as_min_score(score)) + 0.00101


@pytest.mark.parametrize(("count", "few"), [(1, True), (29, True), (30, False)])
def test_a_result_of_few_actions_says_so(count, few):
    result = diagnosed({"a": (runs(count), detected(runs(count)))})
    assert any("too few" in sentence for sentence in result.headline) == few


def test_localisation():
    good, off = runs(10)[:6], runs(10)[6:]
    result = diagnosed({"a": (runs(10), detected(off, shift=4, score=0.95) + detected(good))})
    assert result.headline[2] == (
        "Most is lost to localisation, that is ends that are off: without such false positives, "
        "mAP at tIoU 0.5 would be 24.0 points higher."
    )
    (item, _) = result.to_label
    assert item[:5] == ("class", "run", "localisation", 4, 10)
    assert item.text == (
        "'run': 4 of 10 actions are not found; the ends of 4 are off; check that all ends are "
        "labelled in the same way, and label more."
    )


def test_missed_actions_and_the_video_that_has_them():
    videos = {
        "good": (runs(8), detected(runs(8))),
        "bad": (runs(8), detected(runs(2))),
    }
    result = diagnosed(videos)
    assert result.headline[2] == (
        "Most is lost to missed actions: nothing near is detected for 6 of 16; without them, mAP "
        "at tIoU 0.5 would be 37.5 points higher."
    )
    item, video = result.to_label
    assert item.text == (
        "'run': 6 of 16 actions are not found; for 6 nothing near is detected; label more examples "
        "of it."
    )
    assert video[:5] == ("video", "bad", "missed", 6, 8)
    assert video.text == (
        "bad: 6 of 8 actions are not found, and 0 of the best detections are where nothing is "
        "labelled; look at it first, and label more videos like it."
    )


def confused(count):
    """Ten of each class; `count` runs are taken for jumps."""
    jumps = [("jump", start + 300, end + 300) for _, start, end in runs(10)]
    items = detected(jumps) + detected(runs(10)[count:])
    return {"a": (runs(10) + jumps, items + detected(runs(10)[:count], label="jump", score=0.5))}


def test_classes_that_are_taken_for_each_other():
    result = diagnosed(confused(4))
    assert "'run' is taken for 'jump' in 4 of 10 cases." in result.headline
    assert result.to_label[0].text == (
        "'run': 4 of 10 actions are not found; 4 get another label, mostly 'jump'; label more "
        "examples of both."
    )
    assert not any("taken for" in sentence for sentence in diagnosed(confused(2)).headline)


def test_short_actions_that_are_not_found():
    short = [("run", 250 + 10 * i, 251 + 10 * i) for i in range(12)]
    actions = runs(12) + short
    result = diagnosed({"a": (actions, detected(runs(12)) + detected(short[:3]))})
    assert "Actions of up to 1 s are not found in 75 % of cases (all actions: 38 %)." in (
        result.headline
    )
    lengths = [item for item in result.to_label if item.kind == "length"]
    assert [item[:5] for item in lengths] == [("length", "of up to 1 s", "missed", 9, 12)]
    assert lengths[0].text == (
        "Actions of up to 1 s: 9 of 12 are not found; label more of this length."
    )


def test_detections_where_nothing_is_labelled():
    empty = [("run", 0.99 - i / 1000, 400 + i, 401 + i) for i in range(4)]
    result = diagnosed({"a": (runs(10), detected(runs(10))), "b": ([], empty)})
    assert result.headline[2].startswith(
        "Most is lost to detections where nothing is labelled: without such false positives"
    )
    (item, video) = result.to_label
    assert item.text == (
        "'run': 4 of its best 10 detections are where nothing is labelled; check whether labels "
        "are missing there, and label videos without it."
    )
    assert video[:4] == ("video", "b", "background", 4)


def test_nothing_is_found():
    result = diagnosed({"a": (runs(4), [])})
    assert "No detection is right at tIoU 0.5." in result.headline
    assert np.isnan(result.calibration.error)
    json.dumps(result.as_dict(), allow_nan=False)


def test_names_cannot_move_a_terminals_cursor():
    label = "\x1b[2J"
    result = diagnosed({label: (runs(5, label=label), [])})
    assert len(result.to_label) == 2
    assert all(item.text.isprintable() for item in result.to_label)


@pytest.mark.parametrize(
    ("tious", "expected"), [((0.3, 0.5, 0.7), 1), ((0.6, 0.7, 0.8), 1), ((0.75,), 0)]
)
def test_the_single_tiou_is_one_half_or_the_middle(tious, expected):
    result = diagnosed({"a": (runs(3), detected(runs(3)))}, tious)
    assert result.threshold == expected
    assert result.operating.tiou == tious[expected]


def test_the_dictionary_is_json_and_extends_the_metrics():
    result = diagnosed(confused(4), (0.3, 0.5, 0.7))
    values = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    metrics = result.metrics.as_dict()
    assert {key: values[key] for key in metrics} == metrics
    assert values["intervals"]["ap"]["low"].keys() == {"run", "jump"}
