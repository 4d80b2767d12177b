"""The forms of the network that GPUs compute have the losses of those of CPUs."""

from typing import Any

import jax
import numpy as np
import pytest

from afsd_jax.models import parameters
from afsd_jax.training.branch_losses import are_joint, compute_losses, joint_losses
from tests.small_run import small_config
from tests.training_clips import training_clip

CLIPS, LENGTH = 2, 32


def configuration() -> Any:
    small = {"pyramid_inputs": ("Mixed_3b",), "levels": 2, "loc_multipliers": (4.0, 8.0)}
    config = small_config(**small, consistency_stride=2, pooling="xla")
    config.data.clip_length = LENGTH
    config.loss.consistency_weight = 0.1
    return config


def weights_of(config: Any) -> dict[str, Any]:
    """Returns random weights whose norms change what they normalise."""
    rng = np.random.default_rng(2)
    weights = parameters.flatten(parameters.build_network(config))
    drawn = {
        name: rng.uniform(0.5, 1.5, value.shape).astype(np.float32)
        for name, value in weights.items()
        if name.startswith("trunk.") and name.endswith(("norm.scale", "norm.var"))
    }
    return weights | drawn


@pytest.fixture
def fast_compiling_here():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def test_one_batch_on_gpus_has_the_losses_of_both_branches_on_cpus(
    monkeypatch, fast_compiling_here
):
    config = configuration()
    template, weights = parameters.abstract_network(config), weights_of(config)
    one = training_clip(LENGTH, 32, [(2.0, 20.0)])
    batch = {name: np.repeat(value, CLIPS, 0) for name, value in one.items()}
    batch["frames"][1] //= 2

    def on_cpus(weights: Any) -> Any:
        model = parameters.replace(template, weights)
        parts = [compute_losses(model, batch, config, flag) for flag in (False, True)]
        return {name: parts[0][name] + parts[1][name] for name in parts[0]}

    def on_gpus(weights: Any) -> Any:
        return joint_losses(parameters.replace(template, weights), batch, config)

    expected = jax.jit(on_cpus)(weights)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")  # chooses the forms, not the device
    found = jax.jit(on_gpus)(weights)
    assert expected["triplet"] > 0
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, err_msg=name)


def test_a_frozen_trunks_features_pass_the_heads_in_one_batch(fast_compiling_here):
    config = configuration()
    template, weights = parameters.abstract_network(config), weights_of(config)
    clip = training_clip(LENGTH, 32, [(2.0, 20.0)])
    batch = {name: np.repeat(value, CLIPS, 0) for name, value in clip.items()}
    ((cells, *rest),) = template.feature_shapes
    shape = (CLIPS, cells, int(np.prod(rest)))
    batch["features"] = np.random.default_rng(3).uniform(0, 1, shape).astype(np.float32)

    @jax.jit
    def both(weights: Any) -> tuple[Any, list[Any]]:
        model = parameters.replace(template, weights)
        parts = [compute_losses(model, batch, config, flag) for flag in (False, True)]
        return joint_losses(model, batch, config), parts

    found, (clips, consistency_clips) = both(weights)
    assert consistency_clips["triplet"] > 0
    for name, value in found.items():
        expected = clips[name] + consistency_clips[name]
        np.testing.assert_allclose(value, expected, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize(
    ("backend", "batch_norm", "weight", "joint"),
    [
        ("gpu", "frozen", 0.1, True),
        ("cpu", "frozen", 0.1, False),
        ("gpu", "trained", 0.1, False),
        ("gpu", "frozen", 0.0, False),
    ],
)
def test_branches_are_joined_on_gpus_if_no_norm_would_mix_them(
    monkeypatch, backend, batch_norm, weight, joint
):
    config = configuration()
    config.model.batch_norm, config.loss.consistency_weight = batch_norm, weight
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert are_joint(config) is joint
