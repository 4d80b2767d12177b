"""Self-contained HTML pages of training runs: one run in detail, or a comparison."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from afsd_jax.config import default_config
from afsd_jax.errors import UserError, printable
from afsd_jax.evaluation import SCORE
from afsd_jax.io import files
from afsd_jax.io.json_fields import require_dict
from afsd_jax.io.run_log import LOSS, VALIDATION, Record, read_records
from afsd_jax.report.charts import line_chart
from afsd_jax.report.colors import class_colors, text_on
from afsd_jax.report.probe_table import read_probe_table
from afsd_jax.report.render import relative_url, write_html
from afsd_jax.report.run_story import Bar, Example, RunStory
from afsd_jax.report.search_table import read_search_table
from afsd_jax.report.tracks import in_lanes, known_first
from afsd_jax.types import Detection

PAGE = "report.html"
EVALUATION = "evaluation.html"  # of the best evaluation
# Limits of a configuration file, which may come from a stranger.
_MOST_BYTES, _MOST_FIELDS, _MOST_SECTIONS, _MOST_CHARACTERS = 2**20, 10_000, 10, 500
TERMS = ("loc", "conf", "prop_loc", "prop_conf", "center", "start", "end", "triplet")


class Run(NamedTuple):
    """A training run.

    Attributes:
      folder: the folder.
      changes: fields of the configuration that differ from the default, with their values.
      records: see `run_log`.
    """

    folder: Path
    changes: dict[str, str]
    records: list[Record]

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.absolute().name

    @property
    def evaluations(self) -> list[Record]:
        """The records of evaluations."""
        return [r for r in self.records if r.get(VALIDATION, {}).get(SCORE) is not None]

    @property
    def best(self) -> Record | None:
        """The evaluation with the highest average mAP."""
        ranked = [(r[VALIDATION][SCORE], r["step"], r) for r in self.evaluations]
        return max(ranked, key=lambda entry: entry[:2], default=(0, 0, None))[-1]


def read_run(workdir: str | os.PathLike[str]) -> Run:
    """Reads a folder that `afsd train` wrote.

    Raises:
      UserError: the folder contains no run.
    """
    path = Path(workdir) / "config.json"
    if not path.exists():
        raise UserError(f"{workdir}: no training run (no config.json); give the folder of one")
    default = _flat(default_config().to_dict())
    fields = _flat(require_dict(files.read_json(path, _MOST_BYTES), str(path)))
    if len(fields) > _MOST_FIELDS:
        raise UserError(f"{path}: has {len(fields):,} fields, more than any configuration")
    changes = {
        name: _shortened(str(value))
        for name, value in fields.items()
        if name not in default or _plain(default[name]) != _plain(value)
    }
    return Run(Path(workdir), changes, read_records(workdir))


def write_page(workdir: str | os.PathLike[str], story: RunStory | None = None) -> None:
    """Writes the page of a run into its folder: its story, if there is one, then its curves.

    Raises:
      UserError: the folder contains no run, a file is malformed, or the page cannot be written.
    """
    run = read_run(workdir)
    losses = {term: _series(run.records, term) for term in TERMS}
    validation_losses = {term: _validation_loss(run, term) for term in TERMS}
    maps = {name: _evaluated(run, name) for name in (_thresholds(run.best) if run.best else [])}
    charts = [
        line_chart(
            "Loss",
            {
                "training": _series(run.records, "total"),
                "validation": _validation_loss(run, "total"),
            },
        ),
        line_chart("mAP on the validation split, %", maps),
        line_chart("Loss terms", losses),
        line_chart("Loss terms on the validation split", validation_losses),
        line_chart("Clips per second", {"clips": _series(run.records, "clips_per_s")}),
        *(
            line_chart(
                f"Norm of the {kind}",
                {part: _series(run.records, f"{kind}_norm/{part}") for part in ("trunk", "heads")},
            )
            for kind in ("gradient", "update")
        ),
    ]
    best = run.best
    examples = story.examples if story else ()
    drawn = {bar[0] for x in examples for bars in (x.truth, x.detected) for bar in bars}
    of_all = class_colors(known_first(story.classes if story else (), sorted(drawn)))
    colors = {label: color for label, color in of_all.items() if label in drawn}
    write_html(
        Path(workdir) / PAGE,
        "run_page.html",
        title=f"Training run {run.name}",
        figures=list(figures(run).items()),
        main_charts=[chart for chart in charts[:2] if chart],
        charts=[chart for chart in charts[2:] if chart],
        story=story,
        examples=_drawn(story.examples, colors) if story else [],
        colors=list(colors.items()),
        tious=[name.partition("@")[2] or "average" for name in _thresholds(best)] if best else [],
        classes=_class_rows(best) if best else [],
        best_step=best["step"] if best else None,
        probed=read_probe_table(Path(workdir)),
        tried=read_search_table(Path(workdir)),
        changes=list(run.changes.items()),
        evaluation=EVALUATION if (Path(workdir) / EVALUATION).exists() else None,
    )


def write_comparison(
    path: str | os.PathLike[str], runs: Sequence[Run], verdicts: Sequence[str] = ()
) -> None:
    """Writes a page that compares runs: figures, curves and differing configuration fields.

    Args:
      path: file to write, completely or not at all.
      runs: the runs; those with a page of their best evaluation are linked to it.
      verdicts: sentences about their differences.
    """
    charts = [
        line_chart("Loss", {run.name: _series(run.records, "total") for run in runs}),
        line_chart(
            "Average mAP on the validation split, %",
            {
                r.name: [(e["step"], 100 * e[VALIDATION][SCORE]) for e in r.evaluations]
                for r in runs
            },
        ),
    ]
    header, *rows = compare(runs)
    write_html(
        path,
        "runs_page.html",
        title=f"{len(runs)} runs",
        verdicts=verdicts,
        links=[
            relative_url(run.folder / EVALUATION, path)
            if (run.folder / EVALUATION).exists()
            else None
            for run in runs
        ],
        header=header,
        rows=rows,
        charts=[chart for chart in charts if chart],
    )


def figures(run: Run) -> dict[str, str]:
    """Returns the most important numbers of a run."""
    logged = [record for record in run.records if "total" in record]
    last, best = (logged or [{}])[-1], run.best
    return {
        "steps": f"{run.records[-1]['step']:,}" if run.records else "0",
        "loss": _number(last.get("total"), ".4g"),
        "clips/s": _number(last.get("clips_per_s"), ".1f"),
        "waiting for input": _number(last.get("input_wait"), ".0%"),
        "best mAP": _number(best and 100 * best[VALIDATION][SCORE], ".2f"),
        "at step": _number(best and best["step"], ",d"),
    }


def compare(runs: Sequence[Run]) -> list[list[str]]:
    """Returns a table: a header, then one row per run with the configuration fields that differ."""
    differing = sorted(
        {
            name
            for run in runs
            for name in run.changes
            if any(other.changes.get(name) != run.changes[name] for other in runs)
        }
    )
    names = list(figures(runs[0]))
    rows = [
        [run.name, *figures(run).values(), *(run.changes.get(name, "") for name in differing)]
        for run in runs
    ]
    return [["run", *names, *differing], *rows]


def as_text(table: Sequence[Sequence[str]]) -> str:
    """Returns a table as aligned text."""
    table = [[printable(cell) for cell in row] for row in table]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in table
    )
    return "\n".join(line.rstrip() for line in lines)


def _drawn(examples: Sequence[Example], colors: Mapping[str, str]) -> list[dict[str, Any]]:
    """Returns examples with the lanes of their bars, as the page draws them."""
    return [
        {
            **example._asdict(),
            "actions": len(example.truth),
            "truth": _lanes(example.truth, example.duration_s, colors),
            "detected": _lanes(example.detected, example.duration_s, colors),
        }
        for example in examples
    ]


def _lanes(
    bars: Sequence[Bar], duration_s: float, colors: Mapping[str, str]
) -> list[list[dict[str, Any]]]:
    """Returns bars in as few lanes as keep them apart, placed in percent of the axis."""
    segments = [Detection(label, score, start, end) for label, start, end, score in bars]
    by_start = sorted(segments, key=lambda segment: segment.start_s)
    return [
        [_bar(segment, duration_s, colors[segment.label]) for segment in lane]
        for lane in in_lanes(by_start, len(by_start))
    ]


def _bar(segment: Detection, duration_s: float, color: str) -> dict[str, Any]:
    label, score, start, end = segment
    left, right = (100 * min(max(t / duration_s, 0), 1) for t in (start, end))
    return {
        "label": label,
        "title": f"{label}, {start:.1f} to {end:.1f} s, score {score:.2f}",
        "left": f"{left:.2f}",
        "width": f"{right - left:.2f}",
        "color": color,
        "text": text_on(color),
    }


def _series(records: Sequence[Record], name: str) -> list[tuple[float, float]]:
    return [(r["step"], r[name]) for r in records if isinstance(r.get(name), int | float)]


def _evaluated(run: Run, name: str) -> list[tuple[float, float]]:
    """Returns (step, percent) of one metric."""
    found = [(r["step"], r[VALIDATION].get(name)) for r in run.evaluations]
    return [(step, 100 * value) for step, value in found if value is not None]


def _validation_loss(run: Run, term: str) -> list[tuple[float, float]]:
    """Returns (step, value) of a loss term on validation clips, if the run has this term."""
    found = [(r["step"], r[VALIDATION].get(LOSS + term)) for r in run.evaluations]
    return [(step, value) for step, value in found if value is not None]


def _thresholds(evaluation: Record) -> list[str]:
    found = {name: value for name, value in evaluation[VALIDATION].items() if name != "ap"}
    return [name for name, x in found.items() if x is not None and not name.startswith(LOSS)]


def _class_rows(evaluation: Record) -> list[tuple[str, list[str]]]:
    """Returns rows of average precision in percent: one for each class, then the mean."""
    found = evaluation[VALIDATION]
    rows = [(label, [*xs, sum(xs) / len(xs)]) for label, xs in found.get("ap", {}).items()]
    rows.append(("mean", [found[name] for name in _thresholds(evaluation)]))
    return [(label, [f"{100 * value:.1f}" for value in values]) for label, values in rows]


def _number(value: Any, form: str) -> str:
    return "–" if value is None else format(value, form)


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"


def _flat(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    if prefix.count(".") > _MOST_SECTIONS:
        raise UserError(f"{_shortened(prefix)} is too deep for a configuration")
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        nested = isinstance(value, Mapping)
        flat |= _flat(value, f"{prefix}{name}.") if nested else {prefix + name: value}
    return flat


def _plain(value: Any) -> Any:
    """Returns the value as JSON represents it."""
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
