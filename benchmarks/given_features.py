"""Compares heads that learn on given features with heads that learn on the trunk's cache.

    python benchmarks/given_features.py --work DIR --output benchmarks/results/given_features.json

With a user's commands: the synthetic data set at 112×112 pixels is prepared; for each seed,
`--config videos` learns on it from the cache, `afsd features RUN --pooling none` writes the same
endpoint of the same trunk as .npy files, and `--config features` learns on these. Each detector is
evaluated on the test videos. The features differ only in how the videos are decoded: the cache sees
frames as they are stored (JPEG), `afsd features` as they are in the videos.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import afsd, provenance, score

from afsd_jax.io import files

CACHE = ("--config=videos", "--config.data.dataset=synthetic")
GIVEN = ("--config=features",)
ALL_TRAIN = ("--config.data.train_split=train", "--config.data.validation_split=")
FRAMES_A_ROW = 4  # of the trunk's endpoint Mixed_4b
LENGTHS = {"data.clip_length": 128, "data.clip_stride": 64, "inference.window_stride": 64}  # frames


def learn(config: Sequence[str], data: Path, workdir: Path, seed: int, frames_a_row: int) -> float:
    """Trains with the same clips, whatever a row of the input is; returns the seconds."""
    chosen = [f"--config.{name}={value // frames_a_row}" for name, value in LENGTHS.items()]
    chosen += ["--config.data.flip=0", f"--config.seed={seed}", *ALL_TRAIN]
    place = [f"--config.data.data_dir={data}", f"--workdir={workdir}"]
    return afsd("train", *config, *chosen, *place)["seconds"]


def main() -> None:
    """Measures, and writes what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    data, features, given = (args.work / name for name in ("data", "features", "given"))
    if not data.exists():
        afsd("prepare", "synthetic", "--output", data, "--size", 112)
    source = data / "synthetic" / "source"
    results: list[dict[str, Any]] = []
    for seed in range(args.seeds):
        runs = {name: args.work / f"{name}-{seed}" for name in ("cache", "features")}
        cached_s = learn(CACHE, data, runs["cache"], seed, 1)
        if not given.exists():
            folders = sorted((source / "videos").iterdir())
            truth = source / "ground_truth.json"
            written = ["--output", features, "--annotations", truth, "--pooling", "none"]
            afsd("features", runs["cache"], *folders, *written)
            place = ["--source", features, "--annotations", truth, "--output", given]
            afsd("prepare", "videos", "--stream", "features", *place)
        given_s = learn(GIVEN, given, runs["features"], seed, FRAMES_A_ROW)
        scores = {
            "cache": score(runs["cache"], data) | {"train_s": cached_s},
            "features": score(runs["features"], given, "videos/features") | {"train_s": given_s},
        }
        results.append({"seed": seed, **scores})
        print(json.dumps(results[-1]), flush=True)
        files.write_json(args.output, {**provenance("jax", "openvino"), "seeds": results})


if __name__ == "__main__":
    main()
