"""Files are written completely or not at all, and a disk without room is one line."""

import errno
import os
import re
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from afsd_jax.errors import UserError, WriteError
from afsd_jax.io.event_file import EventFile
from afsd_jax.io.files import (
    append,
    atomic_write,
    check_space,
    naming_failure,
    write_failure,
    write_json,
)
from tests.event_files import read_events
from tests.small_disks import content, enlarge, mounted
from tests.support import python


@pytest.fixture(params=["size=64k", "size=1m,nr_inodes=6"])
def disk(request, tmp_path) -> Iterator[Path]:
    """A file system without room for 100 kB in four files."""
    with mounted(tmp_path / "disk", request.param) as place:
        yield place


def write_much(path: Path) -> None:
    """Writes a folder of 100 kB in four files."""
    with atomic_write(path) as temporary:
        temporary.mkdir()
        for name in "abcd":
            (temporary / name).write_bytes(bytes(25_000))


def test_a_full_disk_is_one_line_and_leaves_what_was_there(disk):
    (disk / "old").mkdir()
    (disk / "old" / "file").write_text("earlier")
    before = content(disk)
    with pytest.raises(WriteError, match=rf"^{disk}/old: cannot be written \(No space left on dev"):
        write_much(disk / "old")
    assert content(disk) == before
    assert list(disk.iterdir()) == [disk / "old"]
    enlarge(disk, "size=1m,nr_inodes=100")
    write_much(disk / "old")
    assert set(content(disk)) == {"old/a", "old/b", "old/c", "old/d"}


def too_long(folder: Path) -> Path:
    return folder / ("a" * 256)


def a_folder(folder: Path) -> Path:
    (folder / "there").mkdir()
    return folder / "there"


def below_a_file(folder: Path) -> Path:
    (folder / "file").write_text("")
    return folder / "file" / "new"


def a_loop(folder: Path) -> Path:
    (folder / "loop").symlink_to(folder / "loop")
    return folder / "loop" / "new"


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (too_long, "File name too long"),
        (a_folder, "Is a directory"),
        (below_a_file, "Not a directory"),
        (a_loop, "Not a directory"),
    ],
)
def test_an_impossible_path_is_named_and_nothing_is_left(tmp_path, place, reason):
    path = place(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(WriteError, match=f"^{re.escape(str(path))}: cannot be written .*{reason}"):
        write_json(path, {})
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_system_that_may_only_be_read_is_named(tmp_path):
    with (
        mounted(tmp_path / "disk", "size=64k,ro") as place,
        pytest.raises(WriteError, match=f"{place}/file: cannot be written .Read-only file system"),
    ):
        write_json(place / "file", {})


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path):
    name = "ä" * 127 + "a"  # 255 bytes
    write_json(tmp_path / name, {})
    assert os.listdir(tmp_path) == [name]


def test_missing_folders_are_made(tmp_path):
    write_json(tmp_path / "a" / "b" / "c", {})
    assert (tmp_path / "a" / "b" / "c").is_file()


def test_a_limit_of_a_files_size_is_one_line(tmp_path):
    limit = resource.RLIMIT_FSIZE
    program = (
        "import resource, signal, sys\n"
        "from afsd_jax.cli import process\n"
        "from afsd_jax.io.files import write_json\n"
        f"resource.setrlimit({limit}, (1000, 1000))\n"
        "sys.exit(process.run(write_json, sys.argv[1], list(range(1000))))\n"
    )
    ended = python("-c", program, tmp_path / "file")
    assert ended.returncode == 2
    assert ended.stderr == f"error: {tmp_path}/file: cannot be written (File too large)\n"
    assert list(tmp_path.iterdir()) == []


def test_an_error_about_another_file_remains_as_it_is(tmp_path):
    with pytest.raises(FileNotFoundError, match="/other/file"), atomic_write(tmp_path / "file"):
        Path("/other/file").read_bytes()
    with pytest.raises(UserError, match=r"^bad video$"), atomic_write(tmp_path / "file"):
        raise UserError("bad video")
    with pytest.raises(ZeroDivisionError), naming_failure(tmp_path / "file"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_exceptions_of_libraries_are_known_by_the_systems_words():
    assert write_failure(OSError(errno.EDQUOT, "")) == "Disk quota exceeded"
    assert write_failure(ValueError("RESOURCE_EXHAUSTED: pwrite: No space left on device")) == (
        "No space left on device"
    )
    assert write_failure(ValueError("negative")) is None


@pytest.mark.parametrize("size", [1000, 50_000])
def test_what_is_appended_is_complete_or_not_there(tmp_path, size):
    with mounted(tmp_path / "disk", "size=64k") as place:
        append(place / "log", b"x" * size)
        (place / "other").write_bytes(bytes(61_000 - size))
        with pytest.raises(WriteError, match=f"^{place}/log: cannot be written .No space left"):
            append(place / "log", b"y" * 20_000)
        assert (place / "log").read_bytes() == b"x" * size
        (place / "other").unlink()
        append(place / "log", b"y" * 10_000)
        assert (place / "log").read_bytes() == b"x" * size + b"y" * 10_000


def test_room_is_checked_in_bytes_and_in_files(tmp_path):
    with mounted(tmp_path / "disk", "size=64k,nr_inodes=10") as place:
        check_space(place, 60_000, 8)
        for numbers in [(70_000, 1), (1000, 20)]:
            with pytest.raises(OSError, match="No space left"):
                check_space(place, *numbers)
        assert list(place.iterdir()) == []


def test_scalars_that_found_no_room_are_written_once_there_is_some(tmp_path):
    with mounted(tmp_path / "disk", "size=8k") as place:
        events = EventFile(place, 0)
        events.write(1, {"loss": 1.0})
        with pytest.raises(WriteError):
            events.write(2, {str(n): float(n) for n in range(400)})
        enlarge(place, "size=1m")
        events.write(3, {"loss": 3.0, "group": {"a": 0.5}})
        read = list(read_events(place))
    scalars = {(e.step, value.tag): value.simple_value for e in read for value in e.summary.value}
    expected = {(1, "loss"): 1.0, (2, "399"): 399.0, (3, "loss"): 3.0, (3, "group/a"): 0.5}
    assert scalars | expected == scalars
    assert [event.step for event in read] == [0, 1, *[2] * 400, 3, 3]
