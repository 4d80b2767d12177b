"""Temporal intersection over union of detections and actions."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from afsd_jax.evaluation.tables import Tables

_PAIRS = 250_000  # pairs of a detection and an action that are compared at once; limits memory


def overlaps(
    tables: Tables, least: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Returns all pairs of one class and video whose tIoU is at least `least` (> 0).

    Returns:
      [N] rows of detections, ascending; [N] rows of actions, ascending for each detection; [N]
      tIoUs.
    """
    groups = tables.action_groups
    return overlapping(tables.detections, tables.detection_groups, tables.actions, groups, least)


def overlapping(
    detections: NDArray[np.float64],
    detection_groups: NDArray[np.int64],
    actions: NDArray[np.float64],
    action_groups: NDArray[np.int64],
    least: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Returns all pairs of one group whose tIoU is at least `least`; see `overlaps`."""
    order = np.argsort(action_groups, kind="stable")
    members = np.bincount(action_groups, minlength=int(detection_groups.max(initial=0)) + 1)
    first = (np.cumsum(members) - members)[detection_groups]
    counts = members[detection_groups]
    parts = []
    rows = np.flatnonzero(counts)
    bounds = np.cumsum(counts[rows]) // _PAIRS
    for chunk in np.split(rows, np.flatnonzero(np.diff(bounds)) + 1):
        pairs = np.repeat(chunk, counts[chunk])
        ends = np.cumsum(counts[chunk])
        rank = np.arange(len(pairs)) - np.repeat(ends - counts[chunk], counts[chunk])
        others = order[first[pairs] + rank]
        overlap = tiou(*detections[pairs].T, *actions[others].T)
        kept = overlap >= least
        parts.append((pairs[kept], others[kept], overlap[kept]))
    found, others, overlap = (np.concatenate(part) for part in zip(*parts, strict=True))
    return found, others, overlap


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


def tiou_of(start: float, end: float, other_start: float, other_end: float) -> float:
    """Returns the tIoU of two segments, from 0 to 1; 0 where they do not overlap.

    Example:
      >>> tiou_of(0.0, 2.0, 1.0, 3.0)
      0.3333333333333333
    """
    shared = min(end, other_end) - max(start, other_start)
    return shared / (max(end, other_end) - min(start, other_start)) if shared > 0 else 0.0
