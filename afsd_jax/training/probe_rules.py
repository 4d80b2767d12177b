"""What follows from the predictions of a linear probe: pure functions."""

from collections.abc import Mapping
from statistics import fmean

import numpy as np

from afsd_jax.training.endpoints import in_words
from afsd_jax.training.probe_examples import BACKGROUND

LEAST_GAIN = 0.05  # of accuracy
RECOGNISED, MIRRORED, AS_IT_IS = 0.5, 0.5, 0.2  # shares of a class, see `find_mirrored`


def choose_endpoints(
    accuracy: Mapping[tuple[str, ...], list[float]],
) -> tuple[tuple[str, ...], str]:
    """Returns the endpoints to read, and the reason.

    The first ones stay unless others are better by `LEAST_GAIN`, and at least as good on every
    fold.

    Args:
      accuracy: accuracy on each fold by endpoints, the run's own first.
    """
    own, *others = accuracy
    before = accuracy[own]
    mean = {endpoints: fmean(values) for endpoints, values in accuracy.items()}
    better = [
        x
        for x in others
        if mean[x] - mean[own] >= LEAST_GAIN
        and all(a >= b for a, b in zip(accuracy[x], before, strict=True))
    ]
    name = in_words(own)
    if not better:
        points = round(100 * LEAST_GAIN)
        more = f"by {points} points and at least as good on every fold"
        return own, f"{name} stays: no other is better {more}"
    best = max(better, key=lambda x: mean[x])
    return best, (
        f"config.model.pyramid_inputs = {best!r}: better than {name} by "
        f"{100 * (mean[best] - mean[own]):.1f} points, and at least as good on every fold"
    )


def find_mirrored(
    plain: np.ndarray, mirrored: np.ndarray, labels: np.ndarray
) -> tuple[int, int] | None:
    """Returns a class that looks like another one when it is mirrored, and that one; None: none is.

    Of its actions, at least the share `RECOGNISED` is recognised as they are, `MIRRORED` is taken
    for the other class when mirrored, and at most `AS_IT_IS` otherwise. The background is no class.

    Args:
      plain: int [N], predicted classes of the examples as they are.
      mirrored: int [N], of their mirror images.
      labels: int [N], true classes.
    """
    actions = [label for label in np.unique(labels).tolist() if label != BACKGROUND]
    for label in actions:
        own = labels == label
        if (plain[own] == label).mean() < RECOGNISED:
            continue
        for other in actions:
            taken = (mirrored[own] == other).mean(), (plain[own] == other).mean()
            if other != label and taken[0] >= MIRRORED and taken[1] <= AS_IT_IS:
                return label, other
    return None
