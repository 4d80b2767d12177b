"""The optimiser: Adam or AdamW, with separate learning rates for the trunk."""

import ml_collections
import optax

from afsd_jax.models import i3d

_UNITS = [name for name in i3d.ENDPOINTS if name not in i3d.POOLS]


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


def make_optimizer(
    optimizer: ml_collections.ConfigDict, total_steps: int
) -> optax.GradientTransformation:
    """Returns Adam (0.9, 0.999, 1e-8) with weight decay, for gradients by flattened name.

    `adam` adds `weight_decay` times the weight to the gradient, as the reference does. `adamw` adds
    it to the update (Loshchilov & Hutter 2019), but not for biases and norms. Each unit of the
    trunk learns `trunk_decay` times as fast as the next one.

    Args:
      optimizer: section `optimizer` of the configuration.
      total_steps: see `learning_rates`.
    """
    clip = optax.clip_by_global_norm(optimizer.clip_norm) if optimizer.clip_norm else None
    rates = learning_rates(optimizer, total_steps)
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
    return optax.chain(
        clip or optax.identity(),
        *chain,
        optax.partition(
            # The label "head" is part of saved states.
            {
                "trunk": optax.scale_by_learning_rate(rates["trunk"]),
                "head": optax.scale_by_learning_rate(rates["heads"]),
            },
            lambda params: {name: "trunk" if is_trunk(name) else "head" for name in params},
        ),
    )


def _scale_units(decay: float) -> optax.GradientTransformation:
    """Scales the updates of the trunk's units by powers of `decay`; that of the last unit by 1."""

    def factor(name: str) -> float:
        if not is_trunk(name):
            return 1.0
        return decay ** (len(_UNITS) - 1 - _UNITS.index(name.split(".")[1]))

    return optax.stateless(
        lambda updates, _: {name: factor(name) * update for name, update in updates.items()}
    )
