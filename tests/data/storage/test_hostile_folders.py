"""A prepared data set from a stranger is data: nothing of it runs, forged values are refused."""

import io
import json
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from afsd_jax.data.storage import frame_codec, prepared_folder, prepared_video, schema, shards
from afsd_jax.errors import UserError
from afsd_jax.report import data_page
from tests.prepared_videos import SIZE, prepare

VERSION = Path("videos/rgb/1.0.0")


@pytest.fixture(scope="module")
def honest(tmp_path_factory) -> Path:
    return prepare(tmp_path_factory.mktemp("honest"), encoding="jpeg")


@pytest.fixture
def folder(honest, tmp_path) -> Path:
    shutil.copytree(honest, tmp_path / "data")
    return tmp_path / "data" / VERSION


def change(path: Path, edit: Callable[[Any], Any]) -> None:
    content = json.loads(path.read_text())
    changed = edit(content)
    path.write_text(json.dumps(content if changed is None else changed))


def first_shard(folder: Path) -> Path:
    return min(folder.glob("*.tfrecord-*"))


def forge(folder: Path, frames: list[bytes] | None = None, **fields: Any) -> None:
    """Writes the first shard anew, with other fields."""
    frame = frame_codec.encode(np.zeros((SIZE, SIZE, 3), np.uint8), "jpeg")
    action = {"label": 0, "start_s": 0.1, "end_s": 0.2, "start_frame": 1.0, "end_frame": 2.0}
    action |= fields.pop("action", {})
    example = {"name": "a", "fps": 10.0, "duration_s": 0.5, "encoding": "jpeg", "height": SIZE}
    example |= {"width": SIZE, "channels": 3, "annotations": [action]} | fields
    features = schema.features([f"class {i}" for i in range(1000)])
    shards.write_example(first_shard(folder), features, example, frames or [frame] * 5)


def opened(folder: Path) -> data_page.DataSet:
    return data_page.open_data_set(folder)


def test_a_forged_shard_that_says_nothing_wrong_is_read(folder):
    forge(folder)
    assert opened(folder).videos["train"][0].num_frames == 5


def test_no_module_that_the_features_name_is_imported(folder, tmp_path):
    proof = tmp_path / "proof"
    (tmp_path / "evil.py").write_text(f"open({str(proof)!r}, 'w')\nclass Evil: pass\n")

    def name_evil(features: dict) -> None:
        features["featuresDict"]["features"]["name"]["pythonClassName"] = "evil.Evil"

    change(folder / "features.json", name_evil)
    command = [sys.executable, "-m", "afsd_jax.cli", "inspect", str(folder)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "features.json: lists other features" in result.stderr
    assert not proof.exists()


@pytest.mark.parametrize(
    "name",
    ["../x", "/tmp/x", "a/b", "a\\b", ".", "..", "", "a\nb", "\x1b[31m", "\u202e", "é" * 999],
)
def test_names_that_are_no_safe_file_names_are_refused(folder, name):
    forge(folder, name=name)
    with pytest.raises(UserError, match=r"00000-of-00004: .*name"):
        opened(folder)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fps": 0.0}, "no frame rate"),
        ({"fps": -1.0}, "no frame rate"),
        ({"fps": float("nan")}, "no frame rate"),
        ({"fps": float("inf")}, "no frame rate"),
        ({"fps": 1e-300}, "no duration"),
        ({"duration_s": float("nan")}, "no duration"),
        ({"duration_s": float("inf")}, "no duration"),
        ({"duration_s": -1.0}, "no duration"),
        ({"duration_s": 1e300}, "no duration"),
        ({"encoding": "pickle"}, "must be one of jpeg, png, raw"),
        ({"height": 0}, "no frame has"),
        ({"height": -20}, "no frame has"),
        ({"height": 16_000, "width": 16_000}, "no frame has"),
        ({"height": 2**31 - 1, "width": 2**31 - 1}, "no frame has"),
        ({"channels": 4}, "no frame has"),
        ({"action": {"label": 2}}, "none of the 2 classes"),
        ({"action": {"label": 999}}, "none of the 2 classes"),
        ({"action": {"start_frame": float("nan")}}, "lasts from"),
        ({"action": {"start_frame": 4.0}}, "lasts from"),
        ({"action": {"start_frame": -1e300}}, "lasts from"),
        ({"action": {"end_frame": 1e300}}, "lasts from"),
        ({"name": "b"}, "in the split twice"),
    ],
)
def test_impossible_values_are_refused_in_one_line(folder, fields, message):
    forge(folder, **fields)
    with pytest.raises(UserError, match=message) as error:
        opened(folder)
    assert "\n" not in str(error.value)


