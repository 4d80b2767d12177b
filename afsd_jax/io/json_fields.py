"""Reading values of a JSON file strictly: every error message says where in the file.

`place` is the file and the path to the value, such as: labels.json: database['a'].annotations[0].
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar

from afsd_jax.errors import UserError

T = TypeVar("T")
LARGEST = 1e15  # of a number; beyond it, sums and products of times overflow
MOST_CHARACTERS = 500  # of a name or sentence


def require_dict(value: Any, place: str) -> dict[str, Any]:
    """Returns `value`, which must be an object.

    Raises:
      UserError: the value is something else. All functions here raise it.
    """
    if not isinstance(value, dict):
        raise UserError(f"{place} must be an object {{…}}, not {shown(value)}")
    return value


def read_list(value: Any, place: str, parse: Callable[[Any, str], T]) -> list[T]:
    """Returns the results of `parse(item, place)` for the items of a list."""
    if not isinstance(value, list):
        raise UserError(f"{place} must be a list, not {shown(value)}")
    return [parse(item, f"{place}[{index}]") for index, item in enumerate(value)]


def field(entry: dict[str, Any], name: str, place: str) -> Any:
    """Returns a required field."""
    if name not in entry:
        raise UserError(f"{place}.{name} is missing")
    return entry[name]


def text(entry: dict[str, Any], name: str, place: str) -> str:
    """Returns a required field, which must be a non-empty text."""
    value = field(entry, name, place)
    if not is_text(value):
        raise UserError(f"{place}.{name} must be a non-empty text, not {shown(value)}")
    return value


def short_text(value: Any, place: str) -> str:
    """Returns a value, which must be a text of 1 to `MOST_CHARACTERS` characters."""
    if not is_text(value):
        raise UserError(f"{place} must be a non-empty text, not {shown(value)}")
    if len(value) > MOST_CHARACTERS:
        raise UserError(f"{place} must have at most {MOST_CHARACTERS} characters")
    return str(value)


def number(value: Any, place: str) -> float:
    """Returns a finite number, which may be written as text."""
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            result = float(value)
        except (ValueError, OverflowError):
            result = math.nan
        if abs(result) < LARGEST:
            return result
    raise UserError(f"{place} must be a finite number, not {shown(value)}")


def shown(value: Any) -> str:
    """Returns a value as text for messages, at most 40 characters."""
    if isinstance(value, dict | list) and len(value) > 100:
        return f"{len(value)} items"
    shortened = repr(value)
    return shortened if len(shortened) <= 40 else shortened[:39] + "…"


def is_text(value: Any) -> bool:
    """Returns whether a value is a text of at least one character that a file can hold.

    JSON allows lone surrogates, which no file can hold.
    """
    if not isinstance(value, str) or not value:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in value)
