"""A detector as one file, `model.afsd`: to be given away, and read as untrusted data.

The file is a ZIP archive without compression: first `description.json` (configuration, class names,
metrics and calibration), then `card.md`, then each weight as `weights/NAME.npy`, float32. The
configuration determines the names and shapes of the weights, and nothing else is read.
"""

import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from afsd_jax.config import default_config
from afsd_jax.errors import UserError
from afsd_jax.io.files import atomic_write, check_regular, check_space, json_text, parse_json
from afsd_jax.io.json_fields import field, require_dict, shown
from afsd_jax.models import parameters
from afsd_jax.weights import score_calibration, stored_config
from afsd_jax.weights.checkpoint import Checkpoint, describe

SUFFIX = ".afsd"
FORMAT = 1
_DESCRIPTION, _CARD = "description.json", "card.md"
_MOST_BYTES = {_DESCRIPTION: 2**23, _CARD: 2**20}
_MOST_MEMBERS = 5000
_HEADER_BYTES = 2**12  # of a member besides its content
_PRIVATE = ("data_dir", "feature_cache")  # paths on the machine of whoever trained
_ZIP, _NAME_FROM = b"PK\x03\x04", 30  # how the archive begins, and where its first name stands


def is_package(path: str | os.PathLike[str]) -> bool:
    """Returns whether a file is meant to be a packaged detector, by its suffix or its beginning."""
    if not Path(path).is_file():
        return False
    if Path(path).suffix.lower() == SUFFIX:
        return True
    with Path(path).open("rb") as file:
        head = file.read(_NAME_FROM + len(_DESCRIPTION))
    return head.startswith(_ZIP) and head[_NAME_FROM:] == _DESCRIPTION.encode()


def write_package(path: str | os.PathLike[str], checkpoint: Checkpoint, card: str) -> None:
    """Writes a detector, complete with its trunk, and its card.

    Paths in the configuration that name folders of this machine are left out.

    Raises:
      WriteError: the file cannot be written; nothing is written then.
    """
    weights = {name: np.asarray(x, np.float32) for name, x in checkpoint.weights.items()}
    num_bytes = sum(x.nbytes + _HEADER_BYTES for x in weights.values()) + 2**23
    with atomic_write(path) as temporary:
        check_space(temporary.parent, num_bytes, 1)
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(_member(_DESCRIPTION), json_text(_description(checkpoint)))
            archive.writestr(_member(_CARD), card)
            for name, value in sorted(weights.items()):
                content = io.BytesIO()
                npy.write_array(content, value, allow_pickle=False)
                archive.writestr(_member(_weight(name)), content.getbuffer())


def read_package(path: str | os.PathLike[str]) -> Checkpoint:
    """Reads a packaged detector.

    Raises:
      UserError: the file is damaged, or is no packaged detector.
    """
    with _opened(path) as archive:
        place = f"{path}: {_DESCRIPTION}"
        description = _read_description(archive, path)
        config = stored_config.read_config(description, place)
        class_names = stored_config.read_class_names(description, place)
        stored_config.check_class_count(config, class_names, place)
        weights = {
            name: _read_weight(archive, path, name, tuple(shape.shape))
            for name, shape in parameters.shapes(config).items()
        }
        metrics = stored_config.read_metrics(description, place)
        measured = description.get("calibration")
        calibration = measured and score_calibration.from_json(
            measured, class_names, f"{place}: calibration"
        )
    return Checkpoint(0, config, class_names, weights, metrics, calibration)


def read_card(path: str | os.PathLike[str]) -> str:
    """Returns a packaged detector's card, Markdown.

    Raises:
      UserError: as `read_package` does.
    """
    with _opened(path) as archive:
        _read_description(archive, path)
        return _read_text(archive, path, _CARD)


def _member(name: str) -> zipfile.ZipInfo:
    """Returns a member with zipfile's fixed date, so that equal detectors make equal files."""
    return zipfile.ZipInfo(name)


def _weight(name: str) -> str:
    return f"weights/{name}.npy"


def _description(checkpoint: Checkpoint) -> dict[str, Any]:
    config = checkpoint.config.copy_and_resolve_references()
    for name in _PRIVATE:
        config.data[name] = default_config().data[name]
    config.train.init_from = Path(config.train.init_from).name
    calibration = checkpoint.calibration and score_calibration.as_json(checkpoint.calibration)
    described = describe(config, checkpoint.class_names)
    return {
        "format": FORMAT,
        **described,
        "metrics": checkpoint.metrics,
        "calibration": calibration,
    }


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[zipfile.ZipFile]:
    """Opens the archive, of which no member is larger than the file."""
    refused = (
        f"{path}: not a packaged detector, or damaged; package the run again, or copy it again"
    )
    check_regular(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            names = {member.filename for member in members}
            stored = all(_is_stored(member) for member in members)
            total = sum(member.file_size for member in members)
            if len(names) != len(members) or not stored or total > os.stat(path).st_size:
                raise UserError(refused)
            if len(members) > _MOST_MEMBERS or _DESCRIPTION not in names:
                raise UserError(refused)
            yield archive
    # What a damaged directory or header makes of zipfile's own code.
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OverflowError, ValueError) as error:
        raise UserError(refused) from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error


def _is_stored(member: zipfile.ZipInfo) -> bool:
    plain = member.compress_type == zipfile.ZIP_STORED and not member.flag_bits & 1
    return plain and member.file_size == member.compress_size


def _read_member(archive: zipfile.ZipFile, path: str | os.PathLike[str], name: str) -> bytes:
    try:
        size = archive.getinfo(name).file_size
    except KeyError as error:
        raise UserError(f"{path}: {name} is missing; package the run again") from error
    if size > _MOST_BYTES.get(name, size):
        raise UserError(f"{path}: {name} is too large ({size:,} bytes); package the run again")
    return archive.read(name)  # compares the checksum


def _read_text(archive: zipfile.ZipFile, path: str | os.PathLike[str], name: str) -> str:
    try:
        return _read_member(archive, path, name).decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: {name} is not UTF-8; package the run again") from error


def _read_description(archive: zipfile.ZipFile, path: str | os.PathLike[str]) -> dict[str, Any]:
    place = f"{path}: {_DESCRIPTION}"
    description = require_dict(parse_json(_read_text(archive, path, _DESCRIPTION), place), place)
    version = field(description, "format", place)
    if version != FORMAT or isinstance(version, bool):
        raise UserError(
            f"{place}: format is {shown(version)}, not {FORMAT}; read it with the version of "
            "afsd-jax that wrote it"
        )
    return description


def _read_weight(
    archive: zipfile.ZipFile, path: str | os.PathLike[str], name: str, shape: tuple[int, ...]
) -> np.ndarray:
    """Returns a weight, float32 of a known shape."""
    content = _read_member(archive, path, _weight(name))
    buffer = io.BytesIO(content)
    if npy.read_magic(buffer) != (1, 0):
        raise UserError(f"{path}: {name} is not as it was written; package the run again")
    found, by_columns, dtype = npy.read_array_header_1_0(buffer)
    if found != shape or by_columns or dtype != np.dtype("<f4"):
        raise UserError(
            f"{path}: {name} is {dtype} {list(found)}, but the configuration says float32 "
            f"{list(shape)}; package the run again"
        )
    values = content[buffer.tell() :]
    if len(values) != 4 * int(np.prod(shape)):
        raise UserError(f"{path}: {name} is not as it was written; package the run again")
    weight = np.frombuffer(values, "<f4").reshape(shape)
    if not np.isfinite(weight).all():
        raise UserError(f"{path}: {name} holds values that are no numbers; train the run again")
    return weight
