"""Loads a configuration file by its name, and sets fields that the command line overrides."""

import difflib
import functools
import re
import runpy
from collections.abc import Sequence
from pathlib import Path

import ml_collections
from absl import flags
from ml_collections import config_flags

from afsd_jax import configs
from afsd_jax.config import default_config
from afsd_jax.errors import UserError

_PACKAGED = Path(configs.__file__).parent
_OVERRIDE = re.compile(r"--(?:no)?config\.([^=\[]+)")
_ILLEGAL = re.compile(r"flag (--config\.(.+?)=.*?): ", re.DOTALL)
_VALUES = {bool: "true or false", int: "a whole number", float: "a number"}
_OTHER_FIELDS = re.compile(r"Other fields present:.*}\"?\s*", re.DOTALL)


def load_config(name: str, overrides: Sequence[str] = ()) -> ml_collections.ConfigDict:
    """Returns the configuration of a file, with some of its fields overridden.

    Args:
      name: FILE or FILE:VARIANT; a packaged file without folder and suffix, such as thumos14:rgb.
      overrides: arguments such as "--config.train.epochs=8", or "--config.train.epochs", "8".

    Raises:
      UserError: there is no such file, variant or field, or a value is of another type.
    """
    path, colon, variant = name.partition(":")
    try:
        # A configuration file is Python code, which can raise anything.
        get_config = runpy.run_path(str(_find(path)))["get_config"]
        config = get_config(variant) if colon else get_config()
        fields = _fields(config)
        missing = [field for field in _fields(default_config()) if field not in fields]
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{name}: {_reason(error)}") from error
    if missing:
        raise UserError(
            f"{name}: lacks the field {missing[0]}; start from afsd_jax.config.default_config()"
        )
    for override in overrides:
        _check_name(override, fields)
    return _override(config, ["afsd", *overrides])


def _check_name(override: str, fields: Sequence[str]) -> None:
    """Raises UserError if a flag names no field, with the field that was meant."""
    match = _OVERRIDE.match(override)
    if match and match[1] not in fields:
        nearest = difflib.get_close_matches(match[1], fields, 1, 0)[0]
        raise UserError(f"config.{match[1]}: no such field; the nearest is config.{nearest}")
    if not match and override.startswith("--"):
        flag, short = override.partition("=")[0], [field.split(".")[-1] for field in fields]
        near = difflib.get_close_matches(flag.strip("-").replace("-", "_"), short, 1, 0.8)
        meant = [f"config.{field}" for field in fields if field.split(".")[-1] in near]
        hint = f"there is {' and '.join(meant)}" if meant else "see --help"
        raise UserError(f"{flag}: no such flag; {hint}")


def _find(path: str) -> Path:
    """Returns the path if it is a file, else the packaged configuration of this name."""
    packaged = {file.stem: file for file in sorted(_PACKAGED.glob("[!_]*.py"))}
    if Path(path).is_file():
        return Path(path)
    stem = path.removeprefix("configs/").removesuffix(".py")
    if stem not in packaged:
        raise UserError(f"{path}: no such configuration file; choose from {', '.join(packaged)}")
    return packaged[stem]


def _override(config: ml_collections.ConfigDict, argv: list[str]) -> ml_collections.ConfigDict:
    """Sets fields by the flags of ml_collections, which know the type of each field."""
    values = flags.FlagValues()
    try:
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=argv)
        unknown = values(argv)[1:]
    except flags.IllegalFlagValueError as error:
        raise UserError(_wrong_value(config, str(error))) from error
    except flags.Error as error:
        raise UserError(str(error)) from error
    except Exception as error:  # ml_collections and Python's parser raise many types
        raise UserError(f"{' '.join(argv[1:])}: {_reason(error)}") from error
    if unknown:
        raise UserError(f"unknown arguments: {' '.join(unknown)}; see --help")
    return config


def _wrong_value(config: ml_collections.ConfigDict, message: str) -> str:
    """Returns absl's message about a value of the wrong type, in words."""
    match = _ILLEGAL.match(message)
    if match is None:
        return message
    flag, field = match[1], match[2]
    kind = type(functools.reduce(getattr, field.split("."), config))
    return f"{flag}: must be {_VALUES.get(kind, 'another value')}"


def _fields(config: ml_collections.ConfigDict) -> list[str]:
    """Returns the names of all fields, with dots."""
    return [
        f"{name}.{field}" if field else name
        for name, value in config.items()
        for field in (_fields(value) if isinstance(value, ml_collections.ConfigDict) else [""])
    ]


def _reason(error: Exception) -> str:
    return _OTHER_FIELDS.sub("", f"{type(error).__name__}: {error}")
