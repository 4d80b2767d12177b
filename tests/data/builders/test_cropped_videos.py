"""Videos prepared with crops and shapes: what is stored, said, and done alike to new videos."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afsd_jax.cli.config_flags import load_config
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.builders.prepared_report import stored_geometry
from afsd_jax.data.datasets import REPORT, describe_changes, prepare_dataset, read_report
from afsd_jax.data.decode.crops import read_crops
from afsd_jax.data.decode.frame_geometry import FrameGeometry
from afsd_jax.data.decode.video_reader import VideoReader
from afsd_jax.data.splits import open_split
from afsd_jax.data.storage.prepared_folder import open_folder
from afsd_jax.data.storage.prepared_video import read_frames, read_videos
from afsd_jax.errors import UserError
from afsd_jax.inputs.video import open_file
from afsd_jax.training.auto_config import choose_fields
from afsd_jax.types import OWN_CROPS
from tests.video_files import numbered_frames, write_video

SIZE = 28
ROWS = "video,label,start,end,subset{}\npen_1,peck,1,2,train{}\npen_2,peck,1,2,test{}\n"
PLAIN = ROWS.format("", "", "")
HALF, PIXELS = "50%,0,50%,100%", "16,4,40,28"


@pytest.fixture
def source(tmp_path) -> Path:
    (tmp_path / "source").mkdir()
    for name in ("pen_1", "pen_2"):
        write_video(tmp_path / "source" / f"{name}.mp4", numbered_frames(30, 36, 64), 10)
    return tmp_path / "source"


def prepare(source: Path, rows: str = PLAIN, stream: str = "rgb", **kwargs: Any) -> Path:
    labels = source.parent / "labels.csv"
    labels.write_text(rows)
    options = {"encoding": "raw", "size": SIZE, "annotations": labels, "workers": 1} | kwargs
    chosen = PrepareOptions(source, **options)
    return prepare_dataset("videos", source.parent / "data", stream, chosen)


def stored(folder: Path, name: str) -> np.ndarray:
    opened = open_folder(folder)
    videos = [video for split in opened.splits for video in read_videos(opened, split)]
    (video,) = (video for video in videos if video.name == name)
    return np.stack(list(read_frames(video, range(video.num_frames))))


def shown(path: Path, *geometry: str) -> np.ndarray:
    reader = VideoReader(path, 10.0, (SIZE, SIZE), geometry=FrameGeometry(*geometry))
    return np.stack(list(reader))


def test_one_crop_and_shape_for_all_go_from_the_frames_to_new_videos(source, tmp_path):
    folder = prepare(source, crops=read_crops(HALF), keep_aspect="letterbox")
    for name in ("pen_1", "pen_2"):
        expected = shown(source / f"{name}.mp4", HALF, "letterbox")
        np.testing.assert_array_equal(stored(folder, name), expected)
    assert stored_geometry(folder) == FrameGeometry(HALF, "letterbox")
    config = load_config("videos")
    config.data.data_dir = str(tmp_path / "data")
    chosen, _, _ = choose_fields(config)
    assert (chosen.data.crop, chosen.data.keep_aspect) == (HALF, "letterbox")
    open_split(chosen.data, "train")
    frames = np.stack([frame for (frame,) in open_file(source / "pen_1.mp4", [chosen]).frames])
    np.testing.assert_array_equal(frames, stored(folder, "pen_1"))
    other = np.stack(
        [frame for (frame,) in open_file(source / "pen_1.mp4", [chosen], crop="").frames]
    )
    np.testing.assert_array_equal(other, shown(source / "pen_1.mp4", "", "letterbox"))
    chosen.data.keep_aspect = "center"
    with pytest.raises(
        UserError, match=r"was prepared with keep_aspect letterbox, but config\.data"
    ):
        open_split(chosen.data, "train")


def test_a_column_comes_before_a_file_which_comes_before_nothing(source, tmp_path):
    crops = tmp_path / "crops.json"
    crops.write_text(json.dumps({"pen_1": "0,0,9,9", "pen_2.mp4": PIXELS}))
    rows = ROWS.format(",crop", f',"{HALF}"', ",")
    folder = prepare(source, rows, crops=read_crops(str(crops)))
    videos = {video["name"]: video["crop"] for video in read_report(folder)["videos"]}
    assert videos == {"pen_1": HALF, "pen_2": PIXELS}
    np.testing.assert_array_equal(stored(folder, "pen_1"), shown(source / "pen_1.mp4", HALF))
    np.testing.assert_array_equal(stored(folder, "pen_2"), shown(source / "pen_2.mp4", PIXELS))
    assert stored_geometry(folder).crop == OWN_CROPS


def test_another_crop_renews_its_video_only_and_another_shape_is_refused(source):
    folder = prepare(source)
    before = read_report(folder)
    assert all("crop" not in video for video in before["videos"])
    of_earlier_versions = json.loads((folder / REPORT).read_text())
    assert of_earlier_versions.pop("keep_aspect") == "squeeze"
    (folder / REPORT).write_text(json.dumps(of_earlier_versions))
    assert stored_geometry(folder) == FrameGeometry()
    prepare(source, ROWS.format(",crop", ",", f',"{HALF}"'))
    assert describe_changes(before, read_report(folder)) == "1 unchanged, 1 decoded again"
    np.testing.assert_array_equal(stored(folder, "pen_2"), shown(source / "pen_2.mp4", HALF))
    with pytest.raises(UserError, match="was prepared with keep_aspect squeeze, not center"):
        prepare(source, keep_aspect="center")


def test_flow_of_a_prepared_stream_keeps_its_crops(source, tmp_path):
    rgb = prepare(source, crops=read_crops(HALF), keep_aspect="center")
    from_videos = tmp_path / "data" / "videos" / "flow" / "1.0.0"
    chosen = {"crops": read_crops(HALF), "keep_aspect": "center", "flow_method": "dis"}
    assert prepare(source, stream="flow", **chosen) == from_videos
    labels = tmp_path / "labels.csv"
    options = PrepareOptions(
        *(rgb, labels, None, "raw"), size=SIZE, workers=1, flow_method="dis", keep_aspect="center"
    )
    from_frames = prepare_dataset("videos", tmp_path / "other", "flow", options)
    np.testing.assert_array_equal(stored(from_frames, "pen_1"), stored(from_videos, "pen_1"))
    assert stored_geometry(from_frames) == stored_geometry(rgb) == FrameGeometry(HALF, "center")


@pytest.mark.parametrize(
    ("rows", "crop", "reason"),
    [
        (
            PLAIN,
            "10,0,55,10",
            r"pen_1\.mp4: the crop 10,0,55,10 lies partly outside .* 64x36 pixels",
        ),
        (ROWS.format(",crop", ",what", ","), None, r"labels\.csv, line 2: 'what' must be x,y"),
        (
            ROWS.format(",crop", f',"{HALF}"', ",") + 'pen_1,peck,2,2.5,train,"1,1,9,9"\n',
            None,
            r"line 4: video 'pen_1' has crop '1,1,9,9' here and '50%,0,50%,100%' in .* line 2",
        ),
        (PLAIN, '{"pen_3": "1,1,9,9"}', r"crops\.json: names no video 'pen_3'"),
    ],
)
def test_a_wrong_crop_is_refused_in_one_line_before_anything_is_written(
    source, tmp_path, rows, crop, reason
):
    if crop and crop.startswith("{"):
        (tmp_path / "crops.json").write_text(crop)
        crop = str(tmp_path / "crops.json")
    with pytest.raises(UserError, match=reason) as error:
        prepare(source, rows, crops=read_crops(crop))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "data").exists()
