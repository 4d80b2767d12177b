"""Counts the videos on the progress bar as they are read, and keeps some frames to show."""

import functools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from afsd_jax.cli.detect.video_list import VideoList
from afsd_jax.errors import printable
from afsd_jax.inputs.video import Frames, OpenVideo, VideoSource
from afsd_jax.io.video_scores import label_of
from afsd_jax.report.page import VideoReport
from afsd_jax.report.thumbnails import Thumbnails
from afsd_jax.report.tracks import Track
from afsd_jax.runtime.progress_bar import SecondsBar
from afsd_jax.types import Detection, VideoLabel


class Progress:
    """Counts the seconds of the videos that are read, and keeps thumbnails of them."""

    def __init__(
        self,
        videos: VideoList,
        names: Sequence[str],
        scores: Mapping[str, VideoLabel] | None,
        with_thumbnails: bool,
        quiet: bool = False,
    ):
        """Shows the bar; opens no video yet.

        Args:
          videos: the videos.
          names: names of those to detect in.
          scores: classes of a video-level classifier, by video.
          with_thumbnails: whether to keep thumbnails.
          quiet: whether the bar is hidden.
        """
        self._videos, self._scores, self._with_thumbnails = videos, scores, with_thumbnails
        self._stated_s = {name: videos.stated_s(name) for name in names}
        self._thumbnails: dict[str, Thumbnails] = {}
        self._bar = SecondsBar(sum(self._stated_s.values()), quiet)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def sources(self) -> Iterator[VideoSource]:
        """Yields the videos, each to be opened when its turn comes."""
        for source in self._videos.sources(list(self._stated_s)):
            yield VideoSource(source.name, functools.partial(self._open, source))

    def _open(self, source: VideoSource) -> OpenVideo:
        self._bar.set_description_str(printable(source.name), refresh=False)
        stated_s, actual_s = self._stated_s[source.name], 0.0
        try:
            label = None if self._scores is None else label_of(source.name, self._scores)
            video = source.open()
            actual_s = video.duration_s
        finally:
            self._bar.correct(actual_s - stated_s)
        return video._replace(frames=self._read(video), label=label)

    def _read(self, video: OpenVideo) -> Iterator[Frames]:
        num_frames = None if video.is_pipe else video.num_frames
        thumbnails = Thumbnails(num_frames if self._with_thumbnails else 0)
        self._thumbnails[video.name] = thumbnails
        for position, frames in enumerate(self._bar.counted(video.frames, video.fps)):
            rgb = next((f for f in frames if f.shape[-1] == 3 and f.dtype == np.uint8), None)
            if rgb is not None:
                thumbnails.add(position, rgb)
            yield frames

    def report(self, video: OpenVideo, detections: Sequence[Detection]) -> VideoReport:
        """Returns a video whose frames have been read, with its detections and thumbnails."""
        name, videos = video.name, self._videos
        track = Track(name, video.duration_s, detections, videos.actions(name))
        thumbnails = self._thumbnails.pop(name).shown(video.fps, video.aspect())
        return VideoReport(track, *thumbnails, videos.path(name), video.damaged())
