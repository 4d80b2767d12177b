"""Detects the actions in a video with ONNX Runtime, PyAV and Pillow, without JAX.

    afsd export RUN --format onnx --output NETWORK
    pip install numpy onnxruntime av pillow
    python onnx_detect.py NETWORK VIDEO.mp4

For videos at a constant rate whose file states no rotation; `afsd detect` handles all others.
"""

import sys
from collections import Counter
from pathlib import Path

import av
import numpy as np
import onnxruntime
from PIL import Image

folder, video = sys.argv[1:]
sys.path.insert(0, folder)
import afsd_numpy  # noqa: E402, lies beside the network


def read_frames(path: str, about: dict) -> tuple[np.ndarray, float, float]:
    """Returns a video's frames as the network sees them, their rate, and its seconds."""
    size, frames = about["frame_size"], []
    with av.open(path) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate)
        count = sum(packet.size > 0 for packet in container.demux(stream))
        kept, fps = afsd_numpy.sampled(count, rate, about)
        times = Counter(kept)
        container.seek(0)
        for index, frame in enumerate(container.decode(stream)):
            if times[index]:
                image, small = frame.to_image(), Image.new("RGB", (size, size))
                part, shape, corner = afsd_numpy.placement(image.height, image.width, about)
                small.paste(image.crop(part).resize(shape, Image.Resampling.BICUBIC), corner)
                frames += [np.asarray(small)] * times[index]
    return np.stack(frames), fps, count / rate


about = afsd_numpy.read_description(folder)
network = onnxruntime.InferenceSession(Path(folder) / about["file"])
frames, fps, duration_s = read_frames(video, about)
outputs = []
for offset, inputs in afsd_numpy.windows({"rgb": frames}, about):
    segments, scores = network.run(["segments", "scores"], inputs)
    outputs.append((offset, segments, scores))
for found in afsd_numpy.detections(outputs, fps, about, duration_s)[:20]:
    print(f"{found['start_s']:.2f} {found['end_s']:.2f} {found['score']:.3f} {found['label']!r}")
