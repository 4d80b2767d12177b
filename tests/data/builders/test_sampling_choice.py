"""The rate and size of frames that are chosen from the videos, and what lengths are warned of."""

import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afsd_jax.data.action_lengths import FEWEST_FRAMES, LONGEST_CLIP, find_lost
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.builders.sampling_choice import (
    RATES,
    SIZES,
    best_rate,
    choose_fps,
    choose_size,
    length_lines,
)
from afsd_jax.data.clips.geometry import usual_crop
from afsd_jax.data.datasets import prepare_dataset, read_report
from afsd_jax.errors import UserError
from tests import prepared_videos
from tests.video_files import numbered_frames, write_video

BLINKS = {"blink": [(0.3, 60.0)] * 5}
SLEEPS = {"sleep": [(90.0, 300.0)] * 3}
WAVES = {"wave": [(2.0, 60.0)] * 9}


@pytest.mark.parametrize(
    ("lengths", "own_rate", "fps"),
    [
        (WAVES, 25.0, 10),
        (BLINKS, 30000 / 1001, 20),
        (BLINKS, 12.0, 10),  # 12 would not help
        (SLEEPS, 25.0, 4),
        (BLINKS | WAVES, 25.0, 20),
        ({"wave": [(2.0, 60.0)] * 99 + [(0.3, 60.0)]}, 25.0, 10),  # one of a hundred
        ({"sleep": [(60.0, 70.0)]}, 25.0, 10),  # the video is one window
        ({}, 25.0, 10),
        (WAVES, 5.0, 5),
    ],
)
def test_the_rate_rises_for_short_actions_and_falls_for_long_ones(lengths, own_rate, fps):
    assert choose_fps(lengths, [own_rate]).value == fps


def test_the_reason_states_what_is_lost():
    assert choose_fps(BLINKS, [25.0]).reason == (
        "at 10, 5 of 5 actions would be too short, at 20 0"
    )
    assert (
        choose_fps(BLINKS, [10.0]).reason == "5 of 5 actions are too short or too long at this rate"
    )


def test_both_extremes_in_one_data_set_are_named_with_their_classes():
    lines = length_lines({**BLINKS, **SLEEPS, **WAVES}, 10.0, [25.0])
    assert len(lines) == 2
    assert lines[0].startswith(
        "5 of 17 actions last fewer than 5 frames, and are found less well: "
    )
    assert "'blink' (5 of 5); with 20 frames a second" in lines[0]
    assert all("3 are lost; no rate suits all classes; prepare the short" in line for line in lines)
    assert lines[1].startswith("3 of 17 actions last longer than 384 frames, half a clip; ")
    assert "'sleep' (3 of 3)" in lines[1]
    (line,) = length_lines({**BLINKS, **WAVES}, 10.0, [25.0])
    assert line.endswith("; with 20 frames a second instead of 10 (fps auto) none is lost")
    assert length_lines(WAVES, 10.0, [25.0]) == []


lengths = st.dictionaries(
    st.sampled_from("abc"), st.lists(st.floats(0.05, 300), min_size=1, max_size=9), min_size=1
)


@given(lengths, st.floats(5, 60))
def test_no_other_rate_loses_many_fewer_actions(seconds, own_rate):
    rows = {name: [(length, 400.0) for length in values] for name, values in seconds.items()}
    chosen = best_rate(rows, [own_rate])
    assert chosen <= own_rate * 1.01
    share = find_lost(rows, scale=chosen).share
    for rate in RATES:
        if rate <= own_rate:
            assert share <= find_lost(rows, scale=rate).share + 0.02 + 1e-9


@pytest.mark.parametrize(
    ("sides", "num_frames", "size"),
    [([96], 1e4, 112), ([320, 320, 64], 1e4, 224), ([160], 1e4, 168), ([1920], 6e4, 168)],
)
def test_the_size_follows_the_largest_side_and_what_a_laptop_can_do(sides, num_frames, size):
    assert choose_size(sides, num_frames).value == size


def test_sizes_suit_the_trunk():
    assert [usual_crop(size) % 16 for size in SIZES] == [0] * len(SIZES)


def films(folder: Path, rate: int, seconds: int, actions: list[tuple[str, float, float]]) -> Path:
    folder.mkdir()
    rows = ["video,label,start,end,subset"]
    for name, subset in (("one", "train"), ("two", "test")):
        write_video(folder / f"{name}.mp4", numbered_frames(rate * seconds, 16, 32), rate)
        rows += [f"{name},{label},{start},{end},{subset}" for label, start, end in actions]
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def prepare(source: Path, stream: str = "rgb", **kwargs: Any) -> dict[str, Any]:
    options = PrepareOptions(source, workers=1, **kwargs)
    return read_report(prepare_dataset("videos", source.parent / "data", stream, options))


def test_half_second_actions_raise_the_rate_and_a_fixed_rate_is_warned_of(tmp_path, caplog):
    blinks = [("blink", n, n + 0.3) for n in range(5)] + [("wave", 1.0, 3.0)]
    source = films(tmp_path / "source", 30, 6, blinks)
    with caplog.at_level(logging.INFO, "afsd_jax"):
        report = prepare(source, auto=("fps", "size"))
    assert (report["fps"], report["size"]) == (20.0, 112)
    said = [message for message in caplog.messages if message.startswith(("fps", "size"))]
    assert said[0] == "fps 20: at 10, 10 of 12 actions would be too short, at 20 0"
    assert said[1] == "size 112: the largest side of what a frame shows is 32 pixels"
    assert not any("last fewer" in line for line in report["warnings"])
    again = prepare(source, auto=("fps", "size"))  # other actions do not change the rate
    assert again == report
    flow = prepare(source, "flow", auto=("fps",), flow_method="dis")
    assert flow["fps"] == 20.0
    (tmp_path / "again").mkdir()
    fixed = prepare(source.rename(tmp_path / "again" / "source"), fps=10.0, size=16)
    assert fixed["warnings"][0] == (
        f"10 of 12 actions last fewer than {FEWEST_FRAMES} frames, and are found less well: "
        "'blink' (10 of 10); with 20 frames a second instead of 10 (fps auto) none is lost"
    )


def test_actions_longer_than_a_clip_lower_the_rate(tmp_path):
    source = films(tmp_path / "source", 10, 120, [("sleep", 5.0, 95.0)])
    report = prepare(source, auto=("fps",), size=16)
    assert report["fps"] == 6.0
    assert 120.0 * report["fps"] <= LONGEST_CLIP  # a video is one window
    assert not any("longer than" in line for line in report["warnings"])


def test_arrays_have_no_rate_of_their_own_to_choose(tmp_path):
    with pytest.raises(UserError, match="fps and size can only be chosen from video files; state"):
        prepared_videos.prepare(tmp_path, auto=("fps",))
