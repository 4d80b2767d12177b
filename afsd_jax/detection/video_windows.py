"""Windows of whole videos' features: the trunk computes each cell of a video once.

They take the place of windows of frames where `config.model.trunk_context` is video.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from afsd_jax.inputs.windows import Event, Piece, VideoEnd, VideoStart, Window
from afsd_jax.models.video_trunk import VideoTrunk


def cut_features(
    events: Iterable[VideoStart | Piece | VideoEnd],
    trunks: Sequence[VideoTrunk],
    offsets_of: Callable[[int], Iterable[int]],
    length: int,
) -> Iterator[Event]:
    """Yields the events of `read_pieces` with each video's pieces replaced by windows of features.

    A window follows the piece that completes its features. If a pipe ends inside a window, that
    window is moved back so that it ends with the video. A video shorter than a window is extended
    with grey frames.

    Args:
      events: as `read_pieces` yields them.
      trunks: one for each network; their slices have the same number of frames.
      offsets_of: maps a video's number of frames to the first frames of its windows.
      length: T, frames of a window.
    """
    for event in events:
        if isinstance(event, VideoStart):
            cutter = _Cutter(trunks, offsets_of(event.video.num_frames), length)
            yield event
        elif isinstance(event, Piece):
            yield from cutter.add(event)
        else:
            if event.video and not event.error:
                yield from cutter.end()
            yield event


class _Cutter:
    """Cuts windows out of the slices of one video."""

    def __init__(self, trunks: Sequence[VideoTrunk], offsets: Iterable[int], length: int):
        self._passes = [trunk.start() for trunk in trunks]
        self._unit = trunks[0].unit
        self._size = length // self._unit  # slices of a window
        # First slices of the windows; several offsets may lie in one slice.
        self._firsts = (first for first, _ in itertools.groupby(x // self._unit for x in offsets))
        self._first = next(self._firsts, None)
        # Slices of each network that the others lack; then the latest slices of all networks.
        self._waiting: list[deque[list[np.ndarray]]] = [deque() for _ in trunks]
        self._latest: deque[list[list[np.ndarray]]] = deque(maxlen=self._size)
        self._count = self._windowed = 0  # slices, and those of them before the last window's end
        self._num_frames = 0

    def add(self, piece: Piece) -> Iterator[Window]:
        """Yields the windows that a piece completes."""
        self._num_frames += len(piece.frames[0])
        yield from self._extend(
            [run.add(frames) for run, frames in zip(self._passes, piece.frames, strict=True)]
        )

    def end(self) -> Iterator[Window]:
        """Yields the windows that are complete at the video's end."""
        if self._num_frames:
            yield from self._extend([run.end(self._size * self._unit) for run in self._passes])
        if self._first is not None and self._count > self._windowed:
            yield self._window(self._count - self._size)

    def _extend(self, cells: Sequence[list[np.ndarray]]) -> Iterator[Window]:
        for waiting, run, endpoints in zip(self._waiting, self._passes, cells, strict=True):
            waiting.extend(run.split(endpoints))
        while all(self._waiting):
            self._latest.append([waiting.popleft() for waiting in self._waiting])
            self._count += 1
            if self._first is not None and self._count == self._first + self._size:
                yield self._window(self._first)
                self._first, self._windowed = next(self._firsts, None), self._count

    def _window(self, first: int) -> Window:
        streams = zip(*self._latest, strict=True)
        features = [[np.concatenate(x) for x in zip(*slices, strict=True)] for slices in streams]
        offset = first * self._unit
        num_frames = min(self._num_frames - offset, self._size * self._unit)
        return Window(offset, features, num_frames)
