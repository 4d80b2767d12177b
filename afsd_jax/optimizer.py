"""The optimiser: Adam with coupled weight decay, its own learning rate for the trunk."""

import ml_collections
import optax


def make_optimizer(
    optimizer: ml_collections.ConfigDict, total_steps: int
) -> optax.GradientTransformation:
    """Returns Adam (0.9, 0.999, 1e-8) on the gradient plus `weight_decay` times the weights.

    Parameters whose flattened name begins with "trunk." learn at `trunk_learning_rate`.

    Args:
      optimizer: that part of the configuration.
      total_steps: at which the cosine schedule reaches zero.
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

    clip = optax.clip_by_global_norm(optimizer.clip_norm) if optimizer.clip_norm else None
    rates = {
        "trunk": optax.scale_by_learning_rate(schedule(optimizer.trunk_learning_rate)),
        "head": optax.scale_by_learning_rate(schedule(optimizer.learning_rate)),
    }
    return optax.chain(
        clip or optax.identity(),
        optax.add_decayed_weights(optimizer.weight_decay),
        optax.scale_by_adam(),
        optax.partition(
            rates,
            lambda params: {
                name: "trunk" if name.startswith("trunk.") else "head" for name in params
            },
        ),
    )
