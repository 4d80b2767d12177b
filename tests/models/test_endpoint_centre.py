"""Which frames the cells of the trunk's endpoints see."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from afsd_jax.models import i3d


@pytest.mark.parametrize("endpoint", ["Mixed_3b", "Mixed_4b"])
def test_a_feature_stands_in_the_middle_of_the_frames_that_it_sees(endpoint):
    """With positive weights a brighter frame brightens exactly the cells that see it."""
    trunk = i3d.I3D(1, 0.05, False, "", jnp.float32, np.random.default_rng(0), (endpoint,))
    state = nnx.state(trunk)
    for path, variable in nnx.to_flat_state(state):
        variable[...] = jnp.abs(variable[...]) if path[-1] == "kernel" else variable[...]
    stride, _ = i3d.endpoint_stride(endpoint)
    length = 96
    cell = length // stride // 2
    frames = np.ones((length, length, 16, 16, 1), np.float32)
    frames[np.arange(length), np.arange(length)] = 2
    run = nnx.jit(lambda trunk, x: trunk(x)[endpoint][:, cell].sum((1, 2, 3)))
    found = np.concatenate([run(trunk, frames[i : i + 16]) for i in range(0, length, 16)])
    plain = run(trunk, np.ones((1, length, 16, 16, 1), np.float32))[0]
    seen = np.flatnonzero(found > plain * (1 + 1e-6))
    assert 0 < seen[0] < seen[-1] < length - 1
    assert (seen + 0.5).mean() == i3d.endpoint_centre(endpoint) + cell * stride
