"""Every command on disks that are too small: 8 sizes in bytes and 4 in files (inodes).

PYTHONPATH=. python benchmarks/full_disks.py [--only NAME …] [--output FILE.json]; needs root, for
it mounts file systems in memory (tmpfs), one at a time, and unmounts each.

A command first runs with enough room, which gives its files and the room that they take. Then it
runs with parts of that room. Where it fails, it must end with exit code 1 or 2 and one line that
names the full disk's folder, and without a traceback; earlier files must be as they were, or
complete; and nothing temporary may remain. The same command must then complete once there is room,
with the same files.
"""

import argparse
import atexit
import contextlib
import importlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from afsd_jax.cli import main as main_of_afsd
from benchmarks.common import provenance
from tests.untrained_checkpoints import write_untrained
from tests.video_files import write_video

MODULES = (  # that commands import; none of them starts JAX
    *("afsd_jax.kernels", "tensorflow", "tensorflow_datasets", "jax", "orbax.checkpoint", "av"),
    *("afsd_jax.training.loop", "afsd_jax.cli.detect.job", "afsd_jax.detection.recognizer"),
    *("afsd_jax.weights.conversion", "torch", "safetensors.torch", "openvino", "matplotlib"),
)
CRASHED = 99  # exit code after an exception

BYTES = (0.02, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 0.98)  # of the room that the command takes
FILES = (0.05, 0.35, 0.65, 0.95)
LIMIT_S = 600
PAGE = 4096  # bytes of a file system's block
EARLIER = b"what an earlier command wrote\n"
NETWORK = (
    *("data.clip_length=64", "data.clip_stride=8", "data.frame_size=40", "data.crop_size=32"),
    *("model.trunk_width=0.05", "model.channels=16", "model.groups=4"),
)
TRAIN = (
    *NETWORK,
    *("data.dataset=videos", "model.pyramid_inputs=('Mixed_3c',)", "model.levels=3"),
    *("model.loc_multipliers=(4.0, 4.0, 8.0)", "model.consistency_stride=2"),
    *("train.batch_size=2", "train.steps=4", "train.checkpoint_every=2", "train.log_every=1"),
)


class Case(NamedTuple):
    """A command that writes to the disk.

    arguments: of `afsd`, given the disk's folder.
    before: writes earlier files to the disk, before it is full.
    resumes: whether a failed command may leave what the next one goes on with.
    exact: whether two complete runs write the same bytes.
    stdout: whether standard output is a file on the disk.
    """

    arguments: Callable[[Path], list[Any]]
    before: Callable[[Path], None] = lambda disk: None
    resumes: bool = False
    exact: bool = True
    stdout: bool = False


class Disk:
    """A file system in memory."""

    def __init__(self, place: Path):
        self.place = place
        place.mkdir()
        self._mounted = False
        atexit.register(self.unmount)

    def mount(self) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(self.place)], check=True)
        self._mounted = True
        self.resize(None, None)

    def resize(self, num_bytes: int | None, num_files: int | None) -> None:
        """Sets the size; None: as much as any command needs."""
        size, inodes = num_bytes or 2**31, num_files or 2**20
        options = f"remount,size={size},nr_inodes={inodes}"
        subprocess.run(["mount", "-o", options, str(self.place)], check=True)

    def used(self) -> tuple[int, int]:
        """Returns how many bytes and files there are."""
        state = os.statvfs(self.place)
        num_bytes = (state.f_blocks - state.f_bfree) * state.f_frsize
        return num_bytes, state.f_files - state.f_ffree

    def unmount(self) -> None:
        if self._mounted:
            subprocess.run(["umount", "-l", str(self.place)], check=True)
            self._mounted = False


class Ended(NamedTuple):
    """How a command ended: its exit code, and what it printed to standard error."""

    code: int
    errors: str


def run(arguments: list[Any], logs: Path, stdout: Path | None = None) -> Ended:
    """Runs `afsd ARGUMENTS` in a process of its own."""
    sys.argv = ["afsd", *map(str, arguments)]
    return in_process(lambda: main_of_afsd(sys.argv[1:]), logs, stdout)


