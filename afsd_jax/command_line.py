"""What the mains with a configuration share: absl flags whose errors are one clear line."""

import os
import re
import sys
from collections.abc import Callable, Sequence

from absl import app, flags, logging
from ml_collections import config_flags

from afsd_jax import errors

CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Configuration file, such as configs/synthetic.py.", lock_config=True
)

_OTHER_FIELDS = re.compile(r"Other fields present:.*}\"?\s*", re.DOTALL)


def _parse(argv: Sequence[str]) -> list[str]:
    try:
        rest = flags.FLAGS(argv)
        if CONFIG.value is not None:
            CONFIG.value["seed"]  # a file that cannot be loaded says so only when it is used
        return rest
    except errors.UserError:
        raise
    except Exception as error:  # a configuration file is Python: anything can go wrong in it
        reason = _OTHER_FIELDS.sub("", f"{type(error).__name__}: {error}")
        raise errors.UserError(f"{' '.join(argv[1:])}: {reason}") from error


def run(main: Callable[[list[str]], int | None]) -> None:
    """Parses absl flags, calls `main`, and exits: with code 2 and one line after a UserError."""
    # Libraries' notes would bury the progress bar.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    logging.set_verbosity(logging.ERROR)
    app.run(lambda argv: sys.exit(errors.run(main, argv)), flags_parser=_parsed_or_exit)


def _parsed_or_exit(argv: Sequence[str]) -> list[str]:
    rest: list[str] = []
    code = errors.run(lambda: rest.extend(_parse(argv)))
    if code:
        sys.exit(code)
    return rest
