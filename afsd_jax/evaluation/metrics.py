"""Benchmarks and the metrics by which networks are compared."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from afsd_jax.errors import UserError, printable

SCORE = "average_mAP"  # the entry of `Metrics.as_dict` by which networks are compared


class Benchmark(NamedTuple):
    """The subset and the tIoU thresholds for which a benchmark's results are reported."""

    subset: str
    tious: tuple[float, ...]


BENCHMARKS = {
    "videos": Benchmark("test", (0.3, 0.4, 0.5, 0.6, 0.7)),  # the user's own videos
    "thumos14": Benchmark("test", (0.3, 0.4, 0.5, 0.6, 0.7)),
    "activitynet": Benchmark("validation", (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)),
}


class Metrics(NamedTuple):
    """Average precisions, in [0, 1].

    Attributes:
      tious: the H thresholds.
      ap: the H average precisions of each class in the ground truth.
    """

    tious: tuple[float, ...]
    ap: dict[str, NDArray[np.float64]]

    @property
    def mean_ap(self) -> NDArray[np.float64]:
        """[H]: the mean over the classes."""
        return np.mean(list(self.ap.values()), axis=0)

    @property
    def average_map(self) -> float:
        """The mean over classes and thresholds."""
        return float(np.mean(self.mean_ap))

    def as_dict(self) -> dict[str, Any]:
        """The metrics as JSON values: `mAP@0.3`, …, `average_mAP`, `ap`: class → list [H]."""
        means = zip(self.tious, self.mean_ap, strict=True)
        return {
            **{f"mAP@{threshold:g}": float(mean) for threshold, mean in means},
            SCORE: self.average_map,
            "ap": {label: values.tolist() for label, values in self.ap.items()},
        }

    def as_table(self) -> str:
        """A text table in percent: one line per class, then the mean; one column per threshold."""
        lines = [(printable(label), values) for label, values in self.ap.items()]
        lines.append(("mAP", self.mean_ap))
        title = "AP, % at tIoU"
        width = max(len(title), *(len(label) for label, _ in lines))
        header = [f"{title:<{width}}", *(f"{value:>7g}" for value in self.tious), "  average"]
        rule = "-" * len("".join(header))
        text = ["".join(header), rule]
        for label, values in lines:
            cells = [f"{100 * value:7.2f}" for value in values]
            text.append(f"{label:<{width}}{''.join(cells)}{100 * np.mean(values):9.2f}")
        text.insert(-1, rule)
        return "\n".join(text)


def tious_of(dataset: str) -> tuple[float, ...]:
    """Returns the tIoU thresholds at which the data set of this name is evaluated."""
    return BENCHMARKS.get(dataset, BENCHMARKS["videos"]).tious


def check_tious(tious: Sequence[float]) -> None:
    """Raises UserError if there are no thresholds, or one is outside (0, 1]."""
    if not tious or not all(0 < threshold <= 1 for threshold in tious):
        raise UserError(f"tIoU thresholds must lie in (0, 1], got {list(tious)}")
