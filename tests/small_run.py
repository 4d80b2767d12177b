"""A synthetic data set and a small network, trained with the real commands."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import ml_collections

from afsd_jax.config import default_config, resolve
from afsd_jax.data.builders.generator import Settings
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.datasets import prepare_dataset
from tests.support import ROOT

SETTINGS = Settings(train_videos=3, test_videos=1, max_duration_s=24.0)
# Overrides of configs/synthetic.py; the number of operations stays, their size does not matter.
OVERRIDES = {
    "data.clip_length": 64,
    "data.clip_stride": 8,
    "model.trunk_width": 0.05,
    "model.channels": 16,
    "model.groups": 4,
    "train.batch_size": 2,
    "train.steps": 4,
    "train.checkpoint_every": 2,
    "train.log_every": 1,
    "loss.consistency_weight": 0.1,
}

# One configuration for all runs of this size, so that its step is compiled once: a trunk cut short.
SMALL = {
    "model__pyramid_inputs": "('Mixed_3c',)",
    "model__levels": 3,
    "model__loc_multipliers": "(4.0, 4.0, 8.0)",
    "model__consistency_stride": 2,
    "optimizer__schedule": "constant",
}


def small_config(**model: object) -> ml_collections.ConfigDict:
    """Returns a configuration whose network has the size of `OVERRIDES`, with `model` fields."""
    config = default_config()
    config.data.clip_length, config.data.crop_size = 64, 32
    sizes = {name: OVERRIDES[f"model.{name}"] for name in ("trunk_width", "channels", "groups")}
    config.model.update(sizes | model)
    return resolve(config, 20)


def prepare(folder: Path) -> Path:
    """Makes the data set; returns the data folder."""
    options = PrepareOptions(folder / "source", encoding="png", fps=10.0, size=38, workers=1)
    prepare_dataset("synthetic", folder / "data", options=options, settings=SETTINGS)
    return folder / "data"


def run(module: str, *arguments: object, devices: int = 1) -> subprocess.CompletedProcess[str]:
    """Runs one of the package's mains as a user would."""
    environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)


def train(
    data: Path, workdir: Path, devices: int = 1, flags: Sequence[str] = (), **overrides: object
) -> subprocess.CompletedProcess[str]:
    """Trains with `overrides` of the small configuration (names with __ for dots)."""
    fields = OVERRIDES | {name.replace("__", "."): x for name, x in overrides.items()}
    return run(
        "afsd_jax.train",
        "--config=configs/synthetic.py",
        f"--config.data.data_dir={data}",
        f"--workdir={workdir}",
        *(f"--config.{name}={value}" for name, value in fields.items()),
        *flags,
        devices=devices,
    )


def command(data: Path, workdir: Path, **overrides: object) -> list[str]:
    """Returns the command that trains with `SMALL` and `overrides` (names with __ for dots)."""
    fields = {name.replace("__", "."): value for name, value in (SMALL | overrides).items()}
    return [
        *(sys.executable, "-m", "afsd_jax.train", "--config=configs/synthetic.py"),
        *(f"--config.data.data_dir={data}", f"--workdir={workdir}"),
        *(f"--config.{name}={value}" for name, value in (OVERRIDES | fields).items()),
    ]


def records(workdir: Path) -> list[dict]:
    """Returns what a run has logged, a record for each line of its metrics file."""
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
