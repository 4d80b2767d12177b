"""Measures the first seconds of `afsd detect` and `afsd train`, from the start of their processes.

    python benchmarks/start.py --demo DEMO/checkpoint --output benchmarks/results/start.json

Run it while nothing else runs; it takes about ten minutes.

Detection is that of one short video, from the start of the process to its end. The networks are
that of THUMOS14 RGB, untrained, and the demo's if it is given. The video is one window of the
larger network, and programs are in the cache: the first run of each is not counted.

Training is `--config videos` on cached features, from the start of the process to the first step in
its log. `first_step_s` contains one step, whose time is `step_s`, the median of those that follow
it; `processor_s` are the processor's seconds until then. `warm` finds its programs in the cache
although seed, steps and learning rate change with each run; `cold` has an empty cache; `features`
has neither programs nor features, which are those of two minutes of film in two views.

With --other, the commands of another checkout take turns with this one's.
"""

import argparse
import itertools
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from common import measured, provenance
from detect import write_checkpoint
from prepare import write_video

from afsd_jax.io import files

ROOT = Path(__file__).parents[1]
VIDEO_S = 10
CLIPS = 4  # videos to train on
CLIPS_S = 30  # length of each
STEPS = 6
TICKS = os.sysconf("SC_CLK_TCK")


def detection(tree: Path, checkpoint: Path, video: Path, folder: Path) -> dict[str, float]:
    """Detects with a checkout; returns the seconds and the processor's seconds of the process."""
    command = [str(tree / ".venv/bin/python"), "-m", "afsd_jax.detect", str(video)]
    command += ["--checkpoint", str(checkpoint), "--output", str(folder / "detections.json")]
    with (folder / "log").open("w") as log:
        environment = os.environ | {"AFSD_COMPILATION_CACHE": str(cache_of(tree, folder))}
        wall, usage = measured(command, stdout=log, stderr=log, env=environment)
    return {"wall_s": wall, "processor_s": usage.ru_utime + usage.ru_stime}


def cache_of(tree: Path, folder: Path) -> Path:
    """Returns the folder of a checkout's compiled programs."""
    return folder / "-".join(("cache", *tree.parts[1:]))


def prepare_clips(folder: Path) -> Path:
    """Prepares videos to train on; returns the folder of data sets."""
    source = folder / "clips"
    source.mkdir()
    rows = ["video,start,end,label"]
    for number in range(CLIPS):
        write_video(source / f"{number}.mp4", number, CLIPS_S, 320, 240)
        rows += [f"{number},{t},{t + 2},{'ab'[t % 2]}" for t in range(1, CLIPS_S - 3, 5)]
    (source / "labels.csv").write_text("\n".join(rows) + "\n")
    command = [str(ROOT / ".venv/bin/afsd"), "prepare", "videos", "--source", str(source)]
    command += ["--annotations", str(source / "labels.csv"), "--output", str(folder / "data")]
    subprocess.run(command, check=True)
    return folder / "data"


def training(tree: Path, data: Path, cache: Path, number: int, folder: Path) -> dict[str, float]:
    """Trains with a checkout until some steps are logged, and ends the process."""
    workdir = folder / "run"
    shutil.rmtree(workdir, ignore_errors=True)
    fields = {
        "data.data_dir": data,
        "data.train_split": "train+test",
        "data.validation_split": "",
        "data.max_actions": 16,
        "train.log_every": 1,
        "train.steps": 1000 + number,
        "seed": number,
        "optimizer.learning_rate": 1e-4 * (number + 1),
    }
    command = [str(tree / ".venv/bin/python"), "-m", "afsd_jax.train", "--config=videos"]
    command += [f"--config.{name}={value}" for name, value in fields.items()]
    environment = os.environ | {"AFSD_COMPILATION_CACHE": str(cache)}
    began = time.perf_counter()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, f"--workdir={workdir}"], stdout=log, stderr=log, env=environment
        )
        moments: list[float] = []
        processor = 0.0
        while len(moments) < STEPS:
            if process.poll() is not None:
                raise RuntimeError((folder / "log").read_text()[-2000:])
            time.sleep(0.005)
            count = logged(workdir / "metrics.jsonl")
            if count > len(moments):
                processor = processor or processor_s(process.pid)
                moments += [time.perf_counter() - began] * (count - len(moments))
        process.kill()
        process.wait()
    steps = [after - before for before, after in itertools.pairwise(moments[1:])]
    found = {"first_step_s": moments[0], "step_s": statistics.median(steps)}
    return found | {"processor_s": processor}


def logged(path: Path) -> int:
    """Returns the number of steps in a run's log."""
    lines = path.read_text().splitlines() if path.exists() else []
    return sum("total" in json.loads(line) for line in lines)


def processor_s(pid: int) -> float:
    """Returns the processor's seconds that a process has taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rounds_of_training(
    trees: dict[str, Path], rounds: int, folder: Path
) -> dict[str, list[dict[str, float]]]:
    """Returns what `training` found, by the kind of start and the checkout."""
    data = prepare_clips(folder)
    spent: dict[str, list[dict[str, float]]] = {}
    for number in range(rounds):
        for kind in ("features", "cold", "warm"):
            for name, tree in trees.items():
                cache = cache_of(tree, folder) / "training"
                if kind != "warm":
                    shutil.rmtree(cache, ignore_errors=True)
                if kind == "features":
                    shutil.rmtree(data / "features", ignore_errors=True)
                found = training(tree, data, cache, 3 * number + len(kind), folder)
                spent.setdefault(f"training, {kind}, {name}", []).append(found)
    return spent


def rounds_of_detection(
    trees: dict[str, Path], demo: Path | None, rounds: int, folder: Path
) -> dict[str, list[dict[str, float]]]:
    """Returns what `detection` found, by the network and the checkout."""
    video = folder / "video.mp4"
    write_video(video, 0, VIDEO_S, 320, 240)
    checkpoints = {"full size": write_checkpoint(folder / "checkpoint")}
    checkpoints |= {"demo": demo} if demo else {}
    spent: dict[str, list[dict[str, float]]] = {}
    for number in range(rounds + 1):
        for name, checkpoint in checkpoints.items():
            for tree, path in trees.items():
                found = detection(path, checkpoint, video, folder)
                if number:
                    spent.setdefault(f"detection, {name}, {tree}", []).append(found)
    return spent


def main() -> None:
    """Measures, and writes what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", type=Path, help="checkpoint of the demo")
    parser.add_argument("--other", type=Path, help="another checkout with its own .venv")
    parser.add_argument("--rounds", type=int, default=5, help="of detection")
    parser.add_argument("--training-rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    trees = {"this": ROOT} | ({"other": args.other.absolute()} if args.other else {})
    results: dict[str, Any] = provenance("jax", "flax", "openvino", "tensorstore")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        spent = rounds_of_detection(trees, args.demo, args.rounds, folder) if args.rounds else {}
        if args.training_rounds:
            spent |= rounds_of_training(trees, args.training_rounds, folder)
    for name, runs in spent.items():
        medians = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        first = next(iter(medians))
        medians["fastest_s"] = min(run[first] for run in runs)
        results[name] = {key: round(value, 2) for key, value in medians.items()}
    results["load"] = os.getloadavg()[0]
    files.write_json(args.output, results)


if __name__ == "__main__":
    main()
