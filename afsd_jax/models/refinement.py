"""Saliency-based refinement: features from the boundaries of coarse proposals. Source: AFSD §3.4."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from afsd_jax.kernels import boundary_max_pooling
from afsd_jax.models import layers

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


def proposal_regions(
    loc: jax.Array, priors: jax.Array, lengths: Sequence[int], clip_length: int
) -> tuple[list[jax.Array], jax.Array]:
    """Returns where to pool for coarse predictions; no gradient flows through it.

    Args:
      loc: [B,K,2] distances to start and end, frames.
      priors: [K] fractions of the clip.
      lengths: cells of each level.

    Returns:
      Each level's regions [B,t,4] in its cells, and all regions [B,K,4] in frames.
    """
    loc = jax.lax.stop_gradient(loc.astype(jnp.float32))
    levels, first = [], 0
    for length in lengths:
        cells = loc[:, first : first + length] / clip_length * length
        left, right = cells[..., 0], cells[..., 1]
        index = jnp.arange(length, dtype=jnp.float32)
        levels.append(boundary_regions(index - left, index + right, left + right))
        first += length
    centre = priors * clip_length
    return levels, frame_regions(centre - loc[..., 0], centre + loc[..., 1])


class SaliencyBranch(nnx.Module):
    """Refines a tower's feature by what boundary max pooling finds at the proposal's ends."""

    def __init__(
        self,
        channels: int,
        groups: int,
        pooling: str | None,
        dtype: DTypeLike,
        rngs: nnx.Rngs,
        kernel_init: layers.Initializer,
    ):
        def unit(inputs: int, outputs: int) -> layers.NormReLU:
            return layers.conv_norm_relu(inputs, outputs, 1, 1, groups, dtype, rngs, kernel_init)

        self.cur = unit(channels, channels)
        self.lr = unit(channels, 2 * channels)
        self.frame = unit(channels, channels)
        self.fuse = unit(4 * channels, channels)
        self.pooling = pooling

    def boundary_features(self, tower: jax.Array) -> jax.Array:
        """Returns [B,t,2C] of a tower's [B,t,C]: start-sensitive half, end-sensitive half."""
        return self.lr(tower)

    def __call__(
        self, tower: jax.Array, boundary: jax.Array, regions: jax.Array, frame: jax.Array
    ) -> jax.Array:
        """Returns the refined feature [B,t,C].

        Args:
          tower: [B,t,C] the tower's feature on a level.
          boundary: [B,t,2C] its `boundary_features`.
          regions: [B,t,4] of the level's proposals, in its cells.
          frame: [B,t,C] the frame-level feature pooled for the same proposals.
        """
        level = boundary_max_pooling(boundary, regions, self.pooling)
        return self.fuse(jnp.concatenate([self.frame(frame), level, self.cur(tower)], axis=-1))
