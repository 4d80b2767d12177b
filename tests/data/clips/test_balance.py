"""Clips of rare classes are drawn more often."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afsd_jax.data.clips.balance import balanced_weights, draw_balanced

weights = st.lists(st.floats(0.01, 1), min_size=1, max_size=30).map(np.array)


def test_the_weight_of_a_clip_is_that_of_its_rarest_class():
    labels = [np.array(x) for x in ([1], [1, 1], [2, 1], [3, 2])]
    assert balanced_weights(labels).tolist() == [1 / 3, 1 / 3, 1 / 2, 1]


@given(weights=weights, seed=st.integers(0, 10**6))
def test_each_clip_is_drawn_as_often_as_its_weight_demands(weights, seed):
    drawn = draw_balanced(weights, np.random.default_rng(seed))
    clips = len(weights)
    assert len(drawn) == len(set(drawn.tolist())) == clips
    times = np.bincount(drawn % clips, minlength=clips)
    demanded = clips * weights / weights.sum()
    assert (abs(times - demanded) < 1 + 1e-9).all()
    for clip, count in enumerate(times.tolist()):
        assert sorted(drawn[drawn % clips == clip] // clips) == list(range(count))


def test_with_equal_weights_each_clip_is_drawn_once_in_a_new_order():
    orders = [draw_balanced(np.full(50, 0.2), np.random.default_rng(seed)) for seed in (0, 1)]
    assert [sorted(order.tolist()) for order in orders] == [list(range(50))] * 2
    assert orders[0].tolist() != orders[1].tolist()


def test_a_class_of_few_clips_is_seen_as_often_as_others():
    labels = [np.array([1])] * 90 + [np.array([2])] * 9 + [np.array([3])]
    rng = np.random.default_rng(0)
    seen = np.zeros(4)
    for _ in range(20):
        clips = draw_balanced(balanced_weights(labels), rng) % 100
        seen += np.bincount([labels[clip][0] for clip in clips], minlength=4)
    np.testing.assert_allclose(seen[1:] / seen.sum(), 1 / 3, atol=0.01)
