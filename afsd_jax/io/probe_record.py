"""The record of a linear probe: what was compared, and the fields that follow from it."""

from pathlib import Path
from typing import Any, NamedTuple

from afsd_jax.errors import UserError
from afsd_jax.io.files import read_json, write_json
from afsd_jax.io.json_fields import field, number, read_list, require_dict, short_text

RECORD = "probe.json"  # in the folder of a run
_MOST_BYTES = 2**20  # a record may come from a stranger
_MOST_FOLDS = 100


class Probed(NamedTuple):
    """Endpoints of the trunk.

    Attributes:
      endpoints: their names, the earliest first.
      accuracy: mean recall of the classes in each fold, in [0, 1].
    """

    endpoints: tuple[str, ...]
    accuracy: list[float]

    @property
    def name(self) -> str:
        """The endpoints as people read them."""
        return " and ".join(self.endpoints)


class ProbeRecord(NamedTuple):
    """What a probe has found.

    Attributes:
      split: the training split.
      actions: number of actions that were compared.
      probed: the endpoints, the run's own first; none if there are too few actions.
      endpoints: the chosen ones; (): they stay.
      flip: share of mirrored clips; None: it stays.
      reasons: sentences about the choices.
    """

    split: str
    actions: int
    probed: tuple[Probed, ...]
    endpoints: tuple[str, ...]
    flip: float | None
    reasons: tuple[str, ...]


def write_probe(path: Path, record: ProbeRecord) -> None:
    """Writes a record.

    Raises:
      WriteError: the file cannot be written.
    """
    write_json(path, {**record._asdict(), "probed": [one._asdict() for one in record.probed]})


def read_probe(path: Path) -> ProbeRecord:
    """Reads a record.

    Raises:
      UserError: the file is no record of a probe.
    """
    place = str(path)
    content = require_dict(read_json(path, _MOST_BYTES), place)
    flip = field(content, "flip", place)
    if flip is not None and not 0 <= number(flip, f"{place}.flip") <= 1:
        raise UserError(f"{place}.flip must be from 0 to 1, or null")
    return ProbeRecord(
        short_text(field(content, "split", place), f"{place}.split"),
        int(number(field(content, "actions", place), f"{place}.actions")),
        tuple(read_list(field(content, "probed", place), f"{place}.probed", _probed)),
        _texts(content, "endpoints", place),
        None if flip is None else float(flip),
        _texts(content, "reasons", place),
    )


def _probed(value: Any, place: str) -> Probed:
    entry = require_dict(value, place)
    accuracy = read_list(field(entry, "accuracy", place), f"{place}.accuracy", number)
    if not 0 < len(accuracy) <= _MOST_FOLDS or not all(0 <= x <= 1 for x in accuracy):
        raise UserError(f"{place}.accuracy must be 1 to {_MOST_FOLDS} numbers from 0 to 1")
    return Probed(_texts(entry, "endpoints", place), accuracy)


def _texts(entry: dict[str, Any], name: str, place: str) -> tuple[str, ...]:
    return tuple(read_list(field(entry, name, place), f"{place}.{name}", short_text))
