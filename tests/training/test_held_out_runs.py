"""Runs before the final one: cross-validation, and training again on the validation videos, too."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from afsd_jax.diagnosis.validation_files import read_validation, validated_step
from afsd_jax.io.files import read_json
from afsd_jax.weights import checkpoint
from tests import small_run
from tests.small_run import SMALL, command, records
from tests.support import ROOT

# The run of a fold has two steps, as the selection has when it is interrupted.
FOLDS = {"train__cross_validation": 2, "train__steps": 4, "train__checkpoint_every": 1}
REFIT = {
    "data__train_split": "train[not 1/3]",
    "data__validation_split": "train[1/3]",
    "train__refit": True,
    "train__evaluate_every": 2,
}
VIDEOS = {"train_0000", "train_0001", "train_0002"}

pytestmark = pytest.mark.usefixtures("fast_compiling")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return small_run.prepare(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def cross_validated(data, tmp_path_factory) -> tuple[Path, str]:
    """A run with its cross-validation, killed in the second fold and continued; what it printed."""
    workdir = tmp_path_factory.mktemp("folds") / "run"
    kill_when(
        lambda: (workdir / "folds" / "2" / "config.json").exists(),
        command(data, workdir, **FOLDS),
    )
    first = checkpoint_times(workdir / "folds" / "1")
    result = small_run.train(data, workdir, **SMALL | FOLDS)
    assert result.returncode == 0, result.stderr
    assert checkpoint_times(workdir / "folds" / "1") == first, "a fold that had ended was repeated"
    return workdir, result.stdout


def trained_videos(workdir: Path) -> tuple[set[str], set[str]]:
    """Returns the videos that a run learned from, and those that validated it."""
    folder = workdir / "checkpoints"
    splits = checkpoint.read_description(folder, checkpoint.steps(folder)[-1]).splits
    train, validation = (splits.get(name, {"videos": {}}) for name in ("train", "validation"))
    return set(train["videos"]), set(validation["videos"])


def test_each_video_is_measured_by_a_network_that_has_not_seen_it(cross_validated):
    workdir, said = cross_validated
    measured: list[str] = []
    for fold in ("1", "2"):
        folder = workdir / "folds" / fold
        learned, validated = trained_videos(folder)
        assert learned | validated == VIDEOS
        assert not learned & validated
        assert validated_step(folder) == 2
        measured += validated
    assert sorted(measured) == sorted(VIDEOS)
    assert trained_videos(workdir) == (VIDEOS, set())
    assert checkpoint.steps(workdir / "checkpoints")[-1] == 4
    kept = read_validation(workdir)
    assert set(kept.truth) == VIDEOS
    assert kept.how == "cross-validation of train, 2 folds of 2 steps each"
    assert said.count("on 3 videos with ") == 2  # before the final run, and at its end
    assert kept.how in (workdir / "report.html").read_text()


def test_a_refit_learns_from_all_videos_as_long_as_was_best(data, tmp_path):
    def final_run_has_begun() -> bool:
        return (tmp_path / "metrics.jsonl").exists() and bool(records(tmp_path))

    kill_when(final_run_has_begun, command(data, tmp_path, **REFIT))
    selected = checkpoint_times(tmp_path / "selection")
    result = small_run.train(data, tmp_path, **SMALL | REFIT)
    assert result.returncode == 0, result.stderr
    assert checkpoint_times(tmp_path / "selection") == selected
    learned, held_out = trained_videos(tmp_path / "selection")
    assert learned | held_out == VIDEOS
    assert trained_videos(tmp_path) == (VIDEOS, set())
    best = validated_step(tmp_path / "selection")
    last = checkpoint.steps(tmp_path / "checkpoints")[-1]
    assert best <= last <= 2 * 4  # three videos have more clips than two
    assert last > best or best < 4
    kept = read_validation(tmp_path)
    assert set(kept.truth) == held_out
    assert f"for {last} steps" in kept.how
    assert validated_step(tmp_path) == last
    assert read_json(tmp_path / "config.json")["data"]["train_split"] == "train"


def kill_when(condition, arguments: list[str]) -> None:
    """Runs a command and kills it as soon as the condition holds."""
    process = subprocess.Popen(
        arguments,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=1"},
    )
    while process.poll() is None and not condition():
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    output = process.communicate(timeout=300)[0]
    assert process.returncode == -signal.SIGKILL, output


def checkpoint_times(workdir: Path) -> dict[str, int]:
    files = sorted((workdir / "checkpoints").rglob("*"))
    return {str(file): file.stat().st_mtime_ns for file in files if file.is_file()}
