"""Suppression of overlapping segments: soft, plain and by voting."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afsd_jax.detection import nms
from afsd_jax.evaluation import tiou
from tests.support import GOLDEN


def soft_nms(segments, scores, sigma, threshold, max_kept):
    """Suppresses in a single class."""
    found = nms.suppress([segments], [scores], nms.gaussian(sigma), threshold, max_kept)
    return found[0]


@pytest.mark.parametrize("case", range(5))
def test_soft_nms_equals_the_reference_but_keeps_the_last_candidate(case):
    golden = json.loads((GOLDEN / "soft_nms.json").read_text())[case]
    candidates = np.array(golden["input"], np.float32)
    kept, scores = soft_nms(
        candidates[:, :2], candidates[:, 2], golden["sigma"], golden["score_threshold"], 5000
    )
    expected = np.array(golden["output"], np.float32).reshape(-1, 3)
    assert len(kept) - len(expected) in (0, 1)
    kept, scores = kept[: len(expected)], scores[: len(expected)]
    order = np.argsort(kept)  # the golden lists them in the order of the input
    np.testing.assert_array_equal(candidates[kept[order], :2], expected[:, :2])
    np.testing.assert_allclose(scores[order], expected[:, 2], rtol=1e-5)


def slow_soft_nms(segments, scores, sigma, threshold, max_kept):
    """One candidate after another, every pair looked at, in float32."""
    f = np.float32
    alive = {i: f(s) for i, s in enumerate(scores) if s >= threshold}
    picked = []
    while alive and len(picked) < max_kept:
        top = min(alive, key=lambda i: (-alive[i], segments[i][0], i))
        picked.append((top, alive.pop(top)))
        for i in list(alive):
            overlap = min(segments[i][1], segments[top][1]) - max(segments[i][0], segments[top][0])
            if overlap > 0:
                width = max(segments[top][1] - segments[top][0], f(1e-5))
                tiou = overlap / (width + (segments[i][1] - segments[i][0]) - overlap)
                alive[i] = alive[i] * np.exp(-(tiou**2) / f(sigma))
                if alive[i] < threshold:
                    del alive[i]
    return picked


def direct_suppress(segments, scores, factor, threshold, max_kept):
    """One pick at a time, whose factor weakens all other candidates: NumPy, float32."""
    order = np.argsort(segments[:, 0], kind="stable")
    start, end = segments[order].T
    score = scores[order].copy()
    score[~(score >= threshold)] = -np.inf
    picked = []
    while len(order) and len(picked) < max_kept and (top := np.argmax(score)) >= 0:
        if score[top] == -np.inf:
            break
        picked.append((order[top], score[top]))
        score[top] = -np.inf
        score = nms.weaken(score, factor(tiou(start, end, start[top], end[top], nms.MIN_WIDTH_S)))
        score[score < threshold] = -np.inf
    return picked


moments = st.floats(0, 20, width=32)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(moments, moments, st.floats(0, 1, width=32)), max_size=25),
    st.sampled_from([0.01, 0.5, 0.85]),
    st.sampled_from([0.0, 1e-9, 0.001, 0.3]),
    st.integers(0, 30),
)
def test_soft_nms_equals_a_slow_version(candidates, sigma, threshold, max_kept):
    table = np.array(candidates, np.float32).reshape(-1, 3)
    kept, scores = soft_nms(table[:, :2], table[:, 2], sigma, threshold, max_kept)
    expected = slow_soft_nms(table[:, :2], table[:, 2], sigma, threshold, max_kept)
    assert kept.tolist() == [index for index, _ in expected]
    expected_scores = [score for _, score in expected]
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-5, atol=1e-37)


def test_soft_nms_of_many_candidates_equals_a_slow_version():
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 300, 600).astype(np.float32)
    segments = np.stack([start, start + rng.exponential(8, 600).astype(np.float32)], axis=-1)
    scores = rng.uniform(0, 1, 600).astype(np.float32)
    kept, decayed = soft_nms(segments, scores, 0.5, 0.001, 400)
    expected = slow_soft_nms(segments, scores, 0.5, 0.001, 400)
    assert kept.tolist() == [index for index, _ in expected]
    np.testing.assert_allclose(decayed, [score for _, score in expected], rtol=1e-5)
    assert np.all(np.diff(decayed) <= 0)


def test_candidates_apart_are_all_kept_unchanged():
    segments = np.array([[0, 1], [1, 2], [5, 6]], np.float32)
    kept, scores = soft_nms(segments, np.array([0.2, 0.9, 0.5]), 0.5, 0.1, 10)
    assert kept.tolist() == [1, 2, 0]
    np.testing.assert_allclose(scores, [0.9, 0.5, 0.2])


def test_the_kept_segments_width_is_floored():
    segments = np.array([[0, 4e-6], [0, 4e-6]], np.float32)
    _, scores = soft_nms(segments, np.array([0.9, 0.5]), 0.5, 0.001, 10)
    np.testing.assert_allclose(scores, [0.9, 0.5 * np.exp(-(0.4**2) / 0.5)], rtol=1e-5)


def test_a_score_that_is_no_number_is_dropped():
    segments = np.array([[0, 1], [0, 1]], np.float32)
    kept, _ = soft_nms(segments, np.array([np.nan, 0.5]), 0.5, 0.1, 10)
    assert kept.tolist() == [1]


def random_classes(counts, span_s, seed=0):
    """Candidates of several classes that begin within a span."""
    rng = np.random.default_rng(seed)
    for count in counts:
        start = rng.uniform(0, span_s, count).astype(np.float32)
        length = rng.exponential(4, count).astype(np.float32)
        length[: count // 50] = 60  # a few overlap all that is near
        scores = rng.choice(rng.uniform(0, 1, count + 1) ** 4, count)  # with equals among them
        yield np.stack([start, start + length], -1), scores.astype(np.float32)


@pytest.mark.parametrize("span_s", [10, 300, 3000])
@pytest.mark.parametrize("factor", [nms.gaussian(0.5), nms.gaussian(0.01), nms.plain(0.3)])
def test_all_classes_at_once_equal_each_class_alone_to_the_last_bit(span_s, factor):
    classes = list(random_classes((600, 0, 1, 65, 300), span_s))
    found = nms.suppress(*zip(*classes, strict=True), factor, 0.001, 200)
    for one, (kept, scores) in zip(classes, found, strict=True):
        expected = direct_suppress(*one, factor, 0.001, 200)
        assert kept.tolist() == [index for index, _ in expected]
        assert scores.tolist() == [float(score) for _, score in expected]


def test_nothing_at_all_is_suppressed_to_nothing():
    assert nms.suppress([], [], nms.gaussian(0.5), 0.1, 10) == []
    empty = [np.empty((0, 2), np.float32)] * 2, [np.empty(0, np.float32)] * 2
    for kept, scores in nms.suppress(*empty, nms.gaussian(0.5), 0.1, 10):
        assert (len(kept), len(scores)) == (0, 0)


def test_plain_suppression_drops_what_overlaps_a_better_one_too_much():
    segments = np.array([[0, 10], [0, 8], [0, 5.1], [0, 4], [20, 21]], np.float32)
    scores = np.array([0.5, 0.9, 0.4, 0.3, 0.2], np.float32)
    ((kept, left),) = nms.suppress([segments], [scores], nms.plain(0.6), 0.0, 10)
    assert kept.tolist() == [1, 3, 4]  # of tIoU 1, 0.5 and 0 with the best
    np.testing.assert_array_equal(left, scores[kept])


def test_voted_ends_are_means_weighted_by_score_and_overlap():
    candidates = np.array([[0, 10], [0, 8], [5, 6], [40, 50]], np.float32)
    weights = np.array([0.5, 0.25, 0.9, 1.0], np.float32)
    voted = nms.vote(candidates[[0, 3]], candidates, weights, 0.5)
    shares = np.array([0.5 * 1.0, 0.25 * 0.8])
    np.testing.assert_allclose(voted[0], shares @ candidates[:2] / shares.sum(), rtol=1e-6)
    np.testing.assert_allclose(voted[1], [40, 50])


def test_what_has_no_voter_stays_as_it_is():
    segments = np.array([[3, 3], [1, 2]], np.float32)
    voted = nms.vote(segments, np.array([[0, 50]], np.float32), np.ones(1, np.float32), 0.5)
    np.testing.assert_array_equal(voted, segments)
