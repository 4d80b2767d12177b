"""The kinds of files that messages name."""

import numpy as np
import pytest
from PIL import Image

from afsd_jax.io.file_kinds import file_kind
from tests.video_files import numbered_frames, write_sound, write_video


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "tiff", "webp", "avif"])
def test_pictures(tmp_path, suffix):
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(path)
    assert file_kind(path) == "a picture"


@pytest.mark.parametrize("suffix", ["mp3", "wav", "flac", "m4a", "aac", "aiff"])
def test_sound_files(tmp_path, suffix):
    assert file_kind(write_sound(tmp_path / f"talk.{suffix}")) == "a sound file"


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "avi", "flv", "mpg"])
def test_videos(tmp_path, suffix):
    codec = "mpeg2video" if suffix == "mpg" else "libx264"
    path = write_video(tmp_path / f"clip.{suffix}", numbered_frames(30), 25, codec)
    assert file_kind(path) == "a video"


@pytest.mark.parametrize("content", [b"", b"video,label,start,end\n", b"PK\3\4", b"\x80\2}q\0."])
def test_other_files_have_no_kind(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert file_kind(path) is None
