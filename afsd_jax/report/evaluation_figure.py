"""A picture of an evaluation: errors by rank, their costs, AP, and actions that are not found."""

import os
from typing import TYPE_CHECKING

import numpy as np

from afsd_jax.io.files import atomic_write
from afsd_jax.report.colors import class_colors
from afsd_jax.report.evaluation_view import KINDS, MISSED, EvaluationView
from afsd_jax.report.fonts import make_drawable
from afsd_jax.report.timeline import GRID, INK, MUTED, figure_class

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CLASSES = 25  # bars


def draw_evaluation(path: str | os.PathLike[str], view: EvaluationView, title: str) -> None:
    """Writes a PNG file with four charts at the tIoU of the view, completely or not at all."""
    figure = figure_class()(figsize=(11, 8), dpi=150, facecolor="white", layout="constrained")
    figure.suptitle(title, color=INK, fontsize=13, x=0.01, ha="left", parse_math=False)
    (ranks, gains), (classes, groups) = figure.subplots(2, 2)
    _draw_ranks(ranks, view)
    _draw_gains(gains, view)
    _draw_classes(classes, view)
    _draw_groups(groups, view)
    _add_legend(figure)
    make_drawable(figure)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png")


def _titled(axes: "Axes", title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=INK, parse_math=False)
    axes.tick_params(colors=MUTED, labelsize=8, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.set_axisbelow(True)


def _draw_ranks(axes: "Axes", view: EvaluationView) -> None:
    _titled(axes, f"Detections by rank at tIoU {view.tiou:g}, %")
    kinds = view.kinds[view.chosen]
    groups = np.arange(view.ranks.max(initial=0) + 1)
    counts = np.array([np.bincount(kinds[view.ranks == g], minlength=len(KINDS)) for g in groups])
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    below = np.cumsum(shares, axis=1) - shares
    for i, (name, color, *_) in enumerate(KINDS):
        axes.bar(groups, shares[:, i], bottom=below[:, i], color=color, width=0.85, label=name)
    axes.set_xticks(groups, [f"{group + 1}N" for group in groups])


def _draw_gains(axes: "Axes", view: EvaluationView) -> None:
    _titled(axes, f"mAP gained without each error at tIoU {view.tiou:g}, points")
    kinds = (*KINDS[1:], MISSED)
    gains = 100 * view.gains[view.chosen]
    places = np.arange(len(kinds))[::-1]
    bars = axes.barh(places, gains, color=[color for _, color, *_ in kinds])
    axes.bar_label(bars, [f"+{gain:.1f}" for gain in gains], padding=3, fontsize=8, color=INK)
    axes.set_yticks(places, [name for name, *_ in kinds])
    axes.set_xlim(0, max(gains.max() * 1.15, 0.1))


def _draw_classes(axes: "Axes", view: EvaluationView) -> None:
    order = np.argsort(view.ap[view.chosen], kind="stable")
    more = len(order) > MOST_CLASSES
    order = order[:MOST_CLASSES]
    which = f"of the {MOST_CLASSES} worst classes " if more else ""
    _titled(axes, f"Average precision {which}at tIoU {view.tiou:g}, %")
    names = [view.tables.classes[i] for i in order]
    colors = class_colors(view.tables.classes)
    places = np.arange(len(order))[::-1]
    axes.barh(places, 100 * view.ap[view.chosen][order], color=[colors[name] for name in names])
    texts = [name if len(name) <= 24 else name[:23] + "…" for name in names]
    axes.set_yticks(places, texts, parse_math=False)
    axes.set_xlim(0, 100)


def _draw_groups(axes: "Axes", view: EvaluationView) -> None:
    _titled(axes, f"Actions that are not found at tIoU {view.tiou:g}, %")
    lost = view.reasons[view.chosen] > 0
    place, places, texts, most = 0.0, [], [], 10.0
    for name, groups in view.groups.items():
        shares = [100 * lost[rows].mean() if len(rows) else 0.0 for _, rows in groups]
        inside = place + np.arange(len(groups))
        axes.bar(inside, shares, color=MISSED[1], width=0.85)
        middle = inside.mean() if len(inside) else place
        below = axes.get_xaxis_transform()
        axes.text(middle, -0.2, name, ha="center", color=INK, fontsize=8, transform=below)
        places += inside.tolist()
        texts += [text for text, _ in groups]
        place += len(groups) + 1
        most = max(most, *shares)
    axes.set_xticks(places, texts, rotation=35, fontsize=6.5, parse_math=False)
    axes.set_ylim(0, min(1.15 * most, 100))


def _add_legend(figure: "Figure") -> None:
    from matplotlib.patches import Patch

    patches = [Patch(color=color, label=name) for name, color, *_ in KINDS]
    figure.legend(
        handles=patches, loc="outside lower center", ncols=len(KINDS), fontsize=8, frameon=False
    )
