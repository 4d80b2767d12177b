"""Training that nobody watches: it evaluates itself, stops when asked, and survives damage."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from afsd_jax import cli, evaluation
from afsd_jax.diagnosis.validation_files import read_validation
from afsd_jax.io import activitynet_json
from afsd_jax.io.run_log import LOSS, VALIDATION, RunLog
from afsd_jax.training.monitoring import stops_early, why_stopped
from afsd_jax.weights import checkpoint
from tests import small_run
from tests.event_files import read_events
from tests.small_disks import enlarge, mounted
from tests.small_run import SMALL, command, records
from tests.support import ROOT

EVALUATED = {
    **SMALL,
    "data__validation_split": "test",
    "train__evaluate_every": 2,
    "train__keep_last": 2,
}


pytestmark = pytest.mark.usefixtures("fast_compiling")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return small_run.prepare(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Path:
    """A run of four steps, evaluated after two and after four."""
    workdir = tmp_path_factory.mktemp("run") / "work"
    result = small_run.train(data, workdir, flags=["--profile=1"], **EVALUATED)
    assert result.returncode == 0, result.stderr
    assert "parameters learn" in result.stdout
    assert f"{workdir / 'profile'}: a trace of steps 4 to 4" in result.stdout
    assert list((workdir / "profile").rglob("*.xplane.pb"))
    assert "best average mAP" in result.stdout
    return workdir


def start(data: Path, workdir: Path) -> subprocess.Popen[str]:
    """Starts a run of a thousand steps and returns once it has trained some."""
    process = subprocess.Popen(
        command(data, workdir, train__steps=1000, train__checkpoint_every=1000),
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=1"},
    )
    while process.poll() is None and not (
        (workdir / "metrics.jsonl").exists() and records(workdir)
    ):
        time.sleep(0.1)
    return process


def test_evaluation_equals_that_of_the_commands(data, run, tmp_path):
    saved = checkpoint.read(run / "checkpoints")
    found = tmp_path / "found.json"
    arguments = [f"--checkpoint={run}", f"--data-dir={data}", f"--output={found}"]
    result = small_run.run("afsd_jax.detect", *arguments)
    assert result.returncode == 0, result.stderr
    average = 100 * saved.metrics["average_mAP"]
    said = f"{run}: step {saved.step}, average mAP {average:.2f} % on the validation split"
    assert said in result.stdout
    truth = next(data.glob("synthetic/rgb/*/ground_truth.json"))
    metrics = evaluation.evaluate(
        activitynet_json.read_ground_truth(truth, "test"),
        activitynet_json.read_predictions(found),
        evaluation.BENCHMARKS["videos"].tious,
    )
    (logged,) = (
        r["validation"] for r in records(run) if "validation" in r and r["step"] == saved.step
    )
    losses = {name: logged.pop(name) for name in list(logged) if name.startswith(LOSS)}
    assert {f"{LOSS}loc", f"{LOSS}total"} < losses.keys()
    assert 0 < losses[f"{LOSS}total"] < np.inf
    assert logged == metrics.as_dict()
    assert saved.metrics == {name: x for name, x in logged.items() if name != "ap"}


def test_a_run_can_be_watched(run, capsys, tmp_path, browser):
    steps = [record["step"] for record in records(run)]
    assert steps == [1, 2, 2, 3, 4, 4]  # the evaluations beside the losses
    logged = records(run)[3]
    assert {"total", "clips_per_s", "input_wait", "learning_rate/trunk"} <= logged.keys()
    for kind in ("gradient", "update", "weight"):
        for part in ("trunk", "heads"):
            assert logged[f"{kind}_norm/{part}"] > 0
    assert json.loads((run / "config.json").read_text())["train"]["steps"] == 4
    shutil.copytree(run, tmp_path / "other")
    page = tmp_path / "runs.html"
    assert cli.main(["runs", str(run), str(tmp_path / "other"), f"--output={page}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["work", "4"], ["other", "4"]]
    assert "have the same mAP" in " ".join(lines)
    kept = read_validation(run)
    assert kept is not None
    best = max(r["validation"]["average_mAP"] for r in records(run) if "validation" in r)
    average = evaluation.score(kept.tables, kept.tious).average_map
    assert average == pytest.approx(best, abs=1e-9)
    for path in (run / "report.html", page, run / "evaluation.html"):
        tab = browser.new_page()
        problems: list[str] = []
        tab.on("pageerror", lambda error, problems=problems: problems.append(str(error)))
        tab.goto(path.as_uri())
        assert tab.locator("polyline").count() >= 2
        assert path.name == "evaluation.html" or "evaluation.html" in path.read_text()
        assert problems == []
        tab.close()
    assert cli.main(["runs", str(tmp_path)]) == 2
    assert "no training run" in capsys.readouterr().err


def test_an_interrupted_run_saves_and_goes_on_without_a_gap(data, tmp_path):
    process = start(data, tmp_path)
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 128 + signal.SIGTERM, output
    assert "Traceback" not in output
    found = re.search(r"saved at step (\d+); the same command continues", output)
    assert found, output
    last = int(found[1])
    assert checkpoint.steps(tmp_path / "checkpoints") == [last]
    # What a crash after the save left behind is not there twice.
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": last + 1, "total": 1e9}) + '\n{"step": 7, "to')
    result = small_run.train(data, tmp_path, **SMALL, train__steps=last + 2)
    assert result.returncode == 0, result.stderr
    assert [record["step"] for record in records(tmp_path)] == list(range(1, last + 3))
    assert max(record["total"] for record in records(tmp_path)) < 1e9
    assert purged(tmp_path) == [last + 1]


def purged(workdir: Path) -> list[int]:
    """Returns the steps from which on TensorBoard forgets what was written before."""
    return [event.step for event in read_events(workdir) if event.HasField("session_log")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_ends_at_once(number):
    code = (
        "import os, sys\nfrom afsd_jax.runtime.signals import Interruption\n"
        "with Interruption() as interruption:\n"
        "    for _ in range(2):\n"
        "        os.kill(os.getpid(), int(sys.argv[1]))\n"
        "        print(interruption.signum, flush=True)\n"
    )
    command = [sys.executable, "-c", code, str(int(number))]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == -number
    assert result.stdout == f"{int(number)}\n"
    assert result.stderr.count("\n") <= 2


def test_a_full_disk_is_one_line_and_training_goes_on(data, run, tmp_path):
    # No file may grow beyond what the logs need, as if the disk were full: saving fails.
    shell = ["bash", "-c", 'ulimit -f 60 && exec "$@"', "bash", *command(data, tmp_path)]
    result = subprocess.run(shell, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.count("warning: ") == 2  # steps 2 and 4
    assert "step 4 cannot be saved, none is saved" in result.stderr
    assert "error: the last checkpoint was not saved; there is none" in result.stderr
    assert [record["step"] for record in records(tmp_path)] == [1, 2, 3, 4]
    assert list((tmp_path / "checkpoints").iterdir()) == []


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 30 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_up_leaves_the_last_good_checkpoint(data, run, small_disk):
    files = (run / "checkpoints" / "4").rglob("*")
    size = sum(path.stat().st_size for path in files if path.is_file())
    room = 4 * size + 2**21  # for some checkpoints, and the logs
    (small_disk / "other").write_bytes(bytes(shutil.disk_usage(small_disk).free - room))
    fields = {"train__checkpoint_every": 1, "train__keep_last": 100, "train__steps": 8}
    result = small_run.train(data, small_disk / "work", **SMALL, **fields)
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    saved = checkpoint.steps(small_disk / "work" / "checkpoints")
    assert saved == list(range(1, saved[-1] + 1))
    assert 1 <= saved[-1] < 8
    checkpoint.read(small_disk / "work" / "checkpoints", saved[-1])
    last = result.stderr.strip().splitlines()[-1]
    assert last == f"error: the last checkpoint was not saved; step {saved[-1]} is the last one"
    assert result.stderr.count("cannot be saved") == 8 - saved[-1]


def test_no_room_for_tensorboards_events_is_one_line_and_training_goes_on(data, tmp_path):
    (tmp_path / "checkpoints").mkdir()  # on another disk, which has room
    with mounted(tmp_path / "disk", "size=30m") as disk:
        workdir = disk / "work"
        workdir.mkdir()
        (workdir / "checkpoints").symlink_to(tmp_path / "checkpoints")
        process = subprocess.Popen(
            command(data, workdir), cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        while process.poll() is None and not (workdir / "metrics.jsonl").exists():
            time.sleep(0.05)
        time.sleep(0.2)  # the first step still compiles; the event file comes with its numbers
        state = os.statvfs(disk)
        enlarge(disk, f"size=30m,nr_inodes={state.f_files - state.f_ffree}")
        errors = process.communicate()[1].decode().splitlines()
        assert process.returncode == 1, errors
        said = [line for line in errors if line.startswith(("warning: ", "error: "))]
        place = f"{workdir}: the log cannot be written ({workdir}/events.out.tfevents"
        assert said[0].startswith(f"warning: {place}")
        assert "No space left on device" in said[0]
        assert said[1:] == [f"error: {workdir}: some lines of the log were not written"]
        assert not any("Traceback" in line for line in errors)
        assert [record["step"] for record in records(workdir)] == [1, 2, 3, 4]
        assert not list(workdir.glob("events.*"))
    assert checkpoint.steps(tmp_path / "checkpoints") == [2, 4]


def test_training_goes_on_before_a_damaged_checkpoint(data, run, tmp_path):
    workdir = tmp_path / "work"
    shutil.copytree(run, workdir)
    expected = checkpoint.read(workdir / "checkpoints", 4).weights
    path = max((workdir / "checkpoints" / "4").rglob("*"), key=lambda path: path.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    result = small_run.train(data, workdir, **EVALUATED)
    assert result.returncode == 0, result.stderr
    assert re.search(r"checkpoints/4 is damaged \(.*now damaged-4", result.stderr)
    assert "2/4" in result.stderr
    again = checkpoint.read(workdir / "checkpoints", 4).weights
    for name, value in expected.items():
        np.testing.assert_array_equal(again[name], value, err_msg=name)
    assert [record["step"] for record in records(workdir)] == [1, 2, 2, 3, 4, 4]


def test_a_state_in_shares_is_saved_and_goes_on_on_another_number_of_devices(data, run, tmp_path):
    for devices, steps in ((2, 2), (1, 4)):
        fields = {**SMALL, "train__shard_state": True, "train__steps": steps}
        result = small_run.train(data, tmp_path, devices, **fields)
        assert result.returncode == 0, result.stderr
    whole = [record["total"] for record in records(run) if "total" in record]
    shared = [record["total"] for record in records(tmp_path)]
    np.testing.assert_allclose(shared, whole, rtol=5e-3)  # see tests/training/test_devices.py


def test_what_is_not_finite_ends_training_with_the_videos_named(data, run, tmp_path):
    # A weight that is not finite, so that no other step need be compiled.
    saved = checkpoint.read(run / "checkpoints", 4)
    weights = {name: np.asarray(value) for name, value in saved.weights.items()}
    weights["loc_scale"] = np.full_like(weights["loc_scale"], np.nan)
    checkpoint.write(tmp_path / "nan", weights, saved.config, saved.class_names)
    fields = {"train__init_from": tmp_path / "nan", "train__nan_limit": 1}
    result = small_run.train(data, tmp_path / "run", **SMALL, **fields)
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    skipped, last = (line for line in result.stderr.splitlines() if "is not finite" in line)
    assert "at step 1, on train_" in skipped
    assert "skipped (1 of 1)" in skipped
    assert re.search(
        r"error: the loss [a-z_, ]*loc.* is not finite at step 2, on train_\d+ from frame \d+, ",
        last,
    )
    assert checkpoint.steps(tmp_path / "run" / "checkpoints") == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"train__evaluate_every": "3 days"}, "config.train.evaluate_every='3 days'"),
        ({"train__checkpoint_every": -1}, "config.train.checkpoint_every=-1"),
        ({"train__accumulate": 3}, "config.train.accumulate=3"),
        ({"train__early_stop": 2}, "needs --config.data.validation_split"),
        ({"optimizer__ema": 1.0}, "config.optimizer.ema=1.0"),
        ({"data__validation_split": "nowhere"}, "no split 'nowhere'"),
    ],
)
def test_impossible_wishes_are_refused(data, tmp_path, capsys, fields, message):
    given = [f"--config.{name.replace('__', '.')}={value}" for name, value in fields.items()]
    config = ["--config=synthetic", f"--config.data.data_dir={data}"]
    assert cli.main(["train", *config, f"--workdir={tmp_path / 'run'}", *given]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("scores", "patience", "ends"),
    [
        ([0.1, 0.2, 0.3], 1, False),
        ([0.1, 0.3, 0.2], 1, True),
        ([0.3, 0.2], 2, False),
        ([0.3, 0.2, 0.3], 2, True),
        ([0.3, 0.2, 0.31], 2, False),
        ([0.3, 0.2, 0.1, 0.0], 0, False),
        ([], 1, False),
    ],
)
def test_training_ends_after_as_many_evaluations_without_a_better_one(
    tmp_path, scores, patience, ends
):
    log = RunLog(tmp_path, 0, writes=False)
    for step, score in enumerate(scores, 1):
        log.write(step, {VALIDATION: {evaluation.SCORE: score}})
        log.write(step, {"total": 1.0})
    assert stops_early(log, patience) == ends


@pytest.mark.parametrize(
    ("scores", "patience", "said"),
    [
        ([0.5, 1.0, 1.0, 1.0], 2, "none of the last 2 was better than that of step 2, 100.00 %"),
        ([0.5, 0.4], 1, "the last evaluation was not better than that of step 1, 50.00 %"),
    ],
)
def test_the_evaluation_that_was_not_exceeded_is_named(tmp_path, scores, patience, said):
    log = RunLog(tmp_path, 0, writes=False)
    for step, score in enumerate(scores, 1):
        log.write(step, {VALIDATION: {evaluation.SCORE: score}})
    assert stops_early(log, patience)
    assert why_stopped(log, patience) == said


def test_averaged_weights_are_saved_resumed_and_detected_with(data, tmp_path):
    fields = {**SMALL, "optimizer__ema": 0.5, "optimizer__learning_rate": 1e-2}
    straight, halves = tmp_path / "straight", tmp_path / "halves"
    assert small_run.train(data, straight, **fields).returncode == 0
    assert small_run.train(data, halves, **fields, train__steps=2).returncode == 0
    assert small_run.train(data, halves, **fields).returncode == 0
    raw = checkpoint.read(straight / "checkpoints", averaged=False).weights
    averaged = checkpoint.read(straight / "checkpoints").weights
    resumed = checkpoint.read(halves / "checkpoints").weights
    for name, value in averaged.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)
    assert np.any(averaged["conf_head.kernel"] != raw["conf_head.kernel"])
