"""The loss of classification. Source: AFSD §3.5."""

import jax
import jax.numpy as jnp


def focal_loss(
    logits: jax.Array, labels: jax.Array, alpha: float, gamma: float, smoothing: float = 0.0
) -> jax.Array:
    """Returns the softmax focal loss [...] of logits [..., C] against labels [...].

    -a (1 - p)^gamma log p, p = softmax(logits)[label] + 1e-6, a = alpha for actions and 1 - alpha
    for class 0, the background.

    With smoothing e, the target is 1 - e of the label and e / C of every class (Szegedy et al.,
    "Rethinking the Inception Architecture", CVPR 2016, §7): the loss is 1 - e times the above plus
    e times its mean over p of all classes, with the label's a.

    Example:
      >>> logits, labels = jnp.zeros((2, 2)), jnp.array([1, 0])
      >>> [f"{x:.4f}" for x in focal_loss(logits, labels, alpha=0.75, gamma=2.0)]
      ['0.1300', '0.0433']
    """
    every = jax.nn.softmax(logits)
    chosen = jnp.take_along_axis(every, labels[..., None], axis=-1)[..., 0]
    weight = jnp.where(labels > 0, alpha, 1 - alpha)

    def terms(p: jax.Array, weight: jax.Array) -> jax.Array:
        p = p + 1e-6
        return -weight * (1 - p) ** gamma * jnp.log(p)

    loss = terms(chosen, weight)
    if smoothing:
        loss = (1 - smoothing) * loss + smoothing * terms(every, weight[..., None]).mean(-1)
    return loss
