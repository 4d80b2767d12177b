"""Frames as byte strings: JPEG (small), PNG (lossless) or raw (fastest to read).

A row of features is a frame of one pixel, stored as float16.

No image format has the two channels of flow: in JPEG and PNG they are stored side by side in one
grey image of twice the width.
"""

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from afsd_jax.errors import UserError

if TYPE_CHECKING:
    import tensorflow as tf

ENCODINGS = ("jpeg", "png", "raw")  # of pictures
ROWS = "float16"  # encoding of rows of features
# Types of values that are stored as they are.
_PLAIN: dict[str, np.dtype[Any]] = {"raw": np.dtype(np.uint8), ROWS: np.dtype("<f2")}
JPEG_QUALITY = 95
_FRAMES_PER_STEP = 16  # frames that one step of tf.map_fn decodes
_STARTS = {"jpeg": 0xFFD8, "png": 0x8950, "gif": 0x4749, "bmp": 0x424D}  # the first two bytes
_MOST_SEGMENTS = 100  # of a JPEG before its frame header; ours have four

Crop = tuple["tf.Tensor | int", "tf.Tensor | int", int, int]


def check_encoding(encoding: str) -> None:
    """Raises UserError unless `encoding` is known."""
    if encoding not in (*ENCODINGS, ROWS):
        raise UserError(f"encoding {encoding!r}: must be one of {', '.join(ENCODINGS)}")


def frame_bytes(encoding: str, shape: tuple[int, int, int]) -> int:
    """Returns the size of every encoded frame [H, W, C]; 0 for pictures, whose sizes differ."""
    return _PLAIN[encoding].itemsize * math.prod(shape) if encoding in _PLAIN else 0


def frame_dtype(encoding: str) -> np.dtype[Any]:
    """Returns the type of a decoded frame's values."""
    return _PLAIN.get(encoding, np.dtype(np.uint8))


def encode(frame: np.ndarray, encoding: str) -> bytes:
    """Encodes a uint8 [H, W, C] frame, C = 3 (RGB) or 2 (flow); or a row of features [1, 1, C].

    Raises:
      UserError: the encoding is unknown, or the frame has another type or number of channels.
    """
    check_encoding(encoding)
    if encoding == ROWS:
        return frame.astype(_PLAIN[ROWS]).tobytes()
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
    """Decodes one frame, with Pillow: uint8 [height, width, channels]; float16 for features."""
    check_encoding(encoding)
    if encoding in _PLAIN:
        return np.frombuffer(frame, _PLAIN[encoding]).reshape(height, width, channels)
    with Image.open(io.BytesIO(frame), formats=[encoding]) as opened:
        if opened.size != (width * (2 if channels == 2 else 1), height):
            raise ValueError(f"a frame has {opened.width}x{opened.height} pixels")
        image = np.asarray(opened)
    if image.shape[2:] != (() if channels == 2 else (channels,)):
        raise ValueError(f"a frame has {image.shape[2:]} channels")
    return np.stack([image[:, :width], image[:, width:]], axis=-1) if channels == 2 else image


def check_stored(
    content: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    encoding: str,
    height: int,
    width: int,
    channels: int,
) -> None:
    """Checks JPEG or PNG frames of a shard by their headers, before a decoder makes room for them.

    Args:
      content: the shard's bytes, uint8 [size].
      begins: position of each frame's first byte, int64 [N].
      ends: position after each frame's last byte, int64 [N].
      encoding: jpeg or png.
      height: height of a decoded frame, pixels.
      width: width of a decoded frame, pixels.
      channels: number of channels of a decoded frame.

    Raises:
      ValueError: a frame is a picture of another encoding or size.
    """
    readable = begins + 4 <= ends
    begins, ends = begins[readable], ends[readable]
    starts = content[begins[:, None] + np.arange(2)].astype(int) @ (256, 1)
    pictures = np.isin(starts, list(_STARTS.values()))  # TensorFlow decodes any of these
    if (starts[pictures] != _STARTS[encoding]).any():
        raise ValueError("a frame is of another encoding")
    size = _png_size if encoding == "png" else _jpeg_size
    sizes = size(content, begins[pictures], ends[pictures])
    if (sizes != (height, width * (2 if channels == 2 else 1))).any():
        raise ValueError("a frame's picture has another size")


