"""The network: clips in, coarse and refined predictions out. Source: AFSD §3, Figure 2."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from flax import nnx

from afsd_jax.config_checks import INPUT
from afsd_jax.kernels import boundary_max_pooling
from afsd_jax.models import i3d, layers, refinement
from afsd_jax.models.pyramid import FrameLevel, Pyramid, level_lengths, priors
from afsd_jax.types import Predictions

# Normalised value of the frames after a video's end.
PADDING = {"black": -1.0, "grey": 0.0}


class BoundaryFeatures(NamedTuple):
    """Features, float32: half of the channels are sensitive to starts, the other half to ends.

    frame_level: [B,T,N] feature at every frame.
    level_loc, level_conf: [B,t,2N] features of both towers at level 0.
    """

    frame_level: jax.Array
    level_loc: jax.Array
    level_conf: jax.Array


class Outputs(NamedTuple):
    """The network's outputs for B clips; float32.

    predictions: predictions for the K priors of all levels, concatenated along time.
    boundary: features that refinement pools; None without refinement.
    """

    predictions: Predictions
    boundary: BoundaryFeatures | None


def normalise(frames: jax.Array, num_frames: jax.Array, padding: float) -> jax.Array:
    """Maps uint8 frames [B,T,H,W,C] to float32 [-1, 1]; features, which are float16, stay.

    Frames after the first `num_frames` [B] become `padding`, features 0.
    """
    if frames.dtype != jnp.uint8:
        return frames.astype(jnp.float32)  # batches are filled with 0
    clips = frames.astype(jnp.float32) / 255 * 2 - 1
    valid = jnp.arange(frames.shape[1]) < num_frames[:, None]
    return jnp.where(valid[:, :, None, None, None], clips, padding)


def lengths_of(model: ml_collections.ConfigDict, clip_length: int) -> tuple[int, ...]:
    """Returns the number of cells in each pyramid level of this model."""
    stride, _ = i3d.endpoint_stride(model.pyramid_inputs[0])
    return level_lengths(clip_length, stride, model.levels)


def feature_shapes(
    model: ml_collections.ConfigDict, clip_length: int, crop_size: int
) -> tuple[tuple[int, int, int, int], ...]:
    """Returns the shape [T',H',W',C'] of each trunk endpoint that the pyramid reads."""
    return tuple(feature_shape(model, x, clip_length, crop_size) for x in model.pyramid_inputs)


def feature_shape(
    model: ml_collections.ConfigDict, endpoint: str, num_frames: int, crop_size: int
) -> tuple[int, int, int, int]:
    """Returns the shape [T',H',W',C'] of one endpoint of this model's trunk."""
    time, space = i3d.endpoint_stride(endpoint)
    size, channels = -(-crop_size // space), model.in_channels
    if endpoint != INPUT:
        channels = i3d.endpoint_channels(endpoint, model.trunk_width)
    return -(-num_frames // time), size, size, channels


class Network(nnx.Module):
    """AFSD on clips of a fixed length and size."""

    def __init__(
        self,
        model: ml_collections.ConfigDict,
        clip_length: int,
        crop_size: int,
        rng: layers.Rng = None,
    ):
        """Builds the network with random weights, or with zero kernels if `rng` is None.

        Args:
          model: section `model` of the configuration.
          clip_length: T, frames, a multiple of the coarsest trunk endpoint's stride.
          crop_size: height and width of the frames, pixels.
        """
        dtype = jnp.dtype(model.dtype)
        channels, groups, pooling = model.channels, model.groups, model.pooling or None
        trained_norm = model.batch_norm == "trained"
        self.endpoints = tuple(model.pyramid_inputs)
        width, frozen_until, until = model.trunk_width, model.frozen_until, self.endpoints
        self.trunk = i3d.I3D(
            model.in_channels, width, trained_norm, frozen_until, dtype, rng, until
        )
        self.remat = self.trunk.remat = model.remat
        self.feature_shapes = feature_shapes(model, clip_length, crop_size)
        inputs = [(height, features) for _, height, _, features in self.feature_shapes]
        self.pyramid = Pyramid(inputs, model.levels, channels, groups, dtype, rng)
        self.refines, self.rates = model.refinement, model.quality
        if self.refines:
            self.frame_level = FrameLevel(channels, groups, clip_length, dtype, rng)

        init = layers.normal(0.01) if model.head_init == "normal" else layers.glorot_uniform

        def tower() -> nnx.List:
            unit = (channels, channels, 3, 1, groups, dtype, rng, init)
            return nnx.List([layers.conv_norm_relu(*unit) for _ in range(2)])

        def head(features: int, kernel_size: int) -> layers.Conv1D:
            return layers.Conv1D(channels, features, kernel_size, 1, dtype, rng, init)

        def branch() -> refinement.SaliencyBranch:
            return refinement.SaliencyBranch(channels, groups, dtype, rng, init)

        self.loc_tower, self.conf_tower = tower(), tower()
        self.loc_head, self.conf_head = head(2, 3), head(model.num_classes, 3)
        self.loc_scale = nnx.Param(np.ones(model.levels, np.float32))
        if self.refines:
            self.loc_branch, self.conf_branch = branch(), branch()
            self.prop_loc_head, self.prop_conf_head = head(2, 1), head(model.num_classes, 1)
        if self.rates:
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
        return self.heads(self.features(clips, training))

    def features(self, clips: jax.Array, training: bool = False) -> list[jax.Array]:
        """Returns the trunk's features, one array [B,*shape] for each of `feature_shapes`."""

        def run(trunk: i3d.I3D, clips: jax.Array) -> list[jax.Array]:
            endpoints = trunk(clips, training)
            return [endpoints[name] for name in self.endpoints]

        return i3d.rematerialise(run, "trunk", self.remat)(self.trunk, clips)

    def heads(self, features: Sequence[jax.Array]) -> Outputs:
        """Returns the outputs for the trunk's features (see `features`)."""
        levels = self.pyramid(features)

        # All levels share the heads, so they are concatenated along time.
        lengths = self.lengths
        cells = jnp.concatenate(levels, axis=1)
        loc_tower = layers.apply_all(self.loc_tower, cells, lengths)
        conf_tower = layers.apply_all(self.conf_tower, cells, lengths)
        scale = jnp.repeat(self.loc_scale[...], np.array(lengths), total_repeat_length=sum(lengths))
        multiplier = jnp.asarray(np.repeat(np.array(self.loc_multipliers, np.float32), lengths))
        exponent = layers.to_float32(self.loc_head(loc_tower, lengths))
        loc = multiplier[:, None] * jnp.exp(scale[:, None] * exponent)
        conf = self.conf_head(conf_tower, lengths)

        prop_loc = prop_conf = boundary = None
        rated = loc_tower
        if self.refines:
            rated, refined_conf, boundary = self._refine(levels[0], loc, loc_tower, conf_tower)
            prop_loc = self.prop_loc_head(rated, lengths)
            prop_conf = self.prop_conf_head(refined_conf, lengths)
        center = self.center_head(rated, lengths)[..., 0] if self.rates else None
        outputs = Outputs(Predictions(loc, conf, prop_loc, prop_conf, center), boundary)
        return jax.tree.map(layers.to_float32, outputs)

    def _refine(
        self, level: jax.Array, loc: jax.Array, loc_tower: jax.Array, conf_tower: jax.Array
    ) -> tuple[jax.Array, jax.Array, BoundaryFeatures]:
        """Returns both towers' features [B,K,N] after refinement, and the pooled boundary features.

        Features are refined at the ends of the coarse proposals `loc`; `level` is the first level
        of the pyramid.
        """
        lengths, pool = self.lengths, self._pool
        frame_level = self.frame_level(level)
        level_regions, frame_regions = refinement.proposal_regions(
            loc, jnp.asarray(self.priors), lengths, self.clip_length
        )
        loc_boundary = self.loc_branch.boundary_features(loc_tower, lengths)
        conf_boundary = self.conf_branch.boundary_features(conf_tower, lengths)
        frame = pool(frame_level, frame_regions)
        # The towers' features of a clip lie side by side, so that a sharded batch stays in place.
        pair = jnp.stack([loc_boundary, conf_boundary], axis=1)
        pooled = pool(pair.reshape(-1, *pair.shape[2:]), jnp.repeat(level_regions, 2, axis=0))
        loc_level, conf_level = jnp.unstack(pooled.reshape(-1, 2, *pooled.shape[1:]), axis=1)
        refined_loc = self.loc_branch(loc_tower, loc_level, frame, lengths)
        refined_conf = self.conf_branch(conf_tower, conf_level, frame, lengths)
        first = slice(lengths[0])
        read = BoundaryFeatures(frame_level, loc_boundary[:, first], conf_boundary[:, first])
        return refined_loc, refined_conf, read

    def _pool(self, features: jax.Array, regions: jax.Array) -> jax.Array:
        return boundary_max_pooling(features, regions, self.pooling)
