"""Kills a training run twenty times at random times, and compares it with an undisturbed run.

    python benchmarks/kill_training.py [KILLS] [--output FILE]

kill -9 is sent while the run starts, or within seconds after it has resumed: during steps,
evaluations and saves. After each kill all checkpoints must be readable, and only steps since the
last checkpoint that was due may be lost. In the end, weights, averages and losses must be equal bit
by bit.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import provenance

from afsd_jax.data.builders.generator import Settings
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.datasets import prepare_dataset
from afsd_jax.io import files
from afsd_jax.io.run_log import read_records
from afsd_jax.weights import checkpoint, checksums

STEPS, EVERY = 80, 2  # to train, and between checkpoints
LATEST_S = 3.0  # after the first new step
STARTING = 0.25  # share of the kills that come before it
SETTINGS = Settings(train_videos=3, test_videos=1, max_duration_s=24.0)
FIELDS = {
    "data.clip_length": 64,
    "data.clip_stride": 8,
    "data.validation_split": "test",
    "model.trunk_width": 0.05,
    "model.channels": 16,
    "model.groups": 4,
    "model.pyramid_inputs": "('Mixed_3b',)",
    "model.levels": 2,
    "model.loc_multipliers": "(4.0, 8.0)",
    "optimizer.ema": 0.9,
    "train.batch_size": 2,
    "train.steps": STEPS,
    "train.checkpoint_every": EVERY,
    "train.evaluate_every": 40,
    "train.log_every": 1,
}
# Few steps: compiling is what costs.
ENVIRONMENT = os.environ | {
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
}


def start(data: Path, workdir: Path) -> subprocess.Popen[bytes]:
    """Starts or goes on with the run; what it prints is added to a file beside it."""
    fields = [f"--config.{name}={value}" for name, value in FIELDS.items()]
    command = [sys.executable, "-m", "afsd_jax.train", "--config=synthetic", *fields]
    command += [f"--config.data.data_dir={data}", f"--workdir={workdir}"]
    with workdir.with_suffix(".txt").open("ab") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, env=ENVIRONMENT)


def last_logged(workdir: Path) -> int:
    """Returns the last step that was logged, 0 if none was."""
    return max((record["step"] for record in read_records(workdir)), default=0)


def finish(process: subprocess.Popen[bytes], workdir: Path) -> None:
    """Waits for the end of a run, which must be a good one."""
    if process.wait():
        text = workdir.with_suffix(".txt").read_text(errors="replace")
        raise RuntimeError(f"exit code {process.returncode}: {text[-2000:]}")


def wait_and_kill(process: subprocess.Popen[bytes], workdir: Path, startup_s: float) -> str:
    """Kills at a random time; returns in which part of the run, or "" if it ended before."""
    before, began = last_logged(workdir), time.monotonic()
    starting = random.random() < STARTING
    delay_s = random.uniform(0, startup_s if starting else LATEST_S)
    while process.poll() is None:
        if not starting and last_logged(workdir) <= before:
            began = time.monotonic()  # counts from the first new step
        elif time.monotonic() - began >= delay_s:
            break
        time.sleep(0.02)
    if process.poll() is not None:
        finish(process, workdir)
        return ""
    process.kill()
    process.wait()
    half_written = any((workdir / "checkpoints").glob("*.orbax-checkpoint-tmp*"))
    part = "saving" if half_written else "in between"
    return part if last_logged(workdir) > before else "starting"


def unreadable(folder: Path) -> list[int]:
    """Returns the steps that cannot be read or fail their checksums."""
    found = []
    for step in checkpoint.steps(folder):
        try:
            checkpoint.read(folder, step)
        except Exception:
            found.append(step)
            continue
        if checksums.damaged(folder / str(step)):
            found.append(step)
    return found


def differences(one: Path, other: Path) -> list[str]:
    """Returns what is not the same, bit by bit, at the end of two runs."""
    found = []
    folders = [workdir / "checkpoints" for workdir in (one, other)]
    for averaged in (False, True):
        weights = [checkpoint.read(x, STEPS, averaged=averaged).weights for x in folders]
        found += [name for name in weights[0] if not np.array_equal(*(w[name] for w in weights))]
    losses = [
        [(r["step"], r["total"]) for r in read_records(x) if "total" in r] for x in (one, other)
    ]
    return found + (["losses"] if losses[0] != losses[1] else [])


def main() -> int:
    """Prints the counts; returns 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kills", nargs="?", type=int, default=20)
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    args = parser.parse_args()
    random.seed(0)
    parts: dict[str, int] = {}
    broken: list[int] = []
    lost = 0
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        options = PrepareOptions(work / "source", encoding="png", fps=10.0, size=38, workers=1)
        prepare_dataset("synthetic", work / "data", options=options, settings=SETTINGS)
        finish(start(work / "data", work / "whole"), work / "whole")
        killed, startup_s = work / "killed", 20.0
        while sum(parts.values()) < args.kills:
            began = time.monotonic()
            part = wait_and_kill(start(work / "data", killed), killed, startup_s)
            if not part:
                break
            if part != "starting":
                startup_s = time.monotonic() - began
            parts[part] = parts.get(part, 0) + 1
            broken += unreadable(killed / "checkpoints")
            saved = max(checkpoint.steps(killed / "checkpoints"), default=0)
            lost = max(lost, last_logged(killed) - saved)
            print(f"killed {part}: step {last_logged(killed)} logged, {saved} saved", flush=True)
        finish(start(work / "data", killed), killed)
        wrong = differences(work / "whole", killed)
    results: dict[str, Any] = {
        "command": "python benchmarks/kill_training.py",
        **provenance("jax", "orbax-checkpoint", "numpy"),
        "steps": STEPS,
        "checkpoint_every": EVERY,
        "kills": parts,
        "unreadable_checkpoints": len(broken),
        "most_steps_lost": lost,
        "different_at_the_end": wrong,
    }
    print(json.dumps(results, indent=1))
    if args.output:
        files.write_json(args.output, results)
    return int(bool(broken or wrong or lost > EVERY))


if __name__ == "__main__":
    sys.exit(main())
