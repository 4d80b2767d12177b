"""The Triton kernels in Triton's interpreter, against the XLA implementation and the reference.

To be run with TRITON_INTERPRET=1 in a process of its own, as test_boundary_max_pooling_triton.py
does: Triton reads it when it is imported.
"""

from contextlib import contextmanager
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import triton.language as tl
from hypothesis import given, settings
from hypothesis import strategies as st

from afsd_jax.kernels import block_table, triton_calls, triton_kernels, xla
from afsd_jax.kernels.regions import longest_regions, to_regions

GOLDEN = Path(__file__).parents[1] / "golden" / "boundary_max_pooling.npz"
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0]


def torch_dtype(dtype):
    return getattr(torch, jnp.dtype(dtype).name)


def as_torch(array):
    array = np.asarray(array)
    if array.dtype == jnp.bfloat16:
        return torch.from_numpy(array.astype(np.float32)).to(torch.bfloat16)
    return torch.from_numpy(array.copy())


def interpret(kernel, inputs, outputs, grid, **constants):
    """A `triton_calls.Launch` by the interpreter; what no kernel writes is NaN or 77."""
    results = [
        torch.full(
            form.shape,
            77 if jnp.issubdtype(form.dtype, jnp.integer) else torch.nan,
            dtype=torch_dtype(form.dtype),
        )
        for form in outputs
    ]
    if grid:
        kernel[(grid,)](*inputs, *results, **constants)
    return results


@contextmanager
def small_blocks():
    """blocks and tiles of 4 cells: a few dozen cells then use both levels of the table."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("BLOCK_CELLS", "DIRECT"):
            patch.setattr(block_table, name, 4)
            patch.setattr(triton_kernels, name, tl.constexpr(4))
        patch.setattr(triton_kernels, "TILE", tl.constexpr(4))
        patch.setattr(triton_kernels, "CHUNK", tl.constexpr(4))
        yield


def pool(features, segments, gradient):
    """Output and gradient of the features by the interpreted kernels."""
    length, dtype = features.shape[1], features.dtype
    regions = to_regions(segments, length)
    longest = as_torch(longest_regions(regions))
    features, regions, gradient = map(as_torch, (features, regions, gradient))
    output, *positions = triton_calls.forward(
        interpret, features, regions, longest, dtype, track=True
    )
    (untracked,) = triton_calls.forward(interpret, features, regions, longest, dtype, track=False)
    torch.testing.assert_close(untracked, output, rtol=0, atol=0, equal_nan=True)
    features_gradient = triton_calls.backward(
        interpret, gradient, regions, longest, positions, length, dtype
    )
    assert output.dtype == features_gradient.dtype == torch_dtype(dtype)
    return output.float().numpy(), features_gradient.float().numpy()


@jax.jit
def pool_by_xla(features, segments, gradient):
    regions = to_regions(segments, features.shape[1])
    return xla.forward(features, regions), xla.backward(features, regions, gradient)


def assert_same_as_xla(features, segments, gradient):
    for actual, expected in zip(
        pool(features, segments, gradient),
        pool_by_xla(features, segments, gradient),
        strict=True,
    ):
        np.testing.assert_array_equal(actual, np.asarray(expected, np.float32))


def random_problem(seed, clips, cells, count, channels, dtype):
    """Many ties, segments with every oddity, whole numbers as gradients: their sums are exact."""
    random = np.random.default_rng(seed)
    bounds = random.uniform(-2, cells + 2, (clips, count, 4))
    bounds[random.random(bounds.shape) < 0.05] = np.nan
    return (
        jnp.asarray(random.integers(-3, 4, (clips, cells, channels)) / 2, dtype),
        jnp.asarray(bounds, jnp.float32),
        jnp.asarray(random.integers(-4, 5, (clips, count, channels)), dtype),
    )


def test_kernels_are_the_reference():
    golden = dict(np.load(GOLDEN))
    for name in ("features", "output", "grad_output", "grad_features"):
        golden[name] = golden[name].transpose(0, 2, 1)
    output, gradient = pool(golden["features"], golden["segments"], golden["grad_output"])
    np.testing.assert_array_equal(output, golden["output"])
    np.testing.assert_allclose(gradient, golden["grad_features"], rtol=0, atol=1e-6)


@settings(max_examples=8, deadline=None)
@given(
    shape=st.sampled_from([(2, 3, 2, 1), (1, 9, 4, 3), (1, 40, 6, 6)]),
    dtype=st.sampled_from([jnp.float32, jnp.bfloat16, jnp.float16]),
    seed=st.integers(0, 2**32 - 1),
)
def test_kernels_are_the_xla_implementation(shape, dtype, seed):
    with small_blocks():
        assert_same_as_xla(*random_problem(seed, *shape, dtype))


@settings(max_examples=5, deadline=None)
@given(st.lists(st.sampled_from(SPECIAL), min_size=30, max_size=30), st.integers(0, 2**32 - 1))
def test_nan_and_infinities_are_as_in_the_xla_implementation(values, seed):
    _, segments, gradient = random_problem(seed, 1, 30, 4, 2, jnp.float32)
    features = np.repeat(np.asarray(values, np.float32)[None, :, None], 2, axis=2)
    with small_blocks():
        assert_same_as_xla(features, segments, gradient)


def test_blocks_of_full_size_are_the_xla_implementation():
    features, segments, gradient = random_problem(0, 1, 540, 2, 2, jnp.float32)
    segments = segments.at[0, 0].set(jnp.array([1.0, 538.0, 17.0, 530.0]))
    assert_same_as_xla(features, segments, gradient)


def test_no_segments_pool_to_nothing_and_give_zero_gradients():
    output, gradient = pool(*random_problem(0, 1, 5, 0, 2, jnp.float32))
    assert output.shape == (1, 0, 2)
    np.testing.assert_array_equal(gradient, np.zeros((1, 5, 2)))
