"""How often and how long classes of action happen, and which follows which.

A bout is an action; actions of one class in one video that overlap are one bout, and those that
only touch are two. So time is never counted twice, and a share of time is at most 1. The measures
are those of ethology's tables (Martin and Bateson, Measuring Behaviour, 2007, chapter 4):

- rate: bouts a minute of observed video;
- share: the part of the observed time in which the class happens (time budget);
- latency: from the start of the video to the first bout. For all videos: the mean over the videos
  in which the class happens;
- transitions: in each video, from each bout to the next one by start, of whatever class and after
  whatever pause. Equal starts: by end, then by label.

Classes may happen at the same time, so their shares may add up to more than 1. The time in which
any of them happens, and that in which several do, are measured, too.

In time bins, a bout counts in the bin in which it starts; its time counts where it lies.
"""

import itertools
import math
import statistics
from collections.abc import Sequence

from afsd_jax.report.behaviour_view import Behaviour, Summary
from afsd_jax.types import MarkedVideo

MOST_BINS = 10_000  # of all videos and classes together

Spans = list[tuple[float, float]]  # start and end of bouts, seconds, by start


def summarize(
    name: str,
    videos: Sequence[MarkedVideo],
    bin_s: float | None = None,
    classes: Sequence[str] | None = None,
) -> Summary:
    """Returns the measures of all classes in all videos.

    Args:
      name: name of the set.
      videos: videos with their actions or detections.
      bin_s: length of a time bin, seconds; None: no bins. Bins are longer if there were too many.
      classes: the classes; None: those that occur, sorted.
    """
    lengths = {video.name: observed_s(video) for video in videos}
    found = {video.name: bouts_of(video) for video in videos}
    known = tuple(classes or sorted({label for spans in found.values() for label in spans}))
    by_video: list[Behaviour] = []
    bins: list[Behaviour] = []
    if bin_s is not None:
        bin_s = max(bin_s, sum(lengths.values()) * max(len(known), 1) / MOST_BINS)
    for video, label in itertools.product(found, known):
        spans = found[video].get(label, [])
        by_video.append(_measured(video, label, spans, lengths[video]))
        if bin_s is not None:
            bins += _in_bins(video, label, spans, lengths[video], bin_s)
    overall = [_overall(label, found, by_video, sum(lengths.values())) for label in known]
    transitions = _transitions(known, found)
    times = [_any_and_several(spans) for spans in found.values()]
    any_s, several_s = (math.fsum(time[i] for time in times) for i in (0, 1))
    return Summary(
        *(name, found, known, lengths, overall, by_video, bins, transitions), any_s, several_s
    )


def observed_s(video: MarkedVideo) -> float:
    """Returns the length of a video, or the end of its last action if the length is unknown."""
    if video.duration_s is not None:
        return video.duration_s
    return max((mark.end_s for mark in video.marks), default=0.0)


def bouts_of(video: MarkedVideo) -> dict[str, Spans]:
    """Returns the bouts of each class of a video, within the video."""
    end_s = math.inf if video.duration_s is None else video.duration_s
    found: dict[str, Spans] = {}
    for mark in sorted(video.marks, key=lambda mark: (mark.start_s, mark.end_s)):
        start, end = max(mark.start_s, 0.0), min(mark.end_s, end_s)
        if end <= start:
            continue
        spans = found.setdefault(mark.label, [])
        if spans and start < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], end))
        else:
            spans.append((start, end))
    return found


def _any_and_several(spans: dict[str, Spans]) -> tuple[float, float]:
    """Returns the seconds in which one or more classes of a video happen, and two or more."""
    changes = [(start, 1) for of_class in spans.values() for start, _ in of_class]
    changes += [(end, -1) for of_class in spans.values() for _, end in of_class]
    any_s = several_s = 0.0
    count, before_s = 0, 0.0
    for time_s, change in sorted(changes):
        any_s += (time_s - before_s) * (count > 0)
        several_s += (time_s - before_s) * (count > 1)
        count, before_s = count + change, time_s
    return any_s, several_s


def _measured(video: str, label: str, spans: Spans, length_s: float) -> Behaviour:
    lengths = [end - start for start, end in spans]
    return Behaviour(
        video,
        label,
        len(spans),
        60 * len(spans) / length_s if length_s else None,
        math.fsum(lengths),
        statistics.fmean(lengths) if lengths else None,
        statistics.median(lengths) if lengths else None,
        math.fsum(lengths) / length_s if length_s else None,
        spans[0][0] if spans else None,
    )


def _overall(
    label: str, found: dict[str, dict[str, Spans]], by_video: list[Behaviour], length_s: float
) -> Behaviour:
    spans = [span for spans in found.values() for span in spans.get(label, [])]
    latencies = [e.latency_s for e in by_video if e.label == label and e.latency_s is not None]
    mean_s = statistics.fmean(latencies) if latencies else None
    return _measured("", label, spans, length_s)._replace(latency_s=mean_s)


def _in_bins(
    video: str, label: str, spans: Spans, length_s: float, bin_s: float
) -> list[Behaviour]:
    entries = []
    for index in range(math.ceil(length_s / bin_s - 1e-9)):
        begin, end = index * bin_s, min((index + 1) * bin_s, length_s)
        started = [span for span in spans if begin <= span[0] < end]
        inside = [(max(a, begin), min(b, end)) for a, b in spans if a < end and b > begin]
        total_s = math.fsum(b - a for a, b in inside)
        entry = _measured(video, label, started, end - begin)
        first_s = started[0][0] - begin if started else None
        entry = entry._replace(total_s=total_s, share=total_s / (end - begin), latency_s=first_s)
        entries.append(entry._replace(begin_s=begin, end_s=end))
    return entries


def _transitions(classes: Sequence[str], found: dict[str, dict[str, Spans]]) -> list[list[int]]:
    numbers = {label: number for number, label in enumerate(classes)}
    counts = [[0] * len(classes) for _ in classes]
    for by_label in found.values():
        ordered = sorted((*span, label) for label, spans in by_label.items() for span in spans)
        for (_, _, before), (_, _, after) in itertools.pairwise(ordered):
            counts[numbers[before]][numbers[after]] += 1
    return counts
