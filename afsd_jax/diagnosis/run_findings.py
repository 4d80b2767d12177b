"""How a training run went: learned or not, over-fitted or not, and what to try next.

Every sentence follows from figures by a rule; docs/training.md lists the rules. Shares are of mAP,
averaged over the thresholds, and are shown in percent.
"""

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np

from afsd_jax.evaluation import SCORE, Tables, match, score
from afsd_jax.io.run_log import LOSS, VALIDATION, Record

DRAWS = 3  # of random detections
CHANCE_RATIO, CHANCE_GAP = 1.5, 0.02  # a run has learned if it is better than chance by both
LITTLE = 0.2  # mAP below which a run has learned only a little
LEAST_RISE = 0.01  # of mAP, from the first evaluation to the best
LEAST_FALL = 0.1  # share of the best mAP by which a later one is lower
LEAST_LOSS_FALL = 0.02  # share of the training loss
SINCE_BEST = 2  # evaluations after the best one that show over-fitting
RISING = 0.02  # of mAP: so much more in the last third of the evaluations is still rising

ELSEWHERE = "It was not evaluated while it was trained, so it is not known whether it over-fitted."
NO_VALIDATION = (
    "There is no validation split, so it is not known how the run does on other videos, nor "
    "whether it over-fitted."
)
HOW_TO_VALIDATE = (
    "To have a validation, add a column subset to the annotations, with validation for every fifth "
    "video and nothing for the others, prepare them again and train in a new folder; or set "
    "config.data.validation_split to a part of the training split, such as train[1/5], and "
    "config.data.train_split to the rest, train[not 1/5]."
)

_TENTHS = " (means of the first and of the last tenth of the run)"


class Verdict(NamedTuple):
    """What the log says.

    learned, over_fitted: None if it is not known.
    rising: whether the mAP was still rising at the end.
    sentences: the same in words.
    """

    learned: bool | None
    over_fitted: bool | None
    rising: bool
    sentences: tuple[str, ...]


def chance_map(tables: Tables, tious: Sequence[float], seed: int = 0) -> float:
    """Returns the average mAP of random detections: the mean of `DRAWS` draws.

    They have the scores and lengths of the run's detections, but are at random times of their
    videos, and their classes are permuted.
    """
    random, count = np.random.default_rng(seed), len(tables.scores)
    ends = np.zeros(len(tables.videos))
    for videos, segments in (
        (tables.action_videos, tables.actions),
        (tables.detection_videos, tables.detections),
    ):
        np.maximum.at(ends, videos, segments[:, 1])
    durations = np.where(np.isfinite(tables.durations), tables.durations, ends)
    lengths = tables.detections[:, 1] - tables.detections[:, 0]
    room = np.maximum(durations[tables.detection_videos] - lengths, 0)
    found = []
    for _ in range(DRAWS):
        starts = random.uniform(size=count) * room
        drawn = tables._replace(
            detections=np.stack([starts, starts + lengths], axis=-1),
            detection_classes=random.permutation(tables.detection_classes),
        )
        found.append(score(drawn, tious, match(drawn, tious)).average_map)
    return fmean(found)


def judge(
    records: Sequence[Record], chance: float | None, measured: float | None = None
) -> Verdict:
    """Returns what the log of a run says.

    Args:
      records: see `run_log`.
      chance: `chance_map` of the best evaluation; None: it is not known.
      measured: average mAP of detectors that learned as this one did, on videos that they have not
        seen; it counts for a run without evaluations.
    """
    losses = [(r["step"], r["total"]) for r in records if r.get("total") is not None]
    evaluated = [
        (r["step"], r[VALIDATION]) for r in records if r.get(VALIDATION, {}).get(SCORE) is not None
    ]
    if not evaluated and measured is not None:
        learned = measured >= _least(chance)
        said = f"It has {'learned' if learned else 'not learned'}." + _by_chance(chance)
        return Verdict(learned, None, False, (said, _loss_in_words(losses), ELSEWHERE))
    if not evaluated:
        return Verdict(None, None, False, (_loss_in_words(losses), NO_VALIDATION))
    maps = [(step, entry[SCORE]) for step, entry in evaluated]
    best = max(maps, key=lambda entry: (entry[1], entry[0]))
    learned, sentence = _learned(maps, best, chance)
    over_fitted, rising, second = _over_fitted(maps, best, losses, evaluated)
    return Verdict(learned, over_fitted, learned and rising, (sentence, second))