def picture(encoding: str, size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", size).save(buffer, encoding)
    return buffer.getvalue()


def png_bomb() -> bytes:
    """A PNG that states 60,000 × 60,000 pixels, and holds none."""
    content = bytearray(picture("png", (1, 1)))
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


@pytest.mark.parametrize(
    ("encoding", "frame"),
    [
        ("jpeg", picture("jpeg", (16_000, 16_000))),
        ("jpeg", picture("jpeg", (SIZE, SIZE + 1))),
        ("jpeg", picture("png", (SIZE, SIZE))),
        ("jpeg", b"\xff\xd8" + b"\xff\xe0\0\x02" * 1000),
        ("jpeg", b"\xff\xd8\xff\xe0\xff\xff"),
        ("png", png_bomb()),
        ("png", picture("gif", (SIZE, SIZE))),
        ("png", picture("png", (SIZE, SIZE))[:20]),
    ],
)
def test_pictures_of_another_size_or_kind_are_refused_before_they_are_decoded(
    folder, encoding, frame
):
    forge(folder, frames=[frame] * 5, encoding=encoding)
    with pytest.raises(UserError, match="00000-of-00004: the shard is missing or damaged"):
        opened(folder)


def test_a_size_without_end_is_damage(folder):
    path = first_shard(folder)
    content = path.read_bytes()
    path.write_bytes(content[:13] + b"\xff" * (len(content) - 13))
    with pytest.raises(UserError, match="missing or damaged"):
        opened(folder)


def test_a_shard_that_is_a_pipe_or_device_is_not_read(folder):
    path = first_shard(folder)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UserError, match="must be a file"):
        opened(folder)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(UserError, match="must be a file"):
        opened(folder)


def test_a_shard_holds_as_many_videos_as_the_data_set_says(folder):
    path = first_shard(folder)
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(UserError, match="holds 2 videos, not 1"):
        opened(folder)


def split(**fields: Any) -> Callable[[dict], None]:
    return lambda info: info["splits"][0].update(fields)


def info(**fields: Any) -> Callable[[dict], None]:
    return lambda info: info.update(fields)


@pytest.mark.parametrize(
    "edit",
    [
        info(name="../../x"),
        info(name=""),
        info(name="a\x1b"),
        info(name=3),
        info(configName="../rgb"),
        info(fileFormat="array_record"),
        info(fileFormat=[1]),
        info(splits=3),
        info(splits=[]),
        info(splits=[3]),
        info(splits=[{}]),
        split(name="../train"),
        split(name="train\n"),
        split(filepathTemplate="/etc/passwd"),
        split(filepathTemplate="../{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"),
        split(shardLengths=["-1"]),
        split(shardLengths=[1.5]),
        split(shardLengths=["1" * 400]),
        split(shardLengths=[True]),
        split(shardLengths=[1] * 100_000),
        split(shardLengths="1111"),
        lambda info: info["splits"].append(info["splits"][0]),
        lambda info: [],
        lambda info: "text",
    ],
)
def test_what_a_data_set_says_of_itself_is_checked(folder, edit):
    change(folder / "dataset_info.json", edit)
    with pytest.raises(UserError, match=r"dataset_info.json|is stored as") as error:
        opened(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
@pytest.mark.parametrize(
    "content", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b"nul", b'{"a": 1, "a": 2}', b"9" * 10_000]
)
def test_broken_and_deep_json_is_one_line(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=name) as error:
        opened(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json", prepared_folder.LABELS])
def test_pipes_in_place_of_files_are_not_waited_for(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(UserError, match=rf"{name}: must be a file"):
        prepared_folder.open_folder(folder)


@pytest.mark.parametrize("names", ["jump\njump\n", "jump\nr\x1b[31mun\n", "jump\nr\u202eun\n"])
def test_class_names_are_unique_and_can_be_shown(folder, names):
    (folder / prepared_folder.LABELS).write_text(names)
    with pytest.raises(UserError, match=prepared_folder.LABELS):
        opened(folder)


def test_a_folder_whose_name_only_looks_like_a_version_is_left_out(folder):
    shutil.copytree(folder, folder.parent / "a.b.c")
    assert prepared_folder.open_folder(folder.parent).path == folder


def test_frames_decoded_one_by_one_are_checked_too(folder):
    (video, *_) = prepared_video.read_shard(first_shard(folder), schema.features())
    for frame in (picture("jpeg", (SIZE, SIZE)), picture("png", (SIZE, SIZE)), b"none"):
        with pytest.raises((ValueError, OSError)):
            frame_codec.decode(frame, video.encoding, *video.shape)
