"""Reads the description of a checkpoint as strictly as a command line."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections

from afsd_jax.config import check, default_config
from afsd_jax.errors import UserError, printable
from afsd_jax.io.json_fields import field, read_list, require_dict, shown, text

_MOST_CHARACTERS = 4096  # of a text
_MOST_ITEMS = 1000  # of a list
_MOST = 2**53  # of a whole number


def check_class_count(config: ml_collections.ConfigDict, names: Sequence[str], place: str) -> None:
    """Raises UserError unless there are as many names as the network has classes."""
    if len(names) != config.model.num_classes - 1:
        raise UserError(
            f"{place}: names {len(names)} classes, but config.model.num_classes is "
            f"{config.model.num_classes}, with the background"
        )


def read_config(description: Mapping[str, Any], place: str) -> ml_collections.ConfigDict:
    """Returns the configuration in a checkpoint's description; fields that it lacks are default.

    Raises:
      UserError: a field is unknown, of another type or impossible.
    """
    config = default_config()
    stored = field(require_dict(description, place), "config", place)
    _set_fields(config, stored, f"{place}: config")
    try:
        check(config)
    except UserError as error:
        raise UserError(f"{place}: {error}") from error
    return config


def read_class_names(description: Mapping[str, Any], place: str) -> list[str]:
    """Returns the names of a checkpoint's classes.

    Raises:
      UserError: a name is not a text that can be shown, or two are the same.
    """
    place = f"{place}: class_names"
    names = read_list(description.get("class_names"), place, _class_name)
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise UserError(f"{place}: {twice!r} appears twice")
    return names


def read_metrics(description: Mapping[str, Any], place: str) -> dict[str, float] | None:
    """Returns the metrics of a checkpoint; None if it was not evaluated.

    Raises:
      UserError: a metric is not a finite number.
    """
    metrics = description.get("metrics")
    if metrics is None:
        return None
    for name, value in require_dict(metrics, f"{place}: metrics").items():
        if not _is_finite(value):
            raise UserError(f"{place}: metrics.{name} must be a finite number, not {shown(value)}")
    return dict(metrics)


def read_splits(description: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Returns what a checkpoint says about the videos of its run; {} if it says nothing.

    That is, for each split its name and two digests, as texts, of each of its videos.

    Raises:
      UserError: it says something else.
    """
    place = f"{place}: splits"
    splits = require_dict(description.get("splits", {}), place)
    for split, content in splits.items():
        at = f"{place}.{split}"
        text(require_dict(content, at), "name", at)
        for name, digests in require_dict(field(content, "videos", at), f"{at}.videos").items():
            texts = isinstance(digests, list) and [type(digest) for digest in digests]
            if texts != [str, str]:
                raise UserError(f"{at}.videos[{name!r}] must be two texts, not {shown(digests)}")
    return splits


def _class_name(value: Any, place: str) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise UserError(f"{place} must be a text without control characters, not {shown(value)}")
    if len(value) > _MOST_CHARACTERS:
        raise UserError(f"{place} is longer than {_MOST_CHARACTERS} characters")
    return value


def _set_fields(config: ml_collections.ConfigDict, stored: Any, place: str) -> None:
    for name, value in require_dict(stored, place).items():
        at = f"{place}.{name}"
        if name not in config:
            at = f"{place}.{printable(name)[:100]}"
            raise UserError(f"{at}: is no field of this version; give another checkpoint")
        if isinstance(config[name], ml_collections.ConfigDict):
            _set_fields(config[name], value, at)
        else:
            config[name] = _converted(value, config.get_ref(name).get_type(), at)


def _converted(value: Any, kind: type, place: str) -> Any:
    """Returns a JSON value as a field of this type."""
    if kind is float and _is_finite(value):
        return float(value)
    if kind is tuple and isinstance(value, list):
        return _items(value, place)
    if kind is object:  # a number of steps, or a text such as "1 epoch"
        kind = str if isinstance(value, str) else int
    if kind is str and isinstance(value, str) and len(value) <= _MOST_CHARACTERS:
        return value
    if kind is bool and isinstance(value, bool):
        return value
    if kind is int and type(value) is int and abs(value) <= _MOST:
        return value
    raise UserError(f"{place} must be of type {kind.__name__}, not {shown(value)}")


def _items(value: list[Any], place: str) -> tuple[Any, ...]:
    if len(value) > _MOST_ITEMS:
        raise UserError(f"{place} has more than {_MOST_ITEMS} items")
    return tuple(read_list(value, place, _item))


def _item(value: Any, place: str) -> Any:
    if isinstance(value, list):  # a pair
        if len(value) == 2 and all(map(_is_finite, value)):
            return tuple(value)
    elif isinstance(value, str) or _is_finite(value):
        return value
    raise UserError(f"{place} must be a text, a finite number or two, not {shown(value)}")


def _is_finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= _MOST if isinstance(value, int) else math.isfinite(value)
