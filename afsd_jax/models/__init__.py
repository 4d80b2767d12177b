"""The network as Flax NNX modules: trunk, pyramid, heads and saliency refinement."""

from afsd_jax.models.network import PADDING, Network, Outputs, normalise

__all__ = ["PADDING", "Network", "Outputs", "normalise"]
