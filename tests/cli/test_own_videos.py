"""From a handful of own mp4s to a detector, with the configuration for own videos."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from afsd_jax import cli
from afsd_jax.cli.config_flags import load_config
from afsd_jax.config import resolve
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.datasets import prepare_dataset
from afsd_jax.models import parameters
from afsd_jax.training.auto_config import choose_fields
from afsd_jax.weights import checkpoint
from tests import small_run
from tests.video_files import write_video

SMALL = {"model.trunk_width": 0.05, "model.channels": 16, "model.groups": 4}
FLAGS = [f"--config.{name}={value}" for name, value in SMALL.items()]
FLAGS += ["--config.train.cross_validation=0"]

pytestmark = pytest.mark.usefixtures("fast_compiling")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Videos shorter than a clip, of one class, one without any action; and a trunk to freeze."""
    folder = tmp_path_factory.mktemp("own")
    source = folder / "source"
    source.mkdir()
    rows = ["video,label,start,end,subset"]
    for name, seconds, action in (("a", 6, (1, 3)), ("b", 4, (2, 3.5)), ("c", 5, None)):
        frames = np.random.default_rng(0).integers(0, 60, (seconds * 10, 48, 64, 3), np.uint8)
        if action:
            start, end = (int(10 * t) for t in action)
            frames[start:end] += 150
            rows.append(f"{name},flash,{action[0]},{action[1]},train")
        else:
            rows.append(f"{name},,,,train")
        write_video(source / f"{name}.mp4", frames, rate=10)
    write_video(source / "d.mp4", frames, rate=10)
    rows.append("d,flash,1,2,test")
    (source / "actions.csv").write_text("\n".join(rows) + "\n")
    prepare_dataset("videos", folder / "data", options=PrepareOptions(source, size=38, workers=1))

    overrides = [*FLAGS, f"--config.data.data_dir={folder / 'data'}"]
    config, *_ = choose_fields(load_config("videos", overrides))
    config = resolve(config, 1)
    weights = parameters.flatten(parameters.build_network(config, seed=5))
    trunk = {name: value for name, value in weights.items() if name.startswith("trunk.")}
    checkpoint.write(folder / "trunk", trunk, config, ["flash"])
    return folder


def train(folder: Path, workdir: Path, *flags: str):
    return small_run.run(
        "afsd_jax.train",
        "--config=videos",
        f"--config.data.data_dir={folder / 'data'}",
        f"--workdir={workdir}",
        *FLAGS,
        *flags,
    )


def test_a_frozen_trunk_trains_on_short_videos_of_one_class_and_detects(folder, tmp_path, capfd):
    initial = f"--config.train.init_from={folder / 'trunk'}"
    # The cosine schedule depends on the last step, which a stopped run must know from its start.
    flags = (initial, "--config.optimizer.schedule=constant", "--config.train.steps=2")
    result = train(folder, tmp_path / "run", *flags)
    assert result.returncode == 0, result.stderr
    assert "config.data.clip_length" in result.stdout
    assert "fewer than 10 actions in the training videos: 'flash' (2)" in result.stdout
    assert "trunk features" in result.stderr
    needs = "checkpoints need at most .* during training and .* afterwards; .* are free"
    assert re.search(needs, result.stdout)
    saved = checkpoint.read(tmp_path / "run" / "checkpoints")
    trunk = checkpoint.read(folder / "trunk", partial=True).weights
    for name, value in trunk.items():
        np.testing.assert_array_equal(saved.weights[name], value, err_msg=name)

    assert (tmp_path / "run" / "checkpoints" / "2" / "ema").is_dir()
    assert not (tmp_path / "run" / "checkpoints" / "2" / "optimizer").exists()

    # Stopped after one step, then continued, with the whole network in each checkpoint.
    stopped = ("--config.train.steps=1", "--config.train.keep_optimizer=True")
    whole = "--config.train.whole_checkpoints=True"
    for chosen in ((*flags, *stopped), (*flags, whole)):
        again = train(folder, tmp_path / "again", *chosen)
        assert again.returncode == 0, again.stderr
        assert "trunk features" not in again.stderr, "features were computed again"
    other = checkpoint.read(tmp_path / "again" / "checkpoints")
    for name, value in saved.weights.items():
        np.testing.assert_array_equal(other.weights[name], value, err_msg=name)

    check_ended(folder, tmp_path / "run", flags, capfd)
    output = tmp_path / "found.json"
    arguments = [f"--checkpoint={tmp_path / 'run'}", f"--data-dir={folder / 'data'}"]
    result = small_run.run("afsd_jax.detect", *arguments, f"--output={output}")
    assert result.returncode == 0, result.stderr
    assert list(json.loads(output.read_text())["results"]) == ["d"]


def check_ended(folder: Path, workdir: Path, flags: tuple[str, ...], capfd) -> None:
    """The command of a run that has ended changes nothing; one of more steps is refused."""
    config = [f"--config.data.data_dir={folder / 'data'}", f"--workdir={workdir}", *FLAGS, *flags]
    before = sorted(path for path in workdir.rglob("*") if path.is_file())
    assert cli.main(["train", "--config=videos", *config]) == 0
    assert sorted(path for path in workdir.rglob("*") if path.is_file()) == before
    printed = "".join(capfd.readouterr())
    assert f"{workdir}: this run had ended at step 2, so nothing was trained" in printed
    assert cli.main(["train", "--config=videos", *config, "--config.train.steps=3"]) == 2
    (line,) = [x for x in capfd.readouterr().err.splitlines() if x.startswith("error")]
    assert "ended at step 2 and kept only the weights to detect with" in line
    assert f"config.train.init_from={workdir / 'checkpoints'}" in line


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--config.train.init_from="], "config.train.init_from is empty: a frozen trunk needs"),
        (["--config.data.crops=0"], "config.data.crops=0: with --config.data.feature_cache"),
        (["--config.data.frame_size=64"], "config.data.frame_size=64; set that to 38, or prepare"),
        (["--config.data.fps=25"], "config.data.fps=25; set that to the data set's value"),
        (["--config.data.crops=6"], "config.data.crops=6: must be 0, for any place, or the number"),
        (["--config.model.frozen_until=Mixed_9z"], "config.model.frozen_until='Mixed_9z': must"),
    ],
)
def test_what_does_not_fit_is_one_line(folder, tmp_path, flags, message):
    initial = f"--config.train.init_from={folder / 'trunk'}"
    result = train(folder, tmp_path / "run", initial, *flags)
    assert result.returncode == 2, result.stderr
    assert message in result.stderr.strip().splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run" / "checkpoints").exists()
