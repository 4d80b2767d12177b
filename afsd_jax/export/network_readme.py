"""The README of an exported network."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class _Use(NamedTuple):
    """How a format is used: what is installed, and lines that import, load and call it."""

    packages: str
    imports: str
    load: str
    call: str


_USES = {
    "onnx": _Use(
        "numpy onnxruntime",
        "import onnxruntime",
        'network = onnxruntime.InferenceSession("network.onnx")',
        'segments, scores = network.run(["segments", "scores"], inputs)',
    ),
    "openvino": _Use(
        "numpy openvino",
        "import openvino",
        # Where the processor has units for bfloat16, OpenVINO would use them.
        'settings = {"INFERENCE_PRECISION_HINT": "f32"}\n'
        'network = openvino.Core().compile_model("network.xml", "CPU", settings)',
        "segments, scores = network(inputs).values()",
    ),
    "stablehlo": _Use(
        "jax flatbuffers",
        "import jax.export",
        'with open("network.stablehlo", "rb") as file:\n'
        "    network = jax.jit(jax.export.deserialize(bytearray(file.read())).call)\n"
        'weights = jax.device_put(dict(np.load("weights.npz")))',
        "segments, scores = map(np.asarray, network(weights, inputs))",
    ),
}
_TEXT = """\
# A temporal action detector

These lines detect in a video. They need `pip install {packages}` and the files of this folder:

```python
import numpy as np
{imports}
import afsd_numpy

about = afsd_numpy.read_description(".")
{load}
frames, fps = {{{frames}}}, {fps:g}
outputs = []
for offset, inputs in afsd_numpy.windows(frames, about):
    {call}
    outputs.append((offset, segments, scores))
for found in afsd_numpy.detections(outputs, fps, about)[:20]:
    print(found)
```

- **Frames:** those of a video, sampled at {rate}, and {part}resized to {size}x{size} pixels
  with a bicubic filter. Each stream is one array, uint8 [frames, {size}, {size}, channels].
  `afsd_numpy.sampled` says which frames to take; `fps` is their rate.
- **Inputs of the network**, which `afsd_numpy.windows` makes; the number of windows is free:
{inputs}
  - `num_frames`, int32 [windows]: how many frames of each window lie in the video
- **Outputs:** `segments`, float32 [windows, K, 2], start and end in frames of the window, and
  `scores`, float32 [windows, K, {num_classes}]; class 0 is the background.
- **`network.json`:** names of the classes, sizes, rates and thresholds.
"""
_FLOW = """\
- **Optical flow:** uint8, 128 is no motion, as `afsd prepare --flow-method {method}` stores it.
"""
_LABELS = """\
- **Classes:** this network locates actions of any class. Give `afsd_numpy.detections` the class
  that a classifier finds for the video: `video_label=(class, score)`.
"""


def _part(description: Mapping[str, Any]) -> str:
    """Returns what is done with a picture before it is resized, in words; "" for nothing."""
    crop, shape = description["crop"], description["keep_aspect"]
    words = [f"cropped to {crop}"] * bool(crop)
    words += ["cut to the largest centred square"] * (shape == "center")
    words += ["put between two black bars to be square"] * (shape == "letterbox")
    return f"{', '.join(words)} (`afsd_numpy.placement`) and " if words else ""


def readme(format: str, description: Mapping[str, Any]) -> str:
    """Returns the text, in Markdown.

    Args:
      format: one of `network_folder.FILES`.
      description: content of `network.json`.
    """
    fps, streams, length = (description[name] for name in ("fps", "streams", "clip_length"))
    crop = description["crop_size"]
    rate = f"{fps:g} frames a second" if fps else "its own rate"
    if description["max_frames"]:
        rate += f", or a lower one with which it has {description['max_frames']} frames"
    inputs = [
        f"  - `{name}`, uint8 [windows, {length}, {crop}, {crop}, {channels}]: frames"
        for name, channels in streams.items()
    ]
    text = _TEXT.format(
        **_USES[format]._asdict(),
        frames=", ".join(f'"{name}": np.load("{name}.npy")' for name in streams),
        fps=fps or 25,
        rate=rate,
        part=_part(description),
        size=description["frame_size"],
        inputs="\n".join(inputs),
        num_classes=len(description["classes"]) + 1,
    )
    if description["flow_method"]:
        text += _FLOW.format(method=description["flow_method"])
    return text + (_LABELS if description["video_labels"] else "")
