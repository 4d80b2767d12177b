"""Copies of the videos that browsers cannot play, made one after another in the background."""

import contextlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path

from afsd_jax.errors import UserError
from afsd_jax.io.temporary_folders import remove_abandoned
from afsd_jax.labelling.label_videos import Video
from afsd_jax.labelling.media_cache import cached_path
from afsd_jax.labelling.proxy_file import write_proxy

NONE, WAITING, MAKING, READY, FAILED = "none", "waiting", "making", "ready", "failed"
_STEP = 0.01  # of progress that is told

log = logging.getLogger(__name__)


class _Stopped(Exception):
    """The server ends."""


class Proxies:
    """Makes copies in a thread; other methods answer at once."""

    def __init__(self, folder: Path, tell: Callable[[Video, str, float], object]):
        """Makes none yet.

        Args:
          folder: for the copies.
          tell: is called with a video, the state of its copy and the share that is done.
        """
        self._folder, self._tell = folder, tell
        self._states: dict[str, tuple[str, float]] = {}
        self._wanted: list[Video] = []  # the last one first
        self._condition = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None
        remove_abandoned(folder)

    def state(self, video: Video) -> tuple[str, float]:
        """Returns the state of a video's copy, and the share that is done."""
        if video.media_type:
            return NONE, 0.0
        with self._condition:
            if video.name in self._states:
                return self._states[video.name]
        return (READY, 1.0) if self.path(video) is not None else (NONE, 0.0)

    def path(self, video: Video) -> Path | None:
        """Returns the copy of a video; None if there is none yet."""
        with contextlib.suppress(UserError):
            path = cached_path(self._folder, video, ".mp4")
            return path if path.exists() else None
        return None

    def want(self, video: Video) -> None:
        """Has the copy of a video made next, if it needs one."""
        if self.state(video)[0] not in (NONE, WAITING) or video.media_type:
            return
        with self._condition:
            if video in self._wanted:
                self._wanted.remove(video)
            self._wanted.append(video)
            self._states[video.name] = WAITING, 0.0
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()
            self._condition.notify()
        self._tell(video, WAITING, 0.0)

    def stop(self) -> None:
        """Ends the thread; a copy that is being made is made again another time."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._wanted or self._stopping)
                if self._stopping:
                    return
                video = self._wanted.pop()
            try:
                self._make(video)
            except _Stopped:
                return
            except UserError as error:
                log.warning("%s", error)
                self._set(video, FAILED, 0.0)
            except Exception as error:  # one video must not cost the others
                log.warning("%s: no copy can be made (%s)", video.path, error)
                self._set(video, FAILED, 0.0)

    def _make(self, video: Video) -> None:
        told = 0.0

        def progress(done: float) -> None:
            nonlocal told
            if self._stopping:
                raise _Stopped
            if done >= told + _STEP:
                told = done
                self._set(video, MAKING, done)

        self._set(video, MAKING, 0.0)
        write_proxy(video.path, cached_path(self._folder, video, ".mp4"), progress)
        self._set(video, READY, 1.0)

    def _set(self, video: Video, state: str, progress: float) -> None:
        with self._condition:
            self._states[video.name] = state, progress
        self._tell(video, state, progress)
