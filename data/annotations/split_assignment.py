"""Assigning splits to videos whose annotations do not state any."""

import dataclasses
import hashlib
import re

from afsd_jax.data.annotations.collector import Annotations
from afsd_jax.errors import UserError
from afsd_jax.io.names import split_name

TEST_PERCENT = 20  # videos without a subset that go to the split test


def stable_split(name: str) -> str:
    """Returns train or test by the video's name alone, so it never changes between data sets."""
    return "test" if _hash(name) % 100 < TEST_PERCENT else "train"


def assign_splits(videos: Annotations) -> Annotations:
    """Returns the videos with their splits as subsets.

    Videos without a subset are split by a hash of their names, or of the names of their groups,
    which stay together. If this leaves train or test empty, the group or video with the smallest
    hash goes there; a single one goes to train.

    Raises:
      UserError: the name of a subset cannot be the name of a split.
    """
    splits, units = {}, {name: video.group or name for name, video in videos.items()}
    for name, video in videos.items():
        splits[name] = split_name(video.subset) or stable_split(units[name])
        if not re.fullmatch(r"[a-z][a-z0-9_]*", splits[name]) or splits[name] == "all":
            raise UserError(
                f"{video.place}: subset {video.subset!r} must be train, validation, test or "
                "another word of letters, digits and _ (not 'all')"
            )
    free = sorted({units[name] for name, video in videos.items() if not video.subset}, key=_hash)
    for wanted in ("train", "test"):
        in_train = {units[name] for name, split in splits.items() if split == "train"}
        if free and wanted not in splits.values() and (wanted == "train" or len(in_train) > 1):
            moved = free.pop(0)
            splits |= {
                name: wanted
                for name, video in videos.items()
                if not video.subset and units[name] == moved
            }
    return {name: dataclasses.replace(v, subset=splits[name]) for name, v in videos.items()}


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
