"""The one schema of every prepared data set: an example is a video with its annotations."""

from collections.abc import Sequence

import numpy as np
import tensorflow_datasets as tfds


def features(class_names: Sequence[str] | None = None) -> tfds.features.FeaturesDict:
    """Returns the features of an example.

    name: name of the video, unique in the data set. fps: sampled frames per second. duration_s:
    length of the video, seconds. encoding: jpeg, png, raw or float16; see `frame_codec`. height,
    width, channels: size of a decoded frame (3 channels for rgb, 2 for flow, features as they are).
    frames: one byte string per frame. annotations: label (the network's label minus 1), start and
    end in seconds and in sampled frames.

    Args:
      class_names: classes in the order of their labels; None to read a prepared folder.
    """
    text = tfds.features.Text()
    return tfds.features.FeaturesDict(
        {
            "name": text,
            "fps": _float64(),
            "duration_s": _float64(),
            "encoding": text,
            "height": np.int32,
            "width": np.int32,
            "channels": np.int32,
            "frames": tfds.features.Sequence(text),
            "annotations": tfds.features.Sequence(
                {
                    "label": tfds.features.ClassLabel(names=class_names and list(class_names)),
                    "start_s": _float64(),
                    "end_s": _float64(),
                    "start_frame": _float64(),
                    "end_frame": _float64(),
                }
            ),
        }
    )


def class_names(builder: tfds.core.DatasetBuilder) -> list[str]:
    """Returns the class names of a prepared data set, in the order of their labels."""
    return list(builder.info.features["annotations"].feature["label"].names)


def _float64() -> tfds.features.Tensor:
    """A float64 scalar, stored as bytes since the file format only has float32."""
    return tfds.features.Tensor(shape=(), dtype=np.float64, encoding=tfds.features.Encoding.BYTES)
