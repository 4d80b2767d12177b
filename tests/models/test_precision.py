"""float32 is exact on GPUs where JAX is asked for it: no product chooses a precision of its own."""

import re

import jax
import numpy as np
import pytest

from afsd_jax.models import parameters
from tests.small_run import small_config


def precisions(asked: str | None, dtype: str) -> tuple[set[str], set[str]]:
    """Returns the precisions of all convolutions and of all matrix products, with gradients."""
    small = {"pyramid_inputs": ("Mixed_3b",), "levels": 2, "loc_multipliers": (4.0, 8.0)}
    config = small_config(**small, consistency_stride=2, dtype=dtype, pooling="xla")
    template = parameters.abstract_network(config)

    def gradient(weights, clips):
        def loss(weights):
            outputs = parameters.replace(template, weights)(clips, training=True)
            return sum(x.sum() for x in jax.tree.leaves(outputs))

        return jax.grad(loss)(weights)

    clips = jax.ShapeDtypeStruct((1, config.data.clip_length, 32, 32, 3), np.float32)
    with jax.default_matmul_precision(asked):
        text = jax.jit(gradient).lower(parameters.shapes(config), clips).as_text()
    found = []
    for operation in ("convolution", "dot_general"):
        lines = [x for x in text.splitlines() if f"stablehlo.{operation}" in x]
        assert lines
        matches = [
            re.search(r"precision(?:_config)? = \[(?:#stablehlo<precision )?(\w+)", x)
            for x in lines
        ]
        found.append({match[1] if match else "DEFAULT" for match in matches})
    return found[0], found[1]


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_all_products_follow_jaxs_setting(monkeypatch, backend):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)  # chooses the forms of layers
    assert precisions("float32", "float32") == ({"HIGHEST"}, {"HIGHEST"})
    convolutions, _ = precisions(None, "float32")
    assert convolutions == {"DEFAULT"}  # TF32 on GPUs
