"""Counts and times of actions, for tables and pages; `diagnosis.bouts` defines the measures."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from afsd_jax.io.spreadsheets import table_text

MEASURES = ("bouts", "per_minute", "total_s", "mean_s", "median_s", "share", "latency_s")


class Behaviour(NamedTuple):
    """What one class does in one video, in a bin of it, or in all videos. None: not defined.

    Attributes:
      video: name of the video; "" for all videos.
      label: the class.
      bouts: number of bouts.
      per_minute: bouts a minute.
      total_s: seconds in which the class happens.
      mean_s, median_s: length of a bout.
      share: part of the observed time.
      latency_s: from the start of the video to the first bout.
      begin_s, end_s: the bin; None for a whole video.
    """

    video: str
    label: str
    bouts: int
    per_minute: float | None
    total_s: float
    mean_s: float | None
    median_s: float | None
    share: float | None
    latency_s: float | None
    begin_s: float | None = None
    end_s: float | None = None


class Summary(NamedTuple):
    """All measures of one set of labels or detections.

    Attributes:
      name: name of the set.
      spans: start and end of each bout, seconds, by video and class.
      classes: the C classes, sorted.
      lengths: observed seconds by video; up to the last action where the length is unknown.
      overall: one entry a class, in the order of `classes`.
      by_video: one entry a video and class.
      bins: one entry a video, class and bin; none without bins.
      transitions: [C][C] number of transitions, from the row's class to the column's.
      any_s: seconds in which any class happens.
      several_s: seconds of them in which several classes happen at once.
    """

    name: str
    spans: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]
    classes: tuple[str, ...]
    lengths: dict[str, float]
    overall: list[Behaviour]
    by_video: list[Behaviour]
    bins: list[Behaviour]
    transitions: list[list[int]]
    any_s: float
    several_s: float

    @property
    def occupied(self) -> str:
        """The time in which any class happens, and that in which several do, in words."""
        total_s = sum(self.lengths.values())
        if not total_s or not self.classes:
            return ""
        text = f"something happens in {self.any_s:.1f} of {total_s:.1f} s"
        text += f" ({100 * self.any_s / total_s:.1f} %)"
        if round(self.several_s, 1):
            text += (
                f", several classes at once in {self.several_s:.1f} s "
                f"({100 * self.several_s / total_s:.1f} %): each counts, so shares add up to more"
            )
        return text

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "lengths_s": self.lengths,
            "any_s": self.any_s,
            "several_s": self.several_s,
            "classes": [_fields(entry, ("label",)) for entry in self.overall],
            "videos": [_fields(entry, ("video", "label")) for entry in self.by_video],
            "bins": [_fields(entry, ("video", "label", "begin_s", "end_s")) for entry in self.bins],
            "transitions": {"classes": list(self.classes), "counts": self.transitions},
        }


def _fields(entry: Behaviour, keys: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in (*keys, *MEASURES)}


def bouts_csv(summaries: Sequence[Summary]) -> str:
    """Returns a line for each set, video and class, then for all videos, then for each bin."""
    rows: list[Iterable[object]] = [("set", "video", "class", "begin_s", "end_s", *MEASURES)]
    for summary in summaries:
        for entry in (*summary.by_video, *summary.overall, *summary.bins):
            place = (entry.video or "(all videos)", entry.label, entry.begin_s, entry.end_s)
            measures = (_rounded(getattr(entry, name)) for name in MEASURES)
            rows.append((summary.name, *place, *measures))
    return table_text(rows)


def transitions_csv(summaries: Sequence[Summary]) -> str:
    """Returns a line for each transition that happens: count, and share of those from its class."""
    rows: list[Iterable[object]] = [("set", "from", "to", "count", "share")]
    for summary in summaries:
        for label, counts in zip(summary.classes, summary.transitions, strict=True):
            for after, count in zip(summary.classes, counts, strict=True):
                if count:
                    share = _rounded(count / sum(counts))
                    rows.append((summary.name, label, after, count, share))
    return table_text(rows)


def _rounded(value: float | None) -> float | None:
    return value if value is None else round(value, 6)
