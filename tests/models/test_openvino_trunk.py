"""OpenVINO's trunk equals the network's own trunk."""

import jax
import numpy as np
import pytest
from flax import nnx

from afsd_jax.models import i3d, openvino_trunk

SHAPE = (2, 24, 37, 50, 3)  # odd sizes, so that paddings differ before and after


@pytest.fixture(scope="module")
def trunk() -> i3d.I3D:
    """A narrow trunk with statistics as if it had been trained."""
    rng = np.random.default_rng(0)
    network = i3d.I3D(3, 0.125, False, "", np.float32, rng)
    for path, leaf in nnx.to_flat_state(nnx.state(network)):
        if path[-1] in ("scale", "bias", "mean", "var"):
            low = 0.5 if path[-1] in ("scale", "var") else -0.2
            leaf[...] = jax.numpy.asarray(rng.uniform(low, low + 1, leaf.shape), np.float32)
    return network


@pytest.fixture(scope="module")
def clips() -> np.ndarray:
    return np.random.default_rng(1).uniform(-1, 1, SHAPE).astype(np.float32)


def weights_of(trunk: i3d.I3D) -> dict[str, np.ndarray]:
    flat = nnx.to_flat_state(nnx.state(trunk))
    return {".".join(("trunk", *map(str, path))): np.asarray(leaf[...]) for path, leaf in flat}


@pytest.mark.parametrize(("precision", "bound"), [("float32", 1e-4), ("bfloat16", 0.25)])
def test_every_endpoint_is_the_networks(trunk, clips, precision, bound):
    expected = nnx.jit(lambda trunk, x: trunk(x))(trunk, clips)
    run = openvino_trunk.build(weights_of(trunk), SHAPE, i3d.ENDPOINTS, precision)
    for name, found in zip(i3d.ENDPOINTS, run(clips), strict=True):
        error = np.abs(found - expected[name]).max()
        assert found.shape == expected[name].shape, name
        assert error <= bound * expected[name].std(), (name, error)


def test_clips_that_are_no_copy_in_memory_order_are_understood(trunk, clips):
    run = openvino_trunk.build(weights_of(trunk), SHAPE, ("Mixed_3b",))
    turned = np.ascontiguousarray(clips.transpose(4, 0, 1, 2, 3)).transpose(1, 2, 3, 4, 0)
    expected = run(clips)[0].copy()
    np.testing.assert_array_equal(run(turned)[0], expected)
