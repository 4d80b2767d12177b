"""Kills `afsd prepare`, the computation of a feature cache and `afsd detect` at random times.

    python benchmarks/kills.py [KILLS] [--output FILE]

Each command runs undisturbed once. Then it is killed by kill -9 and started again, KILLS times in
all, always before its results are complete. Once they are, they are compared with those of the
undisturbed run, and it begins again in an empty folder. Files must be equal to the last byte, and
no child of a killed process may be there two seconds later.
"""

import argparse
import dataclasses
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import provenance

from afsd_jax.config import default_config, resolve
from afsd_jax.data.builders.generator import CLASSES, Settings, synthesize
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.datasets import prepare_dataset
from afsd_jax.io import files
from afsd_jax.models import parameters
from afsd_jax.weights import checkpoint

SETTINGS = Settings(train_videos=5, test_videos=1, max_duration_s=24.0)
GONE_S = 2.0  # after which the children of a killed process must be gone
FIELDS = {
    "data.clip_length": 64,
    "data.clip_stride": 8,
    "data.frame_size": 38,
    "data.crop_size": 32,
    "data.fps": 10.0,
    "data.max_actions": 64,
    "model.trunk_width": 0.25,
    "model.channels": 16,
    "model.groups": 4,
    "model.levels": 3,
    "model.loc_multipliers": (4.0, 4.0, 8.0),
    "train.batch_size": 4,
    "train.steps": 1,
    "train.cross_validation": 0,
    "inference.window_stride": 32,
    "inference.score_threshold": 0.05,
}
# Few steps: compiling is what costs.
ENVIRONMENT = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}


@dataclasses.dataclass
class Command:
    """A command to kill.

    Attributes:
      name: its name.
      arguments: its arguments when it writes into a folder.
      results: part of the folder that is compared.
    """

    name: str
    arguments: Callable[[Path], list[str]]
    results: str


def commands(work: Path) -> list[Command]:
    """Makes what the commands read, and returns them."""
    truth = synthesize(work / "source", SETTINGS, workers=2)
    source = [f"--source={work / 'source'}", f"--annotations={truth}"]
    options = PrepareOptions(work / "source", truth, encoding="png", size=38, workers=2)
    prepare_dataset("videos", work / "data", options=options)
    config = default_config()
    config.update_from_flattened_dict(FIELDS | {"model.pyramid_inputs": ("Mixed_4b",)})
    config = resolve(config, len(CLASSES))
    weights = parameters.flatten(parameters.build_network(config, 0))
    checkpoint.write(work / "checkpoint", weights, config, list(CLASSES))
    fields = [f"--config.{name}={value}" for name, value in FIELDS.items()]
    fields += [f"--config.data.data_dir={work / 'data'}"]
    fields += [f"--config.train.init_from={work / 'checkpoint'}"]
    return [
        Command(
            "prepare",
            lambda out: ["prepare", "videos", *source, "--workers=2", f"--output={out}"],
            "videos/rgb",
        ),
        Command(
            "features",
            lambda out: [
                *("train", "--config=videos", *fields, f"--workdir={out / 'run'}"),
                f"--config.data.feature_cache={out / 'features'}",
            ],
            "features",
        ),
        Command(
            "detect",
            lambda out: [
                *("detect", f"--checkpoint={work / 'checkpoint'}", f"--output={out / 'results'}"),
                *("--format=json,csv,html", str(work / "source" / "videos")),
            ],
            "results",
        ),
    ]


def start(command: Command, folder: Path) -> subprocess.Popen[bytes]:
    """Starts a command or goes on with it; what it prints is added to a file beside the folder."""
    folder.mkdir(exist_ok=True)
    program = [sys.executable, "-m", "afsd_jax.cli", *command.arguments(folder)]
    with folder.with_suffix(".txt").open("ab") as output:
        return subprocess.Popen(program, stdout=output, stderr=output, env=ENVIRONMENT)


