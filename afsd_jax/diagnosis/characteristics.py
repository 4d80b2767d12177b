"""Shares of actions that are found, by class, length, coverage and number in the video.

As in DETAD (Alwassel et al., ECCV 2018, sections 3.3 and 3.4): for each group of actions, the share
that is not found, and the normalised mAP of the group. Where the paper is silent, this
follows its code:

- coverage is the length of an action over the length of its video; the number of instances counts
  all actions of the video, whatever their class;
- a group includes its upper edge, the first one also its lower edge; an action of a coverage above
  1 is in no group (DETAD leaves it out altogether);
- the normalised mAP of a group counts the detections that took an action of the group, and all
  false positives, which belong to no group. So it is low for groups with few actions. It is the
  mean over the classes that have an action in the group.

Where DETAD averages over several thresholds, it leaves out a detection at all of them if it took an
action of another group at one of them; here each threshold stands alone.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afsd_jax.diagnosis.normalised import area, false_before, typical_count
from afsd_jax.evaluation import Tables, by_class

Edges = dict[str, tuple[float, ...]]

# Lower and upper edges of the groups, by DETAD. Names: XS, S, M, L, XL.
BINS: dict[str, Edges] = {
    "thumos14": {
        "length": (0, 3, 6, 12, 18, np.inf),
        "coverage": (0, 0.02, 0.04, 0.06, 0.08, 1),
        "instances": (-1, 1, 40, 80, np.inf),
    },
    "activitynet": {
        "length": (0, 30, 60, 120, 180, np.inf),
        "coverage": (0, 0.2, 0.4, 0.6, 0.8, 1),
        "instances": (-1, 1, 4, 8, np.inf),
    },
}
NAMES = ("XS", "S", "M", "L", "XL")
# Edges for other data are such a number:
_ROUND = np.array([1, 1.5, 2, 3, 4, 5, 6, 8, 10])  # times a power of ten


class Group(NamedTuple):
    """The actions of one group of a characteristic, at H thresholds.

    Attributes:
      name: XS, S, M, L or XL.
      low, high: edges; `low` is outside, except of the first group.
      actions: [N] rows of actions.
      missed: [H] share that is not found; NaN for an empty group.
      mean_ap: [H] normalised mAP; NaN for an empty group.
    """

    name: str
    low: float
    high: float
    actions: NDArray[np.int64]
    missed: NDArray[np.float64]
    mean_ap: NDArray[np.float64]

    def as_dict(self) -> dict[str, Any]:
        """JSON values; None for what is not known, or infinite."""
        return {
            "name": self.name,
            "low": self.low if np.isfinite(self.low) else None,
            "high": self.high if np.isfinite(self.high) else None,
            "actions": len(self.actions),
            "missed": [None if np.isnan(share) else share for share in self.missed.tolist()],
            "normalised_mAP": [None if np.isnan(v) else v for v in self.mean_ap.tolist()],
        }


class ByClass(NamedTuple):
    """The actions of each class, at H thresholds.

    Attributes:
      classes: the C classes.
      actions: [C] their number.
      missed: [H, C] share that is not found.
      ap: [H, C] normalised AP.
    """

    classes: tuple[str, ...]
    actions: NDArray[np.int64]
    missed: NDArray[np.float64]
    ap: NDArray[np.float64]

    def as_dict(self) -> dict[str, Any]:
        """JSON values by class."""
        return {
            label: {
                "actions": int(self.actions[index]),
                "missed": self.missed[:, index].tolist(),
                "normalised_AP": self.ap[:, index].tolist(),
            }
            for index, label in enumerate(self.classes)
        }


def characteristics_of(tables: Tables) -> dict[str, NDArray[np.float64]]:
    """Returns each action's length (s), coverage (NaN if unknown) and number of instances: [A]."""
    length = tables.actions[:, 1] - tables.actions[:, 0]
    duration = tables.durations[tables.action_videos]
    coverage = np.divide(length, duration, out=np.full(len(length), np.nan), where=duration > 0)
    instances = np.bincount(tables.action_videos)[tables.action_videos]
    return {"length": length, "coverage": coverage, "instances": instances.astype(np.float64)}


