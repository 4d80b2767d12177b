"""Saliency-based refinement: features at the ends of coarse proposals. Source: AFSD §3.4."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike

from afsd_jax.models import layers

# A region reaches 1/INSIDE of a proposal's width into it and 1/OUTSIDE out of it.
INSIDE, OUTSIDE = 4, 10


def boundary_regions(start: jax.Array, end: jax.Array, width: jax.Array) -> jax.Array:
    """Returns the regions [..., 4] around the boundaries of segments, rounded half to even.

    Args:
      start, end: [...] first and last position, in cells or frames.
      width: [...] width of the segments, which determines that of the regions (at least a cell).

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
) -> tuple[jax.Array, jax.Array]:
    """Returns the regions to pool for coarse predictions, without gradients.

    Args:
      loc: [B,K,2] distances to start and end, frames.
      priors: [K] fractions of the clip.
      lengths: number of cells in each level.

    Returns:
      The regions [B,K,4] in cells of all levels concatenated along time, and the regions [B,K,4] in
      frames.
    """
    loc = jax.lax.stop_gradient(layers.to_float32(loc))
    level_cells = np.repeat(lengths, lengths)  # [K], cells in each prior's level
    level_index = np.concatenate([np.arange(length) for length in lengths])
    length = jnp.asarray(level_cells, jnp.float32)
    index = jnp.asarray(level_index, jnp.float32)
    first = jnp.asarray(np.arange(len(level_index)) - level_index, jnp.float32)
    left, right = loc[..., 0] / clip_length * length, loc[..., 1] / clip_length * length
    cells = boundary_regions(index - left, index + right, left + right)
    # A region is clamped to its own level, so as not to reach into the next one.
    levels = jnp.clip(cells, 0, length[:, None] - 1) + first[:, None]
    centre = priors * clip_length
    return levels, frame_regions(centre - loc[..., 0], centre + loc[..., 1])


class SaliencyBranch(nnx.Module):
    """Refines a tower's feature with features pooled at the proposal's ends.

    All levels are concatenated along time; K is the sum of `lengths`.
    """

    def __init__(
        self,
        channels: int,
        groups: int,
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

    def boundary_features(self, tower: jax.Array, lengths: layers.Lengths) -> jax.Array:
        """Returns boundary features [B,K,2C] of a tower [B,K,C]: start-, then end-sensitive."""
        return self.lr(tower, lengths)

    def __call__(
        self, tower: jax.Array, level: jax.Array, frame: jax.Array, lengths: layers.Lengths
    ) -> jax.Array:
        """Returns the refined feature [B,K,C].

        Args:
          tower: [B,K,C] feature of the tower.
          level: [B,K,2C] boundary features of the tower, pooled for the proposals.
          frame: [B,K,C] frame-level feature, pooled for the proposals.
          lengths: number of cells in each level.
        """
        parts = [self.frame(frame, lengths), level, self.cur(tower, lengths)]
        return self.fuse(jnp.concatenate(parts, axis=-1), lengths)
