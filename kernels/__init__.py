"""Boundary max pooling, the one operation of this network that no library has.

Importing this package imports JAX and nothing else: Triton is loaded only when it is chosen.
"""

from afsd_jax.kernels.implementations import load_triton
from afsd_jax.kernels.pooling import boundary_max_pooling

__all__ = ["boundary_max_pooling", "load_triton"]
