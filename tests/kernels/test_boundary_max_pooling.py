"""Boundary max pooling: the rules, by the reference's numbers and an independent slow version."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afsd_jax.kernels import boundary_max_pooling, xla
from afsd_jax.kernels.regions import to_regions

GOLDEN = Path(__file__).parents[1] / "golden" / "boundary_max_pooling.npz"
DTYPES = [jnp.float32, jnp.bfloat16, jnp.float16]


def slow_pooling(features, segments, gradient):
    """Outputs and feature gradients of one clip by the definition, cell by cell, in float64."""
    length, channels = features.shape
    output = np.zeros((len(segments), channels))
    features_gradient = np.zeros((length, channels))
    for n, segment in enumerate(segments):
        bounds = [int(np.clip(np.trunc(bound), 0, length - 1)) for bound in segment]
        for c in range(channels):
            first, last = bounds[:2] if c < channels // 2 else bounds[2:]
            winner = first
            for cell in range(first + 1, last + 1):
                value, best = features[cell, c], features[winner, c]
                if value > best or (np.isnan(value) and not np.isnan(best)):
                    winner = cell
            output[n, c] = features[winner, c]
            features_gradient[winner, c] += gradient[n, c]
    return output, features_gradient


@jax.jit
def pool_and_pull_back(features, segments, gradient):
    output, pull_back = jax.vjp(lambda x: boundary_max_pooling(x, segments), features)
    return output, pull_back(gradient)[0]


def random_problem(seed, clips=2, cells=20, segments=15, channels=6, dtype=jnp.float32):
    """Features with many ties, segments with every oddity, and whole numbers as gradients."""
    random = np.random.default_rng(seed)
    features = random.integers(-3, 4, (clips, cells, channels)) / 2
    bounds = random.uniform(-2, cells + 2, (clips, segments, 4))
    gradient = random.integers(-4, 5, (clips, segments, channels))
    return (
        jnp.asarray(features, dtype),
        jnp.asarray(bounds, jnp.float32),
        jnp.asarray(gradient, dtype),
    )


def assert_bits_equal(actual, expected):
    """Equal to the last bit, the sign of zero and NaN included."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert (actual.shape, actual.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(actual.view(np.uint8), expected.view(np.uint8))


@pytest.fixture(scope="module")
def golden():
    arrays = dict(np.load(GOLDEN))
    for name in ("features", "output", "grad_output", "grad_features"):
        arrays[name] = arrays[name].transpose(0, 2, 1)
    return arrays


def test_forward_is_the_reference_bit_for_bit(golden):
    output = jax.jit(boundary_max_pooling)(golden["features"], golden["segments"])
    assert_bits_equal(output, np.ascontiguousarray(golden["output"]))


def test_gradient_is_the_reference_within_1e_6(golden):
    _, gradient = pool_and_pull_back(golden["features"], golden["segments"], golden["grad_output"])
    np.testing.assert_allclose(gradient, golden["grad_features"], rtol=0, atol=1e-6)


# Every shape is compiled, so shapes are few and seeds are many.
@settings(max_examples=60, deadline=None)
@given(
    shape=st.sampled_from([(1, 3, 2), (2, 5, 1), (7, 1, 3), (32, 0, 4), (33, 40, 5), (64, 9, 8)]),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 2**32 - 1),
)
def test_pooling_follows_its_definition(shape, dtype, seed):
    cells, segments, channels = shape
    features, bounds, gradient = random_problem(seed, 2, cells, segments, channels, dtype)
    output, features_gradient = pool_and_pull_back(features, bounds, gradient)
    assert output.dtype == features_gradient.dtype == dtype
    for b in range(2):
        expected = slow_pooling(
            *(np.asarray(a[b], np.float64) for a in (features, bounds, gradient))
        )
        np.testing.assert_array_equal(np.asarray(output[b], np.float64), expected[0])
        np.testing.assert_array_equal(np.asarray(features_gradient[b], np.float64), expected[1])


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0]), min_size=9, max_size=9
    ),
    st.tuples(*[st.integers(-2, 10)] * 2),
)
def test_nan_is_the_largest_and_equal_zeros_keep_the_first(values, bounds):
    features = np.asarray(values, np.float32)[None, :, None]
    segments = np.asarray([0, 0, *bounds], np.float32)[None, None]
    output, gradient = pool_and_pull_back(features, segments, jnp.ones((1, 1, 1)))
    expected = slow_pooling(features[0], segments[0], np.ones((1, 1)))
    assert_bits_equal(output[0], expected[0].astype(np.float32))
    np.testing.assert_array_equal(gradient[0], expected[1])


