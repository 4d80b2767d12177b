"""Which settings a search tries, on which fold next, and which of them wins: pure functions.

A search halves its candidates (successive halving, Jamieson and Talwalkar 2016): all are tried on
the first fold, the better half on the second one, and so on. The settings of the run itself are
always among them, and win unless another candidate is better by `LEAST_GAIN`, and on every fold.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import ml_collections

from afsd_jax.training import endpoints
from afsd_jax.weights.kinetics import KINETICS

LEAST_GAIN = 0.01  # of average mAP; smaller differences are chance
LEAST_FOLDS = 2  # on which a candidate is tried before it can win
_OWN = "as configured"
_WIDTHS = (0.5, 2.0)  # of the heads, relative to the run's
_DECAY = 4.0  # factor of the weight decay

Scores = Mapping[str, Mapping[int, float]]  # average mAP by candidate and fold


class Candidate(NamedTuple):
    """Settings to try.

    Attributes:
      name: what differs from the run's settings, in words.
      fields: the fields that differ, with their values.
    """

    name: str
    fields: dict[str, Any]


def list_candidates(config: ml_collections.ConfigDict) -> list[Candidate]:
    """Returns the run's own settings, then others that differ from them in one respect.

    Other endpoints of the trunk are tried if its features are cached, unless a linear probe has
    compared them (`train.probe`), which does it better: short runs favour what learns fast. Weights
    of a detector to start from fit no other endpoints or widths, so these are then not tried.
    """
    model, found = config.model, [Candidate(_OWN, {})]
    if config.data.flip > 0:
        found.append(Candidate("not mirrored", {"data.flip": 0.0}))
    decay = config.optimizer.weight_decay * _DECAY
    found.append(Candidate(f"weight decay {decay:g}", {"optimizer.weight_decay": decay}))
    if config.train.init_from not in ("", KINETICS):
        return found
    for factor in _WIDTHS:
        channels = int(model.channels * factor)
        if channels % model.groups == 0:
            found.append(Candidate(f"heads of {channels} channels", {"model.channels": channels}))
    if config.data.feature_cache and not config.train.probe:
        for others in endpoints.CHOICES:
            if others != tuple(model.pyramid_inputs):
                found.append(Candidate(endpoints.in_words(others), endpoints.fields_of(others)))
    return found


def next_trial(names: Sequence[str], scores: Scores, folds: int) -> tuple[str, int] | None:
    """Returns the candidate and the fold to try next; None: the search has ended.

    Args:
      names: names of the candidates, the run's own settings first.
      scores: what has been tried.
      folds: number of folds; they are counted from 1.

    Example:
      >>> next_trial(["own", "a", "b"], {"own": {1: 0.5}, "a": {1: 0.6}, "b": {1: 0.4}}, 2)
      ('own', 2)
    """
    left = list(names)
    for fold in range(1, folds + 1):
        for name in left:
            if fold not in scores.get(name, {}):
                return name, fold
        left = _better_half(left, {name: _mean(scores[name], fold) for name in left})
    return None


def count_trials(names: Sequence[str], folds: int) -> tuple[int, int]:
    """Returns the trials after which another candidate can win, and those of a whole search.

    Without other candidates, or with too few folds, the first number is that of a whole search.

    Example:
      >>> count_trials(["own", "a", "b", "c", "d", "e", "f", "g"], 3)
      (10, 14)
    """
    scores: dict[str, dict[int, float]] = {}
    needed = count = 0
    while (trial := next_trial(names, scores, folds)) is not None:
        scores.setdefault(trial[0], {})[trial[1]] = 0.0
        count += 1
        enough = trial[0] != names[0] and len(scores[trial[0]]) == LEAST_FOLDS
        needed = needed or enough * count
    return needed or count, count


def _better_half(names: Sequence[str], means: Mapping[str, float]) -> list[str]:
    """Returns the first name and the best others, at least one, in their order."""
    kept = max(math.ceil(len(names) / 2), 2) - 1
    others = sorted(names[1:], key=lambda name: (-means[name], names.index(name)))[:kept]
    return [name for name in names if name == names[0] or name in others]


def choose_winner(names: Sequence[str], scores: Scores) -> tuple[str, str]:
    """Returns the name of the winner, and the reason in one sentence.

    Each candidate is compared with the run's own settings on the folds on which both were tried. Of
    those tried on most folds, the one with the largest gain is considered.
    """
    own, gains = scores.get(names[0], {}), {}
    for name in names[1:]:
        common = sorted(own.keys() & scores.get(name, {}).keys())
        if len(common) >= LEAST_FOLDS:
            one, other = (fmean(x[fold] for fold in common) for x in (scores[name], own))
            gains[name] = one - other, one, other, len(common)
    best = max(gains, key=lambda name: (len(scores[name]), gains[name][0]), default=None)
    if best is None:
        return names[0], f"no other was tried on {LEAST_FOLDS} folds; a longer search would"
    gain, one, other, count = gains[best]
    measured = f"{100 * one:.1f} % average mAP against {100 * other:.1f} % on {count} folds"
    if gain < LEAST_GAIN:
        return names[0], f"the best other, {best}, is not better by a point: {measured}"
    if any(scores[best][fold] <= own[fold] for fold in own.keys() & scores[best].keys()):
        return names[0], f"the best other, {best}, is not better on every fold: {measured}"
    return best, f"better than {names[0]}: {measured}"


def _mean(scores: Mapping[int, float], folds: int) -> float:
    return fmean(scores[fold] for fold in range(1, folds + 1))
