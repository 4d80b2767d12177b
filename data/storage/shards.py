"""Prepared shards: writing and reading their bytes. No other module knows their format.

A shard is a TFRecord file, so TFDS reads it too. It holds one record after another:

    length   crc of length   Example          crc of Example
    8 bytes  4 bytes         length bytes     4 bytes             little-endian; masked CRC-32C

An Example, TensorFlow's tf.train.Example, is a tree of protocol buffers. Every field in it is
written as tag, size, content. The tag is one byte: 8 · (number of the field) + 2. The size is a
varint: seven bits per byte, the lowest first; all bytes but the last have the top bit set.

    Example    0A size Features
    Features   0A size entry, one for each feature
    entry      0A size name, then 12 size Feature
    Feature    0A size BytesList (or 12 size FloatList, or 1A size Int64List)
    BytesList  0A size frame   0A size frame   …   0A size frame
               ↑ positions[0]  ↑ positions[1]      …             ↑ positions[-1]

Writing. A size stands before its content, so the frames are first written to a temporary file; a
long video is never in memory. Their entry is the last one, in a second Features field, which is
possible since readers merge a field that occurs twice:

    0A size (Features: all other entries)   0A size (Features: the entry of the frames)

Reading. The positions of the frames are found once by jumping from size to size. Then a clip is one
short read, in any order of clips.

Raw frames all have the same length, and so do their tags and sizes. From the content of the first
frame on, they are records of a fixed length: each is followed by the next one's tag and size, the
last one by the checksum or another entry:

    0A size [frame 0A size] [frame 0A size] … [frame crc]

TensorFlow reads such records without parsing or copying; the bytes after each frame are ignored.
"""

import contextlib
import itertools
import mmap
import os
import struct
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import google_crc32c
import numpy as np
import tensorflow_datasets as tfds
from google.protobuf.message import DecodeError

from afsd_jax.data.storage.frame_codec import check_stored, frame_bytes
from afsd_jax.data.storage.record_checksums import CHECKSUM, LENGTH, check_records
from afsd_jax.errors import UserError
from afsd_jax.io import files
from afsd_jax.io.tfrecord import masked

if TYPE_CHECKING:
    import tensorflow as tf

MAX_BYTES = 2**31 - 2**10  # of an Example: a protocol buffer has less than 2 GiB with its headers
_CHUNK = 1 << 20  # bytes that are copied at a time
_VARINT_BYTES = 10  # at most, of 64 bits
_DAMAGE = (OSError, ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError)


def write_example(
    path: Path,
    features: tfds.features.FeaturesDict,
    example: Mapping[str, Any],
    frames: Iterable[bytes],
) -> int:
    """Writes a TFRecord file that holds one example, completely or not at all.

    Args:
      path: file to write.
      features: see `schema.features`.
      example: all fields but the frames.
      frames: encoded frames, read once.

    Returns:
      The size of the file in bytes.

    Raises:
      UserError: the example is larger than 2 GiB, which no reader supports.
    """
    serialized = features.serialize_example({**example, "frames": []})
    others, _ = _split(serialized, 0, len(serialized))
    with files.atomic_write(path) as temporary:
        with tempfile.TemporaryFile(dir=temporary.parent) as spool:
            for frame in frames:
                spool.write(_header(1, len(frame)) + frame)
                _check_size(example["name"], len(others) + spool.tell())
            spooled = spool.tell()
            spool.seek(0)
            head = _head(others, spooled)
            with temporary.open("wb") as file:
                _write_record(file, head, spool, spooled)
        return temporary.stat().st_size


def check_frames(name: str, num_frames: int, frame_bytes: int) -> None:
    """Raises UserError if an example cannot hold a video's frames, all of equal length."""
    _check_size(name, num_frames * (len(_header(1, frame_bytes)) + frame_bytes))


