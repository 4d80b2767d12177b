"""Chooses which videos train and which validate, where the configuration leaves that open.

Of few videos none is held out, because each one makes the detector better. Their figure is that of
cross-validation.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from afsd_jax.data.folds import Fold, count_groups
from afsd_jax.data.storage.prepared_video import PreparedVideo

FEWEST = 10  # videos; from fewer none is held out
MANY = 100  # videos; from so many a tenth validates, from fewer a fifth
FOLDS = 3  # of a cross-validation
TRAIN, VALIDATION = "train", "validation"


class Splits(NamedTuple):
    """The splits of a run.

    Attributes:
      train: name of the training split.
      validation: name of the validation split; "": none.
      folds: number of folds of the cross-validation; 0: none.
      reasons: a reason for each of these.
    """

    train: str
    validation: str
    folds: int
    reasons: tuple[str, str, str]


def choose_splits(
    videos: Sequence[PreparedVideo],
    groups: Mapping[str, str],
    splits: Collection[str],
    stated: str | None = None,
) -> Splits:
    """Returns the splits to train and validate on.

    Args:
      videos: the training videos.
      groups: the group of each video that has one, by name.
      splits: names of the data set's splits.
      stated: name of the training split, if it must stay as it is.
    """
    train = stated or TRAIN
    every = f"all {len(videos)} videos of it"
    if VALIDATION in splits and train != VALIDATION:
        reason = f"the split named {VALIDATION}"
        return Splits(train, VALIDATION, 0, (every, reason, _no_folds(f"{reason} validates")))
    units = count_groups((video for video in videos if len(video.labels)), groups)
    if units < 2:
        absent = "one video or group alone has actions, so none can be held out"
        return Splits(train, "", 0, (every, absent, _no_folds(absent)))
    if len(videos) < FEWEST:
        absent = f"no video is held out of so few as {len(videos)}"
        reason = "folds of a cross-validation, which says how good the detector is; 0: none"
        return Splits(train, "", min(FOLDS, units), (every, absent, reason))
    if stated:
        absent = "the training split is stated, so none of its videos is held out"
        return Splits(train, "", 0, (every, absent, _no_folds(absent)))
    parts, share = (5, "fifth") if len(videos) < MANY else (10, "tenth")
    held, part = Fold(train, 1, parts), f"a {share} of the videos validates"
    rest = f"the other videos; {train}: all {len(videos)}"
    return Splits(str(held._replace(rest=True)), str(held), 0, (rest, part, _no_folds(part)))


def _no_folds(reason: str) -> str:
    return f"folds of a cross-validation: none, for {reason}"
