"""The compiler options for networks are used and do not change results."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afsd_jax.runtime.compilation import compiled


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="is about CPUs")
def test_convolutions_on_cpus_are_left_to_eigen():
    def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
        dimensions = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=dimensions)

    x, kernel = jnp.ones((2, 8, 8, 16)), jnp.full((3, 3, 16, 32), 0.5)
    program = compiled(convolve).lower(x, kernel).compile()
    assert "ynn" not in program.as_text()
    np.testing.assert_allclose(program(x, kernel), jax.jit(convolve)(x, kernel), rtol=1e-6)


def test_options_of_jit_are_passed_on():
    x = jnp.ones(3)
    compiled(lambda x: x + 1, donate_argnums=0)(x)
    assert x.is_deleted()
