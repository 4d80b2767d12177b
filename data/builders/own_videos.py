"""TFDS builder of a user's own videos."""

from collections.abc import Collection

from afsd_jax.data import annotations
from afsd_jax.data.builders.base import VideoBuilder
from afsd_jax.data.decode.media import single_file
from afsd_jax.errors import UserError


class OwnVideos(VideoBuilder):
    """A folder of videos with annotations in any format of `annotations.read_annotations`."""

    name = "videos"
    CHECK_ACTIONS = True

    def read_annotations(self) -> annotations.Annotations:
        """Reads the annotations, whose videos need not have subsets."""
        path, source = self.options.annotations, self.options.source
        if path is None:
            kinds = {file.suffix.lower() for file in source.glob("*")}
            # Beside an export, a project is what was exported.
            only_project = annotations.PROJECT in kinds and not kinds & set(_SINGLE)
            wanted = (annotations.PROJECT,) if only_project else _SINGLE
            path = source if ".eaf" in kinds else single_file(source, wanted)  # one .eaf a video
        videos = annotations.read_annotations(path)
        annotations.check_names(videos)
        annotations.check_order(videos)
        return videos

    def assign_splits(self, videos: annotations.Annotations) -> annotations.Annotations:
        """Returns the videos with splits, which a hash of the name chooses without a subset."""
        return annotations.assign_splits(videos)

    def check_splits(self, splits: Collection[str]) -> list[str]:
        """Returns a note if train or test is missing; without train, all videos must be in test."""
        if "train" in splits and "test" in splits:
            return []
        place = self.options.annotations or self.options.source
        if "train" not in splits and set(splits) != {"test"}:
            raise UserError(
                f"{place}: all videos are in {', '.join(sorted(splits))} and none is in train; "
                "give some the subset train (column subset)"
            )
        missing = "test" if "train" in splits else "train"
        return [f"{place}: no video is in the split {missing} (column subset)"]


_SINGLE = tuple(s for s in annotations.SUFFIXES if s not in (".eaf", annotations.PROJECT))
