"""What is settled in a stream is what all candidates together give, and soon."""

import numpy as np
import pytest

from afsd_jax.detection import nms
from afsd_jax.detection.online_nms import Settling

STRIDE_S, WINDOW_S = 10, 20


def windows(count: int, seed: int):
    """Candidates of windows one after another: (begin_s, segments [N,2], scores [N])."""
    rng = np.random.default_rng(seed)
    for begin in np.arange(count) * STRIDE_S:
        ends = np.sort(begin + rng.uniform(0, WINDOW_S, (20, 2)).astype(np.float32), -1)
        ends[:3] = begin, begin + WINDOW_S  # long ones, as ever
        yield float(begin), ends.astype(np.float32), rng.uniform(0, 1, 20).astype(np.float32) ** 3


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("factor", [nms.gaussian(0.5), nms.gaussian(0.02), nms.plain(0.3)])
def test_what_is_settled_early_is_what_all_candidates_together_give(factor, seed):
    given = list(windows(30, seed))
    settling, found, early = Settling(factor, 0.001), [], []
    for begin_s, segments, scores in given:
        settling.add(segments, scores)
        new, new_scores = settling.settle(begin_s + STRIDE_S)
        found += [(*ends, score) for ends, score in zip(new.tolist(), new_scores, strict=True)]
        early.append(len(found))
    assert 0 < early[5] < early[15] < early[25]
    new, new_scores = settling.settle(float("inf"))
    found += [(*ends, score) for ends, score in zip(new.tolist(), new_scores, strict=True)]
    segments, scores = (np.concatenate(column) for column in list(zip(*given, strict=True))[1:])
    ((kept, decayed),) = nms.suppress([segments], [scores], factor, 0.001, len(scores))
    expected = [(*segments[i].tolist(), s) for i, s in zip(kept, decayed, strict=True)]
    assert sorted(found) == sorted(expected)


def test_few_candidates_are_held_however_long_the_stream_is():
    settling, held = Settling(nms.gaussian(0.5), 0.001), []
    for begin_s, segments, scores in windows(100, 0):
        settling.add(segments, scores)
        settling.settle(begin_s + STRIDE_S)
        held.append(len(settling))
    assert max(held[50:]) <= 1.5 * max(held[:50])
    settling.settle(float("inf"))
    assert len(settling) == 0


def test_what_overlaps_the_future_waits_and_what_it_could_change_waits_too():
    settling = Settling(nms.gaussian(0.5), 0.001)
    segments = np.array([[0, 4], [3, 8], [7, 12], [1, 2]], np.float32)
    # The last but one may be weakened; then the second is no longer, and the first is, by it.
    settling.add(segments, np.array([0.5, 0.6, 0.7, 0.9], np.float32))
    new, scores = settling.settle(10)
    assert new.tolist() == [[1, 2]]
    np.testing.assert_allclose(scores, [0.9])
    new, _ = settling.settle(12)
    assert new.tolist() == [[7, 12], [3, 8], [0, 4]]
