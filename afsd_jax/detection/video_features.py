"""Features of whole videos for other detectors: one endpoint of a trunk, as rows."""

import hashlib
import itertools
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import ml_collections
import numpy as np
from numpy.typing import NDArray

from afsd_jax.data.clips.geometry import centre_crop
from afsd_jax.detection.backends import chosen_backend, open_video_trunk
from afsd_jax.inputs.video import Frames
from afsd_jax.models import i3d
from afsd_jax.runtime.prefetch import prefetch


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
        digest = hashlib.sha256()
        for name in sorted(self._weights):
            if name.startswith("trunk."):
                digest.update(name.encode() + np.asarray(self._weights[name]).tobytes())
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
            "frame_size": data.frame_size,
            "crop_size": data.crop_size,
            "trunk": digest.hexdigest(),
        }

    def features(self, frames: Iterable[Frames]) -> NDArray[np.float32]:
        """Returns a video's features [ceil(frames / stride), C].

        Args:
          frames: the frames of one network's stream; they are cropped to the centre. Grey frames
            fill the last stride.
        """
        run, crop = self._trunk.start(), self._config.data.crop_size

        def pieces(cancelled: threading.Event) -> Iterator[NDArray[np.uint8]]:
            cropped = (_centre(frame, crop) for (frame,) in frames)
            while (taken := list(itertools.islice(cropped, self._trunk.piece))) and (
                not cancelled.is_set()
            ):
                yield np.stack(taken)

        found: list[NDArray[np.float32]] = []
        for piece in prefetch(pieces, 1):  # frames are decoded while the trunk computes
            found += map(self._pooled, run.add(piece))
        return np.concatenate([*found, *map(self._pooled, run.end())])

    def _pooled(self, cells: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns rows of cells [T, H, W, C]."""
        return cells.mean((1, 2)) if self._pooling == "mean" else cells.reshape(len(cells), -1)


def _centre(frame: NDArray[np.uint8], crop: int) -> NDArray[np.uint8]:
    y, x = (centre_crop(size, crop) for size in frame.shape[:2])
    return frame[y : y + crop, x : x + crop]
