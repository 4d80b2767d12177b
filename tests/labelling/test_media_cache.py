"""Thumbnails and waveforms of videos."""

import io
import json

import av
import numpy as np
from PIL import Image

from afsd_jax.labelling.label_videos import read_videos
from afsd_jax.labelling.media_cache import thumbnail, waveform
from tests.labelling.served import serving
from tests.video_files import frame_numbers, numbered_frames, write_video

RATE = 44100


def write_loud(path, loud_from_s, seconds=2):
    """A video of two seconds that is silent, then loud."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=25)
        picture.height, picture.width, picture.pix_fmt = 64, 96, "yuv420p"
        sound = container.add_stream("aac", rate=RATE, layout="mono")
        for image in numbered_frames(25 * seconds):
            container.mux(picture.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(picture.encode())
        times = np.arange(seconds * RATE) / RATE
        wave = np.sin(2000 * times) * 0.5 * (times >= loud_from_s)
        for start in range(0, len(wave), 1024):
            part = wave[None, start : start + 1024].astype(np.float32)
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = RATE, start
            container.mux(sound.encode(frame))
        container.mux(sound.encode())
    return path


def test_a_thumbnail_is_a_frame_of_the_video(tmp_path, footage):
    (video,), _ = read_videos({"one": footage / "one.mp4"})
    content = thumbnail(tmp_path, video)
    picture = np.asarray(Image.open(io.BytesIO(content)))
    assert picture.shape == (64, 96, 3)
    assert frame_numbers(picture[None])[0] in range(50)
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"kept")
    assert thumbnail(tmp_path, video) == b"kept"


def test_a_waveform_is_loud_where_the_sound_is(tmp_path):
    (video,), _ = read_videos({"v": write_loud(tmp_path / "v.mp4", 1.0)})
    assert video.sound
    found = json.loads(waveform(tmp_path / "waves", video))
    peaks, per_second = np.array(found["peaks"]), found["per_second"]
    assert len(peaks) / per_second == np.ceil(video.duration_s * per_second) / per_second
    assert peaks[: round(0.9 * per_second)].max() < 10
    loud = peaks[round(1.1 * per_second) : round(1.9 * per_second)]
    assert 100 < loud.min() <= loud.max() < 160


def test_they_are_served(tmp_path):
    write_loud(tmp_path / "v.mp4", 0.5)
    write_video(tmp_path / "w.avi", numbered_frames(20), codec="mpeg4", rate=25)
    with serving(tmp_path, "--labels", tmp_path / "labels.csv") as served:
        for number in (1, 2):
            answer = served.get(f"/thumbnail/{number}")
            assert answer.headers["content-type"] == "image/jpeg"
            assert Image.open(io.BytesIO(answer.body)).format == "JPEG"
        assert max(served.get("/waveform/1").json["peaks"]) > 100
        assert served.get("/waveform/2").json["peaks"] == []
        assert served.get("/thumbnail/3").status == 404
        assert [v["sound"] for v in served.get("/api/project").json["videos"]] == [True, False]
