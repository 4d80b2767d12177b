"""Small networks, written in each format, and their outputs by the programs that read it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
import onnxruntime

from afsd_jax.config import check, default_config, resolve
from afsd_jax.models import parameters
from afsd_jax.models.openvino_trunk import import_openvino
from afsd_jax.weights.checkpoint import Checkpoint

CLASSES = [f"class {n}" for n in range(20)]
Inputs = Mapping[str, np.ndarray]
Outputs = Sequence[np.ndarray]


def small_checkpoint(
    stream: str = "rgb",
    seed: int = 0,
    model: Mapping[str, object] | None = None,
    inference: Mapping[str, object] | None = None,
) -> Checkpoint:
    """A small network whose random weights and statistics leave nothing at its initial value."""
    config = default_config()
    config.data.update(clip_length=64, crop_size=32, frame_size=38, stream=stream)
    config.model.update({"trunk_width": 0.05, "channels": 16, "groups": 4, **(model or {})})
    config.inference.update({"window_stride": 32, **(inference or {})})
    config = resolve(config, len(CLASSES))
    check(config)
    rng = np.random.default_rng(seed)
    weights = {
        name: np.asarray(value) * rng.uniform(0.7, 1.3, value.shape).astype(np.float32)
        + (rng.uniform(0, 0.5, value.shape).astype(np.float32) if value.ndim == 1 else 0)
        for name, value in parameters.flatten(parameters.build_network(config, seed)).items()
    }
    weights["loc_head.bias"] += np.float32(1.5)  # segments of several cells
    return Checkpoint(0, config, CLASSES, weights)


def random_inputs(streams: Sequence[Checkpoint], num_frames: Sequence[int]) -> dict:
    """Random windows with so many frames of the video."""
    rng, inputs = np.random.default_rng(0), {"num_frames": np.array(num_frames, np.int32)}
    for data, model in ((x.config.data, x.config.model) for x in streams):
        shape = (len(num_frames), data.clip_length, *[data.crop_size] * 2, model.in_channels)
        inputs[data.stream] = rng.integers(0, 256, shape, np.uint8)
    return inputs


def by_onnxruntime(folder: Path) -> Callable[[Inputs], Outputs]:
    session = onnxruntime.InferenceSession(folder / "network.onnx")
    return lambda inputs: session.run(["segments", "scores"], inputs)


def by_openvino(folder: Path) -> Callable[[Inputs], Outputs]:
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    core = import_openvino().Core()
    model = core.compile_model(folder / "network.xml", "CPU", settings)
    return lambda inputs: [model(inputs)[name] for name in ("segments", "scores")]


def by_jax(folder: Path) -> Callable[[Inputs], Outputs]:
    program = jax.export.deserialize(bytearray((folder / "network.stablehlo").read_bytes()))
    weights = dict(np.load(folder / "weights.npz"))
    return lambda inputs: [np.asarray(x) for x in jax.jit(program.call)(weights, inputs)]


OPENED = {"onnx": by_onnxruntime, "openvino": by_openvino, "stablehlo": by_jax}
