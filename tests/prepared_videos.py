"""A small prepared data set whose pixels encode video, frame and position."""

import json
from pathlib import Path

import numpy as np

from afsd_jax.config import STREAM_CHANNELS
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.datasets import prepare_dataset

FPS = 10.0
SIZE = 20
# Name: number of frames, actions in frames. The last one is shorter than a clip.
VIDEOS = {
    "a": (100, [("jump", 5.0, 20.0), ("run", 30.0, 38.5), ("jump", 70.0, 95.0)]),
    "b": (57, [("run", 40.0, 56.0)]),
    "c": (32, [("jump", 2.0, 9.0), ("run", 12.0, 30.0)]),
    "d": (25, [("run", 3.0, 18.0)]),
}
NAMES = list(VIDEOS)


def pixels(name: str, channels: int = 3) -> np.ndarray:
    """Returns frames that encode their video, their number and each pixel's position."""
    count = VIDEOS[name][0]
    t, y, x = np.mgrid[:count, :SIZE, :SIZE]
    first = [t + 100 * (NAMES.index(name) % 2), y + 32 * (NAMES.index(name) // 2), x]
    return np.stack([first[2], first[0]] if channels == 2 else first, -1).astype(np.uint8)


def prepare(folder: Path, stream: str = "rgb", **options) -> Path:
    """Prepares the videos as arrays; returns the data folder."""
    source = folder / f"source_{stream}"
    source.mkdir(parents=True)
    database = {}
    for name, (count, actions) in VIDEOS.items():
        np.save(source / f"{name}.npy", pixels(name, STREAM_CHANNELS[stream]))
        database[name] = {
            "subset": "train",
            "duration": count / FPS,
            "annotations": [
                {"label": label, "segment": [start / FPS, end / FPS]}
                for label, start, end in actions
            ],
        }
    (source / "truth.json").write_text(json.dumps({"database": database}))
    options = {"encoding": "raw", "size": SIZE, "fps": FPS, "workers": 1, **options}
    prepare_dataset("videos", folder / "data", stream, PrepareOptions(source, **options))
    return folder / "data"
