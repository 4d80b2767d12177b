"""Evaluation during training, with the same mAP as from `afsd detect` and `afsd evaluate`."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from afsd_jax import evaluation
from afsd_jax.config import of_programs
from afsd_jax.data.builders.dataset_folder import GROUND_TRUTH
from afsd_jax.data.clips.clip_reader import ClipView, View
from afsd_jax.data.clips.geometry import crop_places, frame_unit
from afsd_jax.data.training_data import TrainingData
from afsd_jax.detection.backends import NamedWeights, decode_features
from afsd_jax.detection.detector import Detector
from afsd_jax.detection.postprocess import candidates_of_window
from afsd_jax.errors import UserError
from afsd_jax.inputs.prepared import PreparedSplit
from afsd_jax.io.activitynet_json import read_ground_truth
from afsd_jax.io.names import composed
from afsd_jax.models import parameters
from afsd_jax.runtime.programs import Program
from afsd_jax.runtime.sharding import data_mesh, place, shard_batch
from afsd_jax.training import feature_cache
from afsd_jax.training.branch_losses import branches, compute_losses
from afsd_jax.types import ANY_ACTION, AnnotatedVideo, Detection
from afsd_jax.weights.checkpoint import Checkpoint

# Yields each video's name and its detections with these weights.
Predict = Callable[[NamedWeights], Iterator[tuple[str, list[Detection]]]]


class FramePredictor:
    """Detects in the frames of a prepared split. The network is compiled once for all weights."""

    def __init__(
        self, config: ml_collections.ConfigDict, class_names: list[str], split: PreparedSplit
    ):
        """Takes the resolved configuration, the names of the classes and the videos."""
        self._split = split
        self._detector = Detector([Checkpoint(0, config, class_names, {})])

    def __call__(self, weights: NamedWeights) -> Iterator[tuple[str, list[Detection]]]:
        self._detector.weights = [dict(weights)]
        for result in self._detector.detect_sources(self._split.sources()):
            if result.error:
                raise result.error
            yield result.name, result.detections


class FeaturePredictor:
    """Detects in the cached features of a split's windows; the trunk is frozen."""

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        class_names: list[str],
        split: PreparedSplit,
        weights: NamedWeights,
    ):
        """Computes the features that the cache lacks.

        Args:
          config: the resolved configuration.
          class_names: names of the network's classes.
          split: the videos.
          weights: weights of the network; later weights may differ in the heads only.

        Raises:
          UserError: as `feature_cache.cached` does.
        """
        data, self._videos = config.data, split.videos
        self._length, self._unit = data.clip_length, frame_unit(config.model)
        self._detector = Detector([Checkpoint(0, config, class_names, {})])
        self._offsets = [self._detector.window_offsets(v.num_frames) for v in self._videos]
        height, width, _ = self._videos[0].shape
        self._view = View(*crop_places(height, width, data.crop_size)[0], False)
        self._features = feature_cache.cached(config, weights, self._videos, [self._view])
        of_heads = of_programs(config, "data", "model", "inference")
        template = parameters.abstract_network(of_heads)
        dtype = jnp.dtype(of_heads.model.dtype)

        def forward(weights: NamedWeights, features: jax.Array) -> tuple[jax.Array, jax.Array]:
            of_trunk = feature_cache.split(features[None], template.feature_shapes, dtype)
            return decode_features([template], of_heads, [weights], [of_trunk])

        self._forward = Program(forward, of_heads.to_json)

    def __call__(self, weights: NamedWeights) -> Iterator[tuple[str, list[Detection]]]:
        rule, length = self._detector.postprocessing, self._length
        threshold = rule.score_threshold
        for number, (video, offsets) in enumerate(zip(self._videos, self._offsets, strict=True)):
            clips = [ClipView(number, offset, offset + length, *self._view) for offset in offsets]
            windows = [self._features(clip, length // self._unit) for clip in clips]
            decoded = jax.device_get([self._forward(weights, features) for features in windows])
            candidates = [
                candidates_of_window(offset, segments[0], scores[0], video.fps, threshold)
                for offset, (segments, scores) in zip(offsets, decoded, strict=True)
            ]
            yield video.name, rule.detections(candidates, video.duration_s)


class ClipLosses:
    """Computes the loss terms on clips of a split, cut in time as training clips are.

    Frames are cropped to the centre and not mirrored, and no clip is changed as training clips may
    be; clips that fill no batch are left out.
    """

    def __init__(
        self, config: ml_collections.ConfigDict, split: PreparedSplit, weights: NamedWeights
    ):
        """Finds the clips and, with a cache, computes the features that it lacks.

        Args:
          config: the resolved configuration.
          split: the videos.
          weights: weights of the network; with a cache later weights may differ in the heads only.

        Raises:
          UserError: as `TrainingData` and `feature_cache.cached` do.
        """
        config = config.copy_and_resolve_references()
        config.data.train_split = config.data.validation_split
        opened = split.data_sets[0], split.videos
        config.data.crops, config.data.flip = 1, 0.0
        config.data.speed, config.data.paste, config.data.balanced = 0.0, 0.0, False
        batch_size, config.train.batch_size = config.train.batch_size, 1
        count = TrainingData(config, split=opened).num_clips
        # Each of several hosts uses all clips.
        devices = jax.local_devices()
        devices = devices if count >= len(devices) else devices[:1]
        config.train.batch_size = min(batch_size, count) // len(devices) * len(devices)
        self._mesh = data_mesh(devices)
        self._data = TrainingData(config, split=opened)
        self._features = None
        if config.data.feature_cache:
            self._features = feature_cache.of_training(config, weights, self._data)
        of_losses = of_programs(config, "data", "model", "matching", "loss")
        template = parameters.abstract_network(of_losses)

        def losses(weights: NamedWeights, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
            network = parameters.replace(template, weights)

            def terms(is_consistency: jax.Array | None) -> dict[str, jax.Array]:
                return compute_losses(network, batch, of_losses, is_consistency, training=False)

            flags = branches(of_losses)
            if flags is None:
                return terms(None)
            return jax.tree.map(lambda x: x.sum(0), jax.lax.map(terms, flags))

        self._losses = Program(losses, of_losses.to_json)

    def __call__(self, weights: NamedWeights) -> dict[str, float]:
        """Returns the mean of each term over the batches."""
        weights = place(dict(weights), self._mesh)
        batches = itertools.islice(
            self._data.batches(features=self._features), self._data.steps_per_epoch
        )
        terms = [self._losses(weights, shard_batch(batch, self._mesh)) for batch in batches]
        return {name: float(np.mean([entry[name] for entry in terms])) for name in terms[0]}


class Validator:
    """Computes the metrics of weights on a split.

    Attributes:
      truth: annotations of its videos.
      found: detections of the last evaluation, by video.
      tious: thresholds.
    """

    def __init__(self, config: ml_collections.ConfigDict, split: PreparedSplit, predict: Predict):
        """Reads the ground truth.

        Args:
          config: the resolved configuration.
          split: the videos.
          predict: detects in the videos.

        Raises:
          UserError: no video of the split has an action.
        """
        self._predict = predict
        self.found: dict[str, list[Detection]] = {}
        self.truth = truth_of(config, split)
        if not any(video.actions for video in self.truth.values()):
            raise UserError(
                f"{split.folders[0]}: no action is in config.data.validation_split="
                f"{config.data.validation_split!r}; choose another"
            )
        self.tious = evaluation.tious_of(config.data.dataset)

    def __call__(
        self, weights: NamedWeights, stops: Callable[[], Any] = lambda: False
    ) -> evaluation.Metrics | None:
        """Returns the metrics, or None if `stops()` is true after a video."""
        found = {}
        for name, detections in self._predict(weights):
            found[name] = detections
            if stops():
                return None
        self.found = found
        return evaluation.evaluate(self.truth, found, self.tious)


def open_validation(
    config: ml_collections.ConfigDict,
    class_names: list[str],
    split: PreparedSplit,
    weights: NamedWeights,
) -> tuple[Validator, ClipLosses]:
    """Returns the validator, which evaluates weights on the validation split.

    Args:
      config: the resolved configuration.
      class_names: names of the network's classes.
      split: the validation split.
      weights: weights of the network.

    Raises:
      UserError: no action is in the split, or as `feature_cache.cached` does.
    """
    predict: Predict
    if config.data.feature_cache:
        predict = FeaturePredictor(config, class_names, split, weights)
    else:
        predict = FramePredictor(config, class_names, split)
    return Validator(config, split, predict), ClipLosses(config, split, weights)


def truth_of(config: ml_collections.ConfigDict, split: PreparedSplit) -> dict[str, AnnotatedVideo]:
    """Returns the annotations of a split's videos, with the classes of the network."""
    annotated = read_ground_truth(split.folders[0] / GROUND_TRUTH)
    truth = {name: annotated[composed(name)] for name in split.names}
    if not config.data.class_agnostic:
        return truth
    return {name: _of_class(video, ANY_ACTION) for name, video in truth.items()}


def _of_class(video: AnnotatedVideo, label: str) -> AnnotatedVideo:
    """Returns the video with this label for all its actions."""
    actions = tuple(dataclasses.replace(action, label=label) for action in video.actions)
    return dataclasses.replace(video, actions=actions)
