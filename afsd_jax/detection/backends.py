"""The networks' way from frames to decoded windows, by XLA alone or with OpenVINO's trunk."""

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jax.typing import ArrayLike

from afsd_jax.detection.postprocess import decode_streams
from afsd_jax.errors import UserError
from afsd_jax.models import PADDING, Network, normalise, openvino_trunk, parameters
from afsd_jax.runtime.compilation import compiled

BACKENDS = ("xla", "openvino", "openvino-bfloat16")
Weights = dict[str, jax.Array]


class Forward(Protocol):
    """The way from windows to (segments, scores), as `decode_streams` gives them."""

    def __call__(
        self, weights: list[Weights], videos: Sequence[ArrayLike], num_frames: ArrayLike
    ) -> tuple[jax.Array, jax.Array]:
        """Computes a batch.

        Args:
          weights: of each network, by name.
          videos: of each network uint8 windows [B,T,H,W,channels].
          num_frames: int32 [B], how many frames of each window the video has.
        """

    def prepare(
        self,
        weights: list[Weights],
        videos: Sequence[jax.ShapeDtypeStruct],
        num_frames: jax.ShapeDtypeStruct,
    ) -> None:
        """Compiles what batches of these shapes need, so that the first of them need not wait."""


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
    """
    if backend == "xla":
        return _ByXla(networks, config)
    return _ByOpenVino(networks, config, backend)


class _ByXla:
    """One program.

    Attributes:
      program: what JAX has compiled of it.
    """

    def __init__(self, networks: Sequence[Network], config: ml_collections.ConfigDict):
        def whole(
            weights: list[Weights], videos: list[jax.Array], num_frames: jax.Array
        ) -> tuple[jax.Array, jax.Array]:
            features = [
                parameters.replace(network, values).features(_normalised(frames, num_frames))
                for network, values, frames in zip(networks, weights, videos, strict=True)
            ]
            return _decoded(networks, config, weights, features)

        self.program = compiled(whole)

    def __call__(
        self, weights: list[Weights], videos: Sequence[ArrayLike], num_frames: ArrayLike
    ) -> tuple[jax.Array, jax.Array]:
        return self.program(weights, videos, num_frames)

    def prepare(
        self,
        weights: list[Weights],
        videos: Sequence[jax.ShapeDtypeStruct],
        num_frames: jax.ShapeDtypeStruct,
    ) -> None:
        self.program.lower(weights, videos, num_frames).compile()


class _ByOpenVino:
    """XLA's programs around OpenVINO's trunks."""

    def __init__(
        self, networks: Sequence[Network], config: ml_collections.ConfigDict, backend: str
    ):
        self._networks = networks
        self._trunks = [_Trunk(network.endpoints, backend) for network in networks]
        self._before = compiled(_normalised)
        self._after = compiled(functools.partial(_decoded, networks, config))

    def __call__(
        self, weights: list[Weights], videos: Sequence[ArrayLike], num_frames: ArrayLike
    ) -> tuple[jax.Array, jax.Array]:
        features = [
            trunk(values, np.asarray(self._before(frames, num_frames)))
            for trunk, values, frames in zip(self._trunks, weights, videos, strict=True)
        ]
        return self._after(weights, features)

    def prepare(
        self,
        weights: list[Weights],
        videos: Sequence[jax.ShapeDtypeStruct],
        num_frames: jax.ShapeDtypeStruct,
    ) -> None:
        # OpenVINO builds on one core while JAX, which is Python here, traces on another.
        with ThreadPoolExecutor() as pool:
            pairs = zip(self._trunks, weights, videos, strict=True)
            built = [pool.submit(trunk.build, values, x.shape) for trunk, values, x in pairs]
            features = [
                [
                    jax.ShapeDtypeStruct((x.shape[0], *shape), np.float32)
                    for shape in network.feature_shapes
                ]
                for network, x in zip(self._networks, videos, strict=True)
            ]
            for x in videos:
                self._before.lower(x, num_frames).compile()
            self._after.lower(weights, features).compile()
            for trunk in built:
                trunk.result()


def _normalised(frames: jax.Array, num_frames: jax.Array) -> jax.Array:
    return normalise(frames, num_frames, PADDING["grey"])


def _decoded(
    networks: Sequence[Network],
    config: ml_collections.ConfigDict,
    weights: list[Weights],
    features: list[list[jax.Array]],
) -> tuple[jax.Array, jax.Array]:
    """Returns segments and scores of what the trunks hand on."""
    predictions = [
        parameters.replace(network, values).heads(of_stream).predictions
        for network, values, of_stream in zip(networks, weights, features, strict=True)
    ]
    priors = jnp.asarray(networks[0].priors)
    return decode_streams(predictions, priors, config.data.clip_length, config.inference.fusion)


class _Trunk:
    """OpenVINO's trunk, built at the first clips of a shape, and anew for other weights."""

    def __init__(self, endpoints: Sequence[str], backend: str):
        self._endpoints = endpoints
        self._precision = "bfloat16" if backend.endswith("bfloat16") else "float32"
        self._built: dict[tuple[int, ...], openvino_trunk.Trunk] = {}
        self._weights: Weights = {}

    def __call__(self, weights: Weights, clips: np.ndarray) -> list[np.ndarray]:
        return self.build(weights, clips.shape)(clips)

    def build(self, weights: Weights, shape: tuple[int, ...]) -> openvino_trunk.Trunk:
        """Returns the trunk for clips of a shape, which is built if it is not yet."""
        same = self._weights.keys() == weights.keys() and all(
            weights[name] is value for name, value in self._weights.items()
        )
        if not same:
            self._built, self._weights = {}, weights
        if shape not in self._built:
            details = self._endpoints, self._precision
            self._built[shape] = openvino_trunk.build(weights, shape, *details)
        return self._built[shape]
