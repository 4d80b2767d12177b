"""The process that runs a command: its messages, its exit code, and settings of the process.

Libraries are imported inside the functions: `afsd --help` must not wait for them.
"""

import contextlib
import errno
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

from afsd_jax.errors import UserError, printable
from afsd_jax.io.files import write_failure

# Exit codes: after a UserError, after Ctrl-C, and without a reader of standard output.
REFUSED, INTERRUPTED, UNREAD = 2, 130, 141

COMPILATION_CACHE = "AFSD_COMPILATION_CACHE"

# A command that ends with its parent, whose process id is the first argument.
_CHILD = """
import signal, sys
from afsd_jax.cli import main
from afsd_jax.runtime.child_processes import end_with_parent

end_with_parent(int(sys.argv[1]), signal.SIGTERM)
sys.exit(main(sys.argv[2:]))
"""


class MessageHandler(logging.Handler):
    """Prints what the library logs, above the progress bars.

    Information goes to standard output as it is. Warnings and errors go to standard error, after
    the word "warning" or "error".
    """

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        text = "\n".join(map(printable, self.format(record).split("\n")))
        if record.levelno < logging.WARNING:
            tqdm.write(text, file=sys.stdout)
        else:
            word = record.levelname.lower()
            tqdm.write(f"{word}: {text}", file=sys.stderr)


@contextlib.contextmanager
def messages_shown() -> Iterator[None]:
    """Prints what the library logs, while the block runs."""
    logger, handler = logging.getLogger("afsd_jax"), MessageHandler()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # some libraries give the root logger a handler of its own
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def run(main: Callable[..., int | None], *args: Any) -> int:
    """Calls `main(*args)`; a UserError becomes one line on standard error and exit code 2.

    So does an error of the system, such as a full disk.

    Returns:
      The exit code of the process: what `main` returned (0 for None), 2 after such an error, 130
      after Ctrl-C, 141 if nobody reads standard output any more.
    """
    with messages_shown():
        try:
            code = main(*args) or 0
            sys.stdout.flush()
            return code
        except UserError as error:
            return _refused(str(error))
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return INTERRUPTED
        except BrokenPipeError:
            _discard_output()
            return UNREAD
        except Exception as error:
            reason = write_failure(error)
            if reason is None:
                raise
            return _refused(_place_of(error, reason))


def _refused(message: str) -> int:
    from tqdm import tqdm

    # A line of its own, also if the error left a progress bar open.
    tqdm.write("error: " + printable(" ".join(message.split())), file=sys.stderr)
    return REFUSED


def _place_of(error: Exception, reason: str) -> str:
    """Returns the file and the reason of an error of the system."""
    if not isinstance(error, OSError):
        return str(error)
    if error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {reason}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):  # of `print`
        _discard_output()
        return f"standard output: cannot be written ({reason})"
    return reason


def _discard_output() -> None:
    """Lets nothing be written to standard output any more, nor when the process ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def command_line(command: str, *arguments: str) -> list[str]:
    """Returns the program and arguments of `afsd COMMAND ARGUMENTS…` in a process of its own.

    It receives SIGTERM if this process, or the thread that starts it, ends first.
    """
    return [sys.executable, "-c", _CHILD, str(os.getpid()), command, *arguments]


def run_command(command: str, *arguments: str) -> None:
    """Runs `afsd COMMAND ARGUMENTS…` in a process of its own, whose memory is free afterwards.

    It receives SIGTERM if this process ends first.

    Raises:
      UserError: the exit code was not 0.
    """
    code = subprocess.run(command_line(command, *arguments), check=False).returncode
    if code:
        raise UserError(f"afsd {command} failed with exit code {code}; see above")


def quieten_libraries() -> None:
    """Silences notes of libraries, which would hide the progress bar."""
    from absl import logging as absl_logging

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    absl_logging.set_verbosity(absl_logging.ERROR)


def set_up_process() -> None:
    """Sets how the process keeps memory and compiled programs, before JAX starts its threads."""
    from afsd_jax.runtime import compilation, devices, memory

    devices.use_cpu_without_driver()
    memory.keep_freed_memory()
    compilation.enable_cache(os.environ.get(COMPILATION_CACHE))
