"""Line charts as inline SVG in the colours of the page."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from afsd_jax.report.colors import class_colors

WIDTH, HEIGHT = 520, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 24, 8, 24  # pixels
MAX_POINTS = 400  # per line

Points = Sequence[tuple[float, float]]


class Chart(NamedTuple):
    """A chart as run_page.html needs it.

    lines: (name, colour, points of an SVG polyline, last value) of each line.
    rows, columns: (position in pixels, text) of each grid line.
    """

    title: str
    lines: list[tuple[str, str, str, str]]
    rows: list[tuple[float, str]]
    columns: list[tuple[float, str]]


def line_chart(
    title: str,
    series: Mapping[str, Points],
    colors: Mapping[str, str] | None = None,
    with_last: bool = True,
) -> Chart | None:
    """Returns a chart of lines whose x axis begins at 0, or None if there is nothing to show.

    Args:
      title: title of the chart.
      series: (x, y) points of each line, x ascending; points that are not finite are left out.
      colors: colour of each line; None: in the order of the lines.
      with_last: whether the last value of each line stands beside its name.
    """
    finite = {
        name: [(x, y) for x, y in points if math.isfinite(y)] for name, points in series.items()
    }
    shown = {name: _thinned(points) for name, points in finite.items() if points}
    if not shown:
        return None
    values = [y for points in shown.values() for _, y in points]
    bottom, top = min(0.0, *values), max(values)
    marks = _marks(bottom, top)
    bottom, top = min(bottom, marks[0]), max(top, marks[-1])
    last = max(points[-1][0] for points in shown.values()) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        share = (y - bottom) / (top - bottom)
        return LEFT + (WIDTH - LEFT - RIGHT) * x / last, TOP + (HEIGHT - BOTTOM - TOP) * (1 - share)

    colors = colors or class_colors(list(shown))
    lines = [
        (
            name,
            colors[name],
            " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points)),
            f"{points[-1][1]:.4g}" if with_last else "",
        )
        for name, points in shown.items()
    ]
    rows = [(place(0, mark)[1], f"{mark:g}") for mark in marks]
    columns = [(place(mark, 0)[0], _position(mark)) for mark in _marks(0, last) if mark <= last]
    return Chart(title, lines, rows, columns)


def _position(mark: float) -> str:
    return f"{mark:,.0f}" if mark == round(mark) else f"{mark:g}"


def _marks(low: float, high: float) -> list[float]:
    """Returns about five round numbers that span [low, high]."""
    span = high - low if high - low > 1e-300 else 1.0
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= span / 5)
    first, last = math.floor(low / step), math.ceil((low + span) / step)
    return [round(step * i, 12) for i in range(first, last + 1)]


def _thinned(points: list[Any]) -> list[Any]:
    """Averages groups of neighbours, so that at most `MAX_POINTS` remain."""
    size = -(-len(points) // MAX_POINTS)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(group[-1][0], sum(y for _, y in group) / len(group)) for group in groups]
