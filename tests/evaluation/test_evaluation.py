"""Average precision by the ActivityNet toolkit's rules."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afsd_jax import evaluation
from afsd_jax.errors import UserError
from afsd_jax.io import activitynet_json
from afsd_jax.types import Action, AnnotatedVideo, Detection
from tests.support import GOLDEN, ROOT, THUMOS14

THUMOS_GROUND_TRUTH = THUMOS14 / "thumos_gt.json"
THUMOS_TIOUS = evaluation.BENCHMARKS["thumos14"].tious


def truth(**videos):
    """Ground truth from video=[(label, start, end), …]."""
    return {
        name: AnnotatedVideo("test", None, tuple(Action(*action) for action in actions))
        for name, actions in videos.items()
    }


def found(**videos):
    """Predictions from video=[(label, score, start, end), …]."""
    return {name: [Detection(*item) for item in items] for name, items in videos.items()}


def test_thumos14_numbers_equal_the_toolkits():
    if not THUMOS_GROUND_TRUTH.exists():
        pytest.skip(f"the THUMOS14 annotations are not at {THUMOS_GROUND_TRUTH}")
    golden = json.loads((GOLDEN / "eval_thumos14.json").read_text())
    metrics = evaluation.evaluate(
        activitynet_json.read_ground_truth(THUMOS_GROUND_TRUTH, "test"),
        activitynet_json.read_predictions(GOLDEN / "eval_thumos14_predictions.json"),
        golden["tious"],
    )
    assert metrics.ap.keys() == golden["ap"].keys()
    for label, values in golden["ap"].items():
        np.testing.assert_allclose(metrics.ap[label], values, rtol=0, atol=1e-9)
    np.testing.assert_allclose(metrics.mean_ap, golden["mAP"], rtol=0, atol=1e-9)
    assert metrics.average_map == pytest.approx(golden["average_mAP"], abs=1e-9)


def test_every_action_found_without_error_scores_one():
    actions = {"a": [("x", 0, 1), ("y", 2, 5)], "b": [("x", 3, 9)]}
    predictions = found(a=[("x", 0.2, 0, 1), ("y", 0.9, 2, 5)], b=[("x", 0.8, 3, 9)])
    metrics = evaluation.evaluate(truth(**actions), predictions, (0.5, 1.0))
    assert metrics.as_dict() == {
        "mAP@0.5": 1.0,
        "mAP@1": 1.0,
        "average_mAP": 1.0,
        "ap": {"x": [1.0, 1.0], "y": [1.0, 1.0]},
    }


def test_precision_is_interpolated_between_recalls():
    actions = truth(a=[("x", 0, 1), ("x", 2, 3), ("x", 4, 5), ("x", 6, 7)])
    items = [("x", 0.9, 0, 1), ("x", 0.8, 10, 11), ("x", 0.7, 2, 3), ("x", 0.6, 4, 5)]
    metrics = evaluation.evaluate(actions, found(a=items), (0.5,))
    # Precisions at the three hits: 1, 2/3, 3/4; the second is lifted to 3/4.
    assert metrics.ap["x"][0] == pytest.approx((1 + 3 / 4 + 3 / 4) / 4)


def test_a_second_detection_of_an_action_is_a_false_positive():
    actions = truth(a=[("x", 0, 10), ("x", 20, 30)])
    items = [("x", 0.9, 0, 10), ("x", 0.8, 0, 10), ("x", 0.7, 20, 30)]
    metrics = evaluation.evaluate(actions, found(a=items), (0.5,))
    assert metrics.ap["x"][0] == pytest.approx((1 + 2 / 3) / 2)


def test_a_detection_takes_the_next_best_action_if_its_best_is_taken():
    actions = truth(a=[("x", 0, 10), ("x", 1, 11)])
    items = [("x", 0.9, 0, 10), ("x", 0.8, 0, 10)]  # tIoU with the second action: 9/11
    metrics = evaluation.evaluate(actions, found(a=items), (0.8, 0.9))
    assert metrics.ap["x"].tolist() == [1.0, 0.5]


def test_the_threshold_itself_is_enough():
    metrics = evaluation.evaluate(truth(a=[("x", 0, 4)]), found(a=[("x", 1, 0, 2)]), (0.5,))
    assert metrics.ap["x"][0] == 1


def test_actions_of_another_video_or_class_are_never_matched():
    actions = truth(a=[("x", 0, 4)], b=[("y", 0, 4)])
    predictions = found(b=[("x", 1, 0, 4)], a=[("y", 1, 0, 4)])
    assert evaluation.evaluate(actions, predictions, (0.5,)).average_map == 0


def test_a_detection_in_a_known_video_without_actions_counts_as_false():
    actions = truth(a=[("x", 0, 4)], b=[])
    predictions = found(a=[("x", 0.5, 0, 4)], b=[("x", 0.9, 0, 4)])
    assert evaluation.evaluate(actions, predictions, (0.5,)).ap["x"][0] == 0.5


def test_predictions_of_unknown_videos_and_labels_are_ignored():
    actions = truth(a=[("x", 0, 4)])
    predictions = found(a=[("z", 0.9, 0, 4), ("x", 0.5, 0, 4)], c=[("x", 0.9, 0, 4)])
    assert evaluation.evaluate(actions, predictions, (0.5,)).ap["x"][0] == 1


def test_a_class_without_detections_counts_as_zero():
    actions = truth(a=[("x", 0, 4), ("y", 0, 4)])
    metrics = evaluation.evaluate(actions, found(a=[("x", 0.9, 0, 4)]), (0.5,))
    assert metrics.as_dict()["mAP@0.5"] == 0.5
    assert evaluation.evaluate(actions, {}, (0.5,)).average_map == 0


def test_empty_and_reversed_segments_match_nothing():
    actions = truth(a=[("x", 5, 5), ("x", 9, 7), ("x", 0, 1)])
    items = [("x", 0.9, 5, 5), ("x", 0.8, 9, 7), ("x", 0.7, 1, 0), ("x", 0.6, 0, 1)]
    metrics = evaluation.evaluate(actions, found(a=items), (0.5,))
    assert metrics.ap["x"][0] == pytest.approx(1 / 4 / 3)


def test_tiou_is_intersection_over_union_and_zero_where_there_is_none():
    segment = np.array([0.0, 4.0])
    others = np.array([[0, 4], [2, 6], [1, 2], [4, 5], [7, 9], [3, 1]], np.float64)
    expected = [1, 2 / 6, 1 / 4, 0, 0, 0]
    np.testing.assert_allclose(evaluation.tiou(*segment, *others.T), expected)
    assert evaluation.tiou(*np.array([5.0, 5.0, 5.0, 5.0])) == 0


def test_tiou_is_rounded_as_by_the_toolkit():
    segments = np.sort(np.random.default_rng(0).integers(0, 200, (2, 500, 2)) / 10, axis=-1)
    (start, end), (true_start, true_end) = np.moveaxis(segments, -1, 1)
    # Word for word from eval_detection.py's segment_iou.
    intersection = (np.minimum(true_end, end) - np.maximum(true_start, start)).clip(0)
    union = (end - start) + (true_end - true_start) - intersection
    expected = np.divide(intersection, union, out=np.zeros(500), where=union > 0)
    np.testing.assert_array_equal(evaluation.tiou(start, end, true_start, true_end), expected)


@pytest.mark.parametrize("tious", [(), (0.0,), (0.5, 1.1), (float("nan"),)])
def test_thresholds_out_of_range_are_refused(tious):
    with pytest.raises(UserError, match="thresholds must lie in"):
        evaluation.evaluate(truth(a=[("x", 0, 4)]), {}, tious)


def test_a_ground_truth_without_actions_is_refused():
    with pytest.raises(UserError, match="no action"):
        evaluation.evaluate(truth(a=[]), {}, (0.5,))


def slow_average_precision(ground_truth, predictions, label, threshold):
    """Reference for one class and threshold: one detection and one point of the curve at a time."""
    actions = [
        [name, action.start_s, action.end_s, False]
        for name, video in ground_truth.items()
        for action in video.actions
        if action.label == label
    ]
    ranked = sorted(
        (
            (name, detection)
            for name, detections in predictions.items()
            for detection in detections
            if name in ground_truth and detection.label == label
        ),
        key=lambda item: -item[1].score,
    )
    points = [(0.0, 0.0)]
    hits = 0
    for count, (name, detection) in enumerate(ranked, start=1):
        best, best_tiou = None, -1.0
        for action in actions:
            if action[0] != name or action[3]:
                continue
            overlap = min(detection.end_s, action[2]) - max(detection.start_s, action[1])
            overlap = max(overlap, 0.0)
            union = detection.end_s - detection.start_s + action[2] - action[1] - overlap
            tiou = overlap / union if union > 0 else 0.0
            if tiou >= threshold and tiou > best_tiou:
                best, best_tiou = action, tiou
        if best is not None:
            best[3] = True
            hits += 1
        points.append((hits / len(actions), hits / count))
    area, last = 0.0, 0.0
    for recall, _ in points:
        if recall > last:
            area += (recall - last) * max(p for r, p in points if r >= recall)
            last = recall
    return area


times = st.integers(0, 12).map(lambda value: value / 2)
labels = st.sampled_from("xyz")
videos = st.sampled_from("abc")
scores = st.integers(0, 8).map(lambda value: value / 8)  # few values: ties are common


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(videos, labels, times, times), min_size=1, max_size=15),
    st.lists(st.tuples(st.sampled_from("abcd"), labels, scores, times, times), max_size=30),
    st.lists(st.sampled_from([0.1, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=3),
)
def test_all_at_once_equals_one_by_one(actions, items, tious):
    ground_truth = truth(**{v: [tuple(a[1:]) for a in actions if a[0] == v] for v in "abc"})
    predictions = found(**{v: [tuple(i[1:]) for i in items if i[0] == v] for v in "abcd"})
    metrics = evaluation.evaluate(ground_truth, predictions, tious)
    assert metrics.ap.keys() == {label for _, label, _, _ in actions}
    for label, values in metrics.ap.items():
        expected = [slow_average_precision(ground_truth, predictions, label, t) for t in tious]
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12)


def evaluate_command(*arguments):
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "evaluate.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def ground_truth_file(tmp_path):
    action = {"label": "Jump", "segment": ["1", "3"]}
    other = {"label": "Run", "segment": [4, 8]}
    database = {
        "a": {"subset": "test", "annotations": [action, other]},
        "b": {"subset": "validation", "annotations": [action]},
    }
    path = tmp_path / "ground_truth.json"
    path.write_text(json.dumps({"database": database}))
    return path


@pytest.fixture
def predictions_file(tmp_path):
    path = tmp_path / "predictions.json"
    activitynet_json.write_predictions(
        path, found(a=[("Jump", 0.9, 1, 3), ("Run", 0.5, 5, 8)], b=[("Jump", 0.3, 1, 2.85)])
    )
    return path


def test_the_command_prints_a_table_and_writes_the_metrics(
    tmp_path, ground_truth_file, predictions_file
):
    output = tmp_path / "metrics.json"
    done = evaluate_command(
        "--predictions", predictions_file, "--ground-truth", ground_truth_file,
        "--benchmark", "thumos14", "--tiou", "0.5,0.8", "--output", output,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    header = done.stdout.splitlines()[0].split()
    assert header == ["AP,", "%", "at", "tIoU", "0.5", "0.8", "average"]
    assert done.stdout.splitlines()[2].split() == ["Jump", "100.00", "100.00", "100.00"]
    assert done.stdout.splitlines()[3].split() == ["Run", "100.00", "0.00", "50.00"]
    assert done.stdout.splitlines()[-5].split() == ["mAP", "100.00", "50.00", "75.00"]
    assert done.stderr.startswith("note: 1 of 2 videos")
    assert json.loads(output.read_text()) == {
        "mAP@0.5": 1.0,
        "mAP@0.8": 0.5,
        "average_mAP": 0.75,
        "ap": {"Jump": [1.0, 1.0], "Run": [1.0, 0.0]},
    }


def test_the_benchmark_sets_subset_and_thresholds(ground_truth_file, predictions_file):
    done = evaluate_command(
        "--predictions", predictions_file, "--ground-truth", ground_truth_file,
        "--benchmark", "activitynet",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    header = done.stdout.splitlines()[0].split()
    assert header[4:-1] == [f"{0.5 + 0.05 * step:g}" for step in range(10)]
    assert done.stdout.splitlines()[-4].split()[-3:] == ["100.00", "0.00", "90.00"]


TABLES = {
    "no subsets": ("video,label,start,end\na.mp4,Jump,1,3\na,Run,4,8\nb,Jump,1,3\n", []),
    "subsets": (
        "video,label,start,end,subset\na,Jump,1,3,test\na,Run,4,8,test\nb,Jump,1,3,train\n",
        [],
    ),
    "a subset chosen": (
        "video,label,start,end,subset\na,Jump,1,3,x\na,Run,4,8,x\nb,Jump,1,3,y\n",
        ["--subset", "x"],
    ),
    "BORIS": (
        "Observation id,Media file name,Subject,Behavior,Behavior type,Start (s),Stop (s)\n"
        "1,/x/a.mp4,,Jump,STATE,1,3\n1,/x/a.mp4,,Run,STATE,4,8\n1,/x/a.mp4,,Call,POINT,2,2\n"
        "2,/x/b.mp4,,Jump,STATE,1,3\n",
        [],
    ),
}


@pytest.mark.parametrize("kind", TABLES)
def test_ground_truth_may_be_of_any_kind_of_annotations(tmp_path, predictions_file, kind):
    text, options = TABLES[kind]
    path = tmp_path / "truth.csv"
    path.write_text(text)
    done = evaluate_command(
        "--predictions", predictions_file, "--ground-truth", path, "--tiou", "0.5", *options,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-4].split() == ["mAP", "100.00", "100.00"]
    all_count = f"note: {path} states no subsets: all 2 videos count\n"
    assert (all_count in done.stderr) == (kind in ("no subsets", "BORIS"))
    assert ("line 4: 'Call' has no length (POINT): left out" in done.stderr) == (kind == "BORIS")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--subset", "train"], "no video has subset 'train'"),
        (["--tiou", "half"], "--tiou: must be numbers"),
        (["--tiou", "1.5"], "thresholds must lie in (0, 1]"),
        (["--predictions", "missing.json"], "missing.json: no such file"),
        (["--ground-truth", __file__], "not valid JSON"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(
    tmp_path, ground_truth_file, predictions_file, change, message
):
    output = tmp_path / "metrics.json"
    output.write_text("earlier result")
    done = evaluate_command(
        "--predictions", predictions_file, "--ground-truth", ground_truth_file,
        "--output", output, *change,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert output.read_text() == "earlier result"
