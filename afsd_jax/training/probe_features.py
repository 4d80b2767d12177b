"""Describes the examples of a linear probe by features of the trunk."""

from collections.abc import Sequence

import ml_collections
import numpy as np

from afsd_jax.data.clips.clip_reader import View
from afsd_jax.models import i3d
from afsd_jax.models.network import feature_shape
from afsd_jax.training.endpoint_features import fill_endpoints
from afsd_jax.training.endpoints import fields_of
from afsd_jax.training.feature_files import ViewFiles
from afsd_jax.training.linear_probe import parts_of
from afsd_jax.training.probe_examples import Example, Sample

_BLOCK = 256  # cells read at once


class Descriptions:
    """Describes examples by the features of a view, after computing those that the cache lacks."""

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        class_names: list[str],
        sample: Sample,
        view: View,
        tried: Sequence[tuple[str, ...]],
    ):
        """Takes the configuration, and the endpoints that are tried."""
        configs = [_reading(config, endpoints) for endpoints in tried]
        self._model, self._data, self._sample, self._view = config.model, config.data, sample, view
        self._files: list[ViewFiles] = fill_endpoints(configs, class_names, sample.videos, [view])
        self._found: dict[str, np.ndarray] = {}  # by endpoint; several choices share one

    def __call__(self, endpoints: Sequence[str]) -> np.ndarray:
        """Returns the descriptions, float32 [N, D], of the examples at all endpoints together."""
        for name in endpoints:
            if name not in self._found:
                rows = [self._describe(example, name) for example in self._sample.examples]
                self._found[name] = np.stack(rows)
        return np.concatenate([self._found[name] for name in endpoints], axis=1)

    def _describe(self, example: Example, endpoint: str) -> np.ndarray:
        """Returns the mean features of each part of an example, float32 [PARTS * C]."""
        frames = self._sample.videos[example.video].num_frames
        cells, *_, channels = feature_shape(self._model, endpoint, frames, self._data.crop_size)
        file = self._files[example.video][self._view][endpoint]
        stride, means = i3d.endpoint_stride(endpoint)[0], []
        for first, stop in parts_of(example.start / stride, example.end / stride, cells):
            total = np.zeros(channels)
            for start in range(first, stop, _BLOCK):
                end = min(start + _BLOCK, stop)
                rows = file.read(start, end).reshape(end - start, -1, channels)
                total += rows.mean(1, dtype=np.float32).sum(0)
            means.append(total / (stop - first))
        return np.concatenate(means).astype(np.float32)


def _reading(
    config: ml_collections.ConfigDict, endpoints: tuple[str, ...]
) -> ml_collections.ConfigDict:
    config = config.copy_and_resolve_references()
    config.update_from_flattened_dict(fields_of(endpoints))
    return config
