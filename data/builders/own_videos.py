"""TFDS builder of a user's own videos."""

import dataclasses
import re

from afsd_jax.data import annotations
from afsd_jax.data.builders.base import VideoBuilder
from afsd_jax.data.builders.options import Options
from afsd_jax.data.decode.media import single_file
from afsd_jax.errors import UserError
from afsd_jax.types import AnnotatedVideo

# ActivityNet's names of the subsets, and the usual ones of the splits.
_SPLITS = {"training": "train", "val": "validation", "testing": "test"}


class Videos(VideoBuilder):
    """A folder of videos with annotations in ActivityNet's JSON or in CSV."""

    name = "videos"

    def read_annotations(self, options: Options) -> annotations.Annotations:
        """Reads the annotations; videos without a subset are split by a hash of their name."""
        path = options.annotations or single_file(options.source, (".json", ".csv"))
        videos = annotations.read(path)
        annotations.check_order(videos)
        return {name: _with_split(name, video) for name, video in videos.items()}


def _with_split(name: str, video: AnnotatedVideo) -> AnnotatedVideo:
    subset = video.subset.lower()
    split = _SPLITS.get(subset, subset) or annotations.stable_split(name)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", split) or split == "all":
        raise UserError(
            f"{video.place}: subset {video.subset!r} must be train, validation, test or another "
            "word of letters, digits and _ (not 'all')"
        )
    return dataclasses.replace(video, subset=split)
