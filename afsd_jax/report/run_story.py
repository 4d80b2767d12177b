"""How a training run went, in words and bars, as its page shows it."""

from typing import NamedTuple

Bar = tuple[str, float, float, float]  # class, start and end in seconds, score


class Example(NamedTuple):
    """A validation video with its true actions and its best detections.

    Attributes:
      name: name of the video.
      duration_s: length of the axis, seconds.
      found: how many of the true actions are among these detections.
      truth, detected: the bars; the score of a true action is 1.
    """

    name: str
    duration_s: float
    found: int
    truth: tuple[Bar, ...]
    detected: tuple[Bar, ...]


class RunStory(NamedTuple):
    """The story of a run.

    Attributes:
      verdicts: sentences: learned or not, over-fitted or not.
      weak: class and reasons of the classes that are found worst.
      examples: some validation videos, from well to badly found.
      advice: what to try next, the most promising first.
      classes: all classes in the order of the data set, which determines their colours.
    """

    verdicts: tuple[str, ...]
    weak: tuple[tuple[str, str], ...]
    examples: tuple[Example, ...]
    advice: tuple[str, ...]
    classes: tuple[str, ...] = ()