@pytest.mark.parametrize(
    ("segment", "cells"),
    [
        ((2, 4, 1, 3), ((2, 4), (1, 3))),
        ((2.9, 4.9, -0.9, 3.1), ((2, 4), (0, 3))),
        ((-7, -3, 6, 90), ((0, 0), (6, 7))),
        ((5, 2, 90, 80), ((5, 5), (7, 7))),
        ((-np.inf, np.inf, np.nan, 1e30), ((0, 7), (0, 7))),
    ],
    ids=["inclusive", "truncated", "clamped", "reversed", "not finite"],
)
def test_bounds_of_a_region_are(segment, cells):
    features = np.random.default_rng(0).standard_normal((1, 8, 2)).astype(np.float32)
    output = boundary_max_pooling(features, np.asarray(segment, np.float32)[None, None])
    for channel, (first, last) in enumerate(cells):
        assert output[0, 0, channel] == features[0, first : last + 1, channel].max()


def test_segments_in_bfloat16_never_leave_long_features():
    features = jnp.arange(4095.0)[None, :, None]
    output = boundary_max_pooling(features, jnp.full((1, 1, 4), jnp.inf, jnp.bfloat16))
    assert output[0, 0, 0] == 4094


def test_integer_segments_pool_like_floating_point_ones():
    features, segments, _ = random_problem(1)
    whole = jnp.trunc(segments)
    assert_bits_equal(
        boundary_max_pooling(features, whole.astype(jnp.int32)),
        boundary_max_pooling(features, whole),
    )


def test_processing_channels_in_blocks_changes_nothing():
    features, segments, gradient = random_problem(4, 3, 50, 9, 96)
    regions = to_regions(segments, 50)
    assert_bits_equal(xla.forward(features, regions, cache=1), xla.forward(features, regions))
    assert_bits_equal(
        xla.backward(features, regions, gradient, cache=1),
        xla.backward(features, regions, gradient),
    )


def test_segments_get_no_gradient():
    features, segments, _ = random_problem(2)
    gradient = jax.grad(lambda s: boundary_max_pooling(features, s).sum())(segments)
    np.testing.assert_array_equal(gradient, np.zeros_like(segments))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_gradients_of_low_precision_add_up_in_float32(dtype):
    features, segments = jnp.zeros((1, 4, 2), dtype), jnp.zeros((1, 4096, 4))
    gradient = jnp.full((1, 4096, 2), 1 / 4096, dtype)
    _, features_gradient = pool_and_pull_back(features, segments, gradient)
    np.testing.assert_array_equal(features_gradient[0, 0], np.ones(2, dtype))


def test_jit_and_vmap_change_nothing():
    features, segments, gradient = random_problem(3, clips=6)
    expected = pool_and_pull_back(features, segments, gradient)
    split = [a.reshape(2, 3, *a.shape[1:]) for a in (features, segments, gradient)]
    mapped = jax.jit(jax.vmap(pool_and_pull_back))(*split)
    for actual, wanted in zip(mapped, expected, strict=True):
        assert_bits_equal(actual.reshape(wanted.shape), wanted)


@pytest.mark.parametrize(
    ("features", "segments", "message"),
    [
        ((2, 8), (2, 3, 4), r"\[B, T, C\]"),
        ((2, 8, 4), (2, 3, 2), r"\[B, N, 4\]"),
        ((2, 8, 4), (1, 3, 4), "2 clips but segments of 1"),
        ((2, 0, 4), (2, 3, 4), "T >= 1"),
    ],
)
def test_shapes_that_do_not_fit_are_named(features, segments, message):
    with pytest.raises(ValueError, match=message):
        boundary_max_pooling(jnp.zeros(features), jnp.zeros(segments))


def test_integer_features_are_refused():
    with pytest.raises(TypeError, match="int32"):
        boundary_max_pooling(jnp.zeros((1, 2, 2), jnp.int32), jnp.zeros((1, 1, 4)))


@pytest.mark.parametrize(
    ("way", "axis_type", "transform"),
    [
        ("xla", "Auto", "jit"),
        ("xla", "Explicit", "vmap"),
        ("xla", "Auto", "shard_map"),
        ("kernels", "Auto", "jit"),
        ("kernels", "Explicit", "vmap"),
        ("kernels", "Auto", "shard_map"),
    ],
)
def test_a_batch_sharded_over_8_devices_is_never_gathered(way, axis_type, transform):
    program = Path(__file__).parent / "sharded_boundary_max_pooling.py"
    run_python(str(program), way, axis_type, transform)


def run_python(*arguments):
    """Runs a fresh interpreter and returns what it printed."""
    result = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout
