"""One detector in several threads: are results those of one thread, and is memory flat?

PYTHONPATH=. python benchmarks/threads.py [--calls 200] [--output benchmarks/results/threads.json]

Eight threads call one object at once. The network is small and untrained, since only equality
matters. Memory is read before, in the middle and after; results are never kept.
"""

import argparse
import functools
import itertools
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from afsd_jax.detection.recognizer import Recognizer
from afsd_jax.runtime.memory import give_back_memory
from benchmarks.common import provenance
from tests.thread_calls import detector_by, many, noise, online
from tests.video_files import write_video

Call = Callable[[], Any]
THREADS = 8
VIDEOS = 4


def classified(recognizer: Recognizer, frames: np.ndarray) -> bytes:
    return recognizer.logits(iter(frames), len(frames)).tobytes()


def kinds(folder: Path) -> dict[str, list[Call]]:
    """Returns the calls of each kind, whose results differ from one another."""
    files = [write_video(folder / f"{n}.mkv", noise(n), rate=10) for n in range(VIDEOS)]
    calls: dict[str, list[Call]] = {}
    for backend in ("openvino", "xla"):
        detector = detector_by(backend)
        of = functools.partial
        calls[f"{backend} detect, files"] = [of(detector.detect, file) for file in files]
        arrays = map(noise, range(VIDEOS))
        calls[f"{backend} detect, arrays"] = [of(detector.detect, x, 10.0) for x in arrays]
        calls[f"{backend} detect_many"] = [of(many, detector, files[n:]) for n in range(VIDEOS)]
        calls[f"{backend} detect_online"] = [of(online, detector, file) for file in files]
    recognizer = Recognizer(32)
    videos = [noise(n)[: 8 + 8 * n] for n in range(VIDEOS)]
    calls["Recognizer.logits"] = [functools.partial(classified, recognizer, x) for x in videos]
    return calls


def resident_mib() -> float:
    """Returns the memory of this process, without what is free and only kept by the allocator."""
    give_back_memory()
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def campaign(calls: Sequence[Call], count: int) -> dict[str, Any]:
    """Calls `count` times in each of the threads; counts results that differ, and errors."""
    expected = [call() for call in calls]
    memory: dict[str, float] = {}
    done, lock = itertools.count(1), threading.Lock()

    def thread(first: int) -> tuple[int, list[str]]:
        different, errors = 0, []
        for number in range(first, first + count):
            try:
                found = calls[number % len(calls)]()
                different += found != expected[number % len(calls)]
            except Exception as error:
                errors.append(f"{type(error).__name__}: {error}")
            with lock:
                if next(done) == THREADS * count // 2:
                    memory["middle"] = round(resident_mib(), 1)
        return different, errors

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda _: [call() for call in calls], range(THREADS)))  # threads' own memory
        memory["start"] = round(resident_mib(), 1)
        begun = time.perf_counter()
        ended = list(pool.map(thread, range(THREADS)))
        seconds = time.perf_counter() - begun
        memory["end"] = round(resident_mib(), 1)
    return {
        "calls": THREADS * count,
        "different": sum(different for different, _ in ended),
        "errors": [line for _, errors in ended for line in errors],
        "seconds": round(seconds, 1),
        "memory_mib": {name: memory[name] for name in ("start", "middle", "end")},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200, help="calls of each thread and kind")
    parser.add_argument("--only", nargs="+", help="kinds of calls, or their beginnings")
    parser.add_argument("--output", type=Path, help="JSON file to write, or to add to")
    args = parser.parse_args()
    results: dict[str, Any] = {}
    if args.output and args.output.exists():
        results = json.loads(args.output.read_text())["kinds"]
    with tempfile.TemporaryDirectory() as folder:
        for name, calls in kinds(Path(folder)).items():
            if args.only and not name.startswith(tuple(args.only)):
                continue
            results[name] = campaign(calls, args.calls)
            print(name, results[name], flush=True)
            if args.output:
                origin = provenance("jax", "openvino", "numpy")
                content = {**origin, "threads": THREADS, "kinds": results}
                args.output.write_text(json.dumps(content, indent=1) + "\n")
    return int(any(kind["different"] or kind["errors"] for kind in results.values()))


if __name__ == "__main__":
    sys.exit(main())
