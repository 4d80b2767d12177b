"""The forward pass of detection, from windows of frames to segments and scores."""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jax.typing import ArrayLike

from afsd_jax.config import of_programs
from afsd_jax.config_checks import FEATURES
from afsd_jax.data.clips.geometry import frame_unit
from afsd_jax.detection.postprocess import decode_streams
from afsd_jax.errors import UserError
from afsd_jax.models import PADDING, Network, normalise, openvino_trunk, parameters
from afsd_jax.models.network import feature_shapes
from afsd_jax.models.openvino_trunk import OpenVinoSteps
from afsd_jax.models.streaming import XlaSteps
from afsd_jax.models.video_trunk import TrunkSteps, VideoTrunk
from afsd_jax.runtime.prefetch import in_short_turns
from afsd_jax.runtime.programs import Program

BACKENDS = ("xla", "openvino", "openvino-bfloat16")
NamedWeights = Mapping[str, Any]  # arrays of a network, by their paths; see `models.parameters`


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


def open_video_trunk(
    backend: str,
    weights: NamedWeights,
    frame_shape: Sequence[int],
    endpoints: Sequence[str],
    dtype: str = "float32",
    unit: int = 0,
) -> VideoTrunk:
    """Returns the trunk for whole videos.

    Args:
      backend: one of `BACKENDS`.
      weights: weights of the network by name.
      frame_shape: (H, W, channels) of the frames.
      endpoints: names of the endpoints to compute.
      dtype: XLA's compute type.
      unit: frames of a slice; see `VideoTrunk`.
    """
    steps: TrunkSteps
    if backend == "xla":
        trunk = {name: value for name, value in weights.items() if name.startswith("trunk.")}
        steps = XlaSteps(trunk, frame_shape, endpoints, dtype)
    else:
        steps = OpenVinoSteps(weights, frame_shape, endpoints, _precision(backend))
    return VideoTrunk(steps, endpoints, unit)


def _precision(backend: str) -> str:
    return "bfloat16" if backend.endswith("bfloat16") else "float32"


class ForwardPass:
    """The networks, one for each stream: trunk, heads, and decoding of their fused predictions.

    XLA computes the trunks in one program with the rest, or OpenVINO computes them between two
    programs of XLA. With the context of whole videos (`config.model.trunk_context`) the pass begins
    after the trunks, which are `VideoTrunks`.

    Several threads may use it. One pass runs at a time: it uses all cores, so passes side by side
    would take as long, and each would need memory of its own.

    Attributes:
      program: compiled by JAX: the whole pass, or what follows the trunks.
    """

    def __init__(self, configs: Sequence[ml_collections.ConfigDict], backend: str):
        """Compiles nothing yet.

        Args:
          configs: configuration of each stream's network; the first one's `inference` is used.
          backend: one of `BACKENDS`.
        """
        self._configs = configs
        self._running = threading.Lock()
        of_passes = [of_programs(config, "data", "model", "inference") for config in configs]

        def decode(
            weights: Sequence[NamedWeights], features: Sequence[Sequence[jax.Array]]
        ) -> tuple[jax.Array, jax.Array]:
            networks = list(map(parameters.abstract_network, of_passes))
            return decode_features(networks, of_passes[0], weights, features)

        def whole(
            weights: Sequence[NamedWeights], frames: list[jax.Array], num_frames: jax.Array
        ) -> tuple[jax.Array, jax.Array]:
            return decode_frames(of_passes, weights, frames, num_frames)

        def values() -> str:
            return " ".join(config.to_json() for config in of_passes)

        self._whole_videos = configs[0].model.trunk_context == "video"
        self._trunks: list[_OpenVinoTrunk] | None = None
        if self._whole_videos:
            self.program = Program(decode, values)
        elif backend == "xla":
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
          frames: one batch of windows for each network, uint8 [B, T, H, W, channels]; or, with the
            context of whole videos, their features, as `Network.features` returns them.
          num_frames: int32 [B], number of each window's frames that lie in the video.

        Returns:
          Segments [B, K, 2] and scores [B, K, C], as `decode_streams` gives them.
        """
        with self._running:
            if self._whole_videos:
                return jax.block_until_ready(self.program(weights, frames))
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
        frames: Sequence[Any],
        num_frames: jax.ShapeDtypeStruct,
    ) -> None:
        """Compiles the programs for batches of these shapes, before the first batch is there.

        Another thread may read that batch meanwhile.
        """
        with self._running, in_short_turns():
            if self._whole_videos:
                self.program.prepare(weights, frames)
            elif self._trunks is None:
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


def decode_frames(
    configs: Sequence[ml_collections.ConfigDict],
    weights: Sequence[NamedWeights],
    frames: Sequence[jax.Array],
    num_frames: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Computes the networks by JAX alone, and decodes their fused predictions.

    Args:
      configs: configuration of each stream's network; the first one's `inference` is used.
      weights: weights of each network.
      frames: one batch of windows for each network, uint8 [B, T, H, W, channels].
      num_frames: int32 [B], number of each window's frames that lie in the video.

    Returns:
      Segments [B, K, 2] and scores [B, K, C], as `decode_streams` gives them.
    """
    networks = list(map(parameters.abstract_network, configs))
    features = [
        parameters.replace(network, values).features(_normalised(stream, num_frames))
        for network, values, stream in zip(networks, weights, frames, strict=True)
    ]
    return decode_features(networks, configs[0], weights, features)


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


