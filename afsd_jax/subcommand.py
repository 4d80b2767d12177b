"""Running a command of `afsd` as a process of its own, whose memory is free afterwards."""

import os
import subprocess
import sys
from collections.abc import Mapping

from afsd_jax import errors


def run(command: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
    """Runs `afsd command arguments…` and waits for its end.

    Args:
      command: its name.
      *arguments: of it.
      environment: variables besides those of this process.

    Raises:
      UserError: its exit code was not 0.
    """
    code = subprocess.run(
        [sys.executable, "-m", "afsd_jax.cli", command, *arguments],
        check=False,
        env={**os.environ, **(environment or {})},
    ).returncode
    if code:
        raise errors.UserError(f"afsd {command} failed with exit code {code}; see above")
