"""`read_annotations`: formats are recognised by suffix and content."""

import json

import pytest

from afsd_jax.data import annotations
from afsd_jax.errors import UserError
from afsd_jax.types import Action, AnnotatedVideo


def test_a_video_may_be_named_with_its_suffix(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text(
        "video,label,start,end\nvid_01.mp4,pour,1,2\nvid_01,stir,3,4\nv.2,,,\nb.MKV,pour,0,1\n"
    )
    assert annotations.read_annotations(path) == {
        "vid_01": AnnotatedVideo("", None, (Action("pour", 1, 2), Action("stir", 3, 4))),
        "v.2": AnnotatedVideo("", None, ()),
        "b": AnnotatedVideo("", None, (Action("pour", 0, 1),)),
    }


def test_a_table_may_be_separated_by_tabs(tmp_path):
    text = "video\tlabel\tstart\tend\tsubset\na\tpour, slowly\t1\t2\ttest\n"
    for name in ("labels.tsv", "labels.csv"):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
        videos = annotations.read_annotations(tmp_path / name)
        assert videos == {"a": AnnotatedVideo("test", None, (Action("pour, slowly", 1, 2),))}


def test_all_files_of_a_folder_are_one_data_set(tmp_path):
    folder = tmp_path / "labels"
    (folder / "deep").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    (folder / "deep" / "a.csv").write_text("video,label,start,end\na,pour,1,2\n")
    (folder / ".hidden" / "a.csv").write_text("nothing")
    (folder / "b.json").write_text(json.dumps({"database": {"b": {"annotations": []}}}))
    (folder / "notes.txt").write_text("nothing")
    assert sorted(annotations.read_annotations(folder)) == ["a", "b"]
    (folder / "c.csv").write_text("video,label,start,end\na,stir,1,2\n")
    with pytest.raises(UserError, match=r"a.csv, line 2: video 'a' is also in .*c.csv, line 2"):
        annotations.read_annotations(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labels.csv", "size,age\na,b\n", "the first line must name video, .*or .* BORIS"),
        ("labels.csv", "video,start,end\n", "column 'label' is missing: the first line must name"),
        ("labels.csv", "video,label,start,end\n", "names no video; annotations are a table"),
        ("labels.csv", "", "the first line must name video|column 'video' is missing"),
        ("labels.json", "{}", '"database" is missing; annotations are'),
        ("labels.json", "3", '"database" is missing'),
        ("labels.json", "[]", "names no video; annotations are"),
        ("labels.json", "[3]", r": \[0\] must be an object"),
        ("labels.json", '[{"video": "a.mp4", "start": 1}]', r"\[0\]: is not a task of Label"),
        ("labels.txt", "a pour 1 2", "not valid JSON .*; annotations are a table .*ELAN's .eaf"),
    ],
)
def test_an_unknown_format_is_refused_with_the_known_formats(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(UserError, match=message) as error:
        annotations.read_annotations(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_spreadsheets_are_not_passed_over_in_silence(tmp_path, caplog):
    (tmp_path / "a.csv").write_text("video,label,start,end\na,pour,1,2\n")
    (tmp_path / "b.xlsx").write_bytes(b"PK")
    assert list(annotations.read_annotations(tmp_path)) == ["a"]
    assert f"{tmp_path}/b.xlsx: is not read; save or export it as CSV" in caplog.text
    with pytest.raises(UserError, match=r"b.xlsx: save or export it as CSV"):
        annotations.read_annotations(tmp_path / "b.xlsx")


def test_json_may_begin_with_a_mark_of_its_encoding(tmp_path):
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"database": {"b": {"annotations": []}}}), encoding="utf-8-sig")
    assert list(annotations.read_annotations(path)) == ["b"]


def test_a_link_to_nothing_is_not_passed_over(tmp_path):
    (tmp_path / "a.csv").write_text("video,label,start,end\na,pour,1,2\n")
    (tmp_path / "b.csv").symlink_to("nowhere.csv")
    with pytest.raises(UserError, match=r"b.csv: no such file"):
        annotations.read_annotations(tmp_path)


def test_an_empty_folder_is_refused_with_the_known_formats(tmp_path):
    with pytest.raises(UserError, match="names no video; annotations are a table"):
        annotations.read_annotations(tmp_path)
    with pytest.raises(UserError, match="no such file"):
        annotations.read_annotations(tmp_path / "none.csv")
