"""Evaluations for pages, pictures and tables, small or with many classes and detections."""

import numpy as np

from afsd_jax import evaluation
from afsd_jax.report.evaluation_view import Curve, EvaluationView
from afsd_jax.types import Action, AnnotatedVideo, Detection

HOSTILE = "<script>boom()</script> & 'run'"
TIOUS = (0.3, 0.5, 0.7)
# Three actions: the first is found up to tIoU 0.5, the second is taken for "fly", the third is
# missed. The second detection of the first action is a double one, the last one is background.
TRUTH = {
    "a": AnnotatedVideo("test", 40.0, (Action("jump", 4, 8), Action(HOSTILE, 20, 26))),
    "quiet <b>": AnnotatedVideo("test", 30.0, (Action("fly", 10, 12),)),
}
FOUND = {
    "a": [
        Detection("jump", 0.9, 4, 10),
        Detection("jump", 0.6, 5, 9),
        Detection("fly", 0.5, 20, 26),
        Detection("fly", 0.2, 30, 35),
    ]
}


def small_view() -> EvaluationView:
    tables = evaluation.tabulate(TRUTH, FOUND)
    assert tables.classes == ("jump", HOSTILE, "fly")
    return view_of(
        tables,
        TIOUS,
        kinds=np.array([[0, 1, 2, 5], [0, 1, 2, 5], [3, 3, 2, 5]]),
        reasons=np.array([[0, 1, 3], [0, 1, 3], [2, 1, 3]]),
        taken_for=np.array([[-1, 2, -1]] * 3),
        targets=np.array([0, 0, 1, -1]),
        gains=np.array([[0.01, 0.02, 0.0, 0.0, 0.05, 0.3]] * 3),
        ap=np.array([[1, 0, 0], [1, 0, 0], [0, 0, 0]]),
    )


def large_view(classes: int, videos: int, per_video: int, per_class: int = 25) -> EvaluationView:
    """Returns a view with `videos` times `per_video` detections, all of random kinds."""
    rng = np.random.default_rng(0)
    labels = [f"class {i}" for i in range(classes)]
    owner = rng.integers(videos, size=classes * per_class)
    starts = rng.uniform(0, 90, (classes * per_class)).tolist()
    truth = {f"v{i}": AnnotatedVideo("test", 100.0, ()) for i in range(videos)}
    actions: dict[str, list[Action]] = {name: [] for name in truth}
    for number, (video, start) in enumerate(zip(owner, starts, strict=True)):
        actions[f"v{video}"].append(Action(labels[number % classes], start, start + 5))
    truth = {n: AnnotatedVideo("test", 100.0, tuple(items)) for n, items in actions.items()}
    found = {
        name: [
            Detection(labels[label], score, start, start + 4)
            for label, score, start in zip(
                rng.integers(classes, size=per_video),
                rng.random(per_video).tolist(),
                rng.uniform(0, 90, per_video).tolist(),
                strict=True,
            )
        ]
        for name in truth
    }
    tables = evaluation.tabulate(truth, found)
    a, k = len(tables.actions), len(tables.scores)
    reasons = rng.integers(4, size=(2, a))
    return view_of(
        tables,
        (0.5, 0.7),
        kinds=rng.integers(6, size=(2, k)),
        reasons=reasons,
        taken_for=np.where(reasons == 1, rng.integers(classes, size=(2, a)), -1),
        targets=rng.integers(a, size=k),
        gains=rng.random((2, 6)) / 10,
        ap=rng.random((2, classes)),
    )


def view_of(
    tables: evaluation.Tables, tious: tuple[float, ...], **arrays: np.ndarray
) -> EvaluationView:
    """Returns a view with these arrays, and simple values for all others."""
    count = len(tables.scores)
    rank = np.zeros(count, np.int64)
    for rows in evaluation.by_class(tables):
        rank[rows] = np.arange(len(rows))
    groups = np.minimum(rank // tables.num_actions[tables.detection_classes], 9)
    curve = Curve(np.array([0.5, 0.5, 1.0]), np.array([1.0, 0.5, 2 / 3]), 2, 0.35, (0.2, 0.4))
    nothing = Curve(np.zeros(0), np.zeros(0), None, 0.0)
    halves = np.array_split(np.arange(len(tables.actions)), 2)
    return EvaluationView(
        tables=tables,
        tious=tious,
        tiou=0.5,
        rows=np.arange(count),
        ranks=groups,
        groups={"Length": [("up to 3 s", halves[0]), ("above 3 s", halves[1])]},
        curves=dict.fromkeys((*tables.classes, ""), curve) | {tables.classes[1]: nothing},
        calibration=(np.array([0.2, 0.8]), np.array([0.1, 0.9]), np.array([3, 5]), 0.1),
        headline=["Most is lost to missed actions.", f"{HOSTILE} is taken for fly."],
        figures=[("33.3", "average mAP"), ("50 %", "not found")],
        measures=[("frame accuracy", "0.91")],
        to_label=[(HOSTILE, "all of its actions are lost")],
        **arrays,
    )
