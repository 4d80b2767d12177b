"""Commands on a stranger's files: one line, exit code 2, nothing written, no wait for a pipe."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from afsd_jax import cli
from afsd_jax.config import resolve
from afsd_jax.configs import synthetic
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.datasets import prepare_dataset
from afsd_jax.data.storage import frame_codec, schema, shards
from afsd_jax.models import parameters
from afsd_jax.weights import checkpoint
from tests.small_run import OVERRIDES, SMALL

CLASSES = ["jump", "run"]
SIZE, FRAMES = 38, 80


@pytest.fixture(scope="module")
def honest(tmp_path_factory) -> Path:
    """A data set that trains, and a checkpoint."""
    folder = tmp_path_factory.mktemp("honest")
    source = folder / "source"
    source.mkdir()
    rows = ["video,label,start,end,subset"]
    for name, subset in (("a", "train"), ("b", "train"), ("c", "test")):
        pixels = np.random.default_rng(0).integers(0, 256, (FRAMES, SIZE, SIZE, 3), np.uint8)
        np.save(source / f"{name}.npy", pixels)
        rows += [f"{name},jump,1,3,{subset}", f"{name},run,4,7,{subset}"]
    (source / "truth.csv").write_text("\n".join(rows))
    options = PrepareOptions(source, encoding="png", size=SIZE, fps=10.0, workers=1)
    prepare_dataset("videos", folder / "data", options=options)
    config = synthetic.get_config()
    config.update_from_flattened_dict({**OVERRIDES, "data.dataset": "videos"})
    config = resolve(config, len(CLASSES))
    weights = parameters.flatten(parameters.build_network(config))
    checkpoint.write(folder / "checkpoint", weights, config, CLASSES)
    return folder


@pytest.fixture
def folder(honest, tmp_path) -> Path:
    shutil.copytree(honest / "data", tmp_path / "data")
    return tmp_path / "data" / "videos" / "rgb" / "1.0.0"


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """A command that waits for a pipe fails."""

    def fail(*_: object) -> None:
        raise AssertionError("the command hangs")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def shard_of(folder: Path, split: str) -> Path:
    return min(folder.glob(f"videos-{split}.tfrecord-*"))


def forge(frame: bytes | None = None, **fields: object) -> Callable[[Path], None]:
    """Returns what writes the first shard of each split anew, with other fields."""

    def write(folder: Path) -> None:
        frames = [frame or frame_codec.encode(np.zeros((SIZE, SIZE, 3), np.uint8), "png")] * FRAMES
        action = {"label": 0, "start_s": 1.0, "end_s": 3.0, "start_frame": 10.0, "end_frame": 30.0}
        for split, name in (("train", "a"), ("test", "c")):
            example = {"name": name, "fps": 10.0, "duration_s": 8.0, "encoding": "png"}
            example |= {"height": SIZE, "width": SIZE, "channels": 3}
            example |= {"annotations": [action | fields.get("action", {})]}
            example |= {key: value for key, value in fields.items() if key != "action"}
            features = schema.features([str(i) for i in range(1000)])
            shards.write_example(shard_of(folder, split), features, example, frames)

    return write


def flip_a_bit(folder: Path) -> None:
    """Changes a pixel's byte in every shard."""
    for path in folder.glob("*.tfrecord-*"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 16
        path.write_bytes(content)


def name_a_module(folder: Path) -> None:
    path = folder / "features.json"
    features = json.loads(path.read_text())
    features["featuresDict"]["features"]["name"]["pythonClassName"] = "evil.Evil"
    path.write_text(json.dumps(features))


def png_of(width: int, height: int) -> bytes:
    content = bytearray(frame_codec.encode(np.zeros((1, 1, 3), np.uint8), "png"))
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return bytes(content)


FORGERIES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a module": (name_a_module, "features.json: lists other features"),
    "a name": (forge(name="../x"), "tfrecord-00000-of-0000.: .*name"),
    "a rate": (forge(fps=0.0), "no frame rate"),
    "a duration": (forge(duration_s=float("nan")), "no duration"),
    "a picture": (forge(png_of(16_000, 16_000)), "tfrecord-.*missing or damaged"),
    "a label": (forge(action={"label": 7}), "none of the 2 classes"),
    "a bit": (flip_a_bit, "tfrecord-.*missing or damaged"),
}


