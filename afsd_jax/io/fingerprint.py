"""Short digests by which a result tells what it was made from."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from afsd_jax.data.tasks import file_fingerprint
from afsd_jax.detection.detector import Detector

_HEX_DIGITS = 32


def of_detector(detector: Detector) -> str:
    """Returns a digest of the networks' weights, configurations, classes and backend."""
    parts = [detector.class_names, detector.backend, *map(_config, detector.configs)]
    digest = hashlib.sha256(_bytes(parts))
    for weights in detector.weights:
        for name in sorted(weights):
            values = np.ascontiguousarray(weights[name])
            digest.update(_bytes([name, str(values.dtype), values.shape]))
            digest.update(values.data)
    return digest.hexdigest()[:_HEX_DIGITS]


def of_values(*values: Any) -> str:
    """Returns a digest of JSON values."""
    return hashlib.sha256(_bytes(values)).hexdigest()[:_HEX_DIGITS]


def of_files(paths: Iterable[Path]) -> str:
    """Returns a digest of files' names, sizes and times of change, not of their content."""
    return of_values(*(file_fingerprint(path) for path in paths if path.exists()))


def _config(config: Any) -> Any:
    return json.loads(config.to_json())


def _bytes(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
