"""Errors in what was given: one clear line and exit code 2, never a traceback."""

import sys
from collections.abc import Callable
from typing import Any

EXIT_CODE = 2


class UserError(ValueError):
    """Bad input. The message is one line that names the file, the field and the remedy."""


def run(main: Callable[..., int | None], *args: Any) -> int:
    """Calls `main(*args)`; a UserError becomes one line on standard error and exit code 2.

    Returns:
      The process's exit code: what `main` returned (None is 0), 2 after a UserError, 130 after
      Ctrl-C.
    """
    try:
        return main(*args) or 0
    except UserError as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
        return EXIT_CODE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
