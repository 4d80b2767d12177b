"""A second run starts fast: it compiles nothing that another run has compiled."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import small_run, untrained_checkpoints
from tests.small_run import OVERRIDES, SMALL, records
from tests.support import ROOT

pytestmark = pytest.mark.usefixtures("fast_compiling")

# Features of a frozen trunk, and an evaluation.
FIELDS = OVERRIDES | {
    **{name.replace("__", "."): value for name, value in SMALL.items()},
    "data.crops": 1,
    "data.feature_cache": "features",
    "data.validation_split": "test",
    "model.batch_norm": "frozen",
    "model.frozen_until": "Mixed_3c",
    "model.trunk_context": "video",
    "loss.consistency_weight": 0.0,
    "optimizer.schedule": "cosine",
    "optimizer.ema": 0.9,
    "train.evaluate_every": 2,
}


def train(folder: Path, data: Path, workdir: Path, **overrides: object) -> set[str]:
    """Trains in a process of its own; returns the names of the modules that it imported."""
    fields = FIELDS | {name.replace("__", "."): value for name, value in overrides.items()}
    result = subprocess.run(
        [
            *(sys.executable, "-X", "importtime", "-m", "afsd_jax.train"),
            "--config=configs/synthetic.py",
            f"--config.train.init_from={folder / 'initial'}",
            f"--config.data.data_dir={data}",
            f"--workdir={workdir}",
            *(f"--config.{name}={value}" for name, value in fields.items()),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"AFSD_COMPILATION_CACHE": str(folder / "cache")},
    )
    assert result.returncode == 0, result.stderr
    return {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}


def test_another_data_set_of_the_same_shapes_compiles_nothing_anew(tmp_path):
    data = small_run.prepare(tmp_path / "one")
    model = {"levels": 3, "loc_multipliers": (4.0, 4.0, 8.0), "consistency_stride": 2}
    untrained_checkpoints.write_untrained(tmp_path / "initial", "rgb", **model)
    train(tmp_path, data, tmp_path / "first")
    programs = {path.name for path in (tmp_path / "cache" / "programs").iterdir()}
    assert programs
    other = shutil.copytree(data, tmp_path / "other")  # with the features
    changed = {
        "seed": 1,
        "data__train_split": "train[:2]",
        "optimizer__learning_rate": 1e-3,
        "optimizer__warmup_steps": 2,
        "train__steps": 6,
    }
    imported = train(tmp_path, other, tmp_path / "second", **changed)
    # With another key, or after tracing, a program would have another name.
    assert {path.name for path in (tmp_path / "cache" / "programs").iterdir()} == programs
    assert records(tmp_path / "second")[-1]["step"] == 6
    assert "jax" in imported
    assert "tensorflow" not in imported  # it takes seconds, and reads frames only