def _numbers(content: np.ndarray, at: np.ndarray, size: int) -> np.ndarray:
    """Returns the big-endian numbers of `size` bytes at these positions."""
    digits = content[at[:, None] + np.arange(size)].astype(np.int64)
    return digits @ (256 ** np.arange(size)[::-1])


def _png_size(content: np.ndarray, begins: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Returns the (height, width) that each PNG states, int64 [N, 2]."""
    if (ends - begins < 33).any() or (_numbers(content, begins + 12, 4) != 0x49484452).any():
        raise ValueError("a frame is no PNG")
    return np.stack([_numbers(content, begins + at, 4) for at in (20, 16)], axis=1)


def _jpeg_size(content: np.ndarray, begins: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Returns the (height, width) that each JPEG states, int64 [N, 2]."""
    at, sizes = begins + 2, np.zeros((len(begins), 2), np.int64)
    left = np.arange(len(begins))
    for _ in range(_MOST_SEGMENTS):  # in each turn one segment of each picture, to its frame header
        if not len(left):
            return sizes
        place = at[left]
        if (place + 9 > ends[left]).any() or (content[place] != 0xFF).any():
            raise ValueError("a frame is no JPEG")
        kinds = content[place + 1]
        # SOF0 to SOF15, but for the tables DHT, JPG and DAC
        found = (kinds >= 0xC0) & (kinds <= 0xCF) & ~np.isin(kinds, (0xC4, 0xC8, 0xCC))
        headers = place[found] + 5
        sizes[left[found]] = np.stack([_numbers(content, headers + i, 2) for i in (0, 2)], axis=1)
        at[left] += 2 + np.maximum(_numbers(content, place + 2, 2), 2)
        left = left[~found]
    raise ValueError("a JPEG has no frame header")


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
      encoding: encoding of all frames.
      height: height of a decoded frame, pixels.
      width: width of a decoded frame, pixels.
      channels: channels of a decoded frame.
      crop: the part to return: (first row, first column, rows, columns) in pixels, the last two
        Python integers; None is the whole frame.

    Returns:
      uint8 [n, rows, columns, channels]; float16 for features.
    """
    # Preparing data needs no TensorFlow, whose import costs seconds and 300 MiB in each process.
    import tensorflow as tf

    check_encoding(encoding)
    y, x, rows, columns = crop or (0, 0, height, width)
    if size := frame_bytes(encoding, (height, width, channels)):
        pixels = tf.io.decode_raw(frames, tf.uint8, fixed_length=size)
        if encoding == ROWS:  # of which TensorFlow decodes bytes only
            pixels = tf.bitcast(tf.reshape(pixels, [-1, size // 2, 2]), tf.float16)
        pixels = tf.reshape(pixels, [-1, height, width, channels])
        pixels = pixels[:, y : y + rows, x : x + columns]
        return tf.ensure_shape(pixels, [None, rows, columns, channels])

    # A step of map_fn costs as much as decoding a quarter of a frame, so each step decodes several.
    # Copies of the first frame fill the last step.
    count = tf.shape(frames)[0]
    filled = tf.concat([frames, tf.repeat(frames[:1], -count % _FRAMES_PER_STEP)], axis=0)
    crop = (y, x, rows, columns)
    images = tf.map_fn(
        lambda step: tf.stack(
            [_decode_image(frame, encoding, width, channels, crop) for frame in tf.unstack(step)]
        ),
        tf.reshape(filled, [-1, _FRAMES_PER_STEP]),
        fn_output_signature=tf.TensorSpec([_FRAMES_PER_STEP, rows, columns, channels], tf.uint8),
    )
    return tf.reshape(images, [-1, rows, columns, channels])[:count]


def _decode_image(
    frame: "tf.Tensor", encoding: str, width: int, channels: int, crop: Crop
) -> "tf.Tensor":
    """Decodes the crop of one JPEG or PNG frame: uint8 [rows, columns, channels]."""
    import tensorflow as tf

    y, x, rows, columns = crop
    # The two channels of flow lie `width` columns apart in the image.
    grey, span = (True, columns + width) if channels == 2 else (False, columns)
    if encoding == "jpeg":
        # A cropping decoder does not know the colours outside the crop, from which those at its
        # edge are interpolated. One more pixel on each side gives the colours of the whole image.
        left = tf.maximum(x - 1, 0)
        right = tf.minimum(x + span + 1, 2 * width if grey else width)
        # The decoder's default method is faster, but off by one grey level in places.
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
