"""The network as Flax NNX modules: trunk, pyramid, heads and saliency refinement."""

from afsd_jax.models.detector import Detector, Outputs, normalise

__all__ = ["Detector", "Outputs", "normalise"]