def read_index(
    path: Path, features: tfds.features.FeaturesDict
) -> list[tuple[dict[str, Any], np.ndarray]]:
    """Reads all examples of a shard without their frames, and finds the frames' positions.

    Returns:
      For each example all features but the frames, decoded to NumPy by TFDS, and int64 [N + 1],
      where each of the N frames begins in the file, and where the last one ends.

    Raises:
      UserError: the shard is missing or damaged.
    """
    with (
        naming_damage(path),
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        index = []
        for start, stop in _records(data):
            others, positions = _split(data, start, stop)
            fields = _parsed(features, _head(others, 0))
            del fields["frames"]
            index.append((fields, positions))
        return index


def check_pictures(
    path: Path, positions: np.ndarray, encoding: str, shape: tuple[int, int, int]
) -> None:
    """Checks by their headers that frames are what their example states.

    A frame that begins like no picture at all is left to the decoder, which refuses it: of a
    damaged video the others can still be read.

    Args:
      path: file of the shard.
      positions: int64 [N + 1]; see `read_index`.
      encoding: encoding of the frames; see `frame_codec`.
      shape: (height, width, channels) of a decoded frame.

    Raises:
      UserError: a frame is of another size or encoding.
    """
    if frame_bytes(encoding, shape):
        return
    with naming_damage(path):
        content, begins = np.memmap(path, np.uint8, "r"), positions[:-1] + 1
        for _ in range(_VARINT_BYTES):  # the bytes of a size but its last have the top bit set
            begins += content[begins] >= 0x80
        check_stored(content, begins + 1, positions[1:], encoding, *shape)


def read_frames(path: Path, positions: np.ndarray, numbers: Iterable[int]) -> Iterator[bytes]:
    """Yields the encoded frames with these numbers, reading one at a time.

    Raises:
      UserError: the shard is missing or damaged.
    """
    with naming_damage(path), path.open("rb") as file:
        check_records(path)
        for number in numbers:
            start, stop = positions[number : number + 2].tolist()
            file.seek(start)
            field = file.read(stop - start)
            ((_, begin, end),) = _fields(field, 0, len(field))
            yield field[begin:end]


def read_frames_tf(
    path: "tf.Tensor", size: "tf.Tensor", begin: "tf.Tensor", end: "tf.Tensor", frame_bytes: int = 0
) -> "tf.Tensor":
    """Reads neighbouring frames inside a tf.data pipeline.

    Args:
      path: the shard, string [].
      size: size of the shard in bytes, int64 [].
      begin: position of the first frame, int64 [].
      end: position after the last frame, int64 [].
      frame_bytes: length of every frame if all are equally long, else 0.

    Returns:
      string [n], the encoded frames; with `frame_bytes`, a few bytes to ignore may follow each.
    """
    import tensorflow as tf

    undamaged = tf.numpy_function(_is_undamaged, [path], tf.bool)
    with tf.control_dependencies([tf.debugging.Assert(undamaged, ["damaged", path])]):
        path = tf.identity(path)
    # TensorFlow reads part of a file as fixed-length records between a header and a footer.
    header = len(_header(1, frame_bytes))
    if frame_bytes and header <= CHECKSUM:  # at least a checksum follows the last frame
        length, begin, end = header + frame_bytes, begin + header, end + header
        records = tf.data.FixedLengthRecordDataset(path, length, begin, size - end)
        return records.batch((end - begin) // length).get_single_element()
    part = tf.data.FixedLengthRecordDataset(path, end - begin, begin, size - end)
    _, (frames,) = tf.io.decode_proto(
        part.get_single_element(), "tensorflow.BytesList", ["value"], [tf.string]
    )
    return frames


def _is_undamaged(path: bytes | np.ndarray) -> np.bool:
    """Returns, inside a tf.data pipeline, whether `check_shard` accepts a shard."""
    try:
        check_shard(Path(os.fsdecode(np.asarray(path).item())))
    except UserError:  # TensorFlow would print a traceback
        return np.False_
    return np.True_


def check_shard(path: Path) -> None:
    """Checks the checksums of a shard, once as long as it does not change.

    Raises:
      UserError: the shard is missing or damaged.
    """
    with naming_damage(path):
        check_records(path)


@contextlib.contextmanager
def naming_damage(path: Path) -> Iterator[None]:
    """Turns the errors of a missing or damaged shard into a UserError that names the shard."""
    if path.exists() and not path.is_file():  # a pipe or device might never end
        raise UserError(f"{path}: must be a file; prepare the data set again")
    try:
        yield
    except UserError:
        raise
    except (*_DAMAGE, struct.error, DecodeError) as error:
        raise UserError(
            f"{path}: the shard is missing or damaged; prepare the data set again"
        ) from error


def _parsed(features: tfds.features.FeaturesDict, example: bytes) -> dict[str, Any]:
    try:
        return features.deserialize_example_np(example)
    except Exception as error:  # of many kinds, from TFDS
        raise ValueError("no example of this schema") from error


def _check_size(name: str, size: int) -> None:
    if size > MAX_BYTES:
        raise UserError(
            f"{name}: its frames take at least {size:,} bytes, but an example holds less than "
            "2 GiB; choose the encoding jpeg or png, a smaller size or fps, or cut the video"
        )


def _head(others: bytes, size: int) -> bytes:
    """Returns the beginning of an Example: the other entries, up to `size` bytes of frames."""
    head, name = b"", _header(1, len(b"frames")) + b"frames"
    # From the inside outwards: BytesList, Feature, entry, Features.
    for number, prefix in ((1, b""), (2, name), (1, b""), (1, b"")):
        head = prefix + _header(number, size + len(head)) + head
    return _header(1, len(others)) + others + head


def _header(number: int, size: int) -> bytes:
    """Returns the tag and size of a field."""
    header = bytearray([number << 3 | 2])
    while size > 0x7F:
        header.append(size & 0x7F | 0x80)
        size >>= 7
    header.append(size)
    return bytes(header)


def _write_record(file: BinaryIO, head: bytes, spool: BinaryIO, spooled: int) -> None:
    """Writes a record of `head` followed by the content of `spool`."""
    length = struct.pack("<Q", len(head) + spooled)
    file.write(length + masked(google_crc32c.extend(0, length)) + head)
    checksum = google_crc32c.extend(0, head)
    for chunk in iter(lambda: spool.read(_CHUNK), b""):
        checksum = google_crc32c.extend(checksum, chunk)
        file.write(chunk)
    file.write(masked(checksum))


def _records(data: mmap.mmap) -> Iterator[tuple[int, int]]:
    """Yields where the Example of each record begins and ends."""
    position = 0
    while position < len(data):
        (length,) = struct.unpack_from("<Q", data, position)
        start = position + LENGTH + CHECKSUM
        position = start + length + CHECKSUM
        if position > len(data):
            raise ValueError("truncated")
        yield start, start + length


def _split(data: mmap.mmap | bytes, start: int, stop: int) -> tuple[bytes, np.ndarray]:
    """Splits an Example into its frames and its other entries, sorted by name.

    Returns:
      The entries as bytes, and the positions of the frames; see `read_index`.
    """
    others, positions = {}, np.zeros(1, np.int64)
    for _, first, last in _fields(data, start, stop):  # the Features of an Example
        for entry, begin, end in _fields(data, first, last):
            (_, name, name_end), (_, feature, feature_end) = _fields(data, begin, end)
            if data[name:name_end] != b"frames":
                others[data[name:name_end]] = data[entry:end]
                continue
            for _, first_frame, last_end in _fields(data, feature, feature_end):  # the BytesList
                ends = (frame_end for *_, frame_end in _fields(data, first_frame, last_end))
                positions = np.fromiter(itertools.chain([first_frame], ends), np.int64)
    return b"".join(others[name] for name in sorted(others)), positions


def _fields(data: mmap.mmap | bytes, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Yields for each field of a message where it begins, where its content begins, and its end."""
    while start < stop:
        if data[start] & 7 != 2:
            raise ValueError("no field with a size")
        begin = start + 1
        length = shift = 0
        while True:
            byte = data[begin]
            begin += 1
            length |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift >= 7 * _VARINT_BYTES:
                raise ValueError("a size has too many bytes")
        end = begin + length
        if end > stop:
            raise ValueError("a field is longer than its message")
        yield start, begin, end
        start = end
