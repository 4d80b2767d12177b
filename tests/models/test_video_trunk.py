"""The trunk gives equal results for pieces of a video and for the whole video."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from afsd_jax.models import i3d, openvino_trunk
from afsd_jax.models.openvino_trunk import OpenVinoSteps
from afsd_jax.models.streaming import XlaSteps
from afsd_jax.models.video_trunk import VideoTrunk

SIZE, CHANNELS, WIDTH = 33, 2, 0.1
SHAPE = (SIZE, SIZE, CHANNELS)
LENGTHS = (1, 21, 64, 136)  # frames of a video
EVERY = i3d.ENDPOINTS


@functools.cache
def trunk() -> i3d.I3D:
    """A narrow trunk whose norms have random statistics, scales and biases."""
    rng = np.random.default_rng(0)
    trunk = i3d.I3D(CHANNELS, WIDTH, False, "", jnp.float32, rng)
    for path, variable in nnx.to_flat_state(nnx.state(trunk)):
        if path[-1] in ("mean", "bias", "scale", "var"):
            low = -0.3 if path[-1] in ("mean", "bias") else 0.5
            shape = variable.get_value().shape
            variable[...] = jnp.asarray(rng.uniform(low, low + 0.8, shape), jnp.float32)
    return trunk


@functools.cache
def weights() -> dict[str, np.ndarray]:
    flat = nnx.to_flat_state(nnx.state(trunk()))
    return {".".join(("trunk", *map(str, path))): np.asarray(leaf[...]) for path, leaf in flat}


def video(num_frames: int) -> np.ndarray:
    rng = np.random.default_rng(num_frames)
    return rng.integers(0, 256, (num_frames, *SHAPE), dtype=np.uint8)


@functools.cache
def at_once(num_frames: int, total: int) -> dict[str, np.ndarray]:
    """Every endpoint of the network's own trunk on a video, extended with grey to `total`."""
    clip = np.zeros((1, total, *SHAPE), np.float32)
    clip[0, :num_frames] = video(num_frames).astype(np.float32) / 255 * 2 - 1
    found = nnx.jit(lambda trunk, x: trunk(x))(trunk(), clip)
    return {name: np.asarray(x[0]) for name, x in found.items()}


@functools.cache
def steps(backend: str, endpoints: tuple[str, ...]):
    if backend == "openvino":
        return OpenVinoSteps(weights(), SHAPE, endpoints)
    return XlaSteps(weights(), SHAPE, endpoints, piece=int(backend.removeprefix("xla ")))


def slices(trunk: VideoTrunk, parts: list[np.ndarray], least: int = 0) -> list[np.ndarray]:
    """All slices of a video that comes in parts; of each endpoint its cells."""
    run = trunk.start()
    found = [*(run.add(part) for part in parts), run.end(least)]
    return [np.concatenate(x) for x in zip(*filter(None, found), strict=True)]


def assert_whole(found: list[np.ndarray], endpoints, num_frames: int, total: int) -> None:
    expected = at_once(num_frames, total)
    for name, x in zip(endpoints, found, strict=True):
        assert x.shape == expected[name].shape, name
        error = np.abs(x - expected[name]).max()
        assert error <= 1e-3 * expected[name].std(), (name, error)


