"""AFSD on JAX: end-to-end, purely anchor-free temporal action detection. Videos in, actions out.

    import afsd_jax

    detector = afsd_jax.load_detector("run")  # the folder of a training run, or a checkpoint
    detections = detector.detect("video.mp4")
    for action in detections:
        print(action.label, action.score, action.start_s, action.end_s)  # seconds
    detections.save("results", "csv")  # or html, json, png, srt, vtt; by default all

Bad input raises a `ValueError` whose message is one line. The command `afsd` does the rest, such as
preparing data, training and evaluation: see `afsd --help`.
"""

import importlib
from typing import TYPE_CHECKING

from afsd_jax.version import VERSION as __version__

if TYPE_CHECKING:
    from afsd_jax.detection.detector import Detector as Detector
    from afsd_jax.detection.detector import load_detector as load_detector
    from afsd_jax.results.detections import Detections as Detections
    from afsd_jax.types import Detection as Detection

__all__ = ["Detection", "Detections", "Detector", "__version__", "load_detector"]

_HOMES = {
    "Detection": "afsd_jax.types",
    "Detections": "afsd_jax.results.detections",
    "Detector": "afsd_jax.detection.detector",
    "load_detector": "afsd_jax.detection.detector",
}


if not TYPE_CHECKING:  # a type checker that sees this function accepts any name

    def __getattr__(name: str) -> object:
        # Loaded on first use, so that importing one part of the package loads only that part.
        if name not in _HOMES:
            raise AttributeError(f"module 'afsd_jax' has no attribute {name!r}")
        return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
