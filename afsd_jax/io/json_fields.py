"""Reading the parts of a JSON file strictly: every complaint says where in the file.

`place` is the file and the way to the value, such as: labels.json: database['a'].annotations[0].
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar

from afsd_jax.errors import UserError

T = TypeVar("T")


def require_dict(value: Any, place: str) -> dict[str, Any]:
    """Returns an object.

    Raises:
      UserError: it is none; so do all functions here.
    """
    if not isinstance(value, dict):
        raise UserError(f"{place} must be an object {{…}}, not {shown(value)}")
    return value


def read_list(value: Any, place: str, parse: Callable[[Any, str], T]) -> list[T]:
    """Returns what `parse` makes of each item of a list and its place."""
    if not isinstance(value, list):
        raise UserError(f"{place} must be a list, not {shown(value)}")
    return [parse(item, f"{place}[{index}]") for index, item in enumerate(value)]


def field(entry: dict[str, Any], name: str, place: str) -> Any:
    """Returns a field that must be there."""
    if name not in entry:
        raise UserError(f"{place}.{name} is missing")
    return entry[name]


def text(entry: dict[str, Any], name: str, place: str) -> str:
    """Returns a field that is a non-empty text."""
    value = field(entry, name, place)
    if not isinstance(value, str) or not value or not _encodable(value):
        raise UserError(f"{place}.{name} must be a non-empty text, not {shown(value)}")
    return value


def number(value: Any, place: str) -> float:
    """Returns a finite number, which may be written as a text."""
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            result = float(value)
        except (ValueError, OverflowError):
            result = math.nan
        if math.isfinite(result):
            return result
    raise UserError(f"{place} must be a finite number, not {shown(value)}")


def shown(value: Any) -> str:
    """Returns a value as messages show it."""
    shortened = repr(value)
    return shortened if len(shortened) <= 40 else shortened[:39] + "…"


def _encodable(value: str) -> bool:
    """JSON can smuggle in lone surrogates, which could be written nowhere later."""
    return not any("\ud800" <= character <= "\udfff" for character in value)
