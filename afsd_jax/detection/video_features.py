"""Features of whole videos for other detectors: one endpoint of a trunk, as rows."""

from collections.abc import Iterable, Mapping
from typing import Any

import ml_collections
import numpy as np
from numpy.typing import NDArray

from afsd_jax.data.clips.geometry import crop_to_centre
from afsd_jax.detection.backends import chosen_backend, open_video_trunk
from afsd_jax.detection.video_slices import video_slices
from afsd_jax.inputs.video import Frames
from afsd_jax.io import fingerprint
from afsd_jax.models import i3d
from afsd_jax.types import SQUEEZE


class FeatureTrunk:
    """A trunk that computes one feature for each `stride` frames of a video.

    Attributes:
      backend: software that computes the trunk.
    """

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        weights: Mapping[str, Any],
        endpoint: str,
        pooling: str = "mean",
        backend: str | None = None,
    ):
        """Takes the trunk of a network.

        Args:
          config: the network's resolved configuration.
          weights: its weights by name.
          endpoint: name of the endpoint, one of `i3d.MIXED`.
          pooling: mean, over height and width, or none: all values are in one row.
          backend: one of `backends.BACKENDS`; None: OpenVINO on CPUs where it is installed.
        """
        self._config, self._weights, self._endpoint = config, weights, endpoint
        self._pooling = pooling
        self.backend = chosen_backend(backend, config.model.dtype)
        shape = config.data.crop_size, config.data.crop_size, config.model.in_channels
        self._trunk = open_video_trunk(self.backend, weights, shape, (endpoint,))

    def facts(self) -> dict[str, Any]:
        """Returns what the features are, in the words of ActionFormer's configuration.

        Feature i describes the frames around i * feat_stride + num_frames / 2, counted at `fps`.
        """
        data, model, endpoint = self._config.data, self._config.model, self._endpoint
        trunk = {name: x for name, x in self._weights.items() if name.startswith("trunk.")}
        stride, in_space = i3d.endpoint_stride(endpoint)
        side = 1 if self._pooling == "mean" else -(-data.crop_size // in_space)
        return {
            "input_dim": i3d.endpoint_channels(endpoint, model.trunk_width) * side**2,
            "feat_stride": stride,
            "num_frames": round(2 * i3d.endpoint_centre(endpoint)),
            "fps": data.fps or None,
            "endpoint": endpoint,
            "pooling": self._pooling,
            "stream": data.stream,
            "crop": data.crop or None,
            "keep_aspect": data.keep_aspect if data.keep_aspect != SQUEEZE else None,
            "frame_size": data.frame_size,
            "crop_size": data.crop_size,
            "trunk": fingerprint.of_arrays([trunk]),
        }

    def features(self, frames: Iterable[Frames]) -> NDArray[np.float32]:
        """Returns a video's features [ceil(frames / stride), C].

        Args:
          frames: the frames of one network's stream; they are cropped to the centre. Grey frames
            fill the last stride.
        """
        crop = self._config.data.crop_size
        cropped = (crop_to_centre(frame, crop) for (frame,) in frames)
        slices = video_slices(self._trunk, cropped)
        return np.concatenate([self._pooled(cells) for part in slices for cells in part])

    def _pooled(self, cells: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns rows of cells [T, H, W, C]."""
        return cells.mean((1, 2)) if self._pooling == "mean" else cells.reshape(len(cells), -1)
