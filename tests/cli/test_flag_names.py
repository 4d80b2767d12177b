"""Messages of the library with the flags of each command, as they are typed."""

from argparse import Namespace

import pytest

from afsd_jax import cli
from afsd_jax.cli.flag_names import with_flags
from afsd_jax.cli.process import REFUSED
from tests.video_files import numbered_frames, write_video


@pytest.mark.parametrize(
    ("message", "typed"),
    [
        ("config.data.crop_size=9: must be", "--config.data.crop_size=9: must be"),
        ("call afsd_jax.config.default_config()", "call afsd_jax.config.default_config()"),
        ("RUN/config.json: damaged", "RUN/config.json: damaged"),
        ("RUN/config.data/x: no file", "RUN/config.data/x: no file"),
        ("config.json: no such file", "config.json: no such file"),
        ("--config.train.steps=ten", "--config.train.steps=ten"),
    ],
)
def test_fields_are_flags_where_the_command_has_a_configuration(message, typed):
    assert with_flags(message, Namespace(command="train", config="videos")) == typed
    assert with_flags(message, Namespace(command="convert")) == message


def test_missing_videos_are_allowed_by_a_flag(tmp_path, capsys):
    write_video(tmp_path / "pen.mp4", numbered_frames(30, 16, 16), 10)
    labels = tmp_path / "labels.csv"
    labels.write_text("video,label,start,end\npen,peck,0,1\nzebra,run,0,1\n")
    flags = [f"--source={tmp_path}", f"--annotations={labels}", f"--output={tmp_path / 'data'}"]
    assert cli.main(["prepare", "videos", *flags]) == REFUSED
    assert capsys.readouterr().err.endswith("; add it, or give --allow-missing\n")


@pytest.mark.parametrize("command", ["detect", "evaluate"])
def test_a_folder_without_a_data_set_is_named_by_its_flag(command):
    message = "config.data.data_dir='no': holds no prepared data set"
    args = Namespace(command=command, data_dir="no")
    assert with_flags(message, args) == "--data-dir='no': holds no prepared data set"
