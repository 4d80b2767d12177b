"""Running a command of `afsd` as a process of its own, whose memory is free afterwards."""

import subprocess
import sys

from afsd_jax import errors


def run(command: str, *arguments: str) -> None:
    """Runs `afsd command arguments…` and waits for its end.

    Args:
      command: its name.
      *arguments: of it.

    Raises:
      UserError: its exit code was not 0.
    """
    program = [sys.executable, "-m", "afsd_jax.cli", command, *arguments]
    code = subprocess.run(program, check=False).returncode
    if code:
        raise errors.UserError(f"afsd {command} failed with exit code {code}; see above")
