"""The optimiser: Adam or AdamW, with separate learning rates for the trunk."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import optax

from afsd_jax.models import i3d

_UNITS = [name for name in i3d.ENDPOINTS if name not in i3d.POOLS]
_PARTS = {"trunk": "trunk", "heads": "head"}  # of the network, and their labels in saved states

Rates = dict[str, jax.Array]  # learning rates by part of the network


class Optimizer(NamedTuple):
    """An optimiser of gradients by flattened name.

    init: weights → state.
    update: (gradients, state, weights, rates) → (updates, next state).
    rates: state → learning rates of the next update. They are arguments of `update`, so a compiled
      update serves every schedule.
    """

    init: Callable[[Any], optax.OptState]
    update: Callable[..., tuple[Any, optax.OptState]]
    rates: Callable[[optax.OptState], Rates]


def is_trunk(name: str) -> bool:
    """Returns whether a weight belongs to the trunk, by its flattened name."""
    return name.startswith("trunk.")


def learning_rates(
    optimizer: ml_collections.ConfigDict, total_steps: int
) -> dict[str, optax.Schedule]:
    """Returns the schedules of the learning rates of `heads` and `trunk`.

    Args:
      optimizer: section `optimizer` of the configuration.
      total_steps: step at which the cosine schedule reaches zero.
    """

    def schedule(peak: float) -> optax.Schedule:
        after = max(total_steps - optimizer.warmup_steps, 1)
        main = (
            optax.cosine_decay_schedule(peak, after)
            if optimizer.schedule == "cosine"
            else optax.constant_schedule(peak)
        )
        if not optimizer.warmup_steps:
            return main
        warmup = optax.linear_schedule(0.0, peak, optimizer.warmup_steps)
        return optax.join_schedules([warmup, main], [optimizer.warmup_steps])

    return {
        "heads": schedule(optimizer.learning_rate),
        "trunk": schedule(optimizer.trunk_learning_rate),
    }


def make_optimizer(optimizer: ml_collections.ConfigDict, total_steps: int) -> Optimizer:
    """Returns Adam (0.9, 0.999, 1e-8) with weight decay, for gradients by flattened name.

    `adam` adds `weight_decay` times the weight to the gradient, as the reference does. `adamw` adds
    it to the update (Loshchilov & Hutter 2019), but not for biases and norms. Each unit of the
    trunk learns `trunk_decay` times as fast as the next one.

    Args:
      optimizer: section `optimizer` of the configuration.
      total_steps: see `learning_rates`.
    """
    clip = optax.clip_by_global_norm(optimizer.clip_norm) if optimizer.clip_norm else None
    adam = optax.scale_by_adam()
    if optimizer.name == "adamw":
        decay = optax.add_decayed_weights(
            optimizer.weight_decay,
            lambda params: {name: name.endswith(".kernel") for name in params},
        )
        chain = [adam, decay]
    else:
        chain = [optax.add_decayed_weights(optimizer.weight_decay), adam]
    if optimizer.trunk_decay != 1:
        chain.append(_scale_units(optimizer.trunk_decay))
    chained = optax.chain(
        clip or optax.identity(),
        *chain,
        optax.partition(
            {label: _scale_by_rate(part) for part, label in _PARTS.items()},
            lambda params: {
                name: _PARTS["trunk" if is_trunk(name) else "heads"] for name in params
            },
        ),
    )
    schedules = learning_rates(optimizer, total_steps)

    @jax.jit
    def scheduled(counts: dict[str, jax.Array]) -> Rates:
        return {part: jnp.asarray(schedules[part](count)) for part, count in counts.items()}

    def rates(state: optax.OptState) -> Rates:
        inner = state[-1].inner_states
        return scheduled({part: inner[label].inner_state.count for part, label in _PARTS.items()})

    def update(
        grads: Any, state: optax.OptState, params: Any, given: Rates | None = None
    ) -> tuple[Any, optax.OptState]:
        used = rates(state) if given is None else given
        return chained.update(grads, state, params, rates=used)

    return Optimizer(chained.init, update, rates)


def _scale_by_rate(part: str) -> optax.GradientTransformationExtraArgs:
    """Scales updates by minus a part's rate; has the state of `optax.scale_by_schedule`."""

    def init(params: Any) -> optax.OptState:
        return optax.ScaleByScheduleState(jnp.zeros((), jnp.int32))

    def update(
        updates: Any, state: Any, params: Any = None, *, rates: Rates, **_: Any
    ) -> tuple[Any, optax.OptState]:
        scaled = jax.tree.map(lambda x: jnp.asarray(-rates[part], x.dtype) * x, updates)
        return scaled, optax.ScaleByScheduleState(optax.safe_increment(state.count))

    return optax.GradientTransformationExtraArgs(init, update)


def _scale_units(decay: float) -> optax.GradientTransformation:
    """Scales the updates of the trunk's units by powers of `decay`; that of the last unit by 1."""

    def factor(name: str) -> float:
        if not is_trunk(name):
            return 1.0
        return decay ** (len(_UNITS) - 1 - _UNITS.index(name.split(".")[1]))

    return optax.stateless(
        lambda updates, _: {name: factor(name) * update for name, update in updates.items()}
    )
