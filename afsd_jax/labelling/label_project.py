"""Everything that the page asks for and changes: videos, their labels, events about both."""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from afsd_jax.errors import UserError
from afsd_jax.labelling.announcements import Announcements
from afsd_jax.labelling.changes import (
    ClassChange,
    Suggested,
    VideoChange,
    check_change,
    conflicts,
)
from afsd_jax.labelling.label_store import LabelStore
from afsd_jax.labelling.label_videos import Video, played_times
from afsd_jax.labelling.learning import Learner, Status
from afsd_jax.labelling.media_cache import thumbnail, waveform
from afsd_jax.labelling.proxies import Proxies
from afsd_jax.labelling.records import Labels, Suggestion, VideoLabels
from afsd_jax.labelling.round_work import Tools
from afsd_jax.labelling.rounds import statistics

_SOON_S = 0.2  # until the labels file follows the journal
_LOOK_S = 1.0  # between looks at what other programs do to the labels file


class VideoPost(VideoChange, frozen=True):
    """A change of one video as the page sends it, with the version that the page had."""

    version: int = 0


class Conflict(Exception):
    """A change of a segment that another page has changed in the meantime."""


class LabelProject:
    """The videos and their labels."""

    def __init__(
        self, videos: Sequence[Video], labels_file: Path, tools: Tools, start: Path | None = None
    ):
        """Restores the labels.

        Args:
          videos: the videos; pages know them by their place in this list, from 1.
          labels_file: the file for the labels.
          tools: for suggestions and learning.
          start: annotations to begin with.

        Raises:
          UserError: labels or annotations cannot be read.
        """
        self.videos = videos
        paths = {video.name: video.path for video in videos}
        durations_s = {video.name: video.duration_s for video in videos}
        self.store = LabelStore(labels_file, paths, durations_s, start)
        self.events = Announcements()
        self._numbers = {video.name: number for number, video in enumerate(videos, 1)}
        self.proxies = Proxies(self.store.folder / "proxies", self._tell_proxy)
        self._changed = asyncio.Event()
        self.learner = Learner(
            self.store.folder / "learn", paths, tools, self._labels, self._suggest, self._tell_learn
        )

    def video(self, number: int) -> Video:
        """Returns a video by its number.

        Raises:
          LookupError: there is none.
        """
        if not 1 <= number <= len(self.videos):
            raise LookupError(number)
        return self.videos[number - 1]

    def labels_of(self, name: str) -> VideoLabels:
        """Returns what is known of a video."""
        return self.store.labels.videos.get(name, VideoLabels())

    def _labels(self) -> Labels:
        return self.store.labels

    def _suggest(self, name: str, suggestions: list[Suggestion], source: str) -> None:
        """Takes the suggestions of a video; called by the thread of the learner."""
        before = self.store.labels.classes
        after = self.store.change(Suggested(name, suggestions, source))
        if after.classes != before:
            self.events.announce("classes")
        number, version = self._numbers[name], after.videos[name].version
        self.events.announce("video", number=number, version=version)

    def _tell_learn(self, status: Status) -> None:
        self.events.announce("learn", **msgspec.to_builtins(status))

    def statistics(self) -> dict[str, Any]:
        """Returns the answer to `GET /api/statistics`."""
        names = [video.name for video in self.videos]
        return statistics(self.store.labels, names, self.learner.status.rounds)

    def begin(self) -> None:
        """Begins what runs in the background, in the event loop that runs now."""
        self.events.begin()
        self.learner.begin()

    def _tell_proxy(self, video: Video, state: str, progress: float) -> None:
        number = self._numbers[video.name]
        self.events.announce("proxy", number=number, state=state, progress=progress)

    def media(self, number: int) -> tuple[Path, str] | None:
        """Returns the file that a browser plays, and its type in HTTP; None if it must be made."""
        video = self.video(number)
        if video.media_type:
            return video.path, video.media_type
        copy = self.proxies.path(video)
        return None if copy is None else (copy, "video/mp4")

    def picture(self, number: int) -> bytes:
        """Returns the answer to `GET /thumbnail/N`, a JPEG.

        Raises:
          UserError: the video cannot be read.
        """
        return thumbnail(self.store.folder / "thumbnails", self.video(number))

    def loudness(self, number: int) -> bytes:
        """Returns the answer to `GET /waveform/N`.

        Raises:
          UserError: the video cannot be read.
        """
        return waveform(self.store.folder / "waveforms", self.video(number))

    def overview(self) -> dict[str, Any]:
        """Returns the answer to `GET /api/project`."""
        return {
            "labels_file": self.store.path.name,
            "message": self.store.refused,
            "classes": list(self.store.labels.classes.values()),
            "videos": [self._entry(n, video) for n, video in enumerate(self.videos, 1)],
            "learn": self.learner.status,
            "version": self.store.labels.version,
        }

    def _entry(self, number: int, video: Video) -> dict[str, Any]:
        labels = self.labels_of(video.name)
        return {
            **self._facts(number, video),
            "segments": len(labels.segments),
            "suggestions": len(labels.suggestions),
            "reviewed": labels.reviewed,
            "uncertainty": uncertainty(labels.suggestions.values()),
            "sound": video.sound,
        }

    def _facts(self, number: int, video: Video) -> dict[str, Any]:
        proxy, progress = self.proxies.state(video)
        return {
            "number": number,
            "name": video.name,
            "duration": video.duration_s,
            "width": video.width,
            "height": video.height,
            "proxy": proxy,
            "progress": progress,
        }

    def opened(self, number: int) -> dict[str, Any]:
        """Returns the answer to `GET /api/videos/N`.

        Raises:
          UserError: the video cannot be read.
        """
        video = self.video(number)
        self.proxies.want(video)
        times, labels = played_times(video.path), self.labels_of(video.name)
        return {
            **self._facts(number, video),
            "duration": times.duration_s,
            "times": times.times_s.round(6).tolist(),
            "segments": list(labels.segments.values()),
            "suggestions": list(labels.suggestions.values()),
            "rejected": list(labels.rejected.values()),
            "reviewed": labels.reviewed,
            "version": labels.version,
            "media": f"/media/{number}",
        }

    def change_video(self, number: int, post: VideoPost) -> bool:
        """Makes a change of one video.

        Returns:
          Whether the page knew all earlier changes of the video.

        Raises:
          UserError: the change makes no sense, or cannot be written.
          Conflict: another page has changed one of the segments.
        """
        name = self.video(number).name
        fields = {field: getattr(post, field) for field in VideoChange.__struct_fields__}
        change = VideoChange(**{**fields, "video": name})
        check_change(self.store.labels, change)
        before = self.labels_of(name)
        if conflicts(before, change, post.version):
            raise Conflict
        classes = self.store.labels.classes
        self.store.change(change)
        self._after([number], classes != self.store.labels.classes)
        return before.version <= post.version

    def change_classes(self, change: ClassChange) -> None:
        """Makes a change of the classes.

        Raises:
          UserError: the change makes no sense, or cannot be written.
        """
        check_change(self.store.labels, change)
        before = self.store.labels.videos
        self.store.change(change)
        after = self.store.labels.videos
        names = {name for name, video in after.items() if video is not before.get(name)}
        self._after([n for n, v in enumerate(self.videos, 1) if v.name in names], True)

    def _after(self, numbers: Iterable[int], classes: bool) -> None:
        """Tells all pages of changed videos and classes, and has the labels file written soon."""
        if classes:
            self.events.announce("classes")
        for number in numbers:
            version = self.labels_of(self.video(number).name).version
            self.events.announce("video", number=number, version=version)
        self._changed.set()

    async def keep_file(self) -> None:
        """Writes the labels file after changes, and merges those of others; runs forever."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _LOOK_S)
            if self._changed.is_set():
                await asyncio.sleep(_SOON_S)
                self._changed.clear()
            await asyncio.to_thread(self.sync)

    def sync(self) -> None:
        """Writes the labels file, and tells all pages what another program did to it."""
        classes = self.store.labels.classes
        try:
            synced = self.store.sync()
        except (UserError, OSError) as error:  # tried again a second later
            self.events.announce("file", message=str(error))
            return
        if synced.message is not None:
            self.events.announce("file", message=synced.message)
        if synced.changes:
            changed = [self._numbers[c.video] for c in synced.changes if c.video in self._numbers]
            self._after(changed, classes != self.store.labels.classes)

    def close(self) -> None:
        """Writes the labels file, and ends what runs in the background."""
        self.store.sync()
        self.proxies.stop()
        self.learner.close()
        self.store.close()


def uncertainty(suggestions: Iterable[Suggestion]) -> float | None:
    """Returns the mean uncertainty of suggestions: 0 for scores of 0 and 1, 1 for 0.5.

    None without suggestions.
    """
    values = [1 - abs(2 * suggestion.score - 1) for suggestion in suggestions]
    return sum(values) / len(values) if values else None


def decode_post(body: bytes, kind: type[Any]) -> Any:
    """Returns a request's body as a record.

    Raises:
      UserError: it is not JSON, or has fields that the record cannot have.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"the request cannot be read: {error}") from error
