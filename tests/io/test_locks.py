"""Two processes in one folder: the second is told about the first, unless that has died."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from afsd_jax.errors import UserError
from afsd_jax.io.locks import NAME, locked

HOLDER = """
import pathlib, sys, time
from afsd_jax.io.locks import locked
with locked(pathlib.Path(sys.argv[1]), "training"):
    print("locked", flush=True)
    time.sleep(600)
"""
TURNS = """
import pathlib, sys
from afsd_jax.errors import UserError
from afsd_jax.io.locks import locked
folder = pathlib.Path(sys.argv[1])
count = folder / "count"
turns = 0
while turns < 200:
    try:
        with locked(folder / "locked", "counting"):
            count.write_text(str(int(count.read_text()) + 1))
            turns += 1
    except UserError:
        pass
"""


@pytest.fixture
def holder(tmp_path):
    """A process that has the lock of the folder; the test may kill it."""
    command = [sys.executable, "-c", HOLDER, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_a_second_process_is_told_about_the_first(holder, tmp_path):
    with pytest.raises(UserError) as raised, locked(tmp_path, "training"):
        pass
    told = re.fullmatch(
        rf"{re.escape(str(tmp_path))}: process {holder.pid} on {re.escape(socket.gethostname())} "
        r"has been training there since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d; wait for its end, stop it, "
        r"or give another folder",
        str(raised.value),
    )
    assert told, raised.value


def test_a_killed_process_does_not_keep_the_lock(holder, tmp_path):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / NAME).exists()  # it could not remove it
    with locked(tmp_path, "training"):
        assert f'"pid": {os.getpid()},' in (tmp_path / NAME).read_text()
    assert not (tmp_path / NAME).exists()


def test_another_machine_is_named_with_a_remedy(holder, tmp_path):
    path = tmp_path / NAME
    path.write_text(path.read_text().replace(socket.gethostname(), "elsewhere"))
    with pytest.raises(UserError, match=f"on elsewhere .*if that machine is gone, delete {path}"):
        locked(tmp_path, "training").__enter__()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 3}', "9" * 5000])
def test_a_description_that_is_none_does_no_harm(holder, tmp_path, content):
    (tmp_path / NAME).write_text(content)
    with pytest.raises(UserError, match="another process writes into it"):
        locked(tmp_path, "training").__enter__()


def test_one_process_excludes_itself_and_other_names_are_free(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    with locked(folder, "training"):
        with pytest.raises(UserError, match=f"process {os.getpid()} "):
            locked(folder, "training").__enter__()
        with locked(folder, "detecting", ".lock-1-of-2"):
            pass
    with locked(folder, "training"):
        pass
    assert list(folder.iterdir()) == []


def test_a_folder_is_made_and_removed_if_it_stays_empty(tmp_path):
    with locked(tmp_path / "a", "training"):
        pass
    assert not (tmp_path / "a").exists()
    with locked(tmp_path / "a", "training"):
        (tmp_path / "a" / "result").touch()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["result"]


def test_the_lock_is_released_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path, "training"):
        raise ZeroDivisionError
    with locked(tmp_path, "training"):
        pass


def test_a_link_or_pipe_in_its_place_is_refused(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for make in (lambda path: path.symlink_to(victim), os.mkfifo):
        make(tmp_path / NAME)
        with pytest.raises(UserError, match=NAME):
            locked(tmp_path, "training").__enter__()
        (tmp_path / NAME).unlink()
    assert victim.read_text() == "precious"


def test_of_many_that_try_at_once_one_at_a_time_gets_it(tmp_path):
    """Each adds 1 to a number 200 times: none is lost, although the file is removed each time."""
    (tmp_path / "count").write_text("0")
    processes = [subprocess.Popen([sys.executable, "-c", TURNS, tmp_path]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "600"


def test_threads_exclude_each_other(tmp_path):
    held, errors = threading.Event(), []

    def other() -> None:
        try:
            locked(tmp_path, "detecting").__enter__()
        except UserError as error:
            errors.append(str(error))
        held.set()

    with locked(tmp_path, "detecting"):
        threading.Thread(target=other).start()
        assert held.wait(10)
    assert len(errors) == 1


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/\.lock: cannot be written"):
        locked(Path(tmp_path / "file"), "training").__enter__()
