"""Measures preparation, compared with ffmpeg decoding and scaling the same files.

    python benchmarks/prepare.py --output benchmarks/results/prepare.json

Makes videos like those of THUMOS14 (H.264, 30 frames per second). Then, alternately on the same
cores, it prepares them (mp4 → TFRecord of JPEG frames, including the start of the process), and
decodes and scales them with ffmpeg without output. ffmpeg runs in its usual way, one file after
another with its own number of threads, and as one single-threaded process per core. The memory is
that of preparing a two-hour video.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

import av
import numpy as np
from common import machine, repeat_video

from afsd_jax.data.decode.resize import resize
from afsd_jax.io import files

FPS = 30


def write_video(path: Path, seed: int, seconds: int, width: int, height: int) -> None:
    """Writes a video of a panned and zoomed textured picture with noise."""
    rng = np.random.default_rng(seed)
    layers = [rng.integers(0, 256, (n, 2 * n, 3), dtype=np.uint8) for n in (8, 30, 120)]
    picture = np.mean([resize(layer, (2 * height, 2 * width)) for layer in layers], axis=0)
    picture, noise = picture.astype(np.int16), rng.normal(0, 4, (2 * height, 2 * width, 1))
    noise = np.rint(noise).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "23"}
        for i in range(seconds * FPS):
            y = round((0.5 + 0.5 * np.sin(i / 50 + seed)) * height)
            x = round((0.5 + 0.5 * np.sin(i / 70)) * width)
            v, u = rng.integers(0, height), rng.integers(0, width)
            image = picture[y : y + height, x : x + width] + noise[v : v + height, u : u + width]
            frame = np.clip(image, 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def prepare(folder: Path, workers: int) -> None:
    """Prepares a folder of videos by the command a user gives."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as output:
        script = Path(__file__).parents[1] / "scripts" / "prepare_data.py"
        command = [sys.executable, str(script), "videos", "--source", str(folder)]
        command += ["--output", output, "--workers", str(workers)]
        subprocess.run(command, check=True, capture_output=True)


def ffmpeg(paths: list[Path], processes: int) -> None:
    """Decodes and scales videos to nothing: one after another, or one a core."""
    threads = [] if processes == 1 else ["-threads", "1"]

    def run(path: Path) -> None:
        command = ["ffmpeg", "-v", "error", *threads, "-i", str(path), "-an"]
        subprocess.run([*command, "-vf", "scale=112:112", "-f", "null", "-"], check=True)

    with ThreadPoolExecutor(processes) as pool:
        list(pool.map(run, paths))


def seconds(function: Callable[[], None]) -> tuple[float, float]:
    """Returns the wall seconds and the processor seconds that a function's children take."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    function()
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - start
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def peak_memory(folder: Path) -> float:
    """Returns the MiB that preparing a folder takes at most in any one process."""
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from afsd_jax.data import datasets\n"
        "from afsd_jax.data.builders.prepare_options import PrepareOptions\n"
        "if __name__ == '__main__':\n"
        "    source, output = map(Path, sys.argv[1:])\n"
        "    datasets.prepare_dataset('videos', output, 'rgb', PrepareOptions(source, workers=1))\n"
        "    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)\n"
        "    print(max(resource.getrusage(w).ru_maxrss for w in who))\n"
    )
    with tempfile.TemporaryDirectory(dir=folder.parent) as output:
        script = Path(output) / "peak.py"
        script.write_text(code)
        command = [sys.executable, str(script), str(folder), str(Path(output) / "data")]
        result = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(result.stdout.splitlines()[-1]) / 1024


def annotate(folder: Path) -> None:
    names = [path.stem for path in sorted(folder.glob("*.mp4"))]
    rows = "".join(f"{name},action,1,2,train\n" for name in names)
    (folder / "labels.csv").write_text(f"video,label,start,end,subset\n{rows}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--videos", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=120, help="of each video")
    parser.add_argument("--sizes", nargs="+", default=["320x180", "1280x720"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--long-hours", type=float, default=2.0, help="0 measures no memory")
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    args = parser.parse_args()
    if shutil.which("ffmpeg") is None:
        parser.error("ffmpeg is not installed")
    cores = len(os.sched_getaffinity(0))
    results: dict[str, object] = {
        "machine": machine(),
        "versions": {name: version(name) for name in ("av", "numpy", "pillow")},
        "ffmpeg": subprocess.getoutput("ffmpeg -version").split()[2],
        "videos": args.videos,
        "seconds_each": args.seconds,
    }
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for size in args.sizes:
            folder = root / size
            folder.mkdir()
            width, height = map(int, size.split("x"))
            with ThreadPoolExecutor(cores) as pool:
                for i in range(args.videos):
                    path = folder / f"video_{i}.mp4"
                    pool.submit(write_video, path, i, args.seconds, width, height)
            annotate(folder)
            results[size] = compare(folder, cores, args.repeats)
            print(size, json.dumps(results[size]))
        if args.long_hours:
            source = next((root / args.sizes[0]).glob("*.mp4"))
            (root / "long").mkdir()
            times = round(args.long_hours * 3600 / args.seconds)
            repeat_video(source, root / "long" / "long.mp4", times)
            annotate(root / "long")
            results["long_video"] = long = {"hours": times * args.seconds / 3600}
            long["wall_s"] = round(seconds(lambda: prepare(root / "long", cores))[0], 1)
            long["peak_mib"] = round(peak_memory(root / "long"))
            print("long video", json.dumps(long))
    if args.output:
        files.write_json(args.output, results)


def compare(folder: Path, cores: int, repeats: int) -> dict[str, float]:
    """Times the three ways in turn, so that all see the same machine; medians."""
    paths = sorted(folder.glob("*.mp4"))
    ways: dict[str, Callable[[], None]] = {
        "prepare": lambda: prepare(folder, cores),
        "ffmpeg": lambda: ffmpeg(paths, 1),
        "ffmpeg_one_a_core": lambda: ffmpeg(paths, cores),
    }
    times = [{name: seconds(way) for name, way in ways.items()} for _ in range(repeats)]
    result = {}
    for i, unit in enumerate(("wall_s", "cpu_s")):
        for name in ways:
            result[f"{name}_{unit}"] = statistics.median(run[name][i] for run in times)
        for name in ("ffmpeg", "ffmpeg_one_a_core"):
            ratios = [run["prepare"][i] / run[name][i] for run in times]
            result[f"prepare_over_{name}_{unit[:-2]}"] = statistics.median(ratios)
    return {name: round(value, 3) for name, value in result.items()}


if __name__ == "__main__":
    main()
