"""Frames as byte strings: JPEG (small), PNG (lossless) or raw (fastest to read).

Flow has two channels, which no image format has: in JPEG and PNG its components stand side by side
in one grey image of twice the width.
"""

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from afsd_jax.errors import UserError

if TYPE_CHECKING:
    import tensorflow as tf

ENCODINGS = ("jpeg", "png", "raw")
JPEG_QUALITY = 95
_FRAMES_A_TURN = 16

Crop = tuple["tf.Tensor | int", "tf.Tensor | int", int, int]


def check_encoding(encoding: str) -> None:
    """Raises UserError unless `encoding` is known."""
    if encoding not in ENCODINGS:
        raise UserError(f"encoding {encoding!r}: must be one of {', '.join(ENCODINGS)}")


def encode(frame: np.ndarray, encoding: str) -> bytes:
    """Encodes a uint8 [H, W, C] frame, C = 3 (RGB) or 2 (flow).

    Raises:
      UserError: the encoding is unknown, or the frame's type or channel count is another.
    """
    check_encoding(encoding)
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] not in (2, 3):
        raise UserError(
            f"a frame is {frame.dtype} {list(frame.shape)}, not uint8 [height, width, 3 or 2]"
        )
    if encoding == "raw":
        return frame.tobytes()
    if frame.shape[2] == 2:
        frame = np.concatenate([frame[..., 0], frame[..., 1]], axis=1)
    buffer = io.BytesIO()
    options = {"quality": JPEG_QUALITY} if encoding == "jpeg" else {}
    Image.fromarray(frame).save(buffer, encoding, **options)
    return buffer.getvalue()


def decode(frame: bytes, encoding: str, height: int, width: int, channels: int) -> np.ndarray:
    """Decodes one frame with Pillow: uint8 [height, width, channels]."""
    check_encoding(encoding)
    if encoding == "raw":
        return np.frombuffer(frame, np.uint8).reshape(height, width, channels)
    image = np.asarray(Image.open(io.BytesIO(frame)))
    return np.stack([image[:, :width], image[:, width:]], axis=-1) if channels == 2 else image


def decode_tf(
    frames: "tf.Tensor",
    encoding: str,
    height: int,
    width: int,
    channels: int,
    crop: Crop | None = None,
) -> "tf.Tensor":
    """Decodes frames inside a tf.data pipeline, to the same pixels as `decode`.

    Args:
      frames: string [n], n not known to the graph.
      encoding: of all of them; a Python string, as are the sizes Python integers.
      height: of a decoded frame, pixels.
      width: of a decoded frame, pixels.
      channels: of a decoded frame.
      crop: the part wanted: (first row, first column, rows, columns) in pixels, the last two being
        Python integers; None is all of it.

    Returns:
      uint8 [n, rows, columns, channels].
    """
    # Preparing data needs no TensorFlow, whose import costs seconds and 300 MiB in each process.
    import tensorflow as tf

    check_encoding(encoding)
    y, x, rows, columns = crop or (0, 0, height, width)
    if encoding == "raw":
        pixels = tf.io.decode_raw(frames, tf.uint8, fixed_length=height * width * channels)
        pixels = tf.reshape(pixels, [-1, height, width, channels])
        pixels = pixels[:, y : y + rows, x : x + columns]
        return tf.ensure_shape(pixels, [None, rows, columns, channels])

    # Flow: the columns of both components are neighbours in the image, `width` apart.
    grey, span = (True, columns + width) if channels == 2 else (False, columns)
    # A cropping decoder knows no colours beyond the crop, from which those at its edge are
    # interpolated: a pixel more on each side gives those of the whole image.
    left = tf.maximum(x - 1, 0)
    right = tf.minimum(x + span + 1, 2 * width if grey else width)

    def decode_image(frame: tf.Tensor) -> tf.Tensor:
        if encoding == "jpeg":
            # The decoder's default is faster but off by one grey level here and there.
            image = tf.io.decode_and_crop_jpeg(
                frame,
                [y, left, rows, right - left],
                1 if grey else channels,
                dct_method="INTEGER_ACCURATE",
            )[:, x - left :]
        else:
            image = tf.io.decode_png(frame, 1 if grey else channels)[y : y + rows, x:]
        if grey:
            image = tf.concat([image[:, :columns], image[:, width : width + columns]], axis=-1)
        return tf.ensure_shape(image[:, :columns], [rows, columns, channels])

    # A turn of map_fn costs as much as decoding a quarter of a frame: each does several frames, the
    # first one filling up the last turn.
    count = tf.shape(frames)[0]
    filled = tf.concat([frames, tf.repeat(frames[:1], -count % _FRAMES_A_TURN)], axis=0)
    images = tf.map_fn(
        lambda turn: tf.stack([decode_image(frame) for frame in tf.unstack(turn)]),
        tf.reshape(filled, [-1, _FRAMES_A_TURN]),
        fn_output_signature=tf.TensorSpec([_FRAMES_A_TURN, rows, columns, channels], tf.uint8),
    )
    return tf.reshape(images, [-1, rows, columns, channels])[:count]
