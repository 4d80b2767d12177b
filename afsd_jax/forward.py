"""The networks' way from frames to decoded windows, by XLA alone or with OpenVINO's trunk."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from afsd_jax.compiling import compiled
from afsd_jax.errors import UserError
from afsd_jax.models import PADDING, Network, normalise, openvino_trunk
from afsd_jax.postprocess import decode_streams
from afsd_jax.weights import parameters

BACKENDS = ("xla", "openvino", "openvino-bfloat16")
Weights = dict[str, jax.Array]
Forward = Callable[
    [list[Weights], Sequence[np.ndarray], np.ndarray],
    tuple[jax.Array, jax.Array],
]


def chosen_backend(backend: str | None, dtype: str = "float32") -> str:
    """Returns the backend to detect with; None is OpenVINO where it is installed and of use.

    Args:
      backend: one of `BACKENDS`, or None.
      dtype: of the configuration; a network in bfloat16 is left to XLA.

    Raises:
      UserError: there is no such backend, or it is not installed.
    """
    if backend is None:
        of_use = jax.default_backend() == "cpu" and jax.device_count() == 1 and dtype == "float32"
        return "openvino" if of_use and openvino_trunk.is_installed() else "xla"
    if backend not in BACKENDS:
        raise UserError(f"backend {backend!r}: must be one of {', '.join(BACKENDS)}")
    if backend != "xla" and not openvino_trunk.is_installed():
        raise UserError(
            f"backend {backend!r} needs OpenVINO: pip install 'afsd-jax[openvino]', "
            "or choose backend xla"
        )
    return backend


def make_forward(
    networks: Sequence[Network], config: ml_collections.ConfigDict, backend: str
) -> Forward:
    """Returns the forward pass of one network or two to fuse.

    Args:
      networks: one a stream; their weights are not used.
      config: of the first.
      backend: one of `BACKENDS`.

    Returns:
      (weights, videos, num_frames) → (segments, scores), as `decode_streams` gives them: for each
      network its weights by name and uint8 windows [B,T,H,W,channels]; num_frames [B], how many
      frames of each window the video has.
    """
    priors, length = jnp.asarray(networks[0].priors), config.data.clip_length

    def normalised(frames: jax.Array, num_frames: jax.Array) -> jax.Array:
        return normalise(frames, num_frames, PADDING["grey"])

    def decoded(
        weights: list[Weights], features: list[list[jax.Array]]
    ) -> tuple[jax.Array, jax.Array]:
        predictions = [
            parameters.replace(network, values).heads(of_stream).predictions
            for network, values, of_stream in zip(networks, weights, features, strict=True)
        ]
        return decode_streams(predictions, priors, length, config.inference.fusion)

    def whole(
        weights: list[Weights], videos: list[jax.Array], num_frames: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        features = [
            parameters.replace(network, values).features(normalised(frames, num_frames))
            for network, values, frames in zip(networks, weights, videos, strict=True)
        ]
        return decoded(weights, features)

    if backend == "xla":
        return compiled(whole)

    trunks = [_Trunk(network.endpoints, backend) for network in networks]
    first, last = compiled(normalised), compiled(decoded)

    def in_parts(
        weights: list[Weights], videos: Sequence[np.ndarray], num_frames: np.ndarray
    ) -> tuple[jax.Array, jax.Array]:
        features = [
            trunk(values, np.asarray(first(frames, num_frames)))
            for trunk, values, frames in zip(trunks, weights, videos, strict=True)
        ]
        return last(weights, features)

    return in_parts


class _Trunk:
    """OpenVINO's trunk, built at the first clips of a shape, and anew for other weights."""

    def __init__(self, endpoints: Sequence[str], backend: str):
        self._endpoints = endpoints
        self._precision = "bfloat16" if backend.endswith("bfloat16") else "float32"
        self._built: dict[tuple[int, ...], Callable[[np.ndarray], list[np.ndarray]]] = {}
        self._weights: Weights = {}

    def __call__(self, weights: Weights, clips: np.ndarray) -> list[np.ndarray]:
        same = self._weights.keys() == weights.keys() and all(
            weights[name] is value for name, value in self._weights.items()
        )
        if not same:
            self._built, self._weights = {}, weights
        if clips.shape not in self._built:
            details = self._endpoints, self._precision
            self._built[clips.shape] = openvino_trunk.build(weights, clips.shape, *details)
        return self._built[clips.shape](clips)
