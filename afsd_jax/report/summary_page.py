"""A self-contained HTML page: ethogram, time budget, bouts and transitions."""

import os
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from afsd_jax.report.behaviour_view import Behaviour, Summary
from afsd_jax.report.charts import Chart, line_chart
from afsd_jax.report.colors import class_colors
from afsd_jax.report.render import write_html
from afsd_jax.report.tracks import MOST_LANES, bar_ticks, clock, clock_tenths, in_lanes
from afsd_jax.types import Action

MOST_VIDEOS = 200  # rows of the ethogram
MOST_MARKS = 2000  # of a row
ROW = 1000  # units of the width of a row


def write_summary(
    path: str | os.PathLike[str], summaries: Sequence[Summary], title: str = "Bouts and time budget"
) -> None:
    """Writes one HTML file that shows one or several sets of labels or detections side by side.

    Args:
      path: file to write, completely or not at all.
      summaries: measures of each set, all of the same classes.
      title: heading of the page.

    Raises:
      UserError: the file cannot be written.
    """
    classes = summaries[0].classes
    colors = class_colors(classes)
    names = list(dict.fromkeys(name for s in summaries for name in s.lengths))
    lengths = {n: max(s.lengths.get(n, 0.0) for s in summaries) for n in names}
    longest = max(lengths.values(), default=0.0) or 1.0
    write_html(
        path,
        "summary_page.html",
        title=title,
        sets=[summary.name for summary in summaries],
        figures=_figures(summaries, names, lengths),
        keys=list(colors.items()),
        videos=[_rows(name, summaries, colors, longest) for name in names[:MOST_VIDEOS]],
        num_videos=len(names),
        ticks=bar_ticks(longest),
        occupied=[summary.occupied for summary in summaries],
        budget=[_budget(index, summaries, colors) for index in range(len(classes))],
        measures=[_measures(index, summaries, colors) for index in range(len(classes))],
        charts=[chart for summary in summaries if (chart := _chart(summary, len(summaries) > 1))],
        matrices=[_matrix(summary) for summary in summaries],
    )


def _figures(
    summaries: Sequence[Summary], names: Sequence[str], lengths: dict[str, float]
) -> list[tuple[str, str]]:
    bouts = [str(sum(entry.bouts for entry in summary.overall)) for summary in summaries]
    return [
        (str(len(names)), "videos" if len(names) != 1 else "video"),
        (clock(sum(lengths.values())), "observed"),
        (str(len(summaries[0].classes)), "classes"),
        (" / ".join(bouts), "bouts"),
    ]


def _rows(
    name: str, summaries: Sequence[Summary], colors: dict[str, str], longest: float
) -> dict[str, Any]:
    """Returns what the ethogram shows of a video: one row of bars for each set."""
    rows = []
    for summary in summaries:
        length_s = summary.lengths.get(name)
        width = 0.0 if length_s is None else ROW * length_s / longest
        bouts = [
            Action(label, *span)
            for label, spans in summary.spans.get(name, {}).items()
            for span in spans
        ]
        bouts.sort(key=lambda bout: bout.start_s)
        lanes = in_lanes(bouts[:MOST_MARKS], MOST_LANES)
        bars = [_bars(lane, colors, longest) for lane in lanes]
        rows.append({"set": summary.name, "width": width, "lanes": bars})
    seconds = max(summary.lengths.get(name, 0.0) for summary in summaries)
    return {"name": name, "duration": clock(seconds), "rows": rows}


def _bars(bouts: Sequence[Action], colors: dict[str, str], longest: float) -> list[dict[str, Any]]:
    return [
        {
            "x": ROW * bout.start_s / longest,
            "width": max(ROW * (bout.end_s - bout.start_s) / longest, 1.0),
            "color": colors[bout.label],
            "hint": f"{bout.label}, {clock_tenths(bout.start_s)} to {clock_tenths(bout.end_s)}",
        }
        for bout in bouts
    ]


def _budget(index: int, summaries: Sequence[Summary], colors: dict[str, str]) -> dict[str, Any]:
    """Returns the shares of time of a class, one for each set, as parts of the largest of all."""
    largest = max((e.share or 0.0 for s in summaries for e in s.overall), default=0.0) or 1.0
    label = summaries[0].classes[index]
    shares = [summary.overall[index].share or 0.0 for summary in summaries]
    bars = [(100 * share / largest, f"{100 * share:.1f} %") for share in shares]
    return {"label": label, "color": colors[label], "bars": bars}


def _measures(index: int, summaries: Sequence[Summary], colors: dict[str, str]) -> dict[str, Any]:
    label = summaries[0].classes[index]
    cells = [cells_of(summary.overall[index]) for summary in summaries]
    return {"label": label, "color": colors[label], "sets": cells}


def cells_of(entry: Behaviour) -> list[str]:
    """Returns count, rate, total, mean, median, share and latency as text."""
    values = (entry.total_s, entry.mean_s, entry.median_s)
    seconds = [_number(value, ".1f") for value in values]
    share = "–" if entry.share is None else f"{100 * entry.share:.1f} %"
    rate = _number(entry.per_minute, ".2f")
    return [str(entry.bouts), rate, *seconds, share, _number(entry.latency_s, ".1f")]


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _chart(summary: Summary, several: bool) -> Chart | None:
    """Returns the share of time over time: of each bin, the mean over the videos that have it."""
    shares: dict[str, dict[float, list[float]]] = {label: {} for label in summary.classes}
    for entry in summary.bins:
        times = shares[entry.label]
        times.setdefault(entry.begin_s or 0.0, []).append(100 * (entry.share or 0.0))
    series = {
        label: [(begin / 60, sum(values) / len(values)) for begin, values in sorted(times.items())]
        for label, times in shares.items()
    }
    title = "Share of time (%) by minute" + (f": {summary.name}" if several else "")
    colors = class_colors(summary.classes)
    return line_chart(title, series, colors, with_last=False) if summary.bins else None


def _matrix(summary: Summary) -> dict[str, Any]:
    """Returns the counts of transitions, coloured by the share of those from the row's class."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for label, counts in zip(summary.classes, summary.transitions, strict=True):
        total = sum(counts)
        for after, count in zip(summary.classes, counts, strict=True):
            share = count / total if total else 0.0
            fill = "" if not count else f"rgba(59, 111, 182, {0.12 + 0.78 * share:.2f})"
            hint = f"{label} → {after}: {count} of {total} ({100 * share:.0f} %)"
            rows[label].append(
                {"count": count or "", "fill": fill, "strong": share > 0.65, "hint": hint}
            )
    return {"name": summary.name, "classes": summary.classes, "rows": list(rows.items())}
