"""The trunk gives equal results for pieces of a video and for the whole video."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from afsd_jax.models import i3d, streaming

SIZE, WIDTH = 32, 0.1
PIECE = 16


@pytest.fixture(scope="module")
def trunk() -> i3d.I3D:
    """A narrow trunk whose norms have random statistics, scales and biases."""
    rng = np.random.default_rng(0)
    trunk = i3d.I3D(3, WIDTH, False, "", jnp.float32, rng)
    for path, variable in nnx.to_flat_state(nnx.state(trunk)):
        if path[-1] in ("mean", "bias", "scale", "var"):
            low = -0.3 if path[-1] in ("mean", "bias") else 0.5
            shape = variable.get_value().shape
            variable.set_value(jnp.asarray(rng.uniform(low, low + 0.8, shape), jnp.float32))
            nnx.update(trunk, nnx.from_flat_state({path: variable}))
    return trunk


@pytest.fixture(scope="module")
def stream(trunk):
    """Returns Mixed_5c [N/8,...] of frames [N,H,W,3], computed in pieces of PIECE frames."""
    parameters = {
        ".".join(map(str, ("trunk", *path))): variable.get_value()
        for path, variable in nnx.to_flat_state(nnx.state(trunk))
    }
    weights = streaming.fold_norms(parameters)
    step = jax.jit(streaming.trunk_step)

    def run(frames: np.ndarray) -> np.ndarray:
        total = len(frames)
        behind = np.full((PIECE + streaming.DELAY * streaming.STRIDE, SIZE, SIZE, 3), 9, np.float32)
        frames = np.concatenate([frames, behind])  # must not be seen
        kept = streaming.empty_cache(weights, (1, PIECE, SIZE, SIZE, 3))
        found = []
        for first in range(0, total + streaming.DELAY * streaming.STRIDE, PIECE):
            piece = frames[None, first : first + PIECE]
            cells, kept = step(weights, kept, piece, first, total)
            found.append(np.asarray(cells[0]))
        assert step._cache_size() == 1
        return np.concatenate(found)[streaming.DELAY :][: total // streaming.STRIDE]

    return run


def video(num_frames: int) -> np.ndarray:
    rng = np.random.default_rng(num_frames)
    return rng.uniform(-1, 1, (num_frames, SIZE, SIZE, 3)).astype(np.float32)


def at_once(trunk: i3d.I3D, frames: np.ndarray) -> np.ndarray:
    return np.asarray(nnx.jit(lambda trunk, x: trunk(x)["Mixed_5c"])(trunk, frames[None])[0])


@pytest.mark.parametrize("num_frames", [8, 24, 200])
def test_pieces_give_what_the_whole_video_gives(trunk, stream, num_frames):
    frames = video(num_frames)
    expected = at_once(trunk, frames)
    found = stream(frames)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-4 * expected.std()


def test_each_cell_is_that_of_a_window_of_its_own(trunk, stream):
    frames = video(240)
    found = stream(frames)
    for cell in (0, 9, 15, 20, 29):
        start, end = max(8 * cell - 48, 0), min(8 * cell + 56, 240)
        window = at_once(trunk, frames[start:end])[cell - start // 8]
        assert np.abs(found[cell] - window).max() <= 1e-4 * found.std()
