"""The network as Flax NNX modules: trunk, pyramid, heads and saliency refinement."""

from afsd_jax.models.network import Network, Outputs, normalise

__all__ = ["Network", "Outputs", "normalise"]
