"""The network: clips in, coarse and refined predictions out. Source: AFSD §3, Figure 2."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from flax import nnx

from afsd_jax.kernels import boundary_max_pooling
from afsd_jax.models import i3d, layers, refinement
from afsd_jax.models.pyramid import FrameLevel, Pyramid, level_lengths, priors, split_levels


class Outputs(NamedTuple):
    """What the network says of B clips with K priors and C classes; float32.

    loc: [B,K,2] coarse distances from the prior to start and end, frames.
    conf: [B,K,C] coarse class logits, class 0 the background.
    prop_loc: [B,K,2] refining offsets, in half widths of the coarse segment.
    prop_conf: [B,K,C] refined class logits.
    center: [B,K] quality logits.
    frame_level: [B,T,N] feature at every frame, start-sensitive half first.
    level_loc, level_conf: [B,t,2N] boundary features of level 0, start-sensitive half first.
    """

    loc: jax.Array
    conf: jax.Array
    prop_loc: jax.Array
    prop_conf: jax.Array
    center: jax.Array
    frame_level: jax.Array
    level_loc: jax.Array
    level_conf: jax.Array


def normalise(frames: jax.Array, num_frames: jax.Array, padding: float) -> jax.Array:
    """Maps uint8 frames [B,T,H,W,C] to float32 [-1, 1]; frames from `num_frames` [B] on are
    `padding`."""
    clips = frames.astype(jnp.float32) / 255 * 2 - 1
    valid = jnp.arange(frames.shape[1]) < num_frames[:, None]
    return jnp.where(valid[:, :, None, None, None], clips, padding)


def lengths_of(model: ml_collections.ConfigDict, clip_length: int) -> tuple[int, ...]:
    """Returns the number of cells of each pyramid level of this model."""
    stride, _ = i3d.endpoint_stride(model.pyramid_inputs[0])
    return level_lengths(clip_length, stride, model.levels)


class Network(nnx.Module):
    """AFSD on clips of a fixed length and size."""

    def __init__(
        self,
        model: ml_collections.ConfigDict,
        clip_length: int,
        crop_size: int,
        rngs: nnx.Rngs,
    ):
        """Builds the network with random weights.

        Args:
          model: the `model` part of the configuration.
          clip_length: T, frames, a multiple of the coarsest trunk endpoint's stride.
          crop_size: height and width of the frames, pixels.
        """
        dtype = jnp.dtype(model.dtype)
        channels, groups, pooling = model.channels, model.groups, model.pooling or None
        self.trunk = i3d.I3D(
            model.in_channels, model.trunk_width, model.batch_norm == "trained", dtype, rngs
        )
        self.endpoints = tuple(model.pyramid_inputs)
        inputs = [
            (
                -(-crop_size // i3d.endpoint_stride(name)[1]),
                i3d.endpoint_channels(name, model.trunk_width),
            )
            for name in self.endpoints
        ]
        self.pyramid = Pyramid(inputs, model.levels, channels, groups, dtype, rngs)
        self.frame_level = FrameLevel(channels, groups, clip_length, dtype, rngs)

        init = (
            nnx.initializers.normal(0.01)
            if model.head_init == "normal"
            else nnx.initializers.glorot_uniform()
        )

        def tower() -> nnx.List:
            unit = (channels, channels, 3, 1, groups, dtype, rngs, init)
            return nnx.List([layers.conv_norm_relu(*unit) for _ in range(2)])

        def head(features: int, window: int) -> layers.Conv1D:
            return layers.Conv1D(channels, features, window, 1, dtype, rngs, init)

        def branch() -> refinement.SaliencyBranch:
            return refinement.SaliencyBranch(channels, groups, pooling, dtype, rngs, init)

        self.loc_tower, self.conf_tower = tower(), tower()
        self.loc_head, self.conf_head = head(2, 3), head(model.num_classes, 3)
        self.loc_scale = nnx.Param(jnp.ones(model.levels))
        self.loc_branch, self.conf_branch = branch(), branch()
        self.prop_loc_head, self.prop_conf_head = head(2, 1), head(model.num_classes, 1)
        self.center_head = head(1, 3)

        self.clip_length, self.pooling = clip_length, pooling
        self.lengths = lengths_of(model, clip_length)
        self.loc_multipliers = tuple(model.loc_multipliers)

    @property
    def priors(self) -> np.ndarray:
        """The priors, float32 [K], fractions of the clip."""
        return priors(self.lengths)

    def __call__(self, clips: jax.Array, training: bool = False) -> Outputs:
        """Returns the predictions for clips [B,T,H,W,channels] in [-1, 1]."""
        endpoints = self.trunk(clips, training)
        levels = self.pyramid([endpoints[name] for name in self.endpoints])
        frame_level = self.frame_level(levels[0])

        loc_towers = [layers.apply_all(self.loc_tower, level) for level in levels]
        conf_towers = [layers.apply_all(self.conf_tower, level) for level in levels]
        coarse_loc = [
            multiplier * jnp.exp(scale * self.loc_head(tower).astype(jnp.float32))
            for multiplier, scale, tower in zip(
                self.loc_multipliers, self.loc_scale[...], loc_towers, strict=True
            )
        ]
        loc = jnp.concatenate(coarse_loc, axis=1)
        conf = jnp.concatenate([self.conf_head(tower) for tower in conf_towers], axis=1)

        level_regions, frame_regions = refinement.proposal_regions(
            loc, jnp.asarray(self.priors), self.lengths, self.clip_length
        )
        frame = split_levels(
            boundary_max_pooling(frame_level, frame_regions, self.pooling), self.lengths
        )
        loc_boundary = [self.loc_branch.boundary_features(tower) for tower in loc_towers]
        conf_boundary = [self.conf_branch.boundary_features(tower) for tower in conf_towers]
        refined_loc = [
            self.loc_branch(*level)
            for level in zip(loc_towers, loc_boundary, level_regions, frame, strict=True)
        ]
        refined_conf = [
            self.conf_branch(*level)
            for level in zip(conf_towers, conf_boundary, level_regions, frame, strict=True)
        ]
        prop_loc = jnp.concatenate([self.prop_loc_head(x) for x in refined_loc], axis=1)
        prop_conf = jnp.concatenate([self.prop_conf_head(x) for x in refined_conf], axis=1)
        center = jnp.concatenate([self.center_head(x) for x in refined_loc], axis=1)
        outputs = Outputs(
            loc,
            conf,
            prop_loc,
            prop_conf,
            center[..., 0],
            frame_level,
            loc_boundary[0],
            conf_boundary[0],
        )
        return jax.tree.map(lambda x: x.astype(jnp.float32), outputs)
