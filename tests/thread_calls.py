"""Calls of one detector that several threads make at once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from afsd_jax.detection.detector import Detector
from afsd_jax.detection.online import detect_online
from afsd_jax.inputs.video import VideoSource, open_pipe
from afsd_jax.models import parameters
from afsd_jax.types import Detection
from afsd_jax.weights.checkpoint import Checkpoint
from tests import small_run


def detector_by(backend: str) -> Detector:
    """A small network with random weights."""
    config = small_run.small_config()
    weights = parameters.flatten(parameters.build_network(config))
    return Detector([Checkpoint(0, config, [f"class {n}" for n in range(20)], weights)], backend)


def noise(seed: int) -> np.ndarray:
    """Frames of a video whose length and content depend on the seed."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (60 + 20 * seed, 32, 32, 3), np.uint8)


def online(detector: Detector, file: Path) -> list[Detection]:
    """Detects as in a pipe; returns what was final, in the order of becoming so."""
    found: list[Detection] = []
    with file.open("rb") as content:
        source = VideoSource("pipe", lambda: open_pipe(content, "pipe", detector.configs))
        result = detect_online(detector, source, found.append)
    assert result.error is None
    return found


def many(detector: Detector, files: Sequence[Path]) -> list[tuple[str, list[Detection]]]:
    """Detects in all files in one call."""
    return [(str(path), list(found)) for path, found in detector.detect_many(files)]
