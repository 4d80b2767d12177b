"""Whether one system is better than another, by intervals and in words."""

import numpy as np
import pytest

from afsd_jax import evaluation
from afsd_jax.diagnosis.bootstrap import ApIntervals, Interval
from afsd_jax.diagnosis.comparison import compare, verdict_of
from afsd_jax.errors import UserError
from tests.evaluated import drawn

TIOUS = (0.3, 0.5, 0.7)


@pytest.fixture(scope="module")
def pair():
    """Tables of a good and a worse system on the same 60 videos."""
    truth, good = drawn(seed=8, num_videos=60)
    rng = np.random.default_rng(0)
    worse = {name: [d for d in found if rng.random() < 0.7] for name, found in good.items()}
    return evaluation.tabulate(truth, good), evaluation.tabulate(truth, worse)


def test_a_clear_difference(pair):
    comparison = compare(*pair, TIOUS, ("new", "old"), samples=500)
    value = comparison.metrics[0].average_map - comparison.metrics[1].average_map
    assert comparison.difference.average.value == pytest.approx(value)
    assert comparison.difference.average.low > 0
    assert comparison.verdict.startswith(f"new is better than old: {100 * value:+.1f} points of ")
    assert "at tIoU 0.3 to 0.7 (95 % interval +" in comparison.verdict
    for h in range(len(TIOUS)):
        found = len(comparison.only_first[h]) + len(comparison.only_second[h])
        total = len(pair[0].actions)
        assert found + comparison.both[h] + comparison.neither[h] == total


def test_the_order_of_systems_only_turns_the_sign(pair):
    ours = compare(*pair, TIOUS, ("new", "old"), samples=100)
    theirs = compare(*pair[::-1], TIOUS, ("old", "new"), samples=100)
    for name in ApIntervals._fields:
        np.testing.assert_allclose(
            getattr(ours.difference, name).low, -getattr(theirs.difference, name).high, atol=1e-7
        )
    assert ours.verdict.split(" Of ")[0] == theirs.verdict.split(" Of ")[0]
    for rows, others in zip(ours.only_first, theirs.only_second, strict=True):
        np.testing.assert_array_equal(rows, others)


def test_the_same_system_twice(pair):
    comparison = compare(pair[0], pair[0], TIOUS, samples=50)
    assert comparison.verdict.startswith("A and B have the same mAP at tIoU 0.3 to 0.7 in every")
    assert comparison.as_dict()["found_by"]["only the first"] == [0, 0, 0]


def test_what_only_one_finds(pair):
    comparison = compare(*pair, (0.5,), samples=10)
    matched = [set(evaluation.match(tables, (0.5,))[0]) - {-1} for tables in pair]
    assert set(comparison.only_first[0]) == matched[0] - matched[1]
    assert set(comparison.only_second[0]) == matched[1] - matched[0]


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [
        (0.031, 0.012, 0.05, "A is better than B: +3.1 points of mAP at tIoU 0.5 "
         "(95 % interval +1.2 to +5.0)."),
        (-0.031, -0.05, -0.012, "B is better than A: +3.1 points of mAP at tIoU 0.5 "
         "(95 % interval +1.2 to +5.0)."),
        (0.01, -0.02, 0.03, "Neither A nor B is clearly better: A has +1.0 points of mAP at "
         "tIoU 0.5, but the 95 % interval -2.0 to +3.0 contains 0."),
        (-0.01, -0.03, 0.02, "Neither A nor B is clearly better: B has +1.0 points of mAP at "
         "tIoU 0.5, but the 95 % interval -2.0 to +3.0 contains 0."),
    ],
)  # fmt: skip
def test_the_verdict_names_the_interval(value, low, high, words):
    whole = Interval(*map(np.array, (value, low, high)))
    one = Interval(*(np.array([bound]) for bound in whole))
    intervals = ApIntervals(whole, one, one, Interval(*(bound[None] for bound in one)))
    assert verdict_of(("A", "B"), intervals, (0.5,)) == words


def test_classes_that_differ_are_counted():
    bounds = np.array([[0.1, -0.1, 0.1], [0.05, -0.2, -0.1], [0.2, -0.05, 0.3]])
    classes = Interval(*bounds)
    whole = Interval(*map(np.array, (0.1, 0.05, 0.2)))
    intervals = ApIntervals(whole, classes, classes, classes)
    text = verdict_of(("A", "B"), intervals, (0.3, 0.7))
    assert text.endswith(
        " Of 3 classes, A is clearly better in 1 and B in 1; less than one would be so by chance "
        "alone."
    )


def test_different_ground_truths_are_refused(pair):
    other = evaluation.tabulate(*drawn(seed=9))
    with pytest.raises(UserError, match="same ground truth"):
        compare(pair[0], other, TIOUS)


def test_intervals_contain_the_known_difference():
    """Two systems that are equally good by construction: 95 % intervals contain 0.

    With 100 draws, 88 to 100 hold it unless the intervals are wrong (binomial, 1 in 500);
    benchmarks/coverage.py draws far more, also with a difference.
    """
    inside = 0
    for seed in range(100):
        truth, first = drawn(seed, num_videos=40)
        rng = np.random.default_rng(10_000 + seed)
        sides = {}, {}
        for name, found in first.items():  # what one system finds, by chance, of the same pool
            for side in sides:
                side[name] = [d for d in found if rng.random() < 0.7]
        tables = [evaluation.tabulate(truth, side) for side in sides]
        difference = compare(*tables, (0.5,), samples=300, seed=seed).difference.average
        inside += difference.low <= 0 <= difference.high
    assert 88 <= inside <= 100
