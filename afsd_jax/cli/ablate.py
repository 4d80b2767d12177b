"""The command `afsd ablate`: measures what each part of the network contributes (AFSD §4.3).

Each row adds a part to the row before it. Every run is a separate process and stores its
detections, so a study that was killed continues with the missing runs.
"""

import json
import statistics
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afsd_jax.cli.arguments import CONFIG, DATA_DIR, TIOU, some_of, thresholds
from afsd_jax.cli.process import run_command
from afsd_jax.errors import UserError
from afsd_jax.io import files

if TYPE_CHECKING:
    import ml_collections

SUMMARY = "Train without some parts of the network and compare."
DETAILS = """This command trains each row with each seed, detects in the test split of the prepared
data set and evaluates. Each row adds a part to the row before it: quality logits, refinement,
boundary consistency learning. Every field of the configuration can be set:
--config.train.epochs=8

The folder receives every run, and ablation.md and ablation.json with the mean and the standard
deviation of each metric. If you run the same command again, the study continues with the missing
runs; with another --tiou it only evaluates again."""

ROWS = ("baseline", "+quality", "+refinement", "full")
CONFIG_FILE, RESULT, TABLE = "config.json", "ablation.json", "ablation.md"
DETECTIONS = "detections.json"
_CONSISTENCY = ("boundary_weight", "consistency_weight")


def add_flags(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--config", required=True, help=CONFIG)
    add("--workdir", type=Path, required=True, help="folder for the runs and the table")
    add("--data-dir", type=Path, help=DATA_DIR)
    seeds = "seeds; each row is trained with each of them (default: %(default)s)"
    add("--seeds", type=_seeds, default="0,1,2", metavar="LIST", help=seeds)
    rows = f"some of {','.join(ROWS)}; default: all"
    add("--rows", type=some_of(ROWS), default=ROWS, metavar="LIST", help=rows)
    add("--tiou", type=thresholds, metavar="LIST", help=TIOU)


def run(args: Namespace) -> None:
    files.check_output_folder(args.workdir, parents=True)
    from afsd_jax.cli.config_flags import load_config
    from afsd_jax.config import check
    from afsd_jax.report.run_page import as_text

    config = load_config(args.config, args.overrides)
    check(config)
    rows = [row for row in ROWS if row in args.rows]
    results = ablate(args.config, args.overrides, config, args.workdir, args.seeds, rows, args.tiou)
    print(as_text(table(results)))
    print(args.workdir / TABLE)


def _seeds(text: str) -> list[int]:
    seeds = [part.strip() for part in text.split(",")]
    if not all(seed.isdecimal() for seed in seeds) or len(set(seeds)) < len(seeds):
        raise ArgumentTypeError(f"must be different whole numbers such as 0,1,2, not {text}")
    return [int(seed) for seed in seeds]


def fields_of(row: str, config: "ml_collections.ConfigDict") -> dict[str, Any]:
    """Returns the fields of the configuration that switch parts of the network on, for a row.

    baseline has none: coarse predictions, scored by class alone. +quality adds the center term,
    +refinement the refined predictions. full adds boundary consistency learning: the losses of
    starts and ends, and the consistency loss, with the weights of the configuration where it has
    any.
    """
    from afsd_jax.config import default_config

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
    config: "ml_collections.ConfigDict",
    workdir: Path,
    seeds: Sequence[int],
    rows: Sequence[str],
    tious: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Trains every row with every seed, evaluates on the test split and writes the results.

    Args:
      name: configuration file, as `afsd train` takes it.
      overrides: fields of the configuration, as on the command line.
      config: the configuration that both give.
      workdir: folder for each run (ROW/seed-N) and for ablation.json and ablation.md.
      seeds: seeds of the runs.
      rows: some of `ROWS`.
      tious: thresholds to evaluate at; None: those of the data set's benchmark.

    Returns:
      For each row its fields, the mean and the spread of each metric, and its runs.

    Raises:
      UserError: a run failed, or the folder holds a study of another configuration.
    """
    from afsd_jax import evaluation
    from afsd_jax.inputs.prepared import PreparedSplit
    from afsd_jax.io.activitynet_json import read_predictions
    from afsd_jax.training.validation import truth_of

    tious = tious or evaluation.tious_of(config.data.dataset)
    _claim(workdir, json.loads(config.to_json()))
    truth = truth_of(config, PreparedSplit([config], config.data.test_split))
    results: dict[str, Any] = {}
    for row in rows:
        fields = fields_of(row, config)
        runs = []
        for seed in seeds:
            folder = workdir / row.strip("+") / f"seed-{seed}"
            if not (folder / DETECTIONS).exists():
                settings = {**fields, "seed": seed}
                flags = [*overrides, *(f"--config.{key}={x}" for key, x in settings.items())]
                _train_and_detect(name, flags, config.data.data_dir, folder)
            metrics = evaluation.evaluate(truth, read_predictions(folder / DETECTIONS), tious)
            runs.append({"seed": seed, **metrics.as_dict()})
        results[row] = {"fields": fields, **summary(runs), "runs": runs}
    files.write_json(
        workdir / RESULT, {"config": name, "overrides": list(overrides), "rows": results}
    )
    with files.atomic_write(workdir / TABLE) as path:
        path.write_text(as_markdown(table(results)), encoding="utf-8")
    return results


def _claim(workdir: Path, config: Mapping[str, Any]) -> None:
    """Writes the configuration into the folder, or raises UserError if it holds another one."""
    files.make_folder(workdir)
    if not (workdir / CONFIG_FILE).exists():
        files.write_json(workdir / CONFIG_FILE, config)
    elif files.read_json(workdir / CONFIG_FILE) != config:
        raise UserError(
            f"{workdir}: holds a study of another configuration; give another --workdir, or the "
            "configuration that it began with"
        )


def _train_and_detect(name: str, flags: Sequence[str], data_dir: str, folder: Path) -> None:
    """Trains, or continues an interrupted training, and detects in the test split."""
    run_command("train", f"--config={name}", f"--workdir={folder}", *flags)
    output = f"--output={folder / DETECTIONS}"
    run_command("detect", f"--checkpoint={folder}", f"--data-dir={data_dir}", output)


def summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Returns the mean and the spread of each metric over runs.

    The spread is the sample standard deviation, and 0 for a single run.
    """
    from afsd_jax.evaluation import SCORE

    names = [name for name in runs[0] if name == SCORE or name.startswith("mAP@")]
    values = {name: [run[name] for run in runs] for name in names}
    spread = statistics.stdev if len(runs) > 1 else lambda _: 0.0
    return {
        "mean": {name: statistics.fmean(xs) for name, xs in values.items()},
        "spread": {name: spread(xs) for name, xs in values.items()},
    }


def table(results: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Returns the names of the metrics, and for each row its metrics in percent, mean ± spread."""
    names = list(next(iter(results.values()))["mean"])
    lines = [["row", *(name.replace("_", " ") for name in names)]]
    for row, result in results.items():
        pairs = ((result["mean"][name], result["spread"][name]) for name in names)
        lines.append([row, *(f"{100 * mean:.1f} ± {100 * spread:.1f}" for mean, spread in pairs)])
    return lines


def as_markdown(lines: Sequence[Sequence[str]]) -> str:
    """Returns a table in Markdown; its first line names the columns."""
    head, *rows = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([head, "|" + "---|" * len(lines[0]), *rows]) + "\n"
