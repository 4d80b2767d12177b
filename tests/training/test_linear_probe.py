"""The linear probe: descriptions of actions, predictions of what was left out, and accuracy."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afsd_jax.training.linear_probe import (
    PARTS,
    RIDGE,
    balanced_accuracy,
    parts_of,
    predict_left_out,
)


def test_an_action_has_three_parts_of_equal_lengths():
    assert parts_of(3, 9, 12) == [(3, 5), (5, 7), (7, 9)]
    # Cells that a part covers only in part count as well: 0 and 1; 1, 2 and 3; 3 and 4.
    assert parts_of(0, 5, 12) == [(0, 2), (1, 4), (3, 5)]
    assert parts_of(2.1, 2.2, 12) == [(2, 3)] * 3
    assert parts_of(11.5, 14, 12) == [(11, 12)] * 3


@given(st.integers(1, 20), st.floats(0, 20), st.floats(0, 20))
def test_every_part_has_cells_of_the_video_and_they_cover_the_action(count, one, other):
    start, end = sorted((min(one, count), min(other, count)))
    parts = parts_of(start, end, count)
    assert len(parts) == PARTS
    assert all(0 <= first < stop <= count for first, stop in parts)
    assert all(a <= b for (a, _), (b, _) in itertools.pairwise(parts))
    assert parts[0][0] <= start
    assert parts[-1][1] >= min(end, count)


def by_normal_equations(x, labels, tested):
    """Returns the classes that a ridge regression in its primal form predicts."""
    classes = np.unique(labels)
    mean, scale = x.mean(0), np.maximum(x.std(0), 1e-3)
    a, b = ((v.astype(np.float64) - mean) / scale for v in (x, tested))
    y = (labels[:, None] == classes).astype(np.float64)
    ridge = RIDGE * x.shape[1] * np.eye(x.shape[1])
    weights = np.linalg.solve(a.T @ a + ridge, a.T @ (y - y.mean(0)))
    return classes[(b @ weights + y.mean(0)).argmax(1)]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000), st.integers(2, 4), st.integers(2, 5))
def test_predictions_are_those_of_a_ridge_regression_of_the_other_folds(seed, folds, classes):
    rng = np.random.default_rng(seed)
    x, other = (rng.normal(size=(60, 7)).astype(np.float32) for _ in range(2))
    labels, fold = rng.integers(0, classes, 60), rng.permutation(np.arange(60) % folds)
    x[:, 0] += labels
    plain, second = predict_left_out([x, other], labels, fold)
    for number in range(folds):
        held = fold == number
        expected = by_normal_equations(x[~held], labels[~held], np.concatenate([x, other])[
            np.concatenate([held, held])
        ])  # fmt: skip
        assert np.array_equal(np.concatenate([plain[held], second[held]]), expected)


def test_an_example_does_not_learn_from_itself():
    rng = np.random.default_rng(1)
    x, labels = rng.normal(size=(300, 400)).astype(np.float32), rng.integers(0, 3, 300)
    (predicted,) = predict_left_out([x], labels, np.arange(300) % 5)
    assert np.mean(predicted == labels) == pytest.approx(1 / 3, abs=0.1)


def test_rare_classes_count_as_much_as_common_ones():
    labels, folds = np.array([0] * 8 + [1, 1]), np.array([0] * 4 + [1] * 4 + [0, 1])
    always_0 = np.zeros(10, int)
    assert balanced_accuracy(always_0, labels, folds) == [0.5, 0.5]
    first_right = np.where(folds == 0, labels, 0)
    assert balanced_accuracy(first_right, labels, folds) == [1.0, 0.5]
