"""What a program must know about an exported network, for `network.json`."""

from collections.abc import Sequence
from typing import Any

import ml_collections

from afsd_jax.detection.postprocess import Postprocessing
from afsd_jax.types import OWN_CROPS
from afsd_jax.version import VERSION


def describe(
    configs: Sequence[ml_collections.ConfigDict], class_names: Sequence[str], file: str
) -> dict[str, Any]:
    """Returns the description, which `afsd_numpy` reads.

    Args:
      configs: configuration of each stream's network.
      class_names: names of the C-1 actions.
      file: name of the network's file.
    """
    config = configs[0]
    data, inference = config.data, config.inference
    postprocessing = Postprocessing(config, class_names, len(configs) > 1)
    return {
        "file": file,
        "written_by": f"afsd-jax {VERSION}",
        "streams": {c.data.stream: c.model.in_channels for c in configs},
        "flow_method": next((c.data.flow_method for c in configs if c.data.stream == "flow"), ""),
        "classes": list(class_names),
        "fps": data.fps,
        "max_frames": data.max_frames,
        "crop": "" if data.crop == OWN_CROPS else data.crop,
        "keep_aspect": data.keep_aspect,
        "frame_size": data.frame_size,
        "crop_size": data.crop_size,
        "clip_length": data.clip_length,
        "one_window": inference.one_window,
        "window_stride": inference.window_stride,
        "score_threshold": postprocessing.score_threshold,
        "nms": inference.nms,
        "nms_sigma": inference.nms_sigma,
        "nms_tiou": inference.nms_tiou,
        "nms_threshold": postprocessing.nms_threshold,
        "max_detections": inference.max_detections,
        "voting_tiou": inference.voting_tiou,
        "clip_to_video": inference.clip_to_video,
        "video_labels": inference.video_labels,
    }
