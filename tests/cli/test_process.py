"""A command prints what the library logs, above its progress bars; nothing else does."""

import contextlib
import errno
import io
import logging
import subprocess
import sys

import pytest
from tqdm import tqdm

from afsd_jax.cli import process
from afsd_jax.errors import UserError
from tests.support import python

log = logging.getLogger("afsd_jax.room.file")
FULL = "No space left on device"


def test_information_goes_to_standard_output_and_warnings_to_standard_error(capsys):
    def main() -> None:
        log.info("one\ntwo")
        log.warning("three")
        log.error("four")
        with contextlib.redirect_stdout(sys.stderr):
            log.info("five")
        log.debug("six")

    assert process.run(main) == 0
    printed = capsys.readouterr()
    assert printed.out == "one\ntwo\n"
    assert printed.err == "warning: three\nerror: four\nfive\n"


def test_messages_stand_on_lines_of_their_own_above_a_bar():
    with (
        contextlib.redirect_stderr(io.StringIO()) as error,
        process.messages_shown(),
        tqdm(total=2, desc="bar", file=sys.stderr, mininterval=0) as bar,
    ):
        bar.update()
        log.warning("odd")
        bar.update()
    shown = [line.rpartition("\r")[2] for line in error.getvalue().split("\n")]
    assert "warning: odd" in shown
    assert shown[-2].startswith("bar: 100%")


@pytest.mark.parametrize(
    ("raised", "code", "line"),
    [
        (None, 0, ""),
        (UserError("a:\nwrong"), process.REFUSED, "error: a: wrong\n"),
        (KeyboardInterrupt(), process.INTERRUPTED, "interrupted\n"),
        (OSError(errno.ENOSPC, "", "a"), process.REFUSED, f"error: a: {FULL}\n"),
        (OSError(errno.EMFILE, ""), process.REFUSED, "error: Too many open files\n"),
        (ValueError(f"a:\n{FULL} [b]"), process.REFUSED, f"error: a: {FULL} [b]\n"),
    ],
)
def test_a_failure_is_an_exit_code_and_a_line(capsys, raised, code, line):
    def main() -> None:
        if raised:
            raise raised

    assert process.run(main) == code
    assert capsys.readouterr() == ("", line)


def test_an_error_stands_on_a_line_of_its_own_though_a_bar_is_open():
    def main() -> None:
        bar = tqdm(total=2, file=sys.stderr, mininterval=0)  # open while the error lives
        bar.update()
        raise UserError("a: wrong")

    with contextlib.redirect_stderr(io.StringIO()) as error:
        assert process.run(main) == process.REFUSED
    shown = [line.rpartition("\r")[2] for line in error.getvalue().split("\n")]
    assert "error: a: wrong" in shown


def printing(lines: int) -> list[str]:
    """Returns a command that prints."""
    program = f"sys.exit(process.run(lambda: print('line\\n' * {lines})))"
    return [sys.executable, "-c", f"import sys; from afsd_jax.cli import process; {program}"]


def test_an_error_of_the_program_has_a_traceback():
    with pytest.raises(ZeroDivisionError):
        process.run(lambda: 1 // 0)


@pytest.mark.parametrize("lines", [1, 10_000])
def test_standard_output_on_a_full_disk_is_one_line(lines):
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(printing(lines), stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == process.REFUSED
    assert ended.stderr == f"error: standard output: cannot be written ({FULL})\n"


def test_a_reader_who_goes_away_is_no_error():
    pipe = subprocess.PIPE
    with subprocess.Popen(printing(100_000), stdout=pipe, stderr=pipe) as ended:
        ended.stdout.close()
        assert ended.stderr.read() == b""
    assert ended.returncode == process.UNREAD


def test_nothing_is_shown_before_and_after_a_command(capsys):
    logger = logging.getLogger("afsd_jax")
    before = list(logger.handlers), logger.level, logger.propagate
    process.run(lambda: None)
    assert (logger.handlers, logger.level, logger.propagate) == before
    code = "import afsd_jax.cli, logging; print(logging.getLogger('afsd_jax').handlers)"
    result = python("-c", code)
    assert (result.stdout, result.stderr) == ("[]\n", "")
