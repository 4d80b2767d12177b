"""A clip of another speed is the clip of a video at that speed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afsd_jax.config import default_config
from afsd_jax.data.clips.speed import Place, clip_in, draw_place, resample
from afsd_jax.data.clips.training_clips import Actions, video_clips

T = 64
ACTIONS = Actions(np.array([[10.0, 30.0], [50.0, 58.0], [100.0, 140.5]]), np.array([1, 2, 1]))


def rules(**changes):
    data = default_config().data
    data.update(clip_length=T, clip_stride=16, speed=0.5, **changes)
    return data


def draw(offset: int, seed: int, actions: Actions = ACTIONS, num_frames=200, unit=4, **changes):
    rng = np.random.default_rng(seed)
    return draw_place(offset, actions, num_frames, rules(**changes), unit, rng)


@given(
    offset=st.integers(0, 34).map(lambda n: 4 * n),
    seed=st.integers(0, 10**6),
    unit=st.sampled_from([1, 4]),
)
def test_a_place_has_a_complete_action_at_a_speed_within_the_limits(offset, seed, unit):
    place = draw(offset, seed, unit=unit)
    if place == (offset, T):
        return
    assert place.start % unit == 0
    assert place.start >= 0
    assert place.start + place.shown <= 200
    assert T / 1.5 - 1 < place.shown < T * 1.5 + 1
    inner, outer = sorted([(place.shown, place.start), (T, offset)])
    if outer[1] + outer[0] + unit <= 200:  # elsewhere the video's end moves it
        assert outer[1] <= inner[1]
        assert inner[1] + inner[0] <= outer[1] + outer[0]
    first, last = place.start + place.shown / T, place.start + place.shown
    inside = (ACTIONS.segments[:, 0] >= first) & (ACTIONS.segments[:, 1] <= last)
    assert inside.any()


def test_half_of_the_clips_are_faster_and_the_factor_reaches_both_limits():
    # A short action in the middle of a long video fits at any speed.
    actions = Actions(np.array([[530.0, 534.0]]), np.array([1]))
    places = [draw(500, seed, actions, num_frames=1000) for seed in range(400)]
    logarithms = np.log([place.shown / T for place in places]) / np.log(1.5)
    assert -1.02 < logarithms.min() < -0.95
    assert 0.95 < logarithms.max() < 1.02
    assert 0.4 < (logarithms > 0).mean() < 0.6
    assert len({place.start for place in places}) > 5


def test_a_clip_stays_where_no_action_fits_at_another_speed():
    long = Actions(np.array([[1.0, 64.0]]), np.array([1]))
    places = {draw(0, seed, long, num_frames=T) for seed in range(20)}
    assert places == {Place(0, T)}  # slower it would be cut, and faster the video would end


def test_a_clip_never_shows_more_actions_than_a_batch_has_room_for():
    found = [clip_in(draw(0, seed), ACTIONS, rules())[0] for seed in range(40)]
    assert max(len(clip.labels) for clip in found) == 2
    found = [clip_in(draw(8, seed, max_actions=1), ACTIONS, rules())[0] for seed in range(40)]
    one = [len(clip.labels) for clip in found if clip.offset != 8]
    assert one
    assert set(one) == {1}


@pytest.mark.parametrize(("factor", "shown"), [(2.0, 128), (0.5, 32)])
def test_a_clip_is_that_of_the_video_at_its_speed(factor, shown):
    """The same as if the video had been recorded so."""
    data = rules()
    recorded = video_clips(
        int(200 / factor), ACTIONS.segments / factor, ACTIONS.labels, data, unit=1
    )
    assert recorded.clips
    for expected in recorded.clips:
        place = Place(int(expected.offset * factor), shown)
        clip, is_complete = clip_in(place, ACTIONS, data)
        assert is_complete
        assert clip.offset == place.start
        np.testing.assert_allclose(clip.segments, expected.segments, atol=1e-9)
        np.testing.assert_array_equal(clip.labels, expected.labels)


@given(
    cells=st.integers(1, 40),
    count=st.integers(1, 40),
    factor=st.floats(0.3, 3.0),
    centre=st.floats(0.0, 1.0),
)
def test_a_resampled_cell_is_what_was_seen_at_its_time(cells, count, factor, centre):
    times = np.arange(cells) + centre
    found = resample(np.stack([times, -times], axis=1), count, factor, centre)
    wanted = ((np.arange(count) + centre) * factor).clip(times[0], times[-1])
    np.testing.assert_allclose(found, np.stack([wanted, -wanted], axis=1), rtol=1e-5, atol=1e-5)


def test_resampled_cells_keep_their_type():
    found = resample(np.ones((4, 3), np.float16), 6, 0.7)
    assert (found.dtype, found.shape) == (np.float16, (6, 3))
    assert (found == 1).all()
