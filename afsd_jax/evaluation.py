"""Average precision of temporal detections, by the rules of the ActivityNet toolkit.

Results equal those of the toolkit's `eval_detection.py`, the standard on both benchmarks. All
thresholds, classes and videos are matched at once, so 100 000 detections take about a second.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afsd_jax.errors import UserError, printable
from afsd_jax.types import AnnotatedVideo, Detection

SCORE = "average_mAP"  # the entry of `Metrics.as_dict` by which networks are compared


class Benchmark(NamedTuple):
    """The subset and the tIoU thresholds for which a benchmark's results are reported."""

    subset: str
    tious: tuple[float, ...]


BENCHMARKS = {
    "videos": Benchmark("test", (0.3, 0.4, 0.5, 0.6, 0.7)),  # the user's own videos
    "thumos14": Benchmark("test", (0.3, 0.4, 0.5, 0.6, 0.7)),
    "activitynet": Benchmark("validation", (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)),
}


class Metrics(NamedTuple):
    """Average precisions, in [0, 1].

    Attributes:
      tious: the H thresholds.
      ap: the H average precisions of each class in the ground truth.
    """

    tious: tuple[float, ...]
    ap: dict[str, NDArray[np.float64]]

    @property
    def mean_ap(self) -> NDArray[np.float64]:
        """[H]: the mean over the classes."""
        return np.mean(list(self.ap.values()), axis=0)

    @property
    def average_map(self) -> float:
        """The mean over classes and thresholds."""
        return float(np.mean(self.mean_ap))

    def as_dict(self) -> dict[str, Any]:
        """The metrics as JSON values: `mAP@0.3`, …, `average_mAP`, `ap`: class → list [H]."""
        means = zip(self.tious, self.mean_ap, strict=True)
        return {
            **{f"mAP@{threshold:g}": float(mean) for threshold, mean in means},
            SCORE: self.average_map,
            "ap": {label: values.tolist() for label, values in self.ap.items()},
        }

    def as_table(self) -> str:
        """A text table in percent: one line per class, then the mean; one column per threshold."""
        lines = [(printable(label), values) for label, values in self.ap.items()]
        lines.append(("mAP", self.mean_ap))
        width = max(len(label) for label, _ in lines)
        header = [f"{'tIoU':<{width}}", *(f"{value:>7g}" for value in self.tious), "  average"]
        rule = "-" * len("".join(header))
        text = ["".join(header), rule]
        for label, values in lines:
            cells = [f"{100 * value:7.2f}" for value in values]
            text.append(f"{label:<{width}}{''.join(cells)}{100 * np.mean(values):9.2f}")
        text.insert(-1, rule)
        return "\n".join(text)


def tious_of(dataset: str) -> tuple[float, ...]:
    """Returns the tIoU thresholds at which the data set of this name is evaluated."""
    return BENCHMARKS.get(dataset, BENCHMARKS["videos"]).tious


def check_tious(tious: Sequence[float]) -> None:
    """Raises UserError if there are no thresholds, or one is outside (0, 1]."""
    if not tious or not all(0 < threshold <= 1 for threshold in tious):
        raise UserError(f"tIoU thresholds must lie in (0, 1], got {list(tious)}")


def evaluate(
    ground_truth: Mapping[str, AnnotatedVideo],
    predictions: Mapping[str, Sequence[Detection]],
    tious: Sequence[float],
) -> Metrics:
    """Scores detections against the ground truth.

    In each class, detections are visited by descending score (equal scores: in the given order).
    Each takes the free action of its video with the highest tIoU if that reaches the threshold;
    else it is a false positive. AP is the area under the interpolated precision-recall curve.

    Args:
      ground_truth: the annotated videos. An action without length cannot be found.
      predictions: detections by video; unknown videos and classes are ignored.
      tious: the H thresholds, in (0, 1].

    Raises:
      UserError: the ground truth has no action, or a threshold is out of range.

    Example:
      >>> from afsd_jax.types import Action, AnnotatedVideo, Detection
      >>> truth = {"a": AnnotatedVideo("test", 60.0, (Action("jump", 2.0, 6.0),))}
      >>> metrics = evaluate(truth, {"a": [Detection("jump", 0.9, 2.0, 5.0)]}, (0.5, 0.8))
      >>> metrics.mean_ap.tolist()
      [1.0, 0.0]
    """
    check_tious(tious)
    labels = (action.label for video in ground_truth.values() for action in video.actions)
    classes = {label: index for index, label in enumerate(dict.fromkeys(labels))}
    if not classes:
        raise UserError("the ground truth has no action to find: check the file and the subset")
    names = {name: index for index, name in enumerate(ground_truth)}

    def group(video: str, label: str) -> int:
        """Only detections and actions of the same group (a class in a video) can match."""
        return classes[label] * len(names) + names[video]

    actions = [
        (group(name, action.label), action.start_s, action.end_s)
        for name, video in ground_truth.items()
        for action in video.actions
    ]
    detections = [
        (group(name, detection.label), detection.start_s, detection.end_s, detection.score)
        for name, video_detections in predictions.items()
        if name in names
        for detection in video_detections
        if detection.label in classes
    ]
    truth = np.array(actions, np.float64)
    found = np.array(detections, np.float64).reshape(-1, 4)
    found = found[np.argsort(-found[:, 3], kind="stable")]
    groups, found_groups = truth[:, 0].astype(np.int64), found[:, 0].astype(np.int64)
    hits = _match(truth[:, 1:], groups, found[:, 1:3], found_groups, np.array(tious))
    found_classes, num_actions = found_groups // len(names), np.bincount(groups // len(names))
    ap = {
        label: average_precision(hits[:, found_classes == index], int(num_actions[index]))
        for label, index in classes.items()
    }
    return Metrics(tuple(tious), ap)


