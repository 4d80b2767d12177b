"""How often each clip is drawn in an epoch, so that rare classes are seen as often as others."""

from collections.abc import Sequence

import numpy as np


def balanced_weights(labels: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the weight of each clip: 1 / the number of clips that show its rarest class.

    This is the repeat factor of Gupta et al., "LVIS", CVPR 2019, §5, without its square root and
    its threshold.

    Args:
      labels: classes of the actions of each clip, at least one.

    Returns:
      float64 [clips].

    Example:
      >>> balanced_weights([np.array([1]), np.array([1]), np.array([1, 2])]).round(2).tolist()
      [0.33, 0.33, 1.0]
    """
    counts = np.bincount(np.concatenate([np.unique(of_clip) for of_clip in labels]))
    return np.array([1 / counts[of_clip].min() for of_clip in labels])


def draw_balanced(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws as many clips as there are, each as often as its weight demands, rounded up or down.

    This is systematic sampling, in random order.

    Args:
      weights: float64 [clips].
      rng: makes all choices.

    Returns:
      int64 [clips], numbers of clips. One that is drawn again has `clips` added for each time
      before, so that its random choices differ.
    """
    clips = len(weights)
    order = rng.permutation(clips)
    ends = np.cumsum(weights[order]) * (clips / weights.sum())
    ends[-1] = clips
    marks = np.floor(ends + rng.random()).astype(np.int64)
    times = np.diff(marks, prepend=0)
    drawn = np.repeat(order, times)
    copies = np.arange(len(drawn)) - np.repeat(marks - times, times)
    return rng.permutation(drawn + copies * clips)
