"""What each part of the network is worth: AFSD's ablation (AFSD §4.3), on any data set.

Each row adds a part to the one before it. Every run is a process of its own and leaves its
detections behind, so that a study that was killed goes on with the runs that are missing.
"""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_collections

from afsd_jax import evaluation
from afsd_jax.cli.process import run_command
from afsd_jax.config import default_config
from afsd_jax.data.whole_videos import PreparedSplit
from afsd_jax.errors import UserError
from afsd_jax.io import files
from afsd_jax.io.activitynet_json import read_predictions
from afsd_jax.report.run_page import as_text
from afsd_jax.training.validation import truth_of

ROWS = ("baseline", "+quality", "+refinement", "full")
CONFIG, RESULT, TABLE, FOUND = "config.json", "ablation.json", "ablation.md", "detections.json"
_CONSISTENCY = ("boundary_weight", "consistency_weight")


def chosen_rows(text: str | None) -> list[str]:
    """Returns the rows that a text such as "baseline,full" names, in their order; None: all.

    Raises:
      UserError: a name is no row's.
    """
    names = ROWS if text is None else tuple(part.strip() for part in text.split(","))
    for name in names:
        if name not in ROWS:
            raise UserError(f"--rows: must be some of {', '.join(ROWS)}, not {name!r}")
    return [row for row in ROWS if row in names]


def fields_of(row: str, config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Returns the fields of a row that say which parts are on.

    baseline has none: coarse predictions, scored by class alone. +quality adds the center term,
    +refinement the refined predictions. full adds boundary consistency learning: the losses of
    starts and ends, and the consistency loss, with the configuration's weights where it has any.
    """
    parts = ROWS.index(row)
    loss, default = config.loss, default_config().loss
    weights = {name: loss[name] or default[name] for name in _CONSISTENCY}
    return {
        "model.quality": parts > 0,
        "model.refinement": parts > 1,
        **{f"loss.{name}": weight if parts > 2 else 0.0 for name, weight in weights.items()},
    }


def ablate(
    name: str,
    overrides: Sequence[str],
    config: ml_collections.ConfigDict,
    workdir: Path,
    seeds: Sequence[int],
    rows: Sequence[str] = ROWS,
    tious: Sequence[float] | None = None,
) -> str:
    """Trains every row with every seed, evaluates on the test split and writes down the results.

    Args:
      name: of the configuration file, as `afsd train` takes it.
      overrides: of its fields, as on the command line.
      config: what both give.
      workdir: folder for ROW/seed-N of each run, and ablation.json and ablation.md of all.
      seeds: of the runs.
      rows: of `ROWS`.
      tious: thresholds to evaluate at; None: those of the data set's benchmark.

    Returns:
      The table as text.

    Raises:
      UserError: a run failed, a threshold is out of range, or the folder holds a study of another
        configuration.
    """
    tious = tious or evaluation.tious_of(config.data.dataset)
    evaluation.check_tious(tious)  # before hours of training
    workdir.mkdir(parents=True, exist_ok=True)
    described = json.loads(config.to_json())
    if not (workdir / CONFIG).exists():
        files.write_json(workdir / CONFIG, described)
    elif files.read_json(workdir / CONFIG) != described:
        raise UserError(
            f"{workdir}: holds a study of another configuration; give another --workdir, or the "
            "configuration that it began with"
        )
    truth = truth_of(config, PreparedSplit(config.data, config.data.test_split))
    results: dict[str, Any] = {}
    for row in rows:
        fields = fields_of(row, config)
        runs = []
        for seed in seeds:
            folder = workdir / row.strip("+") / f"seed-{seed}"
            if not (folder / FOUND).exists():
                settings = {**fields, "seed": seed}
                given = [*overrides, *(f"--config.{key}={x}" for key, x in settings.items())]
                _run(name, given, config.data.data_dir, folder)
            metrics = evaluation.evaluate(truth, read_predictions(folder / FOUND), tious)
            runs.append({"seed": seed, **metrics.as_dict()})
        results[row] = {"fields": fields, **summary(runs), "runs": runs}
    files.write_json(
        workdir / RESULT, {"config": name, "overrides": list(overrides), "rows": results}
    )
    lines = table(results)
    with files.atomic_write(workdir / TABLE) as path:
        path.write_text(as_markdown(lines), encoding="utf-8")
    return as_text(lines)


def _run(name: str, overrides: Sequence[str], data_dir: str, folder: Path) -> None:
    """Trains, or goes on with it, and detects in the test split."""
    run_command("train", f"--config={name}", f"--workdir={folder}", *overrides)
    arguments = [f"--checkpoint={folder}", f"--data-dir={data_dir}", f"--output={folder / FOUND}"]
    run_command("detect", *arguments)


def summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Returns the mean and the spread of each metric over runs.

    The spread is the sample standard deviation, 0 of a single run.
    """
    names = [name for name in runs[0] if name == evaluation.SCORE or name.startswith("mAP@")]
    values = {name: [run[name] for run in runs] for name in names}
    spread = statistics.stdev if len(runs) > 1 else lambda _: 0.0
    return {
        "mean": {name: statistics.fmean(xs) for name, xs in values.items()},
        "spread": {name: spread(xs) for name, xs in values.items()},
    }


def table(results: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Returns the rows' metrics in percent, mean ± spread, below their names."""
    names = list(next(iter(results.values()))["mean"])
    lines = [["row", *(name.replace("_", " ") for name in names)]]
    for row, result in results.items():
        pairs = ((result["mean"][name], result["spread"][name]) for name in names)
        lines.append([row, *(f"{100 * mean:.1f} ± {100 * spread:.1f}" for mean, spread in pairs)])
    return lines


def as_markdown(lines: Sequence[Sequence[str]]) -> str:
    """Returns a table, whose first line names the columns, in Markdown."""
    head, *rows = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([head, "|" + "---|" * len(lines[0]), *rows]) + "\n"