def average_precision(hits: NDArray[np.bool_], num_actions: int) -> NDArray[np.float64]:
    """Returns the area under the interpolated precision-recall curve.

    Args:
      hits: [H, P], which detections, by descending score, are true positives.
      num_actions: number of true actions, > 0.

    Returns:
      [H], float64.
    """
    precision = np.cumsum(hits, axis=-1) / np.arange(1, hits.shape[-1] + 1)
    # Interpolated: the best precision at this or a higher recall. Each hit adds 1/num_actions.
    interpolated = np.maximum.accumulate(precision[:, ::-1], axis=-1)[:, ::-1]
    return np.sum(interpolated, axis=-1, where=hits) / num_actions


def tiou(
    start: NDArray[Any],
    end: NDArray[Any],
    other_start: NDArray[Any],
    other_end: NDArray[Any],
    min_length: float | np.floating = 0.0,
) -> NDArray[Any]:
    """Returns the tIoU of segments with others, broadcast; 0 where they do not overlap.

    It is rounded as by the ActivityNet toolkit and, in float32 with a `min_length` of 1e-5 s, as by
    the soft-NMS of AFSD's reference implementation.

    Args:
      start, end: segments, of one dtype with the others.
      other_start, other_end: other segments; shorter ones count as `min_length` long.
    """
    overlap = np.maximum(np.minimum(end, other_end) - np.maximum(start, other_start), 0)
    union = np.maximum(other_end - other_start, min_length) + (end - start) - overlap
    return np.divide(overlap, union, out=np.asarray(overlap), where=overlap > 0)


def _match(
    actions: NDArray[np.float64],
    action_groups: NDArray[np.int64],
    found: NDArray[np.float64],
    found_groups: NDArray[np.int64],
    tious: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Matches greedily within groups, for all groups and thresholds at once.

    Only detections of one group must be visited one after another, so step r visits the r-th
    detection of every group that has one.

    Args:
      actions, action_groups: [A, 2] segments and [A] their groups.
      found, found_groups: [P, 2] detected segments by descending score, and [P] their groups.
      tious: [H] thresholds.

    Returns:
      [H, P]: which detections are true positives.
    """
    hits = np.zeros((len(tious), len(found)), np.bool_)
    # Groups with both actions and detections, those with most detections first: the groups that
    # have an r-th detection are then always the first ones.
    shared, counts = np.unique(
        found_groups[np.isin(found_groups, action_groups)], return_counts=True
    )
    order = np.argsort(-counts, kind="stable")
    shared, counts = shared[order], counts[order]
    queues = _members(shared, found_groups)
    rows = _members(shared, action_groups)
    free = np.broadcast_to(rows >= 0, (len(tious), *rows.shape)).copy()
    for step in range(queues.shape[1]):
        active = np.searchsorted(-counts, -step)  # groups with more than `step` detections
        visited = queues[:active, step]
        start, end = np.moveaxis(found[visited, None], -1, 0)
        overlap = tiou(start, end, *np.moveaxis(actions[rows[:active]], -1, 0))
        candidate = free[:, :active] & (overlap >= tious[:, None, None])
        best = np.argmax(np.where(candidate, overlap, -1.0), axis=-1)[..., None]
        hit = np.take_along_axis(candidate, best, axis=-1)
        hits[:, visited] = hit[..., 0]
        still_free = np.take_along_axis(free[:, :active], best, axis=-1) & ~hit
        np.put_along_axis(free[:, :active], best, still_free, axis=-1)
    return hits


def _members(groups: NDArray[np.int64], keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns positions in `keys` of each group's members: [G, most members], padded with -1."""
    order = np.argsort(keys, kind="stable")
    first = np.searchsorted(keys[order], groups, side="left")
    count = np.searchsorted(keys[order], groups, side="right") - first
    rank = np.arange(count.max(initial=0))
    present = rank < count[:, None]
    position = np.where(present, first[:, None] + rank, 0)
    return np.where(present, order[position] if len(order) else 0, -1)
