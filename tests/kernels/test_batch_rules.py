"""Functions over a batch under `vmap`."""

import jax
import jax.numpy as jnp
import numpy as np

from afsd_jax.kernels.batch_rules import over_batch


def with_shapes():
    """A function over a batch, and the shapes of the first arrays that it was called with."""
    shapes = []

    def function(x, y):
        shapes.append(x.shape)
        return [x + y[:, :1], y]

    return over_batch(function, "b t c, b n c -> b t c, b n c"), shapes


def test_vmap_joins_the_batch_as_its_fast_axis():
    function, shapes = with_shapes()
    x, y = np.arange(5 * 2 * 3 * 4.0).reshape(5, 2, 3, 4), np.arange(2 * 4.0).reshape(2, 1, 4)
    doubled, kept = jax.vmap(function, in_axes=(0, None))(x, y)
    np.testing.assert_array_equal(doubled, x + y)
    np.testing.assert_array_equal(kept, np.broadcast_to(y, (5, *y.shape)))
    assert shapes[-1] == (10, 3, 4)


def test_vmap_of_vmap_joins_both():
    function, shapes = with_shapes()
    x, y = jnp.arange(24.0).reshape(2, 3, 2, 2, 1), jnp.arange(4.0).reshape(2, 2, 1, 1)
    nested = jax.vmap(jax.vmap(function, in_axes=(0, None)))
    np.testing.assert_array_equal(nested(x, y)[0], x + y[:, None])
    assert shapes[-1] == (12, 2, 1)
