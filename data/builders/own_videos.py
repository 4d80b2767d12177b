"""TFDS builder of a user's own videos."""

from collections.abc import Collection

from afsd_jax.data import annotations
from afsd_jax.data.builders.base import VideoBuilder
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.decode.media import single_file
from afsd_jax.errors import UserError


class OwnVideos(VideoBuilder):
    """A folder of videos with annotations of any kind that `annotations.read_annotations` knows."""

    name = "videos"

    def read_annotations(self, options: PrepareOptions) -> annotations.Annotations:
        """Reads the annotations; videos without a subset are split by a hash of their name."""
        path = options.annotations
        if path is None:
            one_a_video = next(options.source.glob("*.eaf"), None) is not None
            path = options.source if one_a_video else single_file(options.source, _SINGLE)
        videos = annotations.read_annotations(path)
        annotations.check_names(videos)
        annotations.check_order(videos)
        return annotations.assign_splits(videos)

    def check_splits(self, options: PrepareOptions, splits: Collection[str]) -> list[str]:
        """Refuses data that no one could train on, unless all of it is for testing."""
        if "train" in splits and "test" in splits:
            return []
        place = options.annotations or options.source
        if "train" not in splits and set(splits) != {"test"}:
            raise UserError(
                f"{place}: all videos are in {', '.join(sorted(splits))} and none is in train; "
                "give some the subset train (column subset)"
            )
        lacking = "test" if "train" in splits else "train"
        return [f"{place}: no video is in the split {lacking} (column subset)"]


_SINGLE = tuple(suffix for suffix in annotations.SUFFIXES if suffix != ".eaf")
