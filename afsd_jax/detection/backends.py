"""The forward pass of detection, from windows of frames to segments and scores."""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jax.typing import ArrayLike

from afsd_jax.detection.postprocess import decode_streams
from afsd_jax.errors import UserError
from afsd_jax.models import PADDING, Network, normalise, openvino_trunk, parameters
from afsd_jax.models.network import feature_shapes
from afsd_jax.runtime.prefetch import in_short_turns
from afsd_jax.runtime.programs import Program

BACKENDS = ("xla", "openvino", "openvino-bfloat16")
NamedWeights = Mapping[str, jax.Array]  # of a network, by their paths; see `models.parameters`


def chosen_backend(backend: str | None, dtype: str = "float32") -> str:
    """Returns the backend to detect with; None means OpenVINO where it is installed and faster.

    Args:
      backend: one of `BACKENDS`, or None.
      dtype: the network's; a network in bfloat16 is left to XLA.

    Raises:
      UserError: there is no such backend, or it is not installed.
    """
    if backend is None:
        faster = jax.default_backend() == "cpu" and jax.device_count() == 1 and dtype == "float32"
        return "openvino" if faster and openvino_trunk.is_installed() else "xla"
    if backend not in BACKENDS:
        raise UserError(f"backend {backend!r}: must be one of {', '.join(BACKENDS)}")
    if backend != "xla" and not openvino_trunk.is_installed():
        raise UserError(
            f"backend {backend!r} needs OpenVINO: pip install 'afsd-jax[openvino]', "
            "or choose backend xla"
        )
    return backend


class ForwardPass:
    """The networks, one for each stream: trunk, heads, and decoding of their fused predictions.

    XLA computes the trunks in one program with the rest, or OpenVINO computes them between two
    programs of XLA.

    Several threads may use it. One pass runs at a time: it uses all cores, so passes side by side
    would take as long, and each would need memory of its own.

    Attributes:
      program: compiled by JAX: the whole pass, or what follows OpenVINO's trunks.
    """

    def __init__(self, configs: Sequence[ml_collections.ConfigDict], backend: str):
        """Compiles nothing yet.

        Args:
          configs: configuration of each stream's network; the first one's `inference` is used.
          backend: one of `BACKENDS`.
        """
        self._configs = configs
        self._running = threading.Lock()

        def decode(
            weights: Sequence[NamedWeights], features: Sequence[Sequence[jax.Array]]
        ) -> tuple[jax.Array, jax.Array]:
            networks = list(map(parameters.abstract_network, configs))
            return decode_features(networks, configs[0], weights, features)

        def whole(
            weights: Sequence[NamedWeights], frames: list[jax.Array], num_frames: jax.Array
        ) -> tuple[jax.Array, jax.Array]:
            networks = map(parameters.abstract_network, configs)
            features = [
                parameters.replace(network, values).features(_normalised(stream, num_frames))
                for network, values, stream in zip(networks, weights, frames, strict=True)
            ]
            return decode(weights, features)

        def values() -> str:
            return " ".join(config.to_json() for config in configs)

        self._trunks: list[_OpenVinoTrunk] | None = None
        if backend == "xla":
            self.program = Program(whole, values)
        else:
            self._trunks = [_OpenVinoTrunk(c.model.pyramid_inputs, backend) for c in configs]
            self._normalise = Program(_normalised, str)
            self.program = Program(decode, values)

    def __call__(
        self, weights: Sequence[NamedWeights], frames: Sequence[ArrayLike], num_frames: ArrayLike
    ) -> tuple[jax.Array, jax.Array]:
        """Computes a batch of windows.

        Args:
          weights: weights of each network.
          frames: one batch of windows for each network, uint8 [B, T, H, W, channels].
          num_frames: int32 [B], number of each window's frames that lie in the video.

        Returns:
          Segments [B, K, 2] and scores [B, K, C], as `decode_streams` gives them.
        """
        with self._running:
            if self._trunks is None:
                return jax.block_until_ready(self.program(weights, frames, num_frames))
            features = [
                trunk(values, np.asarray(self._normalise(stream, num_frames)))
                for trunk, values, stream in zip(self._trunks, weights, frames, strict=True)
            ]
            return jax.block_until_ready(self.program(weights, features))

    def prepare(
        self,
        weights: Sequence[NamedWeights],
        frames: Sequence[jax.ShapeDtypeStruct],
        num_frames: jax.ShapeDtypeStruct,
    ) -> None:
        """Compiles the programs for batches of these shapes, before the first batch is there.

        Another thread may read that batch meanwhile.
        """
        with self._running, in_short_turns():
            if self._trunks is None:
                self.program.prepare(weights, frames, num_frames)
            else:
                self._prepare_parts(self._trunks, weights, frames, num_frames)

    def _prepare_parts(
        self,
        trunks: "Sequence[_OpenVinoTrunk]",
        weights: Sequence[NamedWeights],
        frames: Sequence[jax.ShapeDtypeStruct],
        num_frames: jax.ShapeDtypeStruct,
    ) -> None:
        # OpenVINO builds on one core while JAX traces, in Python, on another.
        with ThreadPoolExecutor() as pool:
            pairs = zip(trunks, weights, frames, strict=True)
            built = [pool.submit(trunk.build, values, x.shape) for trunk, values, x in pairs]
            features = [
                [
                    jax.ShapeDtypeStruct((x.shape[0], *shape), np.float32)
                    for shape in feature_shapes(c.model, c.data.clip_length, c.data.crop_size)
                ]
                for c, x in zip(self._configs, frames, strict=True)
            ]
            for x in frames:
                self._normalise.prepare(x, num_frames)
            self.program.prepare(weights, features)
            for trunk in built:
                trunk.result()