def in_process(call: Callable[[], int | None], logs: Path, stdout: Path | None = None) -> Ended:
    """Calls a function in a forked process, so that libraries are imported once."""
    sys.stdout.flush()
    out, err = logs / "out", logs / "err"
    child = os.fork()
    if not child:
        _be_process(call, stdout or out, err)
    deadline = time.monotonic() + LIMIT_S
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > deadline:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return Ended(-9, f"hung for {LIMIT_S} s")
        time.sleep(0.05)
    return Ended(os.waitstatus_to_exitcode(status), err.read_text(errors="replace"))


def _be_process(call: Callable[[], int | None], out: Path, err: Path) -> NoReturn:
    code = CRASHED
    try:
        os.setpgid(0, 0)
        for path, number in ((err, 2), (out, 1)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        code = call() or 0
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def files_of(disk: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(disk)): path.read_bytes()
        for path in sorted(disk.rglob("*"))
        if path.is_file()
    }


def lines_of(errors: str) -> list[str]:
    """Returns what was printed, without progress bars."""
    lines = (line.rpartition("\r")[2] for line in errors.replace("\r\n", "\n").split("\n"))
    return [line for line in lines if line.strip() and not re.search(r"\d% ?\||\d+it \[", line)]


def wrong_with(
    case: Case, disk: Path, ended: Ended, before: dict[str, bytes], complete: dict[str, bytes]
) -> list[str]:
    """Returns what a command that met a full disk should have done otherwise."""
    wrong = []
    lines = lines_of(ended.errors)
    errors = [line for line in lines if line.startswith("error: ")]
    warnings = [line for line in lines if line.startswith("warning: ")]
    if ended.code not in (1, 2):
        wrong.append(f"exit code {ended.code}")
    if "Traceback" in ended.errors:
        wrong.append("traceback")
    if len(errors) != 1:
        wrong.append(f"{len(errors)} lines of errors")
    if not any(str(disk) in line for line in errors + warnings) and not case.stdout:
        wrong.append("no path")
    notes = [line for line in lines if line.startswith("note: ")]
    others = [line for line in lines if line not in errors + warnings + notes]
    if others:
        wrong.append(f"{len(others)} other lines: {others[0][:200]}")
    found = files_of(disk)
    for name, content in before.items():
        if found.get(name) not in (content, complete.get(name)):
            wrong.append(f"{name} changed")
    for name, content in found.items():
        parts = name.split("/")
        temporary = any(re.search(r"tmp|^\.(?!parts-)|incomplete", part) for part in parts)
        if temporary and name not in complete:
            wrong.append(f"{name} remains")
        known = content in (before.get(name), complete.get(name)) or case.resumes or case.stdout
        if case.exact and not known:
            wrong.append(f"{name} is half-written")
    return wrong


