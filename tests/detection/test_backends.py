"""OpenVINO's trunk gives the same results as XLA's, apart from rounding."""

import subprocess
import sys

import jax
import numpy as np
import pytest

from afsd_jax.detection.backends import chosen_backend
from afsd_jax.detection.detector import Detector
from afsd_jax.errors import UserError
from afsd_jax.models import parameters
from afsd_jax.weights.checkpoint import Checkpoint
from tests import small_run

CLIPS = np.random.default_rng(0).integers(0, 256, (2, 64, 32, 32, 3), np.uint8)
NUM_FRAMES = np.array([64, 50])


def detector_by(backend: str | None, seed: int = 0) -> Detector:
    config = small_run.small_config()
    weights = parameters.flatten(parameters.build_network(config, seed))
    return Detector([Checkpoint(0, config, [f"class {n}" for n in range(20)], weights)], backend)


def outputs_of(detector: Detector) -> tuple[np.ndarray, np.ndarray]:
    segments, scores = detector._forward(detector.weights, [CLIPS], NUM_FRAMES)
    return np.asarray(segments), np.asarray(scores)


@pytest.fixture(scope="module")
def by_xla() -> tuple[np.ndarray, np.ndarray]:
    return outputs_of(detector_by("xla"))


@pytest.mark.parametrize(
    ("backend", "frames", "score"), [("openvino", 1e-2, 1e-5), ("openvino-bfloat16", 5.0, 0.05)]
)
def test_segments_and_scores_are_those_of_xla(by_xla, backend, frames, score):
    segments, scores = outputs_of(detector_by(backend))
    assert np.abs(segments - by_xla[0]).max() <= frames
    assert np.abs(scores - by_xla[1]).max() <= score


def test_other_weights_may_take_the_place_of_the_first():
    detector, other = detector_by("openvino"), detector_by("openvino", seed=1)
    before = outputs_of(detector)
    detector.weights = other.weights
    after = outputs_of(detector)
    assert np.abs(after[1] - before[1]).max() > 1e-4
    np.testing.assert_allclose(after[1], outputs_of(other)[1], atol=1e-6)


def test_the_trunk_is_built_once_for_the_same_weights(monkeypatch):
    from afsd_jax.models import openvino_trunk

    built, build = [], openvino_trunk.build
    monkeypatch.setattr(openvino_trunk, "build", lambda *args: built.append(1) or build(*args))
    detector = detector_by("openvino")
    frames = np.concatenate(CLIPS)
    found = [detector.detect_frames([frames], 10.0) for _ in range(2)]
    assert found[0] == found[1]
    assert len(built) == 1


def test_openvino_is_the_default_where_it_is_installed_for_a_network_in_float32():
    alone = jax.default_backend() == "cpu" and jax.device_count() == 1
    assert chosen_backend(None) == ("openvino" if alone else "xla")
    assert chosen_backend(None, "bfloat16") == "xla"


def test_an_unknown_backend_is_refused():
    with pytest.raises(UserError, match="backend 'onnx': must be one of xla, openvino"):
        chosen_backend("onnx")


def test_without_openvino_xla_is_the_default_and_openvino_is_refused():
    program = (
        "import sys; sys.modules['openvino'] = None\n"
        "from afsd_jax.detection.backends import chosen_backend\n"
        "print(chosen_backend(None))\n"
        "chosen_backend('openvino')\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout == "xla\n"
    assert "UserError: backend 'openvino' needs OpenVINO: pip install 'afsd-jax[openvino]'" in (
        ran.stderr
    )
