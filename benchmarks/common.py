"""Common parts of benchmarks: description of the machine, measured processes, long videos."""

import json
import os
import platform
import re
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Instruction sets for matrix products, fastest first; processors of the same name differ in them.
EXTENSIONS = ("amx_bf16", "avx512_bf16", "avx512f", "avx2")


def machine() -> dict[str, Any]:
    """Returns what results depend on: processor, its best extension, cores and Python."""
    flags = processor_flags()
    cores = len(os.sched_getaffinity(0))
    return {
        "cpu": _of_processor("model name") or "?",
        "extension": next((name for name in EXTENSIONS if name in flags), "?"),
        "cores": cores,
        "python": platform.python_version(),
    }


def processor_flags() -> frozenset[str]:
    """Returns the features of the processor, as Linux names them for x86 (flags) or ARM."""
    return frozenset((_of_processor("flags") or _of_processor("Features")).split())


def _of_processor(key: str) -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith(key)), "")


def commit() -> str:
    """Returns the commit of this checkout, shortened."""
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    return subprocess.check_output(git, text=True).strip()


def provenance(*packages: str) -> dict[str, Any]:
    """Returns the origin of results: machine, versions of packages, and commit."""
    versions = {name: version(name) for name in packages}
    return {"machine": machine(), "versions": versions, "commit": commit()}


def write_into(document: Path, marks: tuple[str, str], text: str) -> None:
    """Puts a text between the two marks of a document."""
    whole = document.read_text()
    before, _, rest = whole.partition(marks[0])
    _, _, after = rest.partition(marks[1])
    document.write_text(f"{before}{marks[0]}{text}{marks[1]}{after}")


def peak_mib(pid: int | str = "self") -> float:
    """Returns a process's peak memory, MiB; 0 if it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(r"VmHWM:\s+(\d+)", status)
    return int(found[1]) / 1024 if found else 0


def measured(command: Sequence[str], **options: Any) -> tuple[float, resource.struct_rusage]:
    """Runs a process; returns its wall-clock seconds and its resource usage.

    Args:
      command: command to run.
      **options: options of `subprocess.Popen`.
    """
    start = time.perf_counter()
    process = subprocess.Popen(command, **options)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{command}: exit status {status}")
    return time.perf_counter() - start, usage


def afsd(*arguments: object) -> dict[str, float]:
    """Runs a command of `afsd`; returns its seconds and peak memory."""
    command = [sys.executable, "-m", "afsd_jax.cli", *map(str, arguments)]
    print(" ".join(["afsd", *map(str, arguments)]), flush=True)
    seconds, usage = measured(command)
    return {"seconds": round(seconds, 1), "peak_gib": round(usage.ru_maxrss / 2**20, 2)}


def score(workdir: Path, data: Path, data_set: str = "synthetic/rgb") -> dict[str, Any]:
    """Detects actions in a data set's test split with a trained network; evaluates.

    Args:
      workdir: folder of the training run, where detections.json and metrics.json are written.
      data: folder of prepared data sets.
      data_set: name and stream of the data set.

    Returns:
      detect: seconds and peak memory; mAP@0.5; average_mAP.
    """
    found, metrics = workdir / "detections.json", workdir / "metrics.json"
    detect = afsd("detect", "--checkpoint", workdir, "--data-dir", data, "--output", found)
    (truth,) = (data / data_set).glob("*/ground_truth.json")
    arguments = ["--benchmark", "videos", "--predictions", found, "--ground-truth", truth]
    afsd("evaluate", *arguments, "--output", metrics)
    values = json.loads(metrics.read_text())
    return {"detect": detect, **{name: values[name] for name in ("mAP@0.5", "average_mAP")}}


def repeat_video(source: Path, target: Path, times: int) -> Path:
    """Writes a video that repeats another one, without encoding it again."""
    listing = target.with_suffix(".txt")
    listing.write_text(f"file '{source}'\n" * times)
    command = ["ffmpeg", "-v", "error", "-f", "concat", "-safe", "0", "-i", str(listing)]
    subprocess.run([*command, "-c", "copy", "-y", str(target)], check=True)
    return target
