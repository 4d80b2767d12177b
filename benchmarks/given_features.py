"""Compares heads that learn on given features with heads that learn on the trunk's cache.

    python benchmarks/given_features.py --work DIR --output benchmarks/results/given_features.json

With a user's commands: the synthetic data set at 112×112 pixels is prepared; for each seed,
`--config videos` learns on it from the cache, `afsd features RUN --pooling none` writes the same
endpoint of the same trunk as .npy files, and `--config features` learns on these. Each detector is
evaluated on the test videos. The features differ only in how the videos are decoded: the cache sees
frames as they are stored (JPEG), `afsd features` as they are in the videos. Seeds whose result is
in the output are not repeated.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import afsd, provenance, score

from afsd_jax.data.splits import read_part
from afsd_jax.data.storage.prepared_folder import open_folder
from afsd_jax.io import files

CACHE = ("--config=videos", "--config.data.dataset=synthetic", "--config.train.probe=False")
GIVEN = ("--config=features", "--config.data.train_split=train")
NO_VALIDATION = "--config.data.validation_split="
FRAMES_A_ROW = 4  # of the trunk's endpoint Mixed_4b
LENGTHS = {"data.clip_length": 128, "data.clip_stride": 64, "inference.window_stride": 64}  # frames


def learn(config: Sequence[str], data: Path, workdir: Path, seed: int, frames_a_row: int) -> float:
    """Trains with the same clips, whatever a row of the input is; returns the seconds."""
    chosen = [f"--config.{name}={value // frames_a_row}" for name, value in LENGTHS.items()]
    chosen += ["--config.data.flip=0", f"--config.seed={seed}", NO_VALIDATION]
    place = [f"--config.data.data_dir={data}", f"--workdir={workdir}"]
    return afsd("train", *config, *chosen, *place)["seconds"]


def videos_of(folder: Path, *splits: str) -> list[str]:
    """Returns the names of the videos of splits of a prepared data set."""
    opened = open_folder(folder)
    return [video.name for split in splits for video in read_part(opened, split)]


def write_truth(source: Path, target: Path, names: Sequence[str]) -> Path:
    """Writes the part of ActivityNet's JSON that is about some videos, and returns its path."""
    content = files.read_json(source)
    content["database"] = {name: content["database"][name] for name in names}
    files.write_json(target, content)
    return target


def main() -> None:
    """Measures, and writes what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument(
        "--train-split", default="train", help="training videos, such as train[1/2]"
    )
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    data, features, given = (args.work / name for name in ("data", "features", "given"))
    if not data.exists():
        afsd("prepare", "synthetic", "--output", data, "--size", 112)
    source = data / "synthetic" / "source"
    cache = *CACHE, f"--config.data.train_split={args.train_split}"
    results: list[dict[str, Any]] = (
        files.read_json(args.output)["seeds"] if args.output.exists() else []
    )
    origin = {"train_split": args.train_split, **provenance("jax", "openvino")}
    for seed in range(len(results), args.seeds):
        runs = {name: args.work / f"{name}-{seed}" for name in ("cache", "features")}
        cached_s = learn(cache, data, runs["cache"], seed, 1)
        if not given.exists():
            videos = videos_of(data / "synthetic" / "rgb", args.train_split, "test")
            truth = write_truth(source / "ground_truth.json", args.work / "truth.json", videos)
            written = ["--output", features, "--annotations", truth, "--pooling", "none"]
            paths = [source / "videos" / name.partition("_")[0] / f"{name}.mp4" for name in videos]
            afsd("features", runs["cache"], *paths, *written)
            place = ["--source", features, "--annotations", truth, "--output", given]
            afsd("prepare", "videos", "--stream", "features", *place)
        given_s = learn(GIVEN, given, runs["features"], seed, FRAMES_A_ROW)
        scores = {
            "cache": score(runs["cache"], data) | {"train_s": cached_s},
            "features": score(runs["features"], given, "videos/features") | {"train_s": given_s},
        }
        results.append({"seed": seed, **scores})
        print(json.dumps(results[-1]), flush=True)
        files.write_json(args.output, {**origin, "seeds": results})


if __name__ == "__main__":
    main()
