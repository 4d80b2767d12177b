"""Rounds of learning, as pure functions: which videos each learns from, and how good it was."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from afsd_jax import evaluation
from afsd_jax.evaluation.rules import match
from afsd_jax.evaluation.tables import tabulate
from afsd_jax.labelling.proposals import are_alone, best_alone
from afsd_jax.labelling.records import Labels, Segment, Suggestion, VideoLabels
from afsd_jax.types import Action, AnnotatedVideo, Detection

TIOU = 0.5  # of what is measured
UNCHANGED_S = 0.3  # an accepted suggestion whose ends moved by at most so much is unchanged
UNMEASURED = 0.3  # least score of suggestions of a network that nothing has measured
_SCORES = 0.2, 0.5  # between which the least score of suggestions is chosen
_KEPT = 4  # one of so many reviewed videos is kept for validation


class Plan(msgspec.Struct, frozen=True):
    """What a round does.

    Attributes:
      round: its number, from 1.
      videos: reviewed videos.
      validation: those of them that are kept for validation.
      detect: videos to detect in: those kept, and those not reviewed.
      version: of the labels.
      spent_s: seconds that earlier starts of the round took.
      stopped: whether somebody has stopped it.
    """

    round: int
    videos: list[str]
    validation: list[str]
    detect: list[str]
    version: int
    spent_s: float = 0.0
    stopped: bool = False


class Round(msgspec.Struct, frozen=True):
    """How good a finished round was.

    Attributes:
      round: its number.
      videos: number of reviewed videos.
      segments: their segments.
      validation: those of the videos that were kept for validation.
      map: mAP at tIoU 0.5 on these, from 0 to 1; None if they have no action.
      f1: F1 there of detections that are suggested, at tIoU 0.5; None likewise.
      min_score: least score of suggestions.
      accepted_unchanged: of the suggestions decided since the round before, the share accepted of
        which neither end moved by more than 0.3 s; None if none was decided.
      corrections: segments in the videos reviewed since that no such suggestion gave, and rejected
        suggestions.
      labelled: all segments in the videos reviewed since.
      minutes: that the round took.
    """

    round: int
    videos: int
    segments: int
    validation: list[str]
    map: float | None
    f1: float | None
    min_score: float
    accepted_unchanged: float | None
    corrections: int
    labelled: int
    minutes: float
    reviewed: list[str] = []


def plan_round(labels: Labels, names: Collection[str], rounds: Sequence[Round]) -> Plan:
    """Returns the plan of the next round.

    Videos kept for validation stay so in all rounds. New ones are chosen by a hash of their names
    among the videos that no round has learned from.

    Args:
      labels: what is labelled.
      names: the videos that are there.
      rounds: the finished rounds.
    """
    reviewed = sorted(n for n, v in labels.videos.items() if v.reviewed and n in set(names))
    known = {name for one in rounds for name in one.reviewed}
    kept = [n for n in reviewed if any(n in one.validation for one in rounds)]
    with_actions = [n for n in reviewed if labels.videos[n].segments]
    new = sorted((n for n in with_actions if n not in known), key=_hash)
    wanted = max(round(len(reviewed) / _KEPT), 1) - len(kept)
    kept += new[: max(min(wanted, len(with_actions) - len(kept) - 1), 0)]
    others = sorted(set(names) - set(reviewed))
    number = rounds[-1].round + 1 if rounds else 1
    return Plan(number, reviewed, sorted(kept), sorted(kept) + others, labels.version)


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()


class _Decided(NamedTuple):
    unchanged: int
    suggestions: int
    corrections: int
    labelled: int


def finished(
    plan: Plan,
    labels: Labels,
    rounds: Sequence[Round],
    found: Mapping[str, Sequence[Detection]],
    min_score: float | None,
    minutes: float,
) -> Round:
    """Returns how good a round was.

    Args:
      plan: its plan.
      labels: as the round learned from them.
      rounds: those before it.
      found: its detections in the videos kept for validation.
      min_score: least score of suggestions; None: see `best_score`.
      minutes: that it took.
    """
    before = {name for one in rounds for name in one.reviewed}
    parts = [_decided(labels.videos[name]) for name in plan.videos if name not in before]
    decided = _Decided(*map(sum, zip(*parts, strict=True))) if parts else _Decided(0, 0, 0, 0)
    mean_ap, f1, least = _measured(plan, labels, found, min_score)
    return Round(
        plan.round,
        len(plan.videos),
        sum(len(labels.videos[name].segments) for name in plan.videos),
        plan.validation,
        mean_ap,
        f1,
        least,
        decided.unchanged / decided.suggestions if decided.suggestions else None,
        decided.corrections,
        decided.labelled,
        minutes,
        plan.videos,
    )


def _decided(video: VideoLabels) -> _Decided:
    free = list(video.segments.values())
    unchanged = 0
    for suggestion in video.accepted.values():
        same = next((s for s in free if _unchanged(s, suggestion)), None)
        if same is not None:
            free.remove(same)
            unchanged += 1
    rejected = len(video.rejected)
    suggestions = len(video.accepted) + rejected
    return _Decided(unchanged, suggestions, len(free) + rejected, len(video.segments))


def _unchanged(segment: Segment, suggestion: Suggestion) -> bool:
    starts, ends = abs(segment.start - suggestion.start), abs(segment.end - suggestion.end)
    return segment.label == suggestion.label and max(starts, ends) <= UNCHANGED_S


def _measured(
    plan: Plan,
    labels: Labels,
    found: Mapping[str, Sequence[Detection]],
    min_score: float | None,
) -> tuple[float | None, float | None, float]:
    """Returns mAP and F1 on the videos kept for validation, and the least score of suggestions."""
    truth = {
        name: AnnotatedVideo(
            "validation",
            None,
            tuple(Action(s.label, s.start, s.end) for s in labels.videos[name].segments.values()),
        )
        for name in plan.validation
    }
    if not any(video.actions for video in truth.values()):
        return None, None, UNMEASURED if min_score is None else min_score
    given = {name: list(found.get(name, ())) for name in truth}
    mean_ap = float(evaluation.evaluate(truth, given, (TIOU,)).mean_ap[0])
    if are_alone(labels.videos.values()):
        given = {name: best_alone(items) for name, items in given.items()}
    tables = tabulate(truth, given)
    hits = match(tables, (TIOU,))[0] >= 0
    least = best_score(tables.scores, hits, len(tables.actions)) if min_score is None else min_score
    shown = tables.scores >= least
    return mean_ap, float(2 * hits[shown].sum() / (len(tables.actions) + shown.sum())), least


def best_score(scores: NDArray[np.float64], hits: NDArray[np.bool_], num_actions: int) -> float:
    """Returns the least score that gives the best F1, between 0.2 and 0.5.

    Few videos say little about scores, so neither hardly likely detections nor few are suggested.

    Args:
      scores: [P], in descending order.
      hits: [P], whether detections are right.
      num_actions: all actions.

    Example:
      >>> best_score(np.array([0.9, 0.4, 0.3]), np.array([True, True, False]), 2)
      0.35
    """
    if not hits.any():
        return UNMEASURED
    f1 = 2 * np.cumsum(hits) / (num_actions + np.arange(1, len(hits) + 1))
    best = int(np.argmax(f1))
    following = scores[best + 1] if best + 1 < len(scores) else 0.0
    return round(min(max(float(scores[best] + following) / 2, _SCORES[0]), _SCORES[1]), 3)


def statistics(labels: Labels, names: Sequence[str], rounds: Sequence[Round]) -> dict[str, Any]:
    """Returns the answer to `GET /api/statistics`.

    Args:
      labels: what is labelled.
      names: the videos that are there.
      rounds: the finished rounds.
    """
    videos = {name: labels.videos.get(name, VideoLabels()) for name in names}
    classes = []
    for label in labels.classes:
        lengths = {
            name: [s.end - s.start for s in video.segments.values() if s.label == label]
            for name, video in videos.items()
        }
        count = sum(map(len, lengths.values()))
        total_s = sum(map(sum, lengths.values()))
        mean_s = total_s / count if count else None
        with_it = sum(bool(items) for items in lengths.values())
        classes.append(
            {"name": label, "count": count, "total_s": total_s, "mean_s": mean_s, "videos": with_it}
        )
    reviewed = sum(video.reviewed for video in videos.values())
    return {"classes": classes, "reviewed": reviewed, "videos": len(videos), "rounds": rounds}
