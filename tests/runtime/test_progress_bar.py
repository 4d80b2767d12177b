"""The bar of seconds: no warning and no negative time, whatever lengths videos turn out to have."""

import contextlib
import io
import warnings

from hypothesis import given
from hypothesis import strategies as st

from afsd_jax.runtime.progress_bar import SecondsBar

SECONDS = st.floats(0, 1e4)


def shown(bar: SecondsBar) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return str(bar)


@given(st.lists(st.tuples(SECONDS, SECONDS), max_size=4), st.sampled_from([24.0, 29.97, 10.0]))
def test_stated_and_actual_lengths_may_differ(videos, fps):
    with contextlib.redirect_stderr(io.StringIO()), SecondsBar(sum(s for s, _ in videos)) as bar:
        for stated_s, actual_s in videos:
            bar.correct(actual_s - stated_s)
            bar.update(actual_s / 2)
            assert ", -" not in shown(bar)
            bar.update(actual_s - actual_s / 2 + 1 / fps)  # a frame more than the header says
            assert ", -" not in shown(bar)


def test_sums_of_frames_may_exceed_the_total_by_a_rounding_error():
    with contextlib.redirect_stderr(io.StringIO()), SecondsBar(1.0, desc="features") as bar:
        for _ in range(10):
            bar.update(0.1 + 1e-12)
        text = shown(bar)
    assert bar.n > 1
    assert text.startswith("features 100% |")
    assert "1 of 1 s" in text
    assert text.endswith("00:00 left")


def test_the_time_left_stays_finite_at_next_to_no_speed():
    with contextlib.redirect_stderr(io.StringIO()), SecondsBar(58.0) as bar:
        bar.update(1e-311)
        assert "0 of 58 s" in shown(bar)
