"""Opening the folder of a prepared data set, as data: nothing that it names is imported.

TFDS itself imports the Python classes that `features.json` names. Here the files are read as plain
JSON, and must say what our builders write.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow_datasets as tfds

from afsd_jax.data.storage import schema
from afsd_jax.errors import UserError
from afsd_jax.io import files
from afsd_jax.io.json_fields import field, read_list, require_dict, shown

INFO, FEATURES, LABELS = "dataset_info.json", "features.json", "annotations-label.labels.txt"
_MOST_BYTES = {INFO: 2**25, FEATURES: 2**20, LABELS: 2**23}
_MOST_MISSING = 10_000  # shards of a split
_VERSION = re.compile(r"\d{1,6}\.\d{1,6}\.\d{1,6}")
_NAME = re.compile(r"[A-Za-z]\w{0,99}", re.ASCII)
_TEMPLATES = ("", "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}")


class PreparedFolder(NamedTuple):
    """A prepared data set, of whose shards nothing has been read.

    Attributes:
      path: folder of the version.
      name: name of the data set.
      stream: rgb or flow; "" where the folder does not say.
      class_names: in the order of their labels.
      splits: by name; the number of examples in each shard.
    """

    path: Path
    name: str
    stream: str
    class_names: list[str]
    splits: tfds.core.SplitDict


def open_folder(folder: Path) -> PreparedFolder:
    """Opens a prepared folder: a version of a data set, or the newest version in the folder.

    Raises:
      UserError: nothing has been prepared there, or its files are not those of a builder of ours.
    """
    versions = [path.parent for path in folder.glob(f"*.*.*/{INFO}")]
    versions = [path for path in versions if _VERSION.fullmatch(path.name)]
    newest = max(versions, key=lambda path: [int(n) for n in path.name.split(".")], default=folder)
    place = newest / INFO
    if not place.exists():
        raise UserError(
            f"{folder}: no prepared data set; make it with afsd prepare, or give the folder into "
            "which it was prepared"
        )
    info = require_dict(files.read_json(place, _MOST_BYTES[INFO]), str(place))
    if info.get("fileFormat", "tfrecord") != "tfrecord":
        raise UserError(f"{newest}: is stored as {shown(info['fileFormat'])}, not as tfrecord")
    _check_features(newest / FEATURES)
    name = _safe(info, "name", str(place))
    stream = _safe(info, "configName", str(place)) if info.get("configName") else ""
    splits = read_list(
        info.get("splits", []), f"{place}: splits", lambda s, at: _split(s, at, newest, name)
    )
    if not splits:
        raise UserError(f"{place}: lists no splits; prepare the data set again")
    if len({split.name for split in splits}) < len(splits):
        raise UserError(f"{place}: names a split twice; prepare the data set again")
    return PreparedFolder(
        newest, name, stream, _class_names(newest / LABELS), tfds.core.SplitDict(splits)
    )


def _safe(entry: dict[str, Any], name: str, place: str) -> str:
    """Returns a field that is a plain word, and so part of file names."""
    value = field(entry, name, place)
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise UserError(f"{place}.{name} must be a word of letters and digits, not {shown(value)}")
    return value


def _split(entry: Any, place: str, folder: Path, dataset: str) -> tfds.core.SplitInfo:
    split = _safe(require_dict(entry, place), "name", place)
    template = entry.get("filepathTemplate", "")
    if template not in _TEMPLATES:
        raise UserError(f"{place}.filepathTemplate must be {_TEMPLATES[1]}, not {shown(template)}")
    lengths = read_list(entry.get("shardLengths", []), f"{place}.shardLengths", _shard_length)
    path = tfds.core.ShardedFileTemplate(
        folder, dataset_name=dataset, split=split, filetype_suffix="tfrecord"
    )
    there = sum(1 for _ in folder.glob(f"{dataset}-{split}.tfrecord-*"))
    if len(lengths) > there + _MOST_MISSING:  # fewer are named when they are read
        raise UserError(f"{place}: has {len(lengths):,} shards, but {there:,} files are there")
    return tfds.core.SplitInfo(
        name=split, shard_lengths=lengths, num_bytes=0, filename_template=path
    )


def _shard_length(value: Any, place: str) -> int:
    """Returns a number of examples; JSON of protocol buffers writes it as a text."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not re.fullmatch(r"\d{1,10}", text, re.ASCII):
        raise UserError(f"{place} must be a number of examples, not {shown(value)}")
    return int(text)


def _check_features(path: Path) -> None:
    """Raises UserError if the features are not those of `schema.features`."""
    found, ours = files.read_json(path, _MOST_BYTES[FEATURES]), schema.features()
    if _fields(found) != set(ours) or not _classes(found) <= _classes(ours.to_json()):
        raise UserError(
            f"{path}: lists other features than afsd prepare writes; such a data set cannot be read"
        )


def _fields(features: Any) -> set[str] | None:
    """Returns the names of an example's fields."""
    for key in ("featuresDict", "features"):
        features = features.get(key) if isinstance(features, dict) else None
    return set(features) if isinstance(features, dict) else None


def _classes(features: Any) -> set[str]:
    """Returns every Python class that a description of features names."""
    found, left = set(), [features]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            found |= {str(child) for key, child in value.items() if key == "pythonClassName"}
        if isinstance(value, dict | list):
            left += value.values() if isinstance(value, dict) else value
    return found


def _class_names(path: Path) -> list[str]:
    """Returns the names of the classes, a line each."""
    names = [line.strip() for line in files.read_text(path, _MOST_BYTES[LABELS]).split("\n")]
    names = [name for name in names if name]
    if len(set(names)) < len(names):
        raise UserError(f"{path}: names a class twice; prepare the data set again")
    for name in names:
        if not name.isprintable():
            raise UserError(f"{path}: the class name {name!r} must not hold control characters")
    return names
