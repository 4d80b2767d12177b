"""Files that only this user can have written are read; all others are not."""

import os
from pathlib import Path

import pytest

from afsd_jax.runtime.trusted_folder import TrustedFolder


@pytest.fixture
def folder(tmp_path):
    trusted = TrustedFolder(tmp_path / "deep" / "programs", most_bytes=1000)
    trusted.write("a", b"content")
    assert trusted.read("a") == b"content"
    return trusted, tmp_path / "deep" / "programs"


def test_a_file_is_read_as_it_was_written_by_any_of_its_names(folder):
    trusted, path = folder
    trusted.link("a", "b")
    assert trusted.read("b") == b"content"
    assert trusted.read("c") is None
    trusted.write("a", b"newer")
    assert (trusted.read("a"), trusted.read("b")) == (b"newer", b"content")
    assert path.stat().st_mode & 0o777 == 0o700
    assert {entry.name for entry in path.iterdir()} == {"a", "b"}  # nothing temporary is left


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "longer"])
def test_a_damaged_file_counts_as_none(folder, damage):
    trusted, path = folder
    content = (path / "a").read_bytes()
    (path / "a").write_bytes(
        {
            "cut": content[:-1],
            "changed": content[:-1] + b"T",
            "empty": b"",
            "longer": content + b"x",
        }[damage]
    )
    assert trusted.read("a") is None
    trusted.write("a", b"again")
    assert trusted.read("a") == b"again"


@pytest.mark.parametrize("mode", [0o707, 0o770, 0o750, 0o705])
def test_a_folder_that_others_can_enter_is_neither_read_nor_written(folder, mode):
    trusted, path = folder
    path.chmod(mode)
    assert trusted.read("a") is None
    trusted.write("b", b"x")
    assert not (path / "b").exists()


def test_files_that_others_can_write_and_links_are_not_read(folder, tmp_path):
    trusted, path = folder
    (tmp_path / "elsewhere").write_bytes((path / "a").read_bytes())
    (path / "link").symlink_to(tmp_path / "elsewhere")
    assert trusted.read("link") is None
    (path / "a").chmod(0o622)
    assert trusted.read("a") is None
    linked = tmp_path / "linked"
    linked.symlink_to(path)
    assert TrustedFolder(linked, 1000).read("link") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_and_folders_of_another_user_are_not_read(folder):
    trusted, path = folder
    os.chown(path / "a", 65534, -1)
    assert trusted.read("a") is None
    trusted.write("b", b"content")
    assert trusted.read("b") == b"content"
    os.chown(path, 65534, -1)
    assert trusted.read("b") is None


def test_the_files_read_longest_ago_make_room_for_new_ones(folder):
    trusted, path = folder
    for age, name in enumerate("bcd"):
        trusted.write(name, bytes(250))
        os.utime(path / name, (0, 100 - age))
    os.utime(path / "a", (0, 200))
    assert trusted.read("d") is not None  # it was the oldest until it was read
    trusted.write("e", bytes(250))
    assert {entry.name for entry in path.iterdir()} == {"a", "b", "d", "e"}


def test_a_folder_that_cannot_be_made_costs_nothing(tmp_path: Path):
    (tmp_path / "file").touch()
    trusted = TrustedFolder(tmp_path / "file" / "programs", 1000)
    trusted.write("a", b"x")
    trusted.link("a", "b")
    assert trusted.read("a") is None
