"""Max pooling and its gradient are PyTorch's, ties included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from afsd_jax.models.max_pool import max_pool3d
from tests import torch_twin as twin

SIZES = st.integers(1, 7)


FORMS = pytest.mark.parametrize("form", ["separable", "window"])


@FORMS
@settings(max_examples=30, deadline=None)
@given(
    st.tuples(SIZES, SIZES, SIZES),
    st.tuples(*[st.integers(1, 3)] * 3),
    st.tuples(*[st.integers(1, 2)] * 3),
    st.integers(0, 2**16),
)
def test_the_first_of_equal_cells_gets_the_gradient(form, sizes, kernel_size, strides, seed):
    strides = tuple(map(min, strides, kernel_size))
    rng = np.random.default_rng(seed)
    x = rng.integers(1, 4, (2, *sizes, 2)).astype(np.float32)  # three values: ties everywhere
    shape = jax.eval_shape(lambda x: max_pool3d(x, kernel_size, strides, True, form), x).shape
    cotangent = rng.standard_normal(shape, np.float32)

    @jax.jit
    def pool(x, cotangent):
        out, pull_back = jax.vjp(lambda x: max_pool3d(x, kernel_size, strides, True, form), x)
        return out, *pull_back(cotangent)

    out, pulled_back = pool(x, cotangent)

    cells = torch.tensor(x.transpose(0, 4, 1, 2, 3), requires_grad=True)
    expected = twin.MaxPool3d(kernel_size, strides)(cells)
    expected.backward(torch.tensor(cotangent.transpose(0, 4, 1, 2, 3)))
    np.testing.assert_array_equal(out, expected.detach().numpy().transpose(0, 2, 3, 4, 1))
    gradient = cells.grad.numpy().transpose(0, 2, 3, 4, 1)
    np.testing.assert_allclose(pulled_back, gradient, atol=1e-6)


@FORMS
def test_time_may_be_left_unpadded(form):
    def pool(x):
        return max_pool3d(x, (3, 3, 3), (2, 2, 2), pad_time=False, implementation=form)

    x = jnp.arange(5.0).reshape(1, 5, 1, 1, 1)
    pooled, pull_back = jax.vjp(pool, x)
    np.testing.assert_array_equal(pooled.ravel(), [2, 4])
    (gradient,) = pull_back(jnp.array([1.0, 3.0]).reshape(pooled.shape))
    np.testing.assert_array_equal(gradient.ravel(), [0, 0, 1, 0, 3])