def input_shapes(config: ml_collections.ConfigDict) -> Any:
    """Returns shape and type of a window's frames, or of each feature if the trunk came before."""
    model, length, side = config.model, config.data.clip_length, config.data.crop_size
    if model.trunk_context == "clip":
        dtype = np.float16 if config.data.stream == FEATURES else np.uint8
        return jax.ShapeDtypeStruct((length, side, side, model.in_channels), dtype)
    shapes = feature_shapes(model, length, side)
    return [jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes]


class VideoTrunks:
    """The networks' trunks for whole videos, built for the first video and for other weights."""

    def __init__(self, configs: Sequence[ml_collections.ConfigDict], backend: str):
        """Takes the configuration of each network, and one of `BACKENDS`."""
        self._configs, self._backend = configs, backend
        self._built: list[VideoTrunk] = []
        self._weights: list[NamedWeights] = []
        self._lock = threading.Lock()

    def __call__(self, weights: Sequence[NamedWeights]) -> list[VideoTrunk]:
        """Returns the trunks with these weights; their slices have equal numbers of frames."""
        unit = max(frame_unit(config.model) for config in self._configs)
        with self._lock:
            if not self._built or not all(map(_are_same, self._weights, weights)):
                self._weights = [dict(values) for values in weights]
                self._built = [
                    open_video_trunk(
                        self._backend,
                        values,
                        (config.data.crop_size, config.data.crop_size, config.model.in_channels),
                        config.model.pyramid_inputs,
                        config.model.dtype,
                        unit,
                    )
                    for config, values in zip(self._configs, weights, strict=True)
                ]
            return self._built


def _are_same(one: NamedWeights, other: NamedWeights) -> bool:
    return one.keys() == other.keys() and all(other[name] is value for name, value in one.items())


class _OpenVinoTrunk:
    """OpenVINO's trunk, built for the first batch of each shape, and again for other weights."""

    def __init__(self, endpoints: Sequence[str], backend: str):
        self._endpoints = endpoints
        self._precision = _precision(backend)
        self._built: dict[tuple[int, ...], openvino_trunk.Trunk] = {}
        self._weights: NamedWeights = {}

    def __call__(self, weights: NamedWeights, frames: np.ndarray) -> list[np.ndarray]:
        return self.build(weights, frames.shape)(frames)

    def build(self, weights: NamedWeights, shape: tuple[int, ...]) -> openvino_trunk.Trunk:
        """Returns the trunk for frames of a shape [B, T, H, W, channels]."""
        if not _are_same(self._weights, weights):
            self._built, self._weights = {}, weights
        if shape not in self._built:
            self._built[shape] = openvino_trunk.build(
                weights, shape, self._endpoints, self._precision
            )
        return self._built[shape]
