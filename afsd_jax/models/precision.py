"""What is not computed in bfloat16: statistics, exponentials, losses."""

import jax
import jax.numpy as jnp


def widened(x: jax.Array) -> jax.Array:
    """Returns x in float32, or as it is if it is wider."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
