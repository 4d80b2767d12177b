"""A picture of true and detected segments on a time axis."""

import functools
import io
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from afsd_jax.io.files import atomic_write
from afsd_jax.report.colors import class_colors, fade, text_on
from afsd_jax.report.fonts import make_drawable
from afsd_jax.report.tracks import MIN_SCORE, Track, classes_of, clock, in_lanes, strongest, ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches, also the unit of a video's axes, so that corners are round and text fits.
WIDTH = 11.0
LEFT, RIGHT, TOP, BOTTOM = 0.95, 0.3, 0.02, 0.15
LANE, GAP = 0.3, 0.05
HEADING, AXIS = 0.42, 0.34
LEGEND_LINE, LEGEND_CHARACTER, LEGEND_HANDLE = 0.26, 0.078, 0.48
CHARACTER = 0.066  # width at the bars' font size

INK, MUTED, GRID = "#1d2330", "#6b7280", "#e3e6ec"


def draw_timeline(
    path: str | os.PathLike[str],
    tracks: Sequence[Track],
    *,
    min_score: float = MIN_SCORE,
    max_lanes: int = 4,
    labels: Sequence[str] | None = None,
) -> None:
    """Writes the picture of `timeline_figure` as a PNG file, completely or not at all."""
    figure = timeline_figure(tracks, min_score=min_score, max_lanes=max_lanes, labels=labels)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png")


def timeline_figure(
    tracks: Sequence[Track],
    *,
    min_score: float = MIN_SCORE,
    max_lanes: int = 4,
    labels: Sequence[str] | None = None,
) -> "Figure":
    """Draws one or several videos: true actions above, detections with their scores below.

    Each class has one colour; detections with lower scores are paler. Where detections overlap, the
    best are in the upper lanes.

    Args:
      tracks: the videos, drawn one below the other, each with its own time axis.
      min_score: detections with a lower score are not drawn.
      max_lanes: maximum number of lanes; weaker detections without a free lane are not drawn.
      labels: all classes, which fix the colours; default: the classes that occur.
    """
    colors = class_colors(classes_of(tracks, labels))
    rows = [_rows(track, min_score, max_lanes) for track in tracks]
    used = {item.label for row in rows for _, lanes in row for lane in lanes for item in lane}
    legend = [label for label in colors if label in used]
    longest = max((len(label) for label in legend), default=0)
    columns = int((WIDTH - LEFT - RIGHT) / (LEGEND_HANDLE + longest * LEGEND_CHARACTER)) or 1
    heights = [sum(len(lanes) * LANE + GAP for _, lanes in row) + GAP for row in rows]
    height = TOP + sum(heights) + len(tracks) * (HEADING + AXIS) + BOTTOM
    height += -(-len(legend) // columns) * LEGEND_LINE

    figure = figure_class()(figsize=(WIDTH, height), dpi=150, facecolor="white")
    y = height - TOP
    for track, row, inner in zip(tracks, rows, heights, strict=True):
        y -= HEADING + inner
        axes = figure.add_axes(
            (LEFT / WIDTH, y / height, (WIDTH - LEFT - RIGHT) / WIDTH, inner / height)
        )
        _draw_track(axes, track, row, inner, colors)
        y -= AXIS
    if legend:
        _draw_legend(figure, legend, columns, colors)
    make_drawable(figure)
    return figure


@functools.cache
def figure_class() -> "type[Figure]":
    """Returns a class of figures that notebooks show with any backend.

    Its figures are not in pyplot's list of open figures, so they need not be closed. Defining it
    here imports Matplotlib only if it is used.
    """
    from matplotlib.figure import Figure

    class PngFigure(Figure):
        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, format="png")
            return buffer.getvalue()

    return PngFigure


def _draw_legend(
    figure: "Figure", labels: Sequence[str], columns: int, colors: dict[str, str]
) -> None:
    from matplotlib.patches import Patch

    drawn = figure.legend(
        [Patch(color=colors[label]) for label in labels],
        ["text"] * len(labels),
        loc="lower left",
        bbox_to_anchor=((LEFT - 0.1) / WIDTH, 0),
        ncols=min(columns, len(labels)),
        frameon=False,
        fontsize=8.5,
        labelcolor=INK,
        handlelength=1.4,
        borderaxespad=0.4,
    )
    # Set afterwards, because legend() gives dollars and leading underscores a meaning.
    for text, label in zip(drawn.get_texts(), labels, strict=True):
        text.set(parse_math=False, text=label)


def _rows(track: Track, min_score: float, max_lanes: int) -> list[tuple[str, list[list[Any]]]]:
    """Returns the named groups of lanes of one video, from top to bottom."""
    rows: list[tuple[str, list[list[Any]]]] = []
    if track.actions is not None:
        by_start = sorted(track.actions, key=lambda action: action.start_s)
        rows.append(("true", in_lanes(by_start, len(by_start)) or [[]]))
    best = strongest(track.detections, min_score, len(track.detections))
    rows.append(("detected", in_lanes(best, max_lanes) or [[]]))
    return rows


def _draw_track(
    axes: "Axes",
    track: Track,
    rows: list[tuple[str, list[list[Any]]]],
    height: float,
    colors: dict[str, str],
) -> None:
    width = WIDTH - LEFT - RIGHT
    scale = width / track.duration_s
    axes.set(xlim=(0, width), ylim=(height, 0), yticks=[])
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    times, texts = zip(*ticks(track.duration_s), strict=True)
    axes.set_xticks([time * scale for time in times], texts)
    axes.tick_params(axis="x", colors=MUTED, labelsize=8, length=3)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    heading: dict[str, Any] = {"y": -0.13, "va": "baseline", "parse_math": False}
    axes.text(0, s=track.name, color=INK, fontsize=10.5, weight="bold", **heading)
    axes.text(width, s=clock(track.duration_s), color=MUTED, fontsize=8.5, ha="right", **heading)

    y = GAP
    for name, lanes in rows:
        axes.text(-0.12, y + LANE / 2, name, color=MUTED, fontsize=8.5, ha="right", va="center")
        for lane in lanes:
            for item in lane:
                start = max(item.start_s, 0.0) * scale
                end = min(item.end_s, track.duration_s) * scale
                score = getattr(item, "score", None)
                _draw_bar(axes, start, end, y, item.label, score, colors[item.label])
            y += LANE
        y += GAP


def _draw_bar(
    axes: "Axes", start: float, end: float, y: float, label: str, score: float | None, color: str
) -> None:
    from matplotlib.patches import FancyBboxPatch

    width = end - start
    if width <= 0:
        return
    inset = min(0.012, width / 4)  # so that neighbours do not touch
    radius = min(0.06, width / 2 - inset)
    fill = color if score is None else fade(color, 0.3 + 0.7 * min(score, 1.0))
    axes.add_patch(
        FancyBboxPatch(
            (start + inset, y + 0.025),
            width - 2 * inset,
            LANE - 0.05,
            boxstyle=f"round,pad=0,rounding_size={radius}",
            facecolor=fill,
            edgecolor=color,
            linewidth=0.8,
        )
    )
    texts = [label] if score is None else [f"{label}  {score:.2f}", f"{score:.2f}"]
    fitting = [text for text in texts if (len(text) + 1) * CHARACTER <= width]
    if fitting:
        center = (start + end) / 2, y + LANE / 2
        style: dict[str, Any] = {"ha": "center", "va": "center_baseline", "parse_math": False}
        axes.text(*center, fitting[0], color=text_on(fill), fontsize=7.5, **style)
