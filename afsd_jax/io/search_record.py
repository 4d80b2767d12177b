"""The record of a search for settings: its trials, and the winner once it has ended."""

from pathlib import Path
from typing import Any, NamedTuple

from afsd_jax.errors import UserError
from afsd_jax.io.files import read_json, write_json
from afsd_jax.io.json_fields import field, number, read_list, require_dict, short_text, shown

RECORD = "search.json"  # in the folder of a run
_SCORE = "average_mAP"
_MOST_BYTES, _MOST_TRIALS = 2**20, 1000  # a record may come from a stranger
_LARGEST = 2**53  # of whole numbers


class Trial(NamedTuple):
    """A short run.

    Attributes:
      candidate: name of its settings.
      fields: the fields of the configuration that differ from the run's own.
      fold: number of the fold on which it was evaluated, from 1.
      steps: steps that it was trained.
      score: average mAP, in [0, 1].
      seconds: time that it took.
    """

    candidate: str
    fields: dict[str, Any]
    fold: int
    steps: int
    score: float
    seconds: float


class SearchRecord(NamedTuple):
    """What a search has tried.

    Attributes:
      seed, split: those of the run.
      steps, folds: steps of each trial, and number of folds.
      trials: in the order in which they ran.
      winner, reason: name of the best settings, and why in one sentence; "": the search goes on.
    """

    seed: int
    split: str
    steps: int
    folds: int
    trials: tuple[Trial, ...] = ()
    winner: str = ""
    reason: str = ""

    @property
    def scores(self) -> dict[str, dict[int, float]]:
        """Average mAP by candidate and fold."""
        found: dict[str, dict[int, float]] = {}
        for trial in self.trials:
            found.setdefault(trial.candidate, {})[trial.fold] = trial.score
        return found


def write_record(path: Path, record: SearchRecord) -> None:
    """Writes a record.

    Raises:
      WriteError: the file cannot be written.
    """
    names = {"score": _SCORE}
    trials = [{names.get(k, k): v for k, v in trial._asdict().items()} for trial in record.trials]
    content = {**record._asdict(), "trials": trials}
    write_json(path, {name: value for name, value in content.items() if value != ""})


def read_record(path: Path) -> SearchRecord:
    """Reads a record.

    Raises:
      UserError: the file is no record of a search.
    """
    place = str(path)
    content = require_dict(read_json(path, _MOST_BYTES), place)
    trials = read_list(field(content, "trials", place), f"{place}: trials", _trial)
    if len(trials) > _MOST_TRIALS:
        raise UserError(f"{path}: has {len(trials):,} trials, more than any search")
    ends = [_text(content, name, place) for name in ("winner", "reason") if "winner" in content]
    return SearchRecord(
        _whole(content, "seed", place),
        _text(content, "split", place),
        _whole(content, "steps", place),
        _whole(content, "folds", place),
        tuple(trials),
        *ends,
    )


def _trial(value: Any, place: str) -> Trial:
    entry = require_dict(value, place)
    score, seconds = (number(field(entry, x, place), f"{place}.{x}") for x in (_SCORE, "seconds"))
    if not 0 <= score <= 1 or seconds < 0:
        raise UserError(f"{place}: {_SCORE} must be from 0 to 1, and seconds not negative")
    return Trial(
        _text(entry, "candidate", place),
        require_dict(field(entry, "fields", place), f"{place}.fields"),
        _whole(entry, "fold", place),
        _whole(entry, "steps", place),
        score,
        seconds,
    )


def _text(entry: dict[str, Any], name: str, place: str) -> str:
    return short_text(field(entry, name, place), f"{place}.{name}")


def _whole(entry: dict[str, Any], name: str, place: str) -> int:
    value = field(entry, name, place)
    if type(value) is not int or not 0 <= value <= _LARGEST:
        raise UserError(f"{place}.{name} must be a whole number from 0 on, not {shown(value)}")
    return value
