"""Average precision of temporal detections, by the rules of the ActivityNet toolkit.

Numbers equal those of the toolkit's `eval_detection.py`, which both benchmarks are reported with;
every threshold, class and video is matched at once, so 100 000 detections take about a second.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afsd_jax.errors import UserError
from afsd_jax.types import AnnotatedVideo, Detection

SCORE = "average_mAP"  # of `Metrics.as_dict`, by which networks are compared


class Benchmark(NamedTuple):
    """How a benchmark is reported: on which subset and at which tIoU thresholds."""

    subset: str
    tious: tuple[float, ...]


BENCHMARKS = {
    "videos": Benchmark("test", (0.3, 0.4, 0.5, 0.6, 0.7)),  # one's own
    "thumos14": Benchmark("test", (0.3, 0.4, 0.5, 0.6, 0.7)),
    "activitynet": Benchmark("validation", (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)),
}


class Metrics(NamedTuple):
    """Average precisions, in [0, 1].

    Attributes:
      tious: the H thresholds.
      ap: for each class of the ground truth its H average precisions.
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
        """The metrics as JSON has them: `mAP@0.3`, …, `average_mAP`, `ap`: class -> list [H]."""
        means = zip(self.tious, self.mean_ap, strict=True)
        return {
            **{f"mAP@{tiou:g}": float(mean) for tiou, mean in means},
            SCORE: self.average_map,
            "ap": {label: values.tolist() for label, values in self.ap.items()},
        }

    def as_table(self) -> str:
        """A text table in percent: a line per class, the mean last; a column per threshold."""
        lines = [(label, values) for label, values in self.ap.items()]
        lines.append(("mAP", self.mean_ap))
        width = max(len(label) for label, _ in lines)
        header = [f"{'tIoU':<{width}}", *(f"{tiou:>7g}" for tiou in self.tious), "  average"]
        rule = "-" * len("".join(header))
        text = ["".join(header), rule]
        for label, values in lines:
            cells = [f"{100 * value:7.2f}" for value in values]
            text.append(f"{label:<{width}}{''.join(cells)}{100 * np.mean(values):9.2f}")
        text.insert(-1, rule)
        return "\n".join(text)


def tious_of(dataset: str) -> tuple[float, ...]:
    """Returns the tIoU thresholds at which a data set, by its name, is evaluated."""
    return BENCHMARKS.get(dataset, BENCHMARKS["videos"]).tious


def check_tious(tious: Sequence[float]) -> None:
    """Raises UserError if there is no threshold, or one is out of (0, 1]."""
    if not tious or not all(0 < tiou <= 1 for tiou in tious):
        raise UserError(f"tIoU thresholds must lie in (0, 1], got {list(tious)}")


def evaluate(
    ground_truth: Mapping[str, AnnotatedVideo],
    predictions: Mapping[str, Sequence[Detection]],
    tious: Sequence[float],
) -> Metrics:
    """Scores detections against the ground truth.

    Per class, detections are visited by descending score (equal scores: in the given order). At
    each threshold one takes the free action of its video with the highest tIoU that reaches the
    threshold; if there is none it is a false positive. The average precision is the area under
    the interpolated precision-recall curve.

    Args:
      ground_truth: the annotated videos. An action of no length can never be found.
      predictions: the detections; those of other videos or classes are ignored.
      tious: the H thresholds, in (0, 1].

    Raises:
      UserError: the ground truth has no action, or a threshold is out of range.
    """
    check_tious(tious)
    classes: dict[str, int] = {}
    for video in ground_truth.values():
        for action in video.actions:
            classes.setdefault(action.label, len(classes))
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
    found = [
        (group(name, detection.label), detection.start_s, detection.end_s, detection.score)
        for name, detections in predictions.items()
        if name in names
        for detection in detections
        if detection.label in classes
    ]
    action_table = np.array(actions, np.float64).reshape(-1, 3)
    found_table = np.array(found, np.float64).reshape(-1, 4)
    found_table = found_table[np.argsort(-found_table[:, 3], kind="stable")]
    action_groups = action_table[:, 0].astype(np.int64)
    found_groups = found_table[:, 0].astype(np.int64)
    hits = _match(
        action_table[:, 1:], action_groups, found_table[:, 1:3], found_groups, np.array(tious)
    )
    action_classes = action_groups // len(names)
    found_classes = found_groups // len(names)
    return Metrics(
        tuple(tious),
        {
            label: average_precision(
                hits[:, found_classes == index], int(np.count_nonzero(action_classes == index))
            )
            for label, index in classes.items()
        },
    )


def average_precision(hits: NDArray[np.bool_], num_actions: int) -> NDArray[np.float64]:
    """Area under the interpolated precision-recall curve.

    Args:
      hits: [H, P], whether each detection, by descending score, is a true positive.
      num_actions: number of true actions, > 0.

    Returns:
      [H], float64.
    """
    precision = np.cumsum(hits, axis=-1) / np.arange(1, hits.shape[-1] + 1)
    # Interpolated: the best precision at this recall or a higher one. Each hit adds 1/num_actions
    # of recall.
    interpolated = np.maximum.accumulate(precision[:, ::-1], axis=-1)[:, ::-1]
    return np.sum(interpolated, axis=-1, where=hits) / num_actions


def temporal_iou(
    segments: NDArray[np.floating[Any]], others: NDArray[np.floating[Any]]
) -> NDArray[np.floating[Any]]:
    """tIoU of segments [..., 2] with others [..., 2]; 0 where the union has no length."""
    start = np.maximum(segments[..., 0], others[..., 0])
    end = np.minimum(segments[..., 1], others[..., 1])
    intersection = np.maximum(end - start, 0)
    lengths = segments[..., 1] - segments[..., 0] + others[..., 1] - others[..., 0]
    union = lengths - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def _match(
    actions: NDArray[np.float64],
    action_groups: NDArray[np.int64],
    found: NDArray[np.float64],
    found_groups: NDArray[np.int64],
    tious: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Greedy matching within groups, of all groups and thresholds at once.

    The detections of one group must be visited one after another; those of different groups need
    not. So step r visits the r-th detection of every group that has one.

    Args:
      actions: [A, 2]; action_groups: [A].
      found: [P, 2] by descending score; found_groups: [P].
      tious: [H].

    Returns:
      [H, P]: whether each detection is a true positive.
    """
    hits = np.zeros((len(tious), len(found)), np.bool_)
    # Groups that have both, those with most detections first: the ones that still have an r-th
    # detection are then always the first few.
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
        tiou = temporal_iou(found[visited, None], actions[rows[:active]])
        candidate = free[:, :active] & (tiou >= tious[:, None, None])
        best = np.argmax(np.where(candidate, tiou, -1.0), axis=-1)[..., None]
        hit = np.take_along_axis(candidate, best, axis=-1)
        hits[:, visited] = hit[..., 0]
        still_free = np.take_along_axis(free[:, :active], best, axis=-1) & ~hit
        np.put_along_axis(free[:, :active], best, still_free, axis=-1)
    return hits


def _members(groups: NDArray[np.int64], keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions in `keys` of each group's members, in order: [G, most members], -1 at the end."""
    order = np.argsort(keys, kind="stable")
    first = np.searchsorted(keys[order], groups, side="left")
    count = np.searchsorted(keys[order], groups, side="right") - first
    rank = np.arange(count.max(initial=0))
    present = rank < count[:, None]
    position = np.where(present, first[:, None] + rank, 0)
    return np.where(present, order[position] if len(order) else 0, -1)
