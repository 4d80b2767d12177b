"""Online NMS gives what `nms.suppress` gives for all candidates together, and soon."""

import numpy as np
import pytest

from afsd_jax.detection import nms
from afsd_jax.detection.online_nms import OnlineNms

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
def test_early_results_are_those_of_all_candidates_together(factor, seed):
    given = list(windows(30, seed))
    online, found, early = OnlineNms(factor, 0.001), [], []
    for begin_s, segments, scores in given:
        online.add(segments, scores)
        new, new_scores = online.finalize(begin_s + STRIDE_S)
        found += [(*ends, score) for ends, score in zip(new.tolist(), new_scores, strict=True)]
        early.append(len(found))
    assert 0 < early[5] < early[15] < early[25]
    new, new_scores = online.finalize(float("inf"))
    found += [(*ends, score) for ends, score in zip(new.tolist(), new_scores, strict=True)]
    segments, scores = (np.concatenate(column) for column in list(zip(*given, strict=True))[1:])
    ((kept, decayed),) = nms.suppress([segments], [scores], factor, 0.001, len(scores))
    expected = [(*segments[i].tolist(), s) for i, s in zip(kept, decayed, strict=True)]
    assert sorted(found) == sorted(expected)


def test_few_candidates_are_held_whatever_the_length():
    online, held = OnlineNms(nms.gaussian(0.5), 0.001), []
    for begin_s, segments, scores in windows(100, 0):
        online.add(segments, scores)
        online.finalize(begin_s + STRIDE_S)
        held.append(len(online))
    assert max(held[50:]) <= 1.5 * max(held[:50])
    online.finalize(float("inf"))
    assert len(online) == 0


def test_candidates_wait_that_future_ones_could_change_directly_or_through_others():
    online = OnlineNms(nms.gaussian(0.5), 0.001)
    segments = np.array([[0, 4], [3, 8], [7, 12], [1, 2]], np.float32)
    # The last but one may be weakened; then the second is no longer, and the first is, by it.
    online.add(segments, np.array([0.5, 0.6, 0.7, 0.9], np.float32))
    new, scores = online.finalize(10)
    assert new.tolist() == [[1, 2]]
    np.testing.assert_allclose(scores, [0.9])
    new, _ = online.finalize(12)
    assert new.tolist() == [[7, 12], [3, 8], [0, 4]]