@settings(max_examples=15, deadline=None)
@given(
    backend=st.sampled_from(["openvino", "xla 8", "xla 64"]),
    num_frames=st.sampled_from(LENGTHS),
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=6),
)
def test_pieces_give_what_the_whole_video_gives(backend, num_frames, sizes):
    """At every endpoint, for both ends, however the frames come."""
    trunk = VideoTrunk(steps(backend, EVERY), EVERY)
    ends = np.minimum(list(itertools.accumulate(sizes)), num_frames)
    parts = np.split(video(num_frames), ends)
    total = -(-num_frames // 8) * 8
    assert_whole(slices(trunk, parts), EVERY, num_frames, total)


def test_a_long_video_equals_the_whole_video_beyond_the_pieces_of_any_shape():
    """Later pieces are computed in a graph of fixed shapes, the last one is not."""
    endpoints = ("Mixed_3b", "Mixed_4b", "Mixed_5c")
    long = OpenVinoSteps(weights(), SHAPE, endpoints)
    num_frames = (long._NUM_BEFORE_FIXED + 3) * long.piece + 24
    found = slices(VideoTrunk(long, endpoints), [video(num_frames)])
    assert long._fixed_shape is not None
    assert_whole(found, endpoints, num_frames, num_frames)
    again = slices(VideoTrunk(long, endpoints), [video(num_frames)])
    for one, other in zip(found, again, strict=True):  # to the last bit, whatever came before
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("backend", ["openvino", "xla 8"])
@pytest.mark.parametrize(
    "endpoints", [("Mixed_3b",), ("Mixed_4b",), ("Mixed_4f", "Mixed_5c"), ("Mixed_3c", "Mixed_4c")]
)
def test_slices_are_as_long_as_the_largest_cell(backend, endpoints):
    trunk = VideoTrunk(steps(backend, endpoints), endpoints)
    assert trunk.unit == i3d.endpoint_stride(endpoints[-1])[0]
    run = trunk.start()
    for frames in np.array_split(video(136), 7):
        found, before = run.add(frames), run.num_slices
        for name, x in zip(endpoints, found, strict=False):
            assert len(x) % (trunk.unit // i3d.endpoint_stride(name)[0]) == 0
        assert before <= run.num_slices
    run.end()
    assert run.num_slices == 136 // trunk.unit
    assert_whole(slices(trunk, [video(136)]), endpoints, 136, 136)


@pytest.mark.parametrize("backend", ["openvino", "xla 8"])
def test_a_video_shorter_than_a_clip_is_extended_with_grey(backend):
    endpoints = ("Mixed_4f", "Mixed_5c")
    found = slices(VideoTrunk(steps(backend, endpoints), endpoints), [video(21)], least=136)
    assert_whole(found, endpoints, 21, 136)


@pytest.mark.parametrize("backend", ["openvino", "xla 8"])
def test_a_cell_does_not_depend_on_the_endpoints_computed_beside_it(backend):
    """Even at the end of a video that is a whole number of its cells, but not of all endpoints'."""
    alone, beside = ("Mixed_4b",), ("Mixed_3b", "Mixed_4b", "Mixed_5c")
    for num_frames in (1, 20, 21, 66, 132):
        (found,) = slices(VideoTrunk(steps(backend, alone), alone), [video(num_frames)])
        assert len(found) == -(-num_frames // 4)
        _, expected, _ = slices(VideoTrunk(steps(backend, beside), beside), [video(num_frames)])
        if backend == "openvino":  # which may join other layers
            bound = 1e-3 * at_once(136, 136)["Mixed_4b"].std()
            assert np.abs(found - expected[: len(found)]).max() <= bound
        else:
            np.testing.assert_array_equal(found, expected[: len(found)])


def test_videos_in_turn_do_not_disturb_each_other():
    endpoints = ("Mixed_4b",)
    trunk = VideoTrunk(steps("openvino", endpoints), endpoints)
    runs = {length: trunk.start() for length in (64, 136)}
    found = {length: [] for length in runs}
    for first in range(0, 136, 40):
        for length, run in runs.items():
            found[length] += run.add(video(length)[first : first + 40])
    for length, run in runs.items():
        assert_whole([np.concatenate(found[length] + run.end())], endpoints, length, length)


def test_all_videos_share_one_program():
    steps_of_videos = XlaSteps(weights(), SHAPE, ("Mixed_3b",), piece=8)
    for length in LENGTHS:
        slices(VideoTrunk(steps_of_videos, ("Mixed_3b",)), [video(length)])
    assert steps_of_videos._step._cache_size() == 1


def test_half_precision_is_near():
    endpoints = ("Mixed_4b",)
    for half in (
        XlaSteps(weights(), SHAPE, endpoints, jax.numpy.bfloat16, piece=8),
        OpenVinoSteps(weights(), SHAPE, endpoints, "bfloat16"),
    ):
        (found,) = slices(VideoTrunk(half, endpoints), [video(136)])
        expected = at_once(136, 136)["Mixed_4b"]
        assert np.abs(found - expected).mean() <= 0.03 * expected.std()


def test_bfloat16_takes_rows_of_even_length_as_pairs_of_pixels():
    endpoints, shape = ("Mixed_4b",), (33, 34, CHANNELS)
    frames = np.random.default_rng(0).integers(0, 256, (136, *shape), dtype=np.uint8)
    half = OpenVinoSteps(weights(), shape, endpoints, "bfloat16")
    (found,) = slices(VideoTrunk(half, endpoints), [frames])
    at_once = openvino_trunk.build(weights(), (1, 136, *shape), endpoints)
    (expected,) = at_once(frames[None].astype(np.float32) / 255 * 2 - 1)
    assert np.abs(found - expected[0]).mean() <= 0.03 * expected.std()


def test_the_library_is_found():
    assert openvino_trunk.is_installed()  # otherwise half of this file would not run
