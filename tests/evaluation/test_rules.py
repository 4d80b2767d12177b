"""Average precision equals the figures that others published for their detections."""

import json

import numpy as np
import pytest
from hypothesis import given, settings

from afsd_jax import evaluation
from afsd_jax.errors import UserError
from afsd_jax.io import activitynet_json, thumos14_kit
from afsd_jax.types import Action, AnnotatedVideo, Detection
from tests.evaluated import evaluations, read_gzip, shared
from tests.support import GOLDEN

KIT = "thumos14-kit"


def test_the_pair_of_mmaction2():
    metrics = evaluation.evaluate(
        activitynet_json.read_ground_truth(GOLDEN / "mmaction2_ground_truth.json"),
        activitynet_json.read_predictions(GOLDEN / "mmaction2_predictions.json"),
        evaluation.BENCHMARKS["activitynet"].tious,
    )
    expected = [*[0.71428571] * 3, *[0.6875] * 2, 0.59722222, *[0.52083333] * 3, 0.5]
    np.testing.assert_allclose(metrics.mean_ap, expected, rtol=0, atol=5e-9)
    assert metrics.average_map == 0.6177579365079365


@pytest.fixture(scope="module")
def kit():
    return thumos14_kit.read_kit(shared("thumos14-kit/annotation_test"))


def test_the_kits_annotations(kit):
    actions = [a for video in kit.values() for a in video.actions]
    assert sum(a.label != evaluation.AMBIGUOUS for a in actions) == 3358
    with_actions = [
        name for name, video in evaluation.without_ambiguous(kit).items() if video.actions
    ]
    assert len(with_actions) == 212
    assert {video.subset for video in kit.values()} == {"test"}


@pytest.mark.parametrize("tiou", ["0.1", "0.2", "0.3", "0.4", "0.5"])
def test_s_cnn_by_the_rule_of_the_kit(kit, tiou):
    published = json.loads(shared("thumos14-kit/scnn_published.json").read_text())[tiou]
    path = shared(f"thumos14-kit/scnn_{tiou}.json.gz")
    predictions = activitynet_json.predictions_of(read_gzip(path), path)
    metrics = evaluation.evaluate(kit, predictions, (float(tiou),), rule=KIT)
    assert metrics.ap.keys() == published["AP"].keys()
    for label, value in published["AP"].items():
        assert metrics.ap[label][0] == pytest.approx(value, abs=1e-7), label
    assert metrics.average_map == pytest.approx(published["mAP"], abs=1e-7)


def test_s_cnn_by_the_other_rule(kit):
    path = shared("thumos14-kit/scnn_0.5.json.gz")
    predictions = activitynet_json.predictions_of(read_gzip(path), path)
    truth = evaluation.without_ambiguous(kit)
    truth = {name: video for name, video in truth.items() if video.actions}
    assert evaluation.evaluate(truth, predictions, (0.5,)).average_map == pytest.approx(
        0.2173, abs=3e-4
    )  # 0.2173 is rounded, and depends on the order of videos among equal scores


def video(*actions):
    return AnnotatedVideo("test", 100.0, tuple(Action(*action) for action in actions))


def kit_ap(actions, detections, tiou=0.5):
    found = {"a": [Detection("x", *item) for item in detections]}
    return evaluation.evaluate({"a": video(*actions)}, found, (tiou,), rule=KIT).ap["x"][0]


def test_an_action_takes_the_best_overlap_whatever_its_score():
    detections = [(0.9, 0, 8), (0.5, 0, 10)]
    assert kit_ap([("x", 0, 10)], detections) == 0.5  # the second is the true positive


def test_precision_is_not_interpolated():
    actions = [("x", 0, 10), ("x", 20, 30)]
    detections = [(0.9, 50, 60), (0.8, 0, 10), (0.7, 20, 30)]
    assert kit_ap(actions, detections) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_the_threshold_itself_is_not_enough():
    assert kit_ap([("x", 0, 10)], [(0.9, 0, 5)]) == 0
    assert kit_ap([("x", 0, 10)], [(0.9, 0, 5.1)]) == 1