def _normalised(frames: jax.Array, num_frames: jax.Array) -> jax.Array:
    return normalise(frames, num_frames, PADDING["grey"])


def decode_features(
    networks: Sequence[Network],
    config: ml_collections.ConfigDict,
    weights: Sequence[NamedWeights],
    features: Sequence[Sequence[jax.Array]],
) -> tuple[jax.Array, jax.Array]:
    """Computes the heads of each stream's network, and decodes their fused predictions.

    Args:
      networks: one for each stream; their weights are not used.
      config: configuration of the first network.
      weights: weights of each network.
      features: outputs of each network's trunk, [B, …] each.

    Returns:
      Segments [B, K, 2] and scores [B, K, C], as `decode_streams` gives them.
    """
    predictions = [
        parameters.replace(network, values).heads(of_stream).predictions
        for network, values, of_stream in zip(networks, weights, features, strict=True)
    ]
    priors = jnp.asarray(networks[0].priors)
    return decode_streams(predictions, priors, config.data.clip_length, config.inference.fusion)


class _OpenVinoTrunk:
    """OpenVINO's trunk, built for the first batch of each shape, and again for other weights."""

    def __init__(self, endpoints: Sequence[str], backend: str):
        self._endpoints = endpoints
        self._precision = "bfloat16" if backend.endswith("bfloat16") else "float32"
        self._built: dict[tuple[int, ...], openvino_trunk.Trunk] = {}
        self._weights: NamedWeights = {}

    def __call__(self, weights: NamedWeights, frames: np.ndarray) -> list[np.ndarray]:
        return self.build(weights, frames.shape)(frames)

    def build(self, weights: NamedWeights, shape: tuple[int, ...]) -> openvino_trunk.Trunk:
        """Returns the trunk for frames of a shape [B, T, H, W, channels]."""
        same = self._weights.keys() == weights.keys() and all(
            weights[name] is value for name, value in self._weights.items()
        )
        if not same:
            self._built, self._weights = {}, weights
        if shape not in self._built:
            self._built[shape] = openvino_trunk.build(
                weights, shape, self._endpoints, self._precision
            )
        return self._built[shape]