def finish(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Waits for the end of a run, which must be a good one."""
    if process.wait():
        text = folder.with_suffix(".txt").read_text(errors="replace")
        raise RuntimeError(f"exit code {process.returncode}: {text[-2000:]}")


def descendants(pid: int) -> set[int]:
    """Returns the processes that a process has started, and those that they have started."""
    found, left = set[int](), [pid]
    while left:
        for path in Path("/proc").glob(f"{left.pop()}/task/*/children"):
            try:
                new = {int(number) for number in path.read_text().split()} - found
            except OSError:  # it has ended
                continue
            found |= new
            left += new
    return found


def is_running(pid: int) -> bool:
    """Returns whether a process is there, and no zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def names(folder: Path) -> set[str]:
    """Returns the names of all files, without hidden ones: locks and files being written."""
    # `os.walk` passes over folders that the command removes meanwhile; `rglob` raises.
    walked = ((Path(root), names) for root, _, names in os.walk(folder))
    found = ((root / name).relative_to(folder) for root, names in walked for name in names)
    return {path.as_posix() for path in found if not any(x.startswith(".") for x in path.parts)}


def contents(folder: Path) -> dict[str, bytes]:
    """Returns the bytes of all files; see `names`."""
    return {name: (folder / name).read_bytes() for name in names(folder)}


def different(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """Returns the names of files that are not the same, or in one folder only."""
    return sorted(name for name in one.keys() | other if one.get(name) != other.get(name))


def campaign(command: Command, work: Path, kills: int) -> dict[str, Any]:
    """Kills a command so many times, and returns what was found."""
    whole, folder = (work / f"{command.name}-{kind}" for kind in ("whole", "killed"))
    began = time.monotonic()
    process = start(command, whole)
    seconds = 0.0  # until the last result is there
    there = set[str]()
    while process.poll() is None:
        before, there = there, names(whole / command.results)
        if there != before:
            seconds = time.monotonic() - began
        time.sleep(0.1)
    finish(process, whole)
    expected = contents(whole / command.results)
    count, runs, left, hidden, latest = 0, 0, 0, 0, seconds
    wrong: list[str] = []

    def is_complete() -> bool:
        return names(folder / command.results) == expected.keys()

    while count < kills or runs == 0 or folder.exists():
        process, began = start(command, folder), time.monotonic()
        delay = random.uniform(0, latest) if count < kills else math.inf
        while process.poll() is None and time.monotonic() - began < delay and not is_complete():
            time.sleep(0.1)
        complete = is_complete()
        if process.poll() is not None:
            finish(process, folder)
        elif not complete:
            count += 1
        children = descendants(process.pid)
        process.kill()
        process.wait()
        time.sleep(GONE_S)
        left += sum(map(is_running, children))
        if complete:
            latest = min(latest, time.monotonic() - began)
            runs, wrong = runs + 1, wrong + different(contents(folder / command.results), expected)
            hidden += sum(1 for _ in (folder / command.results).rglob(".*"))
            shutil.rmtree(folder)
        print(f"{command.name}: {count} kills, {runs} runs, different: {wrong}", flush=True)
    return {
        "undisturbed_s": round(seconds, 1),
        "files": len(expected),
        "kills": count,
        "runs_compared": runs,
        "children_left": left,
        "hidden_files_left": hidden,
        "different": wrong,
    }


def main() -> int:
    """Prints the counts; returns 1 if anything was different or left."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kills", nargs="?", type=int, default=40, help="of each command")
    parser.add_argument("--only", help="one of prepare, features, detect")
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    args = parser.parse_args()
    random.seed(0)
    found: dict[str, Any] = {}
    results = {
        "command": "python benchmarks/kills.py",
        **provenance("jax", "numpy", "tensorflow-datasets", "openvino"),
    }
    with tempfile.TemporaryDirectory() as temporary:
        for command in commands(Path(temporary)):
            if args.only in (None, command.name):
                found[command.name] = campaign(command, Path(temporary), args.kills)
                if args.output:
                    files.write_json(args.output, results | found)
    print(json.dumps(results | found, indent=1))
    return int(any(x["different"] or x["children_left"] for x in found.values()))


if __name__ == "__main__":
    sys.exit(main())