def test_what_touches_an_ambiguous_action_is_no_false_positive():
    actions = [("x", 0, 10), (evaluation.AMBIGUOUS, 50, 60)]
    assert kit_ap(actions, [(0.9, 58, 70), (0.5, 0, 10)]) == 1
    assert kit_ap(actions, [(0.9, 60, 70), (0.5, 0, 10)]) == 0.5


def slow_kit_ap(truth, found, label, tiou):
    """The rule of the kit for one class, one action after another."""
    rows, total = [], 0
    for name, annotated in truth.items():
        detections = sorted((d for d in found[name] if d.label == label), key=lambda d: -d.score)
        free = list(detections)
        for action in annotated.actions:
            if action.label != label:
                continue
            total += 1

            def overlap(d, action=action):
                common = min(d.end_s, action.end_s) - max(d.start_s, action.start_s)
                union = d.end_s - d.start_s + action.end_s - action.start_s - max(common, 0)
                return max(common, 0) / union

            best = max(free, key=overlap, default=None)
            if best is not None and overlap(best) > tiou:
                free.remove(best)
                rows.append((best.score, True))
        doubtful = [a for a in annotated.actions if a.label == "throw"]
        for d in free:
            if not any(min(d.end_s, a.end_s) > max(d.start_s, a.start_s) for a in doubtful):
                rows.append((d.score, False))
    area = right = 0
    for rank, (_, hit) in enumerate(sorted(rows, reverse=True), start=1):
        right += hit
        area += hit * right / rank
    return area / total


@settings(max_examples=100, deadline=None)
@given(evaluations())
def test_the_rule_of_the_kit_equals_one_by_one(evaluated):
    truth, found = evaluated  # "throw" plays Ambiguous
    named = {
        name: video(
            *(
                (evaluation.AMBIGUOUS if a.label == "throw" else a.label, a.start_s, a.end_s)
                for a in annotated.actions
            )
        )
        for name, annotated in truth.items()
    }
    metrics = evaluation.evaluate(named, found, (0.3, 0.6), rule=KIT)
    for label, values in metrics.ap.items():
        expected = [slow_kit_ap(truth, found, label, tiou) for tiou in (0.3, 0.6)]
        np.testing.assert_allclose(values, expected, atol=1e-12)


def test_an_unknown_rule_is_refused():
    with pytest.raises(UserError, match="one of activitynet, thumos14-kit, not 'coco'"):
        evaluation.evaluate({"a": video(("x", 0, 1))}, {}, (0.5,), rule="coco")


def test_columns_give_the_same_as_detections(tmp_path):
    from afsd_jax.types import DetectionColumns

    truth = {"a": video(("x", 0, 10), ("y", 5, 9)), "b": video(("y", 1, 2))}
    found = {
        "b": [Detection("y", 0.5, 1, 2), Detection("z", 0.9, 1, 2)],
        "c": [Detection("x", 0.9, 0, 10)],
        "a": [Detection("y", 0.5, 5, 9), Detection("x", 0.2, 0, 9)],
    }
    tables = (
        evaluation.tabulate(truth, found),
        evaluation.tabulate(truth, DetectionColumns.of(found)),
    )
    for ours, theirs in zip(*tables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert tables[0].scores.tolist() == [0.5, 0.5, 0.2]
    assert tables[0].detection_videos.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video 1.0\n", r"x_test.txt: line 1 must be: video start end; it is 'video 1.0'"),
        ("\nvideo 1.0 y\n", r"x_test.txt: line 2: end must be a finite number, not 'y'"),
    ],
)
def test_malformed_lines_are_refused(tmp_path, text, message):
    (tmp_path / "x_test.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        thumos14_kit.read_kit(tmp_path)


def test_a_folder_of_other_files_is_not_the_kits(tmp_path):
    (tmp_path / "detclasslist.txt").write_text("1 x\n")
    assert not thumos14_kit.is_kit(tmp_path)
    assert not thumos14_kit.is_kit(tmp_path / "detclasslist.txt")
    with pytest.raises(UserError, match="no file is called CLASS_test"):
        thumos14_kit.read_kit(tmp_path)
    (tmp_path / "x_val.txt").write_text("v 1 2\n")
    assert thumos14_kit.is_kit(tmp_path)
    assert thumos14_kit.read_kit(tmp_path)["v"].subset == "validation"
