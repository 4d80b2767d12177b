"""The figure of a training run, in words: mAP with its interval over videos."""

import numpy as np

from afsd_jax.diagnosis.bootstrap import Interval, evaluate_with_intervals
from afsd_jax.diagnosis.validation_files import SAMPLES, Validation

TIOU = 0.5  # the nearest threshold is named


def figure_in_words(validation: Validation) -> str:
    """Returns mAP at `TIOU` and on average with 95 % intervals, and what they were measured on.

    For example: mAP@0.5 is 83.2 % (95 % interval 70.1 to 92.3 %), average mAP 80.0 % (66.2 to
    90.4 %), on 11 validation videos with 48 actions.
    """
    tables, tious = validation.tables, validation.tious
    found = evaluate_with_intervals(tables, tious, SAMPLES)
    h = int(np.argmin(np.abs(np.array(tious) - TIOU)))
    at = Interval(*(bound[h] for bound in found.mean_ap))
    videos, actions = len(tables.videos), len(tables.actions)
    plural, many = "s" * (videos != 1), "s" * (actions != 1)
    return (
        f"mAP@{tious[h]:g} is {_percent(at, '95 % interval ')}, average mAP "
        f"{_percent(found.average)}, on {videos} {'' if validation.how else 'validation '}"
        f"video{plural} with {actions} action{many}"
        + (f": {validation.how}." if validation.how else ".")
    )


def _percent(value: Interval, name: str = "") -> str:
    known = not np.isnan(value.low)
    bounds = f" ({name}{100 * value.low:.1f} to {100 * value.high:.1f} %)" if known else ""
    return f"{100 * value.value:.1f} %{bounds}"
