"""Rematerialisation changes neither gradients nor running statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from afsd_jax.config import REMAT
from afsd_jax.models import parameters
from tests.small_run import small_config


def lowered(policy: str) -> tuple[jax.stages.Lowered, dict[str, jax.Array], jax.Array]:
    """Returns the lowered gradient of a short trunk, and its arguments."""
    config = small_config(pyramid_inputs=("Mixed_3b",), batch_norm="trained", remat=policy)
    network = parameters.build_network(config)
    weights = parameters.flatten(network)
    learned = set(parameters.names(network, nnx.Param))
    trainable = {name: x for name, x in weights.items() if name in learned}
    fixed = {name: x for name, x in weights.items() if name not in learned}
    template = nnx.eval_shape(lambda: network)

    def loss(trainable, clips):
        model = parameters.replace(template, {**trainable, **fixed})
        (features,) = model.features(clips, training=True)
        after = parameters.flatten(model)
        return jnp.square(features).mean(), {name: after[name] for name in fixed}

    clips = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (1, 16, 32, 32, 3)), jnp.float32)
    return jax.jit(jax.grad(loss, has_aux=True)).lower(trainable, clips), trainable, clips


@pytest.fixture(scope="module")
def found():
    """Returns gradient, statistics and the program's products and convolutions by policy."""
    jax.config.update("jax_disable_most_optimizations", True)  # compiling is what costs
    results = {}
    for policy in REMAT:
        program, trainable, clips = lowered(policy)
        text = program.as_text()
        products = text.count("stablehlo.convolution") + text.count("stablehlo.dot_general")
        results[policy] = (*program.compile()(trainable, clips), products)
    jax.config.update("jax_disable_most_optimizations", False)
    return results


@pytest.mark.parametrize("policy", REMAT[1:])
def test_gradient_and_statistics_are_the_same(found, policy):
    gradient, statistics, _ = found[policy]
    expected, expected_statistics, _ = found[""]
    for name, value in expected.items():
        scale = float(jnp.abs(value).max())
        np.testing.assert_allclose(gradient[name], value, 1e-4, 1e-5 * scale, err_msg=name)
    moved = 0
    for name, value in expected_statistics.items():
        np.testing.assert_allclose(statistics[name], value, 1e-5, 1e-7, err_msg=name)
        moved += bool(np.any(value != np.round(value)))
    assert moved > 0


def test_policies_compute_products_again_but_for_the_one_that_keeps_them(found):
    products = {policy: entry[2] for policy, entry in found.items()}
    assert products["products"] == products[""]
    assert products["blocks"] > products[""]
    assert products["trunk"] > products[""]
