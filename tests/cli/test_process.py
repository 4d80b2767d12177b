"""A command prints what the library logs, above its progress bars; nothing else does."""

import contextlib
import io
import logging
import sys

import pytest
from tqdm import tqdm

from afsd_jax.cli import process
from afsd_jax.errors import UserError
from tests.support import python

log = logging.getLogger("afsd_jax.room.file")


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
    ],
)
def test_a_failure_is_an_exit_code_and_a_line(capsys, raised, code, line):
    def main() -> None:
        if raised:
            raise raised

    assert process.run(main) == code
    assert capsys.readouterr() == ("", line)


def test_nothing_is_shown_before_and_after_a_command(capsys):
    logger = logging.getLogger("afsd_jax")
    before = list(logger.handlers), logger.level, logger.propagate
    process.run(lambda: None)
    assert (logger.handlers, logger.level, logger.propagate) == before
    code = "import afsd_jax.cli, logging; print(logging.getLogger('afsd_jax').handlers)"
    result = python("-c", code)
    assert (result.stdout, result.stderr) == ("[]\n", "")
