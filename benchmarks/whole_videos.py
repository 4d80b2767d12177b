"""Compares the features of whole videos with those of clips: time and disk.

    python benchmarks/whole_videos.py --output benchmarks/results/whole_videos.json

A video of noise at 112×112 pixels and 25 frames per second is prepared as a data set. In
turn, the feature cache computes its features in one view; XLA computes those of clips of 128 frames
that begin every 16 frames, as the cache did before it held whole videos; and OpenVINO's trunk
computes the same frames once, in pieces of 256 frames that are already in memory.
The clip-wise way is measured on the first `--clips` clips only, and its time for all is scaled.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import ml_collections
import numpy as np
from common import peak_mib, provenance

from afsd_jax.cli.config_flags import load_config
from afsd_jax.config import OPEN, default_config, resolve
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.clips.clip_reader import View
from afsd_jax.data.clips.geometry import window_offsets
from afsd_jax.data.datasets import prepare_dataset
from afsd_jax.data.splits import open_split
from afsd_jax.io import files
from afsd_jax.models import normalise, openvino_trunk, parameters
from afsd_jax.training import feature_cache
from afsd_jax.weights import kinetics

FPS, SIZE, CROP = 25.0, 112, 96
PIECE = 256  # frames that OpenVINO's trunk alone computes at once
LENGTH, STRIDE, BATCH = 128, 16, 4  # of the clips, as `--config videos` chose them
VIEW = View(8, 8, False)


def timed(function: Callable[[], Any]) -> float:
    """Returns the seconds that a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def network_of(name: str) -> tuple[ml_collections.ConfigDict, dict[str, Any]]:
    """Returns a configuration for the video, and weights with the Kinetics trunk."""
    config, default = load_config(name), default_config()
    for field in OPEN:  # training would choose them
        section, _, leaf = field.partition(".")
        if config[section][leaf] == OPEN[field]:
            config[section][leaf] = default[section][leaf]
    config.data.update(fps=FPS, frame_size=SIZE, crop_size=CROP, clip_stride=STRIDE)
    if name == "videos":
        config.data.update(clip_length=LENGTH, max_actions=4)
        config.inference.window_stride = LENGTH // 2
        config.train.update(batch_size=BATCH, epochs=1, early_stop=0)
        config.data.update(flip=0.0, validation_split="")
        config.model.update(pyramid_inputs=("Mixed_4b",), frozen_until="Mixed_4b")
    config = resolve(config, 20)
    weights = parameters.flatten(parameters.build_network(config))
    return config, weights | kinetics.load(config).parameters


def prepare(folder: Path, num_frames: int) -> np.ndarray:
    """Prepares a video of smooth noise as a data set; returns its frames."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (num_frames, SIZE // 8, SIZE // 8, 3), dtype=np.uint8)
    frames = coarse.repeat(8, axis=1).repeat(8, axis=2)
    source = folder / "source"
    source.mkdir(parents=True)
    np.save(source / "noise.npy", frames)
    action = {"label": "act", "segment": [1.0, 3.0]}
    video = {"subset": "train", "duration": num_frames / FPS, "annotations": [action]}
    files.write_json(source / "truth.json", {"database": {"noise": video}})
    options = PrepareOptions(source, encoding="jpeg", size=SIZE, fps=FPS, workers=1)
    prepare_dataset("videos", folder / "data", "rgb", options)
    return frames


def compare_features(folder: Path, frames: np.ndarray, clips: int, repeats: int) -> dict[str, Any]:
    """Times the three ways in turn."""
    config, weights = network_of("videos")
    config.data.data_dir = str(folder / "data")
    _, videos = open_split(config.data, "train")
    cache = folder / "data" / config.data.feature_cache
    crop = frames[None, :, VIEW.y : VIEW.y + CROP, VIEW.x : VIEW.x + CROP]
    network = parameters.replace(parameters.abstract_network(config), weights)
    valid = np.full(BATCH, LENGTH, np.int32)
    features = jax.jit(lambda x: network.features(normalise(x, valid, 0.0)))
    shape, endpoints = (1, PIECE, CROP, CROP, 3), config.model.pyramid_inputs
    trunk = openvino_trunk.build(weights, shape, endpoints)
    offsets = window_offsets(len(frames), LENGTH, STRIDE)
    chosen = offsets[: clips // BATCH * BATCH]

    def video_wise() -> None:
        shutil.rmtree(cache, ignore_errors=True)
        feature_cache.cached(config, weights, videos, [VIEW])

    def clip_wise() -> None:
        for first in range(0, len(chosen), BATCH):
            batch = [crop[0, start : start + LENGTH] for start in chosen[first : first + BATCH]]
            jax.block_until_ready(features(np.stack(batch)))

    def trunk_alone() -> None:
        for start in range(0, len(frames), PIECE):
            trunk(crop[:, start : start + PIECE].astype(np.float32) / 127.5 - 1)

    rows = []
    for _ in range(repeats + 1):  # the first compiles
        rows.append([timed(video_wise), timed(clip_wise), timed(trunk_alone)])
        print(rows[-1], flush=True)
    scale = len(offsets) / len(chosen)
    held = sum(path.stat().st_size for path in cache.glob("*/*.features"))
    (shape_of_clip,) = network.feature_shapes
    return {
        "seconds_of_film": len(frames) / FPS,
        "clips": len(offsets),
        "clips_measured": len(chosen),
        "video_wise_s": [round(a, 2) for a, _, _ in rows[1:]],
        "clip_wise_s": [round(b * scale, 2) for _, b, _ in rows[1:]],
        "trunk_alone_s": [round(c, 2) for _, _, c in rows[1:]],
        "clip_over_video": round(statistics.median(b * scale / a for a, b, _ in rows[1:]), 2),
        "video_over_trunk": round(statistics.median(a / c for a, _, c in rows[1:]), 2),
        "film_a_second": round(len(frames) / FPS / min(a for a, _, _ in rows[1:]), 2),
        "disk_video_over_clip": round(held / (len(offsets) * np.prod(shape_of_clip) * 2), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=60 * PIECE, help=f"multiple of {PIECE}")
    parser.add_argument("--clips", type=int, default=40, help="clips to measure")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each way")
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        frames = prepare(Path(name), args.frames)
        results: dict[str, Any] = {
            **provenance("jax", "openvino", "numpy"),
            "features": compare_features(Path(name), frames, args.clips, args.repeats),
        }
        results["features_peak_mib"] = round(peak_mib())
    if args.output:
        files.write_json(args.output, results)
    print(results)


if __name__ == "__main__":
    main()
