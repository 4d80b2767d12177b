"""What preparation says of doubtful annotations before hours are spent."""

import json
import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from afsd_jax import cli
from afsd_jax.data import datasets
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.errors import UserError
from afsd_jax.evaluation import evaluate
from afsd_jax.io.activitynet_json import read_ground_truth
from afsd_jax.types import Detection
from tests.video_files import numbered_frames, write_video

SECONDS = 6
ROWS = "video,label,start,end,subset\n"
TWO = ROWS + "pen_1,peck,1,2,train\npen_2,peck,1,2,test\n"


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    """pen_1.mp4 and pen_2.mp4, six seconds each."""
    folder = tmp_path_factory.mktemp("films")
    write_video(folder / "pen_1.mp4", numbered_frames(10 * SECONDS, 16, 16), 10)
    os.link(folder / "pen_1.mp4", folder / "pen_2.mp4")
    return folder


@pytest.fixture
def source(tmp_path, films) -> Path:
    (tmp_path / "source").mkdir()
    for path in films.iterdir():
        os.link(path, tmp_path / "source" / path.name)
    return tmp_path / "source"


def prepare(source: Path, rows: str, **kwargs: Any) -> Path:
    labels = source.parent / "labels.csv"
    labels.write_text(rows)
    chosen = PrepareOptions(source, annotations=labels, size=16, workers=1, **kwargs)
    return datasets.prepare_dataset("videos", source.parent / "data", "rgb", chosen)


def truth(folder: Path) -> dict[str, list[tuple[str, float, float]]]:
    videos = read_ground_truth(folder / "ground_truth.json")
    return {n: [(a.label, a.start_s, a.end_s) for a in v.actions] for n, v in videos.items()}


BEYOND = ROWS + (
    "pen_1,peck,1.0,2.5,train\npen_1,peck,5.5,7.5,train\npen_1,drink,8,9,train\n"
    "pen_2,rest,0.5,3,test\n"
)
STORED = {"pen_1": [("peck", 1.0, 2.5), ("peck", 5.5, 6.0)], "pen_2": [("rest", 0.5, 3.0)]}


def test_the_ground_truth_is_what_was_stored(source):
    folder = prepare(source, BEYOND)
    assert truth(folder) == STORED
    notes = " ".join(datasets.read_report(folder)["notes"])
    assert "cut there" in notes
    assert "left out" in notes
    annotated = read_ground_truth(folder / "ground_truth.json", "train")
    perfect = [Detection(label, 1.0, *times) for label, *times in STORED["pen_1"]]
    assert evaluate(annotated, {"pen_1": perfect}, [0.5]).average_map == 1


def test_renewing_a_set_of_an_earlier_version_rewrites_its_ground_truth(source):
    folder = prepare(source, BEYOND)
    shards = {p.name: p.stat().st_mtime_ns for p in folder.glob("*.tfrecord*")}
    path = folder / "ground_truth.json"
    written = path.read_bytes()
    old = json.loads(written)
    old["database"]["pen_1"]["annotations"][1]["segment"][1] = 7.5
    path.write_text(json.dumps(old))
    assert prepare(source, BEYOND) == folder
    assert path.read_bytes() == written
    assert {p.name: p.stat().st_mtime_ns for p in folder.glob("*.tfrecord*")} == shards
    state = path.stat()
    prepare(source, BEYOND)
    assert path.stat() == state, "nothing is written without changes"


@pytest.mark.parametrize(
    ("scale", "unit"), [(1000, "milliseconds"), (25, "frames"), (30, "frames")]
)
def test_times_in_another_unit_are_refused_with_the_likely_one(source, scale, unit):
    rows = ROWS + f"pen_1,peck,{scale},{2 * scale},train\npen_2,peck,{scale},{3 * scale},test\n"
    with pytest.raises(
        UserError, match=rf"of 2 actions, none would be left: each begins .* be {unit}"
    ):
        prepare(source, rows)
    assert not (source.parent / "data").exists(), "a refusal leaves no folder"


def test_the_few_that_happen_to_lie_in_their_videos_do_not_make_times_right(source):
    late = "".join(f"pen_2,peck,{25 * i},{25 * i + 20},test\n" for i in range(1, 10))
    with pytest.raises(UserError, match=r"of 10 actions, 1 would be left: each other .* be frames"):
        prepare(source, ROWS + "pen_1,peck,0,1,train\n" + late)
    assert not (source.parent / "data").exists()


def test_most_actions_beyond_their_videos_get_a_hint(source):
    late = "pen_1,peck,25,50,train\npen_2,peck,100,120,test\npen_2,peck,70,80,test\n"
    hint, *_ = warnings(prepare(source, TWO + late))
    assert "3 of 5 actions end after their videos, such as 'peck' at 100 to 120 s" in hint
    assert hint.endswith("times must be seconds, and these may be frames")


