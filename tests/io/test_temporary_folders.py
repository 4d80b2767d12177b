"""What killed processes leave half-written is removed, and what living ones write is not."""

import signal

import pytest

from afsd_jax.io.files import atomic_write
from afsd_jax.io.locks import locked
from afsd_jax.io.temporary_folders import remove_abandoned
from tests.support import python

KILLED = """
import os, signal, sys
from afsd_jax.io.files import atomic_write
with atomic_write(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def folder(tmp_path):
    """A folder in which a process was killed while it wrote."""
    assert python("-c", KILLED, tmp_path / "file").returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".file.")
    return tmp_path


def test_only_what_killed_processes_left_is_removed(folder):
    (folder / ".file.other").mkdir()
    with atomic_write(folder / "file") as temporary:
        temporary.write_text("whole")
        remove_abandoned(folder)
        assert temporary.read_text() == "whole"
    assert sorted(path.name for path in folder.iterdir()) == [".file.other", "file"]


def test_whoever_locks_a_folder_removes_it(folder):
    with locked(folder, "training"):
        assert [path.name for path in folder.iterdir()] == [".lock"]


def test_links_and_files_of_such_names_stay(folder, tmp_path_factory):
    (left,) = folder.iterdir()
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "precious").touch()
    left.with_name(f".link{left.suffix}").symlink_to(elsewhere)
    left.with_name(f".file{left.suffix}").touch()
    remove_abandoned(folder)
    assert (elsewhere / "precious").exists()
    assert len(list(folder.iterdir())) == 2
