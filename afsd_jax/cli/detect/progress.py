"""Videos while they are detected in: how far reading has come, and what they look like."""

import functools
from collections.abc import Iterator, Mapping, Sequence

from afsd_jax.cli.detect.video_list import GivenVideos
from afsd_jax.cli.progress_bar import SecondsBar
from afsd_jax.inputs.video import Frames, Input, Source
from afsd_jax.io.video_scores import label_of
from afsd_jax.report.page import VideoReport
from afsd_jax.report.thumbnails import StreamThumbnails, Thumbnails
from afsd_jax.report.tracks import Track
from afsd_jax.types import Detection, VideoLabel


class Watch:
    """Counts the seconds of the videos that are read, and keeps thumbnails of them."""

    def __init__(
        self,
        given: GivenVideos,
        names: Sequence[str],
        scores: Mapping[str, VideoLabel] | None,
        keep: bool,
        quiet: bool = False,
    ):
        """Takes the videos and those of their names to look at.

        Args:
          given: the videos.
          names: of those to look at.
          scores: of a video-level classifier, by video.
          keep: whether thumbnails are wanted.
          quiet: whether no progress is shown.
        """
        self._given, self._scores, self._keep = given, scores, keep
        self._stated_s = {name: given.stated_s(name) for name in names}
        self._thumbnails: dict[str, Thumbnails | StreamThumbnails] = {}
        self._bar = SecondsBar(sum(self._stated_s.values()), quiet)

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def sources(self) -> Iterator[Source]:
        """Yields what opens the videos."""
        for source in self._given.sources(list(self._stated_s)):
            yield Source(source.name, functools.partial(self._open, source))

    def _open(self, source: Source) -> Input:
        self._bar.set_description_str(source.name, refresh=False)
        stated_s, actual_s = self._stated_s[source.name], 0.0
        try:
            label = None if self._scores is None else label_of(source.name, self._scores)
            video = source.open()
            actual_s = video.duration_s
        finally:
            self._bar.correct(actual_s - stated_s)
        return video._replace(frames=self._seen(video), label=label)

    def _seen(self, video: Input) -> Iterator[Frames]:
        kept: Thumbnails | StreamThumbnails = Thumbnails(video.num_frames if self._keep else 0)
        if self._keep and video.passed_s is not None:
            kept = StreamThumbnails()
        self._thumbnails[video.name] = kept
        for position, frames in enumerate(self._bar.passing(video.frames, video.fps)):
            rgb = next((frame for frame in frames if frame.shape[-1] == 3), None)
            if rgb is not None:
                kept.see(position, rgb)
            yield frames

    def report(self, video: Input, detections: Sequence[Detection]) -> VideoReport:
        """Returns what there is to show of a video whose frames have passed."""
        name, given = video.name, self._given
        track = Track(name, video.duration_s, detections, given.actions(name))
        thumbnails = self._thumbnails.pop(name).shown(video.fps)
        return VideoReport(track, *thumbnails, given.path(name), video.damaged())