def edges_for(tables: Tables, benchmark: str = "") -> Edges:
    """Returns DETAD's edges for a benchmark; for other data, rounded quintiles of the actions."""
    if benchmark in BINS:
        return BINS[benchmark]
    edges = {}
    for name, values in characteristics_of(tables).items():
        known = values[np.isfinite(values) & (values > 0)]
        if len(known):
            inner = {_rounded(value) for value in np.quantile(known, (0.2, 0.4, 0.6, 0.8))}
            edges[name] = (0.0, *sorted(inner), np.inf)
    return edges


def group_actions(
    tables: Tables,
    edges: Edges,
    found: NDArray[np.bool_],
    matched: NDArray[np.int64],
) -> dict[str, tuple[Group, ...]]:
    """Returns for each characteristic its groups of actions; unknown coverages are in none.

    Args:
      tables: ground truth and detections.
      edges: edges of the groups of each characteristic.
      found: [H, A] which actions are found.
      matched: [H, P] the action that each detection takes, or -1.
    """
    values, hits = characteristics_of(tables), _hits_of(tables, matched)
    result = {}
    for name, bounds in edges.items():
        # Left edges are outside: a value equal to an edge belongs to the group below it.
        index = np.searchsorted(bounds, values[name], side="left") - 1
        index = np.where(values[name] == bounds[0], 0, index)
        index = np.where(np.isfinite(values[name]), index, -1)
        groups = []
        for i, (low, high) in enumerate(pairwise(bounds)):
            chosen = index == i
            if chosen.any():
                missed = np.mean(~found[:, chosen], axis=-1)
            else:
                missed = np.full(len(found), np.nan)
            mean_ap = _normalised_map(tables, chosen, hits, len(matched))
            rows = np.flatnonzero(chosen)
            groups.append(Group(NAMES[i], low, high, rows, missed, mean_ap))
        result[name] = tuple(groups)
    return result


def summarise_classes(
    tables: Tables, found: NDArray[np.bool_], matched: NDArray[np.int64]
) -> ByClass:
    """Returns how well the actions of each class are found; arguments as of `group_actions`."""
    typical, numbers = typical_count(tables), tables.num_actions
    missed = [np.mean(~found[:, tables.action_classes == i], axis=-1) for i in range(len(numbers))]
    ap = [
        [area(false_before(taken >= 0), number, typical) for taken in matched[:, rows]]
        for rows, number in zip(by_class(tables), numbers, strict=True)
    ]
    return ByClass(tables.classes, numbers, np.stack(missed, axis=-1), np.array(ap).T)


class _Hits(NamedTuple):
    """The true positives of one class at one threshold, by descending score.

    label, threshold: position of the class and of the threshold.
    actions: [K] the action that each takes; false: [K] number of false positives before it.
    """

    label: int
    threshold: int
    actions: NDArray[np.int64]
    false: NDArray[np.int64]


def _hits_of(tables: Tables, matched: NDArray[np.int64]) -> list[_Hits]:
    return [
        _Hits(label, h, taken[taken >= 0], false_before(taken >= 0))
        for label, rows in enumerate(by_class(tables))
        for h, taken in enumerate(matched[:, rows])
    ]


def _normalised_map(
    tables: Tables, chosen: NDArray[np.bool_], hits: list[_Hits], num_thresholds: int
) -> NDArray[np.float64]:
    """Returns the normalised mAP [H] of the chosen actions [A]."""
    numbers = np.bincount(tables.action_classes[chosen], minlength=len(tables.classes))
    if not numbers.any():
        return np.full(num_thresholds, np.nan)
    typical, totals = typical_count(tables), np.zeros(num_thresholds)
    for label, h, actions, false in hits:
        if numbers[label]:
            totals[h] += area(false[chosen[actions]], numbers[label], typical)
    return totals / np.count_nonzero(numbers)


def _rounded(value: float) -> float:
    """Returns a number near `value` with few digits."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(power * _ROUND[np.argmin(np.abs(_ROUND - value / power))])
