"""Networks as a StableHLO program, which needs only JAX."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import ml_collections
import numpy as np
from jax import export

from afsd_jax.detection.backends import decode_frames

PLATFORMS = ("cpu", "cuda")


def write_stablehlo(
    folder: Path,
    configs: Sequence[ml_collections.ConfigDict],
    weights: Sequence[Mapping[str, Any]],
) -> None:
    """Writes `network.stablehlo`, and the weights as `weights.npz`; see `build_program`."""
    named = {
        f"{config.data.stream}.{name}": np.asarray(value)
        for config, values in zip(configs, weights, strict=True)
        for name, value in values.items()
    }
    (folder / "network.stablehlo").write_bytes(build_program(configs, named))
    with open(folder / "weights.npz", "wb") as file:
        np.savez(file, **named)  # type: ignore[arg-type]


def build_program(
    configs: Sequence[ml_collections.ConfigDict], weights: Mapping[str, np.ndarray]
) -> bytes:
    """Returns the networks as `jax.export` serialises them, for any number of windows.

    The program takes the weights and a dictionary of inputs: each stream's frames, named `rgb` or
    `flow`, uint8 [windows,T,H,W,channels], and `num_frames`, int32 [windows]. It returns segments,
    float32 [windows,K,2], and scores, float32 [windows,K,C]; see `decode_frames`. It is traced for
    the default backend, which must be the CPU, so that it holds no Triton kernel.

    Args:
      configs: configuration of each stream's network; the first one's `inference` is used.
      weights: weights by stream and name, such as `rgb.loc_scale`; only their shapes are used.
    """
    (windows,) = export.symbolic_shape("windows")

    def decoded(
        weights: Mapping[str, jax.Array], inputs: Mapping[str, jax.Array]
    ) -> tuple[jax.Array, jax.Array]:
        streams = [config.data.stream for config in configs]
        of_streams = [
            {k.removeprefix(f"{s}."): x for k, x in weights.items() if k.startswith(f"{s}.")}
            for s in streams
        ]
        frames = [inputs[stream] for stream in streams]
        return decode_frames(configs, of_streams, frames, inputs["num_frames"])

    inputs = {"num_frames": jax.ShapeDtypeStruct((windows,), np.int32)}
    for config in configs:
        data, channels = config.data, config.model.in_channels
        shape = (windows, data.clip_length, data.crop_size, data.crop_size, channels)
        inputs[data.stream] = jax.ShapeDtypeStruct(shape, np.uint8)
    shapes = {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in weights.items()}
    exported = export.export(jax.jit(decoded), platforms=PLATFORMS)(shapes, inputs)
    return bytes(exported.serialize())
