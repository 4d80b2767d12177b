"""One video as one TFRecord file, written and read frame by frame, in constant memory.

A two-hour video is half a gigabyte of frames, and the usual way through a serialised message holds
it three times over. The format allows better: a protocol buffer may be written as pieces one after
another, so the frames are spooled to disk as they come and then appended.
"""

import struct
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c
import tensorflow_datasets as tfds
from google.protobuf import message
from tensorflow_datasets.core import example_serializer
from tensorflow_datasets.proto import tf_feature_pb2

from afsd_jax import files
from afsd_jax.errors import UserError

MAX_BYTES = 2**31 - 2**16  # of the frames: a protocol buffer holds less than 2 GiB
_CHUNK = 1 << 20


def write_example(
    path: Path,
    features: tfds.features.FeaturesDict,
    example: Mapping[str, Any],
    frames: Iterable[bytes],
) -> int:
    """Writes a TFRecord file that holds one example, in one piece or not at all.

    Args:
      path: of the file.
      features: see `schema.features`.
      example: every field but the frames.
      frames: encoded, consumed once.

    Returns:
      The number of bytes of the file.

    Raises:
      UserError: the example is larger than 2 GiB, which nothing could read.
    """
    with files.atomic_write(path) as temporary:
        with tempfile.TemporaryFile(dir=temporary.parent) as spool:
            for frame in frames:
                spool.write(_field(1, len(frame)) + frame)
                if spool.tell() > MAX_BYTES:
                    raise UserError(
                        f"{example['name']}: its frames take more than 2 GiB, the most that an "
                        "example can hold; choose the encoding jpeg or cut the video"
                    )
            spooled = spool.tell()
            spool.seek(0)
            head = _serialize(features, example) + _frames_header(spooled)
            with temporary.open("wb") as file:
                _write_record(file, head, spool, spooled)
        return temporary.stat().st_size


def read_example(path: Path) -> tuple[dict[str, Any], Iterator[bytes]]:
    """Reads a shard that `write_example` wrote, without TensorFlow.

    Returns:
      The fields that are single numbers or texts, and the encoded frames, which are read as they
      are asked for.

    Raises:
      UserError: the shard is missing or damaged; while iterating, too.
    """
    frames = _read_example(path)
    return next(frames), frames


def _read_example(path: Path) -> Iterator[Any]:
    """Yields the fields, then each frame."""
    try:
        with path.open("rb") as file:
            file.seek(12)  # the record's length and its checksum
            features = tf_feature_pb2.Features.FromString(_read(file, _read_size(file)))
            yield {
                name: (feature.int64_list.value or feature.bytes_list.value)[0]
                for name, feature in features.feature.items()
                if "/" not in name
            }
            _read_size(file)  # Features
            _read_size(file)  # the map's entry
            _read(file, _read_size(file))  # its key
            _read_size(file)  # Feature
            end = _read_size(file) + file.tell()  # BytesList
            while file.tell() < end:
                yield _read(file, _read_size(file))
    except (OSError, EOFError, IndexError, message.DecodeError) as error:
        raise UserError(
            f"{path}: the shard is missing or damaged; prepare the data set again"
        ) from error


def _read_size(file: BinaryIO) -> int:
    """Reads the tag and length of a length-delimited field."""
    _read(file, 1)
    size = shift = 0
    while True:
        (byte,) = _read(file, 1)
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return size


def _read(file: BinaryIO, size: int) -> bytes:
    content = file.read(size)
    if len(content) < size:
        raise EOFError
    return content


def _serialize(features: tfds.features.FeaturesDict, example: Mapping[str, Any]) -> bytes:
    """Serialises all but the frames."""
    serializer = example_serializer.ExampleSerializer(features.get_serialized_info())
    proto = serializer.get_tf_example(features.encode_example({**example, "frames": []}))
    del proto.features.feature["frames"]
    return proto.SerializeToString(deterministic=True)


def _frames_header(size: int) -> bytes:
    """Returns what stands before `size` bytes of frames: tf.train.Example's field `frames`."""
    header, total = b"", size
    key = _field(1, len(b"frames")) + b"frames"
    # From the inside out: BytesList, Feature, the map's entry, Features, Example.
    for number, prefix in ((1, b""), (2, key), (1, b""), (1, b"")):
        header = prefix + _field(number, total) + header
        total = size + len(header)
    return header


def _field(number: int, size: int) -> bytes:
    """Returns the tag and length of a length-delimited field."""
    varint = bytearray([number << 3 | 2])
    while size > 0x7F:
        varint.append(size & 0x7F | 0x80)
        size >>= 7
    varint.append(size)
    return bytes(varint)


def _write_record(file: BinaryIO, head: bytes, spool: BinaryIO, spooled: int) -> None:
    """Writes a TFRecord of `head` followed by the spool's content."""
    length = struct.pack("<Q", len(head) + spooled)
    file.write(length + _masked(google_crc32c.extend(0, length)) + head)
    checksum = google_crc32c.extend(0, head)
    for chunk in iter(lambda: spool.read(_CHUNK), b""):
        checksum = google_crc32c.extend(checksum, chunk)
        file.write(chunk)
    file.write(_masked(checksum))


def _masked(checksum: int) -> bytes:
    """Returns a CRC-32C as TFRecord stores it."""
    rotated = (checksum >> 15 | checksum << 17) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + 0xA282EAD8) & 0xFFFFFFFF)
