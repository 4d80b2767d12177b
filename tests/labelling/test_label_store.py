"""The labels file: opened, merged with changes of other programs, never overwritten silently."""

import json
import os
from pathlib import Path

import pytest

from afsd_jax.errors import UserError
from afsd_jax.labelling.changes import VideoChange
from afsd_jax.labelling.label_store import LabelStore
from afsd_jax.labelling.records import Segment
from tests.labelling.served import rows

HEADER = "video,label,start,end\n"
LENGTHS = {"one": 10.0, "two": 10.0}


def opened(path, start=None):
    videos = {name: path.parent / f"{name}.mp4" for name in LENGTHS}
    return LabelStore(path, videos, LENGTHS, start)


def labelled(store, name="one"):
    segments = store.labels.videos[name].segments.values() if name in store.labels.videos else ()
    return sorted((s.label, s.start, s.end) for s in segments)


def put(store, key, start, end, label="run", video="one"):
    store.change(VideoChange(video, put=[Segment(key, label, start, end)]))


def test_a_file_is_opened_and_kept_as_it_was(labels):
    text = "video,behaviour,start,end,notes\none.mp4,run,1,2,fast\nelse.avi,jump,3,4,\n"
    labels.write_text(text)
    store = opened(labels)
    assert labelled(store) == [("run", 1.0, 2.0)]
    assert store.labels.videos["one"].reviewed
    put(store, "a", 5.0, 6.0)
    assert store.sync().message is None
    expected = [["one.mp4", "run", "1.0", "2.0"], ["one.mp4", "run", "5.0", "6.0"]]
    assert rows(labels)[:2] == expected
    assert rows(labels)[2][1:] == ["jump", "3.0", "4.0"]  # of a video that is not labelled here
    assert [path.read_text() for path in (store.folder / "originals").iterdir()] == [text]


def test_changes_of_another_program_are_merged(labels):
    store = opened(labels)
    put(store, "a", 1.0, 2.0)
    put(store, "b", 3.0, 4.0)
    store.sync()
    put(store, "c", 5.0, 6.0)  # not yet in the file
    labels.write_text(HEADER + "one.mp4,run,1,2\none.mp4,jump,7,8\ntwo.mp4,rest,0,1\n")
    synced = store.sync()
    assert "changed by another program; merged: 2 added, 1 removed" in synced.message
    assert labelled(store) == [("jump", 7.0, 8.0), ("run", 1.0, 2.0), ("run", 5.0, 6.0)]
    assert labelled(store, "two") == [("rest", 0.0, 1.0)]
    assert len(rows(labels)) == 4
    assert store.sync().message is None
    assert labelled(opened(labels)) == labelled(store)


def test_a_change_right_after_the_file_was_written_is_not_overwritten(labels, monkeypatch):
    store = opened(labels)
    put(store, "a", 0, 1)
    replaced = os.replace

    def replace_and_write(source, target):
        replaced(source, target)
        if Path(target) == labels:
            labels.write_text("video,label,start,end\none.mp4,hop,1,2\none.mp4,run,0,1\n")

    with monkeypatch.context() as another_program:
        another_program.setattr(os, "replace", replace_and_write)
        store.sync()
    assert "merged: 1 added, 0 removed" in store.sync().message
    put(store, "b", 3, 4)
    store.sync()
    assert {row[1] for row in rows(labels)} == {"run", "hop"}


def test_what_was_changed_here_meanwhile_is_not_removed(labels):
    store = opened(labels)
    put(store, "a", 1.0, 2.0)
    store.sync()
    put(store, "a", 1.0, 2.5)
    labels.write_text(HEADER + "two.mp4,rest,0,1\n")
    store.sync()
    assert labelled(store) == [("run", 1.0, 2.5)]


def test_a_file_that_cannot_be_read_is_not_written(labels):
    store = opened(labels)
    put(store, "a", 1.0, 2.0)
    store.sync()
    broken = HEADER + "one.mp4,run,1,two\n"
    labels.write_text(broken)
    put(store, "b", 3.0, 4.0)
    assert "cannot be read, so it is not written" in store.sync().message
    assert store.refused is not None
    put(store, "c", 5.0, 6.0)
    assert store.sync().message is None
    store.close()
    assert labels.read_text() == broken
    with pytest.raises(UserError, match="line 2"):
        opened(labels)
    labels.write_text(HEADER + "one.mp4,run,1,2\none.mp4,rest,8,9\n")
    store = opened(labels)
    expected = [("rest", 8.0, 9.0), ("run", 1.0, 2.0), ("run", 3.0, 4.0), ("run", 5.0, 6.0)]
    assert labelled(store) == expected
    assert len(rows(labels)) == 4


