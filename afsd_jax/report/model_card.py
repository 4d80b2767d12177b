"""The card of a packaged detector, Markdown: what it finds, what it learnt from, and its limits."""

from collections.abc import Mapping, Sequence

import ml_collections
import numpy as np

from afsd_jax.data.decode.frame_geometry import FrameGeometry
from afsd_jax.data.summary import SplitSummary, length_in_words, length_range
from afsd_jax.report.render import counted

FEW_ACTIONS = 30  # of a class; with fewer, a class is often found badly
_SHOWN_METRICS = ("mAP@0.5", "mAP@0.7", "average_mAP")


def write_card(
    title: str,
    about: str,
    config: ml_collections.ConfigDict,
    class_names: Sequence[str],
    training: SplitSummary | None,
    metrics: Mapping[str, float] | None,
    threshold: float | None,
    measured: str = "",
) -> str:
    """Returns the card.

    Args:
      title: name of the detector.
      about: what its maker says about it, Markdown; "": nothing.
      config: configuration of the network.
      class_names: names of the classes.
      training: statistics of the training videos; None: they were not at hand.
      metrics: metrics on the validation split, in [0, 1]; None: it was not evaluated.
      threshold: score of the best F1 on the validation split; None: it was not measured.
      measured: the figure of a detector that other runs measured, such as a cross-validation.
    """
    sections = {
        "": about.strip(),
        "Use": f"```\nafsd detect --checkpoint {title}.afsd VIDEO.mp4 --report found.html\n```",
        "Classes and training data": _training(class_names, training),
        "Figures": _figures(config, metrics, threshold, measured),
        "Input": _input(config),
        "Limits": _limits(config, class_names, training, bool(metrics or measured)),
    }
    parts = [f"# {title}"]
    parts += [f"## {name}\n{text}" if name else text for name, text in sections.items() if text]
    return "\n\n".join(parts) + "\n"


def _training(class_names: Sequence[str], training: SplitSummary | None) -> str:
    if training is None:
        names = "\n".join(f"- {_cell(name)}" for name in class_names)
        return f"{names}\n\nThe training data was not at hand when this file was written."
    rows = ["| class | actions | shortest | median | longest |", "|---|---|---|---|---|"]
    for label, name in enumerate(class_names):
        own = training.labels == label
        lengths = " | ".join(length_range(training.lengths_s[own]))
        rows.append(f"| {_cell(name)} | {int(np.sum(own))} | {lengths} |")
    length = length_in_words(training.duration_s)
    return "\n".join(rows) + f"\n\nLearnt from {counted(training.videos, 'video')}, {length}."


def _figures(
    config: ml_collections.ConfigDict,
    metrics: Mapping[str, float] | None,
    threshold: float | None,
    measured: str,
) -> str:
    lines = []
    if metrics:
        lines.append(f"Measured on the split {config.data.validation_split or 'validation'}:\n")
        shown = {name: metrics[name] for name in _SHOWN_METRICS if name in metrics}
        lines += [f"- {name}: {100 * value:.1f} %" for name, value in shown.items()]
    elif measured:
        lines.append(f"{measured}\n")
    else:
        lines.append("This detector was not evaluated while it was trained.")
    if threshold is not None:
        lines.append(f"- a score of {threshold:.2f} or more: best F1 at tIoU 0.5")
    return "\n".join(lines)


def _input(config: ml_collections.ConfigDict) -> str:
    data = config.data
    rate = f"{data.fps:g} frames a second" if data.fps else "all frames"
    lines = [
        f"- stream: {data.stream}, {rate}",
        f"- picture: {FrameGeometry(data.crop, data.keep_aspect).in_words()}",
        f"- size: {data.frame_size}×{data.frame_size} pixels, of which the middle "
        f"{data.crop_size}×{data.crop_size} are seen",
    ]
    if data.fps:
        lines.append(f"- clips of {data.clip_length / data.fps:.1f} s")
    return "\n".join(lines)


def _limits(
    config: ml_collections.ConfigDict,
    class_names: Sequence[str],
    training: SplitSummary | None,
    evaluated: bool,
) -> str:
    lines = []
    if config.data.fps:
        longest = config.data.clip_length / config.data.fps
        lines.append(f"- Actions of more than {longest:.1f} s do not fit a clip.")
    few: list[str] = []
    if training is not None:
        counts = np.bincount(training.labels, minlength=len(class_names))
        few = [name for name, n in zip(class_names, counts, strict=True) if n < FEW_ACTIONS]
    if few:
        names = ", ".join(map(_cell, few))
        lines.append(f"- Fewer than {FEW_ACTIONS} training actions, so less reliable: {names}.")
    if evaluated:
        lines.append("- The figures hold for videos such as those it was evaluated on.")
    lines.append("- Other cameras, places and people may need examples of their own.")
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Returns a text that keeps to its cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")
