"""AFSD on JAX: end-to-end, purely anchor-free temporal action detection. Videos in, actions out."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from afsd_jax.detections import Detections as Detections
    from afsd_jax.detector import Detector as Detector
    from afsd_jax.load import load_detector as load_detector
    from afsd_jax.types import Detection as Detection

__version__ = "0.1.0"
__all__ = ["Detection", "Detections", "Detector", "__version__", "load_detector"]

_HOMES = {
    "Detection": "afsd_jax.types",
    "Detections": "afsd_jax.detections",
    "Detector": "afsd_jax.detector",
    "load_detector": "afsd_jax.load",
}


def __getattr__(name: str) -> Any:
    # Loaded on first use, so that importing one part of the package loads only that part.
    if name not in _HOMES:
        raise AttributeError(f"module 'afsd_jax' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
