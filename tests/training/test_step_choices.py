"""A step in parts is the step as a whole; averages follow it; what is not finite undoes it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afsd_jax.models import parameters
from afsd_jax.training.optimizer import make_optimizer
from afsd_jax.training.state import TrainState, init_state
from afsd_jax.training.step import make_train_step
from tests.small_run import small_config
from tests.training_clips import training_clip


@pytest.fixture(scope="module")
def steps():
    """The first state, and what one step in one and in two parts makes of it."""
    jax.config.update("jax_disable_most_optimizations", True)  # compiling is what costs
    yield first_steps()
    jax.config.update("jax_disable_most_optimizations", False)


def first_steps() -> dict[str, Any]:
    config = small_config(
        pyramid_inputs=("Mixed_3c",), levels=3, loc_multipliers=(4.0,) * 3, consistency_stride=2
    )
    config.loss.normalise = "clip"  # with "batch", parts count their positives for themselves
    config.loss.consistency_weight = 0.0
    config.optimizer.ema = 0.9
    clip = training_clip(config.data.clip_length, config.data.crop_size)
    batch = {name: jnp.concatenate([value, value]) for name, value in clip.items()}
    batch["frames"] = batch["frames"].at[1].set(batch["frames"][1] // 2)
    found: dict[str, Any] = {}
    for parts, dtype in ((1, "float32"), (2, "float32"), (1, "bfloat16")):
        config.model.dtype = dtype
        config.train.accumulate = parts
        network = parameters.build_network(config)
        optimizer = make_optimizer(config.optimizer, 10)
        state = init_state(network, optimizer, averaged=True)
        step = make_train_step(network, optimizer, config)
        name = f"parts {parts}" if dtype == "float32" else dtype
        found[name] = (state, *step(copied(state), batch, norms=True))
        if name == "parts 1":
            found["step"], found["batch"] = step, batch
            wrong = {"loc_scale": state.trainable["loc_scale"] * np.nan}
            wrong_state = state._replace(trainable=state.trainable | wrong)
            found["not finite"] = (wrong_state, *step(copied(wrong_state), batch))
    return found


def copied(state: TrainState) -> TrainState:
    """A step writes over the state that it is given."""
    return jax.tree.map(jnp.array, state)


def assert_equal(found: dict, expected: dict, **tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, err_msg=name, **tolerance)


def test_a_batch_in_parts_gives_the_same_step(steps):
    _, whole, whole_terms, whole_health = steps["parts 1"]
    _, parts, terms, health = steps["parts 2"]
    assert_equal(terms, whole_terms, rtol=1e-5)
    assert_equal(health, whole_health, rtol=1e-3)
    # Adam's first step is a sign: where the gradient is next to nothing, it may be either.
    rate = 1e-5
    for name, value in whole.trainable.items():
        differs = np.abs(parts.trainable[name] - value) > 0.1 * rate
        assert differs.mean() < 0.01, name


def test_in_bfloat16_state_and_losses_stay_float32_and_near(steps):
    _, _, terms, health = steps["parts 1"]
    _, after, rough_terms, rough_health = steps["bfloat16"]
    assert {x.dtype.name for x in jax.tree.leaves(after)} == {"float32", "int32"}
    assert {x.dtype.name for x in rough_terms.values()} == {"float32"}
    assert bool(rough_health["finite"])
    assert float(rough_terms["total"]) == pytest.approx(float(terms["total"]), rel=0.05)
    assert rough_terms["total"] != terms["total"], "nothing was computed in bfloat16"
    norm = float(health["gradient_norm/heads"])
    assert float(rough_health["gradient_norm/heads"]) == pytest.approx(norm, rel=0.2)


def test_averages_keep_their_share(steps):
    before, after, _, health = steps["parts 1"]
    assert bool(health["finite"])
    expected = {
        name: 0.9 * value + 0.1 * after.trainable[name] for name, value in before.ema.items()
    }
    assert_equal(after.ema, expected, rtol=1e-6, atol=1e-9)
    assert (
        after.weights.keys()
        == parameters.shapes(
            small_config(pyramid_inputs=("Mixed_3c",), levels=3, loc_multipliers=(4.0,) * 3)
        ).keys()
    )
    np.testing.assert_array_equal(after.weights["loc_scale"], after.ema["loc_scale"])


def test_norms_are_of_what_the_step_did(steps):
    before, after, _, health = steps["parts 1"]
    for part, trunk in (("trunk", True), ("heads", False)):
        names = [name for name in before.trainable if name.startswith("trunk.") == trunk]
        new = np.concatenate([np.ravel(after.trainable[name]) for name in names])
        old = np.concatenate([np.ravel(before.trainable[name]) for name in names])
        for kind, values in (("weight", new), ("update", new - old)):
            expected = np.linalg.norm(values.astype(np.float64))
            assert float(health[f"{kind}_norm/{part}"]) == pytest.approx(expected, rel=1e-5)
    assert steps["not finite"][3].keys() == {"finite"}, "none were asked for"


def test_the_state_given_is_written_over(steps):
    _, state, _, _ = steps["parts 1"]
    old = copied(state)
    fresh, _, _ = steps["step"](old, steps["batch"])
    assert all(x.is_deleted() for x in jax.tree.leaves((old.trainable, old.opt_state, old.ema)))
    assert int(fresh.step) == int(state.step) + 1


def test_what_is_not_finite_leaves_all_but_the_number_of_the_step(steps):
    before, after, terms, health = steps["not finite"]
    assert not bool(health["finite"])
    assert not np.isfinite(terms["total"])
    assert int(after.step) == int(before.step) + 1
    for old, new in zip(jax.tree.leaves(before)[1:], jax.tree.leaves(after)[1:], strict=True):
        np.testing.assert_array_equal(new, old)
