"""Measures speed and memory of reading training clips, compared with a plain loop.

    python benchmarks/input.py --output benchmarks/results/input.json

Prepares videos of textured, noisy frames of 112×112 pixels as JPEG and as raw frames. Then it reads
random training clips of 256 frames, cropped to 96×96 and mirrored, alternately in two ways:

- with the pipeline that training uses, which shuffles all clips of the data set;
- with a plain loop on one core that decodes one frame after another with Pillow. Its encoded frames
  are already in memory, so it reads no files. (It only copies raw frames, without decoding.)

Each encoding has its own process, whose peak memory is compared with that at its start.
"""

import argparse
import itertools
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
from common import machine

from afsd_jax.config import default_config
from afsd_jax.io import files

SIZE, CROP, T, FPS = 112, 96, 256, 10.0


def write_videos(folder: Path, count: int, num_frames: int) -> None:
    """Writes arrays of frames: a panned textured picture with noise, actions all along."""
    from afsd_jax.data.decode.resize import resize

    database = {}
    for seed in range(count):
        rng = np.random.default_rng(seed)
        layers = [rng.integers(0, 256, (n, n, 3), dtype=np.uint8) for n in (4, 12, 40)]
        picture = np.mean([resize(layer, (2 * SIZE, 2 * SIZE)) for layer in layers], axis=0)
        frames = np.empty((num_frames, SIZE, SIZE, 3), np.uint8)
        for i, frame in enumerate(frames):
            y = round((0.5 + 0.5 * np.sin(i / 17 + seed)) * SIZE)
            x = round((0.5 + 0.5 * np.sin(i / 23)) * SIZE)
            noise = rng.normal(0, 2, frame.shape)
            frame[:] = np.clip(picture[y : y + SIZE, x : x + SIZE] + noise, 0, 255)
        np.save(folder / f"video_{seed}.npy", frames)
        seconds = num_frames / FPS
        database[f"video_{seed}"] = {
            "subset": "train",
            "duration": seconds,
            "annotations": [
                {"label": "action", "segment": [start, start + 6]}
                for start in range(2, int(seconds) - 8, 10)
            ],
        }
    files.write_json(folder / "truth.json", {"database": database})


def measure(data_dir: Path, clips: int, repeats: int) -> dict[str, float]:
    """Reads clips in both ways in turn, in this process."""
    memory_at_start = _peak_mib()
    from afsd_jax.data.storage import frame_codec
    from afsd_jax.data.storage.prepared_folder import open_folder
    from afsd_jax.data.training_data import TrainingData

    config = default_config()
    config.data.update(dataset="videos", data_dir=str(data_dir), clip_stride=20)
    start = time.perf_counter()
    data = TrainingData(config)
    result = {"opened_s": time.perf_counter() - start, "clips_in_shuffle": data.num_clips}
    batches = data.batches()

    def pipeline() -> None:
        for _ in itertools.islice(batches, clips):
            pass

    pipeline()  # starts the threads
    result["memory_above_start_mib"] = _peak_mib() - memory_at_start

    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(open_folder(data_dir / "videos" / "rgb").path)
    videos = list(builder.as_dataset(split="train").as_numpy_iterator())
    encoded = [video["frames"].tolist() for video in videos]
    kind = videos[0]["encoding"].decode()
    result["bytes_a_frame"] = statistics.mean(len(frame) for video in encoded for frame in video)

    def loop_clips() -> Iterator[np.ndarray]:
        rng = np.random.default_rng(0)
        while True:
            video = encoded[rng.integers(len(encoded))]
            offset = rng.integers(len(video) - T + 1)
            y, x = rng.integers(SIZE - CROP + 1, size=2)
            frames = [
                frame_codec.decode(frame, kind, SIZE, SIZE, 3)
                for frame in video[offset : offset + T]
            ]
            clip = np.stack(frames)[:, y : y + CROP, x : x + CROP]
            yield np.ascontiguousarray(clip[:, :, ::-1] if rng.random() < 0.5 else clip)

    looped = loop_clips()

    def loop() -> None:
        for _ in itertools.islice(looped, clips):
            pass

    rates = [[clips / _seconds(way) for way in (pipeline, loop)] for _ in range(repeats)]
    result["clips_a_second"] = statistics.median(rate for rate, _ in rates)
    result["loop_clips_a_second"] = statistics.median(rate for _, rate in rates)
    result["times_the_loop"] = statistics.median(a / b for a, b in rates)
    return {name: round(value, 2) for name, value in result.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--videos", type=int, default=8)
    parser.add_argument("--frames", type=int, default=2000, help="of each video")
    parser.add_argument("--clips", type=int, default=100, help="in each measurement")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.data:
        print(json.dumps(measure(args.data, args.clips, args.repeats)))
        return

    results: dict[str, object] = {
        "machine": machine(),
        "versions": {
            name: version(name) for name in ("numpy", "pillow", "tensorflow-datasets", _TENSORFLOW)
        },
    }
    from afsd_jax.data.builders.prepare_options import PrepareOptions
    from afsd_jax.data.datasets import prepare_dataset

    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "source"
        source.mkdir()
        write_videos(source, args.videos, args.frames)
        for encoding in ("jpeg", "raw"):
            folder = Path(name) / encoding
            options = PrepareOptions(source, encoding=encoding, fps=FPS, size=SIZE)
            prepare_dataset("videos", folder, "rgb", options)
            command = [sys.executable, __file__, "--data", str(folder)]
            command += ["--clips", str(args.clips), "--repeats", str(args.repeats)]
            run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            results[encoding] = json.loads(run.stdout)
            print(encoding, run.stdout.strip())
    if args.output:
        files.write_json(args.output, results)


_TENSORFLOW = "tensorflow-cpu" if platform.machine() == "x86_64" else "tensorflow"


def _seconds(function: Callable[[], None]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