def test_a_file_that_was_removed_is_written_again(labels):
    store = opened(labels)
    put(store, "a", 1.0, 2.0)
    store.sync()
    labels.unlink()
    assert "was removed" in store.sync().message
    assert rows(labels) == [["one.mp4", "run", "1.0", "2.0"]]


def restored_older(labels):
    """Returns a store of two segments whose labels file is again that of the first one."""
    store = opened(labels)
    put(store, "a", 1.0, 2.0)
    store.sync()
    older = labels.read_text()
    put(store, "b", 3.0, 4.0)
    store.sync()
    labels.write_text(older)
    return store


def test_an_older_content_that_comes_back_is_a_change_as_any_other(labels):
    store = restored_older(labels)
    assert "1 removed" in store.sync().message
    assert labelled(store) == [("run", 1.0, 2.0)]


def test_all_labels_can_be_removed(labels):
    store = opened(labels)
    put(store, "a", 1.0, 2.0)
    store.close()
    store.change(VideoChange("one", remove=["a"]))
    store.close()
    assert labels.read_text() == HEADER.replace("\n", "\r\n") or rows(labels) == []
    store = opened(labels)
    assert labelled(store) == []
    put(store, "b", 1.0, 2.0)
    store.close()
    assert len(rows(labels)) == 1


def test_activitynet_json_is_written_by_its_suffix(tmp_path):
    path = tmp_path / "labels.json"
    store = opened(path)
    put(store, "a", 1.0, 2.0)
    store.close()
    video = json.loads(path.read_text())["database"]["one"]
    assert video["annotations"] == [{"segment": [1.0, 2.0], "label": "run"}]
    assert video["duration"] == 10.0
    assert labelled(opened(path)) == [("run", 1.0, 2.0)]


def test_annotations_of_another_kind_are_a_start(tmp_path, labels):
    start = tmp_path / "others.json"
    start.write_text(
        json.dumps({"database": {"two": {"annotations": [{"segment": [1, 2], "label": "=run"}]}}})
    )
    store = opened(labels, start)
    assert labelled(store, "two") == [("=run", 1.0, 2.0)]
    before = start.read_text()
    put(store, "a", 1.0, 2.0)
    store.close()
    assert start.read_text() == before
    assert labelled(opened(labels), "two") == [("=run", 1.0, 2.0)]


def test_labels_follow_a_video_whose_name_changes(tmp_path, labels):
    store = LabelStore(labels, {"take": tmp_path / "cam1" / "take.mp4"}, {"take": 10.0})
    put(store, "a", 1.0, 2.0, video="take")
    store.change(VideoChange("take", reviewed=True))
    store.close()
    labels.unlink()
    videos = {f"cam{n}__take": tmp_path / f"cam{n}" / "take.mp4" for n in (1, 2)}
    store = LabelStore(labels, videos, dict.fromkeys(videos, 10.0))
    assert labelled(store, "cam1__take") == [("run", 1.0, 2.0)]
    assert store.labels.videos["cam1__take"].reviewed


@pytest.mark.parametrize("size", range(1, 80, 3))
def test_half_a_line_of_the_journal_is_cut_off(labels, size):
    store = opened(labels)
    put(store, "a", 1.0, 2.0)
    put(store, "b", 3.0, 4.0)
    journal = store.folder / "journal.jsonl"
    content = journal.read_bytes()
    journal.write_bytes(content[:-size])
    assert labelled(opened(labels)) == [("run", 1.0, 2.0)]


def test_a_file_that_was_not_yet_replaced_is_written_after_a_kill(labels):
    store = restored_older(labels)
    journal = store.folder / "journal.jsonl"
    *lines, written = journal.read_bytes().splitlines(keepends=True)
    assert b'"written"' in written
    journal.write_bytes(b"".join(lines))  # as it was before the file was replaced
    store = opened(labels)
    assert labelled(store) == [("run", 1.0, 2.0), ("run", 3.0, 4.0)]
    assert len(rows(labels)) == 2


def test_a_long_journal_becomes_a_snapshot(labels, monkeypatch):
    monkeypatch.setattr("afsd_jax.labelling.label_store._LONG", 2000)
    store = opened(labels)
    for number in range(60):
        put(store, f"k{number}", number, number + 0.5)
        store.sync()
    assert (store.folder / "journal.jsonl").stat().st_size < 3000
    assert len(labelled(opened(labels))) == 60