def commands(honest: Path, tmp_path: Path) -> dict[str, list[str]]:
    data, folder = tmp_path / "data", tmp_path / "data" / "videos" / "rgb"
    fields = {name.replace("__", "."): value for name, value in SMALL.items()}
    fields |= OVERRIDES | {"data.dataset": "videos", "data.data_dir": data, "data.frame_size": SIZE}
    fields |= {"train.steps": 1}
    detect = [f"--checkpoint={honest / 'checkpoint'}", f"--data-dir={data}", "--split=test"]
    return {
        "inspect": ["inspect", str(folder), f"--output={tmp_path / 'out' / 'page.html'}"],
        "train": [
            *("train", "--config=synthetic", f"--workdir={tmp_path / 'out' / 'run'}"),
            *(f"--config.{name}={value}" for name, value in fields.items()),
        ],
        "detect": ["detect", *detect, f"--output={tmp_path / 'out' / 'found.json'}"],
    }


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Runs a command that must refuse; returns its one line."""
    assert cli.main(arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    return lines[0]


def run_process(arguments: list[str], cwd: Path) -> str:
    """Runs a command in a process of its own, and in a folder; see `run`."""
    command = [sys.executable, "-m", "afsd_jax.cli", *arguments]
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.parametrize("command", ["inspect", "train", "detect"])
def test_a_forged_data_set_is_refused_in_one_line(
    honest, folder, tmp_path, capsys, command, forgery
):
    forge_it, message = FORGERIES[forgery]
    forge_it(folder)
    (tmp_path / "out").mkdir()
    before = sorted(tmp_path.rglob("*"))
    arguments = commands(honest, tmp_path)[command]
    if (command, forgery) == ("train", "a bit"):  # it has begun when it reads the first clip
        line = run_process(arguments, tmp_path)
    else:
        line = run(arguments, capsys)
    assert re.search(message, line)
    assert sorted(path for path in tmp_path.rglob("*") if "out/run" not in str(path)) == before


@pytest.mark.parametrize("command", ["train", "detect"])
def test_no_module_beside_the_working_folder_runs(honest, folder, tmp_path, command):
    (tmp_path / "out").mkdir()
    (tmp_path / "evil.py").write_text("open('proof', 'w')\nclass Evil: pass\n")
    name_a_module(folder)
    line = run_process(commands(honest, tmp_path)[command], tmp_path)
    assert "features.json: lists other features" in line
    assert not (tmp_path / "proof").exists()


# Commands in which {pipe} is a named pipe that nobody writes to, {zero} a link to /dev/zero, and
# {folder} holds both under the names of the files that the command reads.
PIPES = {
    "detect": "detect --checkpoint={checkpoint} --output={out}/x.json {pipe}",
    "detect in a folder": "detect --checkpoint={checkpoint} --output={out}/x.json {folder}",
    "an array": "detect --checkpoint={checkpoint} --output={out}/x.json --fps=10 {pipe}.npy",
    "a checkpoint": "detect --checkpoint={pipe} --output={out}/x.json {video}",
    "a device": "detect --checkpoint={zero} --output={out}/x.json {video}",
    "a flow checkpoint": "detect --checkpoint={checkpoint} --flow-checkpoint={pipe} "
    "--output={out}/x.json {video}",
    "scores": "detect --checkpoint={checkpoint} --video-scores={pipe} "
    "--output={out}/x.json {video}",
    "durations": "detect --checkpoint={checkpoint} --durations={zero} "
    "--output={out}/x.json {video}",
    "truth": "detect --checkpoint={checkpoint} --ground-truth={pipe} --report={out}/x.html "
    "--output={out}/x.json {video}",
    "prepared": "detect --checkpoint={checkpoint} --data-dir={pipe} --output={out}/x.json",
    "an output": "detect --checkpoint={checkpoint} --output={pipe} {video}",
    "a report": "detect --checkpoint={checkpoint} --output={out}/x.json --report={pipe} {video}",
    "prepare": "prepare videos --source={folder} --output={out}/data",
    "annotations": "prepare videos --source={out} --annotations={pipe} --output={out}/data",
    "classes": "prepare videos --source={out} --annotations={truth} --classes={pipe} "
    "--output={out}/data",
    "inspect": "inspect {pipe}",
    "inspect a folder": "inspect {folder}",
    "a page": "inspect {data}/videos/rgb --output={pipe}",
    "runs": "runs {pipe}",
    "a run": "runs {folder}",
    "convert": "convert --input={pipe} --output={out}/x",
    "export": "export {pipe} --format=onnx --output={out}/x",
    "export with flow": "export {checkpoint} --flow-checkpoint={pipe} --format=onnx "
    "--output={out}/x",
    "predictions": "evaluate --predictions={pipe} --ground-truth={truth}",
    "evaluate": "evaluate --predictions={zero} --ground-truth={pipe}",
    "look": "look {pipe} --output={out}/x.json",
    "a configuration": "train --config={pipe} --workdir={out}/run",
    "training data": "train --config=synthetic --config.data.data_dir={pipe} --workdir={out}/run",
    "a workdir": "train --config=synthetic --config.data.data_dir={data} --workdir={pipe}",
}


@pytest.mark.parametrize("name", PIPES)
def test_pipes_and_devices_are_refused_and_not_read(honest, tmp_path, capsys, name):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "out").mkdir()
    for pipe in ("x.mp4", "truth.csv", "dataset_info.json", "config.json", "metrics.jsonl"):
        os.mkfifo(folder / pipe)
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "zero").symlink_to("/dev/zero")
    places = {
        "pipe": tmp_path / "pipe",
        "zero": tmp_path / "zero",
        "out": tmp_path / "out",
        "folder": folder,
        "checkpoint": honest / "checkpoint",
        "data": honest / "data",
        "truth": honest / "source" / "truth.csv",
        "video": f"--fps=10 {honest / 'source' / 'a.npy'}",
    }
    run(PIPES[name].format_map(places).split(), capsys)
    assert not [path for path in (tmp_path / "out").rglob("*") if not path.is_dir()]


@pytest.mark.parametrize("runner", ["evil.Evil", "os.system", "no", "../x"])
@pytest.mark.parametrize("command", ["prepare", "detect"])
def test_beams_runners_are_checked_by_name_before_anything_starts(
    honest, tmp_path, capsys, monkeypatch, command, runner
):
    """Beam imports a runner that it does not know."""
    (tmp_path / "evil.py").write_text("open('proof', 'w')\nclass Evil: pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    beam = f"--beam-options=runner={runner}"
    source, checkpoint = honest / "source", f"--checkpoint={honest / 'checkpoint'}"
    video = ["--fps=10", str(source / "a.npy")]
    arguments = {
        "prepare": ["prepare", "videos", f"--source={source}", "--output=out", beam],
        "detect": ["detect", checkpoint, "--output=out", "--format=csv", beam, *video],
    }[command]
    assert f"Beam has no runner {runner!r}; there are" in run(arguments, capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["evil.py"]


SEGMENT = '{"label": "jump", "score": %s, "segment": [%s, %s]}'
HOSTILE_JSON = [
    "",
    "null",
    "[" * 100_000,
    '{"results":' * 100_000,
    "9" * 10_000,
    '{"step": 1, "total": 1e400}',
    '{"results": {"a": [' + SEGMENT % ("1e400", 0, 1) + "]}}",
    '{"results": {"a": [' + SEGMENT % (1, 0, "1e400") + "]}}",
    '{"results": {"a": [' + SEGMENT % (1, "NaN", 1) + "]}}",
    '{"results": {"../x\\u001b[2J": [' + SEGMENT % (1, 0, 1) + "]}}",
    '{"database": {"a": {"subset": "test", "duration": 1e400, "annotations": []}}}',
    '{"data": {"fps": "1e400"}, "model": {"channels": 1e400}}',
    '{"a": 1e400}',
    "\0\x1b[2J",
    "\ud800",
]
JSON_READERS = {
    "metrics": "runs {folder} --output={out}/x.html",
    "predictions": "evaluate --predictions={file} --ground-truth={truth} --output={out}/x.json",
    "truth": "evaluate --predictions={honest} --ground-truth={file} --output={out}/x.json",
    "annotations": "prepare videos --source={source} --annotations={file} --output={out}/data",
}


@pytest.mark.parametrize("name", JSON_READERS)
def test_json_that_no_command_writes_is_one_line_or_left_out(honest, tmp_path, capsys, name):
    predictions = tmp_path / "honest.json"
    predictions.write_text('{"results": {"a": [' + SEGMENT % (0.5, 1, 3) + "]}}")
    for number, content in enumerate(HOSTILE_JSON):
        folder, out = tmp_path / f"{number}", tmp_path / f"out_{number}"
        folder.mkdir()
        out.mkdir()
        for file in ("x.json", "metrics.jsonl", "config.json"):
            (folder / file).write_bytes(content.encode("utf-8", "surrogatepass"))
        places = {
            "folder": folder,
            "file": folder / "x.json",
            "out": out,
            "honest": predictions,
            "truth": honest / "source" / "truth.csv",
            "source": honest / "source",
        }
        before = sorted(path.name for path in tmp_path.iterdir())
        code = cli.main(JSON_READERS[name].format_map(places).split())
        printed = capsys.readouterr()
        errors = [line for line in printed.err.splitlines() if line.startswith("error:")]
        assert (code, len(errors)) in ((0, 0), (1, 0), (2, 1)), (content[:80], code, printed.err)
        assert "Traceback" not in printed.err
        assert "\x1b" not in (printed.out + printed.err).replace("\x1b[A", "")
        assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("content", ["null", "[1]", '{"a": 1e400}', '{"a": -1}', '{"a": "x"}'])
@pytest.mark.parametrize("flag", ["--durations", "--video-scores"])
def test_durations_and_scores_of_no_sense_are_refused(honest, tmp_path, capsys, flag, content):
    (tmp_path / "x.json").write_text(content)
    video = ["--fps=10", str(honest / "source" / "a.npy")]
    checkpoint = f"--checkpoint={honest / 'checkpoint'}"
    arguments = ["detect", checkpoint, f"{flag}={tmp_path / 'x.json'}", *video]
    line = run([*arguments, f"--output={tmp_path / 'out.json'}"], capsys)
    assert re.search(r"x\.json|a: its duration must be a positive number", line)
    assert not (tmp_path / "out.json").exists()
