"""Saliency-based refinement: features from the ends of coarse proposals. Source: AFSD §3.4."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from afsd_jax.kernels import boundary_max_pooling
from afsd_jax.models import layers
from afsd_jax.models.pyramid import priors

# The shares of a proposal's width by which a region reaches inside and outside of it.
INSIDE, OUTSIDE = 4, 10


def boundary_regions(start: jax.Array, end: jax.Array, width: jax.Array) -> jax.Array:
    """Returns the regions [..., 4] around the boundaries of segments, rounded half to even.

    Args:
      start, end: [...] first and last position, in cells or frames.
      width: [...] the width of which the regions take a share, at least one cell.

    Returns:
      [..., 4]: the start's region (from, to) and the end's region (from, to), both inclusive.
    """
    inside = jnp.maximum(width / INSIDE, 1)
    outside = jnp.maximum(width / OUTSIDE, 1)
    edges = (start - outside, start + inside, end - inside, end + outside)
    return jnp.round(jnp.stack(edges, axis=-1))


def frame_regions(start: jax.Array, end: jax.Array) -> jax.Array:
    """Returns the regions [..., 4] of segments [...] in frames."""
    return boundary_regions(start, end, end - start + 1)


def proposal_regions(loc: jax.Array, clip_length: int) -> tuple[jax.Array, jax.Array]:
    """Returns where to pool for a level's coarse predictions; no gradient flows through it.

    Args:
      loc: [B,t,2] distances to start and end, frames.
      clip_length: T, frames.

    Returns:
      The regions [B,t,4] on the level, in its cells, and the regions [B,t,4] in frames.
    """
    loc = jax.lax.stop_gradient(loc.astype(jnp.float32))
    length = loc.shape[1]
    cell = jnp.arange(length, dtype=jnp.float32)
    left, right = loc[..., 0] / clip_length * length, loc[..., 1] / clip_length * length
    cells = boundary_regions(cell - left, cell + right, left + right)
    centre = jnp.asarray(priors([length])) * clip_length
    return cells, frame_regions(centre - loc[..., 0], centre + loc[..., 1])


class SaliencyBranch(nnx.Module):
    """Refines a tower's feature by what boundary max pooling finds at the proposal's ends."""

    def __init__(
        self,
        channels: int,
        groups: int,
        pooling: str | None,
        dtype: DTypeLike,
        rng: layers.Rng,
        init: layers.Initializer,
    ):
        def unit(inputs: int, outputs: int) -> layers.NormReLU:
            return layers.conv_norm_relu(inputs, outputs, 1, 1, groups, dtype, rng, init)

        self.cur = unit(channels, channels)
        self.lr = unit(channels, 2 * channels)
        self.frame = unit(channels, channels)
        self.fuse = unit(4 * channels, channels)
        self.pooling = pooling

    def __call__(
        self, tower: jax.Array, regions: jax.Array, frame: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Returns the refined feature [B,t,C] and the level's boundary features [B,t,2C].

        The boundary features' first half is start-sensitive, their second end-sensitive.

        Args:
          tower: [B,t,C] the tower's feature of a level.
          regions: [B,t,4] in cells of the level, where to pool its boundary features.
          frame: [B,t,C] the frame-level feature, pooled for the proposals.
        """
        boundary = self.lr(tower)
        pooled = boundary_max_pooling(boundary, regions, self.pooling)
        parts = [self.frame(frame), pooled, self.cur(tower)]
        return self.fuse(jnp.concatenate(parts, axis=-1)), boundary