def _learned(
    maps: Sequence[tuple[int, float]], best: tuple[int, float], chance: float | None
) -> tuple[bool, str]:
    (first_step, first), (step, value) = maps[0], best
    by_chance = _by_chance(chance)
    reached = f"mAP on the validation videos is {_percent(value)} at best, at step {step:,}."
    if value < _least(chance):
        return False, f"It has not learned: {reached}{by_chance}"
    learned = "It has learned" + (" a little" if value < LITTLE else "")
    if value - first >= LEAST_RISE:
        rose = f"mAP on the validation videos rose from {_percent(first)} at step {first_step:,} "
        return True, f"{learned}: {rose}to {_percent(value)} at step {step:,}.{by_chance}"
    if len(maps) == 1:
        return True, f"{learned}: {reached}{by_chance} There was only one evaluation."
    return True, (f"{learned}, but no longer after its first evaluation: {reached}{by_chance}")


def _least(chance: float | None) -> float:
    """Returns the mAP from which a run has learned."""
    return max(CHANCE_RATIO * (chance or 0), (chance or 0) + CHANCE_GAP)


def _by_chance(chance: float | None) -> str:
    return "" if chance is None else f" Random detections would reach {_percent(chance)}."


def _over_fitted(
    maps: Sequence[tuple[int, float]],
    best: tuple[int, float],
    losses: Sequence[tuple[int, float]],
    evaluated: Sequence[tuple[int, dict[str, float]]],
) -> tuple[bool | None, bool, str]:
    """Returns whether it over-fitted, whether mAP was still rising, and a sentence."""
    step, value = best
    later = [score for at, score in maps if at > step]
    if not later:
        earlier = [score for _, score in maps[: -max(len(maps) // 3, 1)]]
        rising = bool(earlier) and value - max(earlier) >= RISING
        end = "mAP was still rising at the end" if rising else "the last evaluation is the best one"
        return False, rising, f"It did not over-fit: {end}."
    before = [loss for at, loss in losses if at <= step][-5:]
    after = [loss for at, loss in losses if at > step][-5:]
    fell = bool(before and after) and fmean(after) < (1 - LEAST_LOSS_FALL) * fmean(before)
    if len(later) >= SINCE_BEST and later[-1] <= (1 - LEAST_FALL) * value and fell:
        text = (
            f"It over-fitted after step {step:,}: the training loss fell further, from "
            f"{fmean(before):.3g} to {fmean(after):.3g}, but mAP fell to {_percent(later[-1])}"
            f"{_validation_loss(evaluated, step)}. Detection uses the weights of step {step:,}."
        )
        return True, False, text
    return (
        False,
        False,
        (
            f"It did not over-fit clearly: after the best step, {step:,}, mAP was "
            f"{_percent(later[-1])} at the end."
        ),
    )


def _validation_loss(evaluated: Sequence[tuple[int, dict[str, float]]], step: int) -> str:
    found = {at: entry.get(LOSS + "total") for at, entry in evaluated}
    best, last = found[step], found[evaluated[-1][0]]
    if best is None or last is None or last <= best:
        return ""
    return f", and the loss on the validation videos rose from {best:.3g} to {last:.3g}"


def _loss_in_words(losses: Sequence[tuple[int, float]]) -> str:
    if len(losses) < 2:
        return "Too few steps were logged to say how the run went."
    count = max(len(losses) // 10, 1)
    first, last = (fmean(x for _, x in part) for part in (losses[:count], losses[-count:]))
    if last < (1 - LEAST_LOSS_FALL) * first:
        return f"The training loss fell from {first:.3g} to {last:.3g}{_TENTHS}."
    return f"The training loss did not fall, from {first:.3g} to {last:.3g}{_TENTHS}."


def _percent(share: float) -> str:
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"
