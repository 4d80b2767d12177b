"""Frames in memory are sampled and resized exactly as those of a file with the same frames."""

import re
from pathlib import Path

import numpy as np
import pytest

from afsd_jax.config import FLOW_METHODS
from afsd_jax.errors import UserError
from afsd_jax.inputs.arrays import checked_array, open_array, open_array_files
from afsd_jax.inputs.video import open_file
from tests import small_run
from tests.video_files import numbered_frames, write_video


def config_of(stream="rgb", **data):
    config = small_run.small_config().unlock()
    config.data.update({"frame_size": 38, "stream": stream, **data})
    return config


def seen(video):
    """Each network's frames, stacked."""
    return [np.stack(stream) for stream in zip(*video.frames, strict=True)]


def same(file, array):
    assert (file.num_frames, file.fps, file.duration_s) == (
        array.num_frames,
        array.fps,
        pytest.approx(array.duration_s),
    )
    for one, other in zip(seen(file), seen(array), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("rate", "data"),
    [
        (30, {}),
        (25, {}),  # no multiple of the network's rate
        (5, {}),  # frames are repeated
        (30, {"fps": 0.0}),
        (30, {"fps": 0.0, "max_frames": 16}),
    ],
)
def test_an_array_gives_the_same_frames_as_a_file(tmp_path, rate, data):
    frames = numbered_frames(75, height=50, width=70)
    options = {"codec": "libx264rgb", "pixels": "rgb24", "options": {"crf": "0"}}
    path = write_video(tmp_path / "x.mkv", frames, rate=rate, **options)
    configs = [config_of(**data)]
    same(open_file(path, configs), open_array(frames, rate, configs))


def test_flow_is_computed_from_arrays_as_from_files(tmp_path):
    frames = numbered_frames(30, height=50, width=70)
    options = {"codec": "libx264rgb", "pixels": "rgb24", "options": {"crf": "0"}}
    path = write_video(tmp_path / "x.mkv", frames, **options)
    configs = [config_of(), config_of("flow")]
    same(open_file(path, configs, "dis"), open_array(frames, 30, configs, "dis"))


@pytest.mark.parametrize("trained", ["tvl1", "dis"])
def test_flow_is_computed_as_the_network_was_trained_unless_another_method_is_given(trained):
    frames, configs = numbered_frames(6, height=50, width=70), [config_of("flow")]
    configs[0].data.flow_method = trained
    (found,) = seen(open_array(frames, 10.0, configs))
    by_method = {name: seen(open_array(frames, 10.0, configs, name))[0] for name in FLOW_METHODS}
    np.testing.assert_array_equal(found, by_method[trained])
    assert (by_method["tvl1"] != by_method["dis"]).any()


def test_frames_are_read_one_after_another():
    """The array is a view of one frame; a copy of it would fill any memory."""
    frame = np.zeros((1, 500, 500, 3), np.uint8)
    frames = np.broadcast_to(frame, (10**6, 500, 500, 3))
    video = open_array(frames, 10.0, [config_of()])
    assert (video.num_frames, video.duration_s) == (10**6, 1e5)
    assert next(iter(video.frames))[0].shape == (38, 38, 3)


def mapped_mib() -> float:
    """Returns how much of the mapped files is in this process's memory."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"RssFile:\s+(\d+) kB", status)[1]) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc: not Linux")
def test_few_frames_of_an_array_file_are_in_memory(tmp_path):
    path, count, side = tmp_path / "long.npy", 3000, 200  # 343 MiB, all of them a hole on the disk
    np.lib.format.open_memmap(path, "w+", np.uint8, (count, side, side, 3)).flush()
    video = open_array_files([path], [config_of()], fps=10.0)
    before, most = mapped_mib(), 0.0
    for number, _ in enumerate(video.frames):
        if number % 50 == 0:
            most = max(most, mapped_mib())
    assert number == count - 1
    assert most - before < 50


FINE = np.zeros((40, 20, 30, 3), np.uint8)


@pytest.mark.parametrize(
    ("video", "fps", "message"),
    [
        (FINE.astype(np.float32), 10, "uint8 .* not float32"),
        (FINE[0], 10, r"not uint8 \[20, 30, 3\]"),
        (FINE[..., :1], 10, r"not uint8 \[40, 20, 30, 1\]"),
        (FINE[:0], 10, r"no frames or no pixels: its shape is \[0, 20, 30, 3\]"),
        (FINE[:, :0], 10, "no frames or no pixels"),
        (np.array(0, np.uint8), 10, r"not uint8 \[\]"),
        (list(FINE), 10, "a path, or a NumPy array.* not a list"),
        (None, 10, "not a NoneType"),
        (FINE, None, "give fps=, its frames per second"),
        (FINE, 0, "fps=0: must be a positive number"),
        (FINE, -5.0, "positive"),
        (FINE, float("nan"), "positive"),
        (FINE, "25", "fps='25': must be a positive number"),
        (FINE, True, "fps=True: must be a positive number"),
        (FINE, float("inf"), "finite"),
    ],
)
def test_arguments_that_are_no_video_are_refused_in_one_line(video, fps, message):
    with pytest.raises(UserError, match=message):
        checked_array(video, fps)


@pytest.mark.parametrize(
    ("fps", "message"),
    [(1e-308, "too low"), (1e-4, "too low"), (1e9, "too short"), (1e300, "too short")],
)
def test_rates_that_cannot_be_sampled_are_refused(fps, message):
    with pytest.raises(UserError, match=message):
        open_array(FINE, fps, [config_of()])


def test_a_network_that_takes_every_frame_takes_any_rate():
    configs = [config_of(fps=0.0)]
    for fps in (1e-4, 1e9):
        assert open_array(FINE, fps, configs).num_frames == len(FINE)
    with pytest.raises(UserError, match="too low"):
        open_array(FINE, 1e-308, configs)  # lasts longer than numbers reach