def try_sizes(name: str, case: Case, disk: Disk, logs: Path) -> dict[str, Any]:
    """Runs a command with each size; returns how often it failed or fitted, and what was wrong."""

    def command() -> Ended:
        stdout = disk.place / "stdout" if case.stdout else None
        return run(case.arguments(disk.place), logs, stdout)

    def prepared() -> dict[str, bytes]:
        disk.mount()
        (disk.place / "filler").write_bytes(EARLIER)  # a disk of 0 bytes would be of any size
        case.before(disk.place)
        return files_of(disk.place)

    earlier = prepared()
    taken_before = disk.used()
    ended = command()
    if ended.code:
        raise RuntimeError(f"{name}: fails with enough room: {ended}")
    complete = files_of(disk.place)
    disk.unmount()
    new = [content for name, content in complete.items() if earlier.get(name) != content]
    pages = sum(-(-len(content) // PAGE) for content in new)
    sizes: list[tuple[int | None, int | None]] = []
    sizes += [(taken_before[0] + PAGE * math.floor(part * pages), None) for part in BYTES]
    if not case.stdout:
        sizes += [(None, taken_before[1] + math.floor(part * len(new))) for part in FILES]
    result: dict[str, Any] = {"bytes": pages * PAGE, "files": len(new), "refused": 0, "fitted": 0}
    wrong = []
    for size in sizes:
        before = prepared()
        disk.resize(*size)
        ended = command()
        said = f"{size[0]} bytes" if size[0] else f"{size[1]} files"
        if ended.code:
            result["refused"] += 1
            problems = wrong_with(case, disk.place, ended, before, complete)
            wrong += [f"{said}: {problem}" for problem in problems]
            if problems:
                print(name, said, problems, ended.errors[-3000:], flush=True)
            disk.resize(None, None)
            ended = command()
        else:
            result["fitted"] += 1
        after = files_of(disk.place)
        if ended.code:
            wrong.append(f"{said}: exit code {ended.code} once there is room")
            print(name, said, "once there is room", ended.errors[-3000:], flush=True)
        elif case.exact and after != complete:
            different = {k for k in after | complete if after.get(k) != complete.get(k)}
            wrong.append(f"{said}: afterwards {sorted(different)[:3]} differ")
        disk.unmount()
    return result | {"wrong": wrong}


def make_inputs(folder: Path) -> None:
    """Makes videos, annotations, prepared data, a run, a checkpoint and detections."""
    videos = folder / "videos"
    videos.mkdir()
    truth = {}
    for number, name in enumerate(("a", "b", "c")):
        rng = np.random.default_rng(number)
        frames = rng.integers(0, 256, (70, 40, 40, 3), np.uint8)
        write_video(videos / f"{name}.mp4", frames, rate=10)
        actions = [{"label": "jump", "segment": [1, 2]}, {"label": "run", "segment": [3, 5]}]
        subset = "test" if name == "c" else "train"
        truth[name] = {"subset": subset, "duration": 7.0, "annotations": actions}
    (folder / "truth.json").write_text(json.dumps({"database": truth}))
    truth["a"]["annotations"] = actions[:1]
    (folder / "changed.json").write_text(json.dumps({"database": truth}))
    in_process(lambda: write_untrained(folder / "checkpoint", "rgb"), folder)
    for arguments in (
        prepare_arguments(folder, folder / "data", "truth.json"),
        train_arguments(folder, folder / "run"),
        convert_arguments(folder, folder / "weights.pt"),
        detect_arguments(folder, "--output", folder / "found.json"),
    ):
        ended = run(arguments, folder)
        if ended.code:
            raise RuntimeError(f"{arguments}: {ended}")


def prepare_arguments(folder: Path, output: Path, truth: str) -> list[Any]:
    arguments = ["prepare", "videos", "--source", folder / "videos", "--output", output]
    return [*arguments, "--annotations", folder / truth, "--workers=1", "--size=40"]


def train_arguments(folder: Path, workdir: Path, *fields: str) -> list[Any]:
    return ["train", "--config=synthetic", "--workdir", workdir, *train_flags(folder, *fields)]


def train_flags(folder: Path, *fields: str) -> list[str]:
    return [f"--config.{x}" for x in (*TRAIN, f"data.data_dir={folder / 'data'}", *fields)]


def convert_arguments(folder: Path, output: Path) -> list[Any]:
    return ["convert", "--input", folder / "checkpoint", "--output", output, "--to-pytorch"]


def detect_arguments(folder: Path, *flags: Any) -> list[Any]:
    return ["detect", folder / "videos", "--checkpoint", folder / "checkpoint", *flags]


def cases(folder: Path) -> dict[str, Case]:
    """Returns the commands by name."""
    data = folder / "data" / "videos" / "rgb" / "1.0.0"
    truth, found = folder / "truth.json", folder / "found.json"

    def earlier(*names: str) -> Callable[[Path], None]:
        def write(disk: Path) -> None:
            for name in names:
                (disk / name).write_bytes(EARLIER)

        return write

    evaluate = ["evaluate", "--benchmark=videos", "--predictions", found, "--ground-truth", truth]
    page = earlier("page.html")
    frozen = ("model.frozen_until=Mixed_3c", "model.trunk_context=video", "data.crops=1")
    return {
        "prepare": Case(
            lambda disk: prepare_arguments(folder, disk, "truth.json"), resumes=True, exact=False
        ),
        "prepare, renewing": Case(
            lambda disk: prepare_arguments(folder, disk, "changed.json"),
            lambda disk: shutil.copytree(folder / "data", disk, dirs_exist_ok=True),
            resumes=True,
            exact=False,
        ),
        "inspect": Case(lambda disk: ["inspect", data, "--output", disk / "page.html"], page),
        "runs": Case(lambda disk: ["runs", folder / "run", "--output", disk / "page.html"], page),
        "runs, standard output": Case(lambda disk: ["runs", folder / "run"], stdout=True),
        "evaluate": Case(lambda disk: [*evaluate, "--output", disk / "m.json"], earlier("m.json")),
        "detect, one file, page and subtitles": Case(
            lambda disk: detect_arguments(
                folder,
                *("--output", disk / "found.json", "--report", disk / "page.html"),
                *("--subtitles", disk / "srt"),
            ),
            earlier("found.json", "page.html"),
        ),
        "detect, a folder in all formats": Case(
            lambda disk: detect_arguments(
                folder, "--output", disk / "out", "--format=json,csv,vtt,srt,html,png"
            ),
        ),
        "look": Case(
            lambda disk: [
                *("look", folder / "videos", "--size=32", "--fps=10", "--threshold=0.001"),
                *("--output", disk / "found.json", "--report", disk / "page.html"),
                *("--subtitles", disk / "srt", "--write-video-scores", disk / "scores.json"),
            ],
            earlier("found.json", "scores.json"),
        ),
        "train": Case(
            lambda disk: train_arguments(folder, disk / "run"), resumes=True, exact=False
        ),
        "train, with a feature cache": Case(
            lambda disk: train_arguments(
                folder,
                disk / "run",
                f"data.feature_cache={disk / 'cache'}",
                f"train.init_from={folder / 'run' / 'checkpoints'}",
                *frozen,
            ),
            resumes=True,
            exact=False,
        ),
        "ablate": Case(
            lambda disk: [
                *("ablate", "--config=synthetic", "--seeds=0", "--rows=baseline"),
                *("--workdir", disk / "study", *train_flags(folder)),
            ],
            resumes=True,
            exact=False,
        ),
        "convert, to .pt": Case(
            lambda disk: convert_arguments(folder, disk / "weights.pt"),
        ),
        "convert, to .safetensors": Case(
            lambda disk: convert_arguments(folder, disk / "weights.safetensors"),
        ),
        "convert, to a checkpoint": Case(
            lambda disk: [
                *("convert", "--input", folder / "weights.pt", "--output", disk / "checkpoint"),
                *("--config=synthetic", *(f"--config.{field}" for field in NETWORK)),
            ],
            exact=False,
        ),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", help="names of commands, or their beginnings")
    parser.add_argument("--output", type=Path, help="JSON file to write, or to add to")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the disk is unmounted
    results: dict[str, Any] = {}
    if args.output and args.output.exists():
        results = json.loads(args.output.read_text())["commands"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder / "programs")
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
        for module in MODULES:
            importlib.import_module(module)
        disk = Disk(folder / "disk")
        try:
            make_inputs(folder)
            for title, case in cases(folder).items():
                if args.only and not title.startswith(tuple(args.only)):
                    continue
                begun = time.monotonic()
                results[title] = try_sizes(title, case, disk, folder)
                print(title, results[title], f"{time.monotonic() - begun:.0f} s", flush=True)
                if args.output:
                    content = {**provenance("jax", "orbax-checkpoint"), "commands": results}
                    args.output.write_text(json.dumps(content, indent=1) + "\n")
        finally:
            disk.unmount()
    return int(any(result["wrong"] for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
