"""The optimiser's choices, against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from afsd_jax.config import default_config
from afsd_jax.training.optimizer import learning_rates, make_optimizer

WEIGHTS = {
    "trunk.Conv3d_1a_7x7.conv.kernel": 1.0,
    "trunk.Mixed_5b.b0.conv.kernel": 2.0,
    "trunk.Mixed_5c.b0.norm.scale": 3.0,
    "loc_head.kernel": 4.0,
    "loc_head.bias": 5.0,
}


def first_update(**fields: object) -> dict[str, float]:
    """Returns what the first step adds to `WEIGHTS`, whose gradients are 1."""
    config = default_config().optimizer
    config.update({"learning_rate": 0.1, "trunk_learning_rate": 0.01, "weight_decay": 0.5} | fields)
    weights = jax.tree.map(jnp.float32, WEIGHTS)
    optimizer = make_optimizer(config, 10)
    grads = jax.tree.map(jnp.ones_like, weights)
    updates, _ = optimizer.update(grads, optimizer.init(weights), weights)
    return {name: float(update) for name, update in updates.items()}


def rate(name: str) -> float:
    return 0.01 if name.startswith("trunk.") else 0.1


def test_adam_makes_no_difference_of_decay_in_its_first_step():
    # Decay is part of the gradient, of which the first step sees the sign alone.
    for name, update in first_update().items():
        assert update == pytest.approx(-rate(name), rel=1e-5), name


def test_adamw_adds_decay_to_the_update_of_kernels_alone():
    for name, update in first_update(name="adamw").items():
        decay = 0.5 * WEIGHTS[name] if name.endswith("kernel") else 0.0
        assert update == pytest.approx(-rate(name) * (1 + decay), rel=1e-5), name


def test_a_unit_of_the_trunk_learns_less_than_the_one_after_it():
    found = first_update(trunk_decay=0.5)
    factors = {name: update / -rate(name) for name, update in found.items()}
    powers = {"Conv3d_1a_7x7": 11, "Mixed_5b": 1, "Mixed_5c": 0}
    for name, factor in factors.items():
        power = next((p for unit, p in powers.items() if unit in name), 0)
        assert factor == pytest.approx(0.5**power, rel=1e-5), name


def test_the_default_is_adam_as_it_was():
    config = default_config().optimizer
    weights = {name: jnp.float32(value) for name, value in WEIGHTS.items()}
    plain = optax.chain(
        optax.add_decayed_weights(config.weight_decay), optax.adam(config.learning_rate)
    )
    ours, theirs = make_optimizer(config, 10), plain
    states = ours.init(weights), theirs.init(weights)
    random = np.random.default_rng(0)
    for _ in range(3):
        grads = {name: jnp.float32(random.normal()) for name in weights}
        found, first = ours.update(grads, states[0], weights)
        expected, second = theirs.update(grads, states[1], weights)
        states = first, second
        assert {k: float(v) for k, v in found.items()} == {k: float(v) for k, v in expected.items()}


def test_given_rates_take_the_place_of_the_schedules():
    config = default_config().optimizer
    config.update({"schedule": "cosine", "warmup_steps": 3})
    weights = jax.tree.map(jnp.float32, WEIGHTS)
    short, long = make_optimizer(config, 10), make_optimizer(config, 1000)
    state = short.init(weights)
    for step in range(6):
        rates = short.rates(state)
        schedules = learning_rates(config, 10)
        for part, rate in rates.items():
            assert float(rate) == pytest.approx(float(schedules[part](step)), rel=1e-6)
        grads = jax.tree.map(jnp.ones_like, weights)
        expected, after = short.update(grads, state, weights)
        found, _ = long.update(grads, state, weights, rates)
        assert found == expected
        state = after


def test_schedules_are_told_for_the_log():
    config = default_config().optimizer
    config.update({"learning_rate": 0.1, "warmup_steps": 10, "schedule": "cosine"})
    heads = learning_rates(config, 110)["heads"]
    found = [float(heads(step)) for step in (0, 5, 10, 60, 110)]
    np.testing.assert_allclose(found, [0, 0.05, 0.1, 0.05, 0], atol=1e-7)