def test_times_in_minutes_get_a_hint(source):
    rows = "".join(f"pen_{1 + i % 2},peck,{i / 100},{i / 100 + 0.01},\n" for i in range(8))
    assert any(
        "are their times minutes?" in line for line in warnings(prepare(source, ROWS + rows))
    )


def test_usual_annotations_get_no_hint(source):
    (few,) = warnings(prepare(source, TWO + "pen_1,peck,5.5,6.2,train\n"))
    assert few.startswith("fewer than 10 actions")


def test_no_action_left_is_refused_with_the_reason(source):
    with pytest.raises(UserError, match=r"no action is left; .*so it has no length: left out"):
        prepare(source, ROWS + "pen_1,peck,1,1,train\npen_2,,,,test\n")
    (line,) = warnings(prepare(source, ROWS + "pen_1,,,,train\npen_2,,,,test\n"))
    assert "none of the 2 videos has an action" in line


def test_classes_that_hardly_differ_or_are_absent_get_a_warning(source):
    alike = "Hüg", unicodedata.normalize("NFD", "Hüg"), "h üg"
    more = "".join(f"pen_1,{label},3,4,train\n" for label in (*alike, "peck "))
    first, second, third, _ = warnings(prepare(source, TWO + more + "pen_2,sit,3,4,test\n"))
    names = ", ".join(map(repr, sorted(alike)))
    assert first.startswith(f"{names} are 3 classes, which differ in case, blanks or composed")
    assert second.startswith("the split train has no action of 'sit'; a column subset")
    assert third.startswith(f"the split test has no action of {names}; a column subset")


def warnings(folder: Path) -> list[str]:
    return datasets.read_report(folder)["warnings"]


def test_a_label_that_may_be_misspelt_is_named_with_the_likely_one(source):
    hugs = "".join(f"pen_{1 + i % 2},hug,{i / 2},{i / 2 + 0.4},\n" for i in range(6))
    folder = prepare(source, ROWS + hugs + "pen_1,hugg,4,5,\npen_2,step 1,4,5,\n")
    meant = "is 'hugg' (1 action) a misspelt 'hug' (6 actions)? They are two classes now; "
    meant += f"'hugg' is in {source.parent / 'labels.csv'}, line 8"
    assert meant in warnings(folder)
    assert not [line for line in warnings(folder) if "misspelt" in line and line != meant]
    both = hugs + hugs.replace("hug", "hugs")  # as many: two classes on purpose
    assert not [line for line in warnings(prepare(source, ROWS + both)) if "misspelt" in line]


def test_classes_that_hardly_differ_are_named_with_a_row_of_the_rarer_one(source):
    hugs = "pen_1,hug,1,2,train\n" * 3 + "pen_2,Hug,1,2,test\npen_2,Hug,3,4,test\n"
    first, *_ = warnings(prepare(source, ROWS + hugs))
    assert first == (
        "'Hug', 'hug' are 2 classes, which differ in case, blanks or composed characters only; "
        f"'Hug' is 2 times, first in {source.parent / 'labels.csv'}, line 5"
    )


def test_the_command_warns_before_it_decodes_and_ends_with_its_warnings(source, tmp_path, capsys):
    labels = tmp_path / "labels.csv"
    labels.write_text(TWO + "pen_1,Peck,3,4,train\n")
    flags = [f"--source={source}", f"--annotations={labels}", f"--output={tmp_path / 'data'}"]
    for decodes in (True, False):
        assert cli.main(["prepare", "videos", "--size=16", *flags]) == 0
        said = capsys.readouterr().err
        first = said.index("warning: 'Peck', 'peck' are 2 classes")
        assert ("prepared: " in said[first:]) == decodes  # the bar comes after the warning
        end = said.rpartition("3 warnings, to look at before you train:\n")[2]
        lines = end.splitlines()
        assert lines[0] == "  'Peck', 'peck' are 2 classes, which differ in case, blanks or " + (
            f"composed characters only; 'Peck' is in {labels}, line 4"
        )
        assert lines[1].startswith("  the split test has no action of 'Peck'")
        assert lines[2] == (
            "  fewer than 10 actions in the split train: 'Peck' (1), 'peck' (1); such classes "
            "are hardly found"
        )
        assert len(lines) == 3


def test_a_split_of_an_unusual_name_gets_a_warning(source):
    folder = prepare(source, ROWS + "pen_1,peck,1,2,train\npen_2,peck,1,2,tset\n")
    assert any("1 of 2 videos are in the split 'tset'" in line for line in warnings(folder))
