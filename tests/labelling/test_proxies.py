"""Videos that browsers cannot play: a copy with each frame at its own time."""

import numpy as np
import pytest

from afsd_jax.data.decode.excerpt import frames_between
from afsd_jax.data.decode.frame_times import read_frame_times
from afsd_jax.data.decode.picture_shape import read_shape
from afsd_jax.labelling.label_videos import played_times, read_videos
from afsd_jax.labelling.proxy_file import write_proxy
from tests.labelling.served import serving, until
from tests.video_files import frame_numbers, numbered_frames, write_video

COUNT = 60
UNEVEN = np.cumsum([0, *np.tile([0.02, 0.05, 0.033, 0.1], COUNT)])[:COUNT].round(3).tolist()
UNPLAYABLE = {
    "avi": {"name": "v.avi", "codec": "mpeg4", "rate": 25},
    "mpeg-2": {"name": "v.mpg", "codec": "mpeg2video", "rate": 25},
    "hevc": {"name": "v.mp4", "codec": "libx265", "rate": "30000/1001"},
    "10 bit": {"name": "v.mp4", "codec": "libx264", "pixels": "yuv420p10le", "rate": 60},
    "4:4:4": {"name": "v.mp4", "codec": "libx264", "pixels": "yuv444p", "rate": 25},
    "mkv, variable rate": {"name": "v.mkv", "codec": "mpeg4", "times_s": UNEVEN},
    "late": {"name": "v.mp4", "rate": 25, "times_s": [0.5 + i / 25 for i in range(COUNT)]},
}


def written(folder, name, **options):
    return write_video(folder / name, numbered_frames(COUNT), **options)


@pytest.mark.parametrize("options", UNPLAYABLE.values(), ids=UNPLAYABLE)
def test_the_copy_shows_each_frame_at_its_time(tmp_path, options):
    path = written(tmp_path, **options)
    (video,), unreadable = read_videos({"v": path})
    assert (video.media_type, unreadable) == ("", [])
    copy, shares = tmp_path / "copy.mp4", []
    write_proxy(path, copy, shares.append)
    assert shares == sorted(shares)
    assert read_videos({"v": copy})[0][0].media_type == "video/mp4"
    times, copied = played_times(path), read_frame_times(copy)
    assert np.abs(copied.times_s[1:] - times.times_s[1:]).max() < 1e-3
    assert copied.duration_s == pytest.approx(times.duration_s, abs=0.05)
    frames = np.stack([image for _, image in frames_between(copy, 0.0, 1e6, 1e9)])
    assert frame_numbers(frames) == list(range(COUNT))


@pytest.mark.parametrize("pixel_aspect", [(2, 1), (4, 3), (1, 2), (1000, 1)])
def test_the_copy_has_square_pixels(tmp_path, pixel_aspect):
    path = written(tmp_path, "v.avi", codec="mpeg4", pixel_aspect=pixel_aspect)
    write_proxy(path, tmp_path / "copy.mp4", lambda share: None)
    before, after = read_shape(path), read_shape(tmp_path / "copy.mp4")
    wide = 1 if pixel_aspect[0] == 1000 else pixel_aspect[0] / pixel_aspect[1]  # 1000 is a mistake
    assert after.pixel_aspect == 1
    assert after.height == before.height
    assert after.width == pytest.approx(before.width * wide, abs=1)


@pytest.mark.parametrize(
    ("name", "codec"), [("v.mp4", "libx264"), ("v.webm", "libvpx"), ("v.webm", "libvpx-vp9")]
)
def test_what_browsers_play_needs_no_copy(tmp_path, name, codec):
    (video,), _ = read_videos({"v": written(tmp_path, name, codec=codec)})
    assert video.media_type in ("video/mp4", "video/webm")


def test_the_copy_is_made_in_the_background_with_its_progress(tmp_path):
    written(tmp_path, "v.avi", codec="mpeg4", rate=25)
    labels = tmp_path / "labels.csv"
    with serving(tmp_path, "--labels", labels) as served:
        assert served.get("/api/project").json["videos"][0]["proxy"] == "none"
        assert served.get("/media/1").status == 409
        with served.events() as events:
            assert served.video()["proxy"] in ("waiting", "making")
            states = []
            while not states or states[-1] != "ready":
                states.append(events.next("proxy")["state"])
            assert list(dict.fromkeys(states)) == ["waiting", "making", "ready"]
        assert served.video()["proxy"] == "ready"
        media = served.get("/media/1")
        assert (media.status, media.headers["content-type"]) == (200, "video/mp4")
        assert served.stop() in (0, 130)
    with serving(tmp_path, "--labels", labels) as again:
        assert again.get("/api/project").json["videos"][0]["proxy"] == "ready"
        assert again.get("/media/1").body == media.body


def test_a_video_of_which_no_copy_can_be_made_says_so(tmp_path):
    path = written(tmp_path, "v.avi", codec="mpeg4", rate=25)
    with serving(tmp_path, "--labels", tmp_path / "labels.csv") as served:
        path.write_bytes(b"no longer a video")
        assert served.video()["error"].startswith(str(path))
        until(lambda: served.get("/api/project").json["videos"][0]["proxy"] == "failed")
