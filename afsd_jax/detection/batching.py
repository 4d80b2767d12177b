"""The forward pass over windows, in batches of one compiled shape."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from numpy.typing import NDArray

from afsd_jax.detection.backends import ForwardPass, NamedWeights
from afsd_jax.inputs.windows import Event, VideoEnd, VideoStart, Window
from afsd_jax.runtime.sharding import data_sharded


class DecodedWindow(NamedTuple):
    """The networks' predictions in a window.

    Attributes:
      offset: the window's first frame in the video.
      segments: float32 [K, 2], frames of the window.
      scores: float32 [K, C]; class 0 is the background.
    """

    offset: int
    segments: NDArray[np.float32]
    scores: NDArray[np.float32]


class BatchRunner:
    """Computes the forward pass over windows.

    Attributes:
      size: windows of a full batch: a multiple of the number of devices.
    """

    def __init__(
        self,
        forward: ForwardPass,
        weights: Sequence[NamedWeights],
        inputs: Sequence[Any],
        size: int,
        mesh: Mesh | None,
    ):
        """Computes nothing yet.

        Args:
          forward: the networks.
          weights: weights of each network, placed on the devices of `mesh`.
          inputs: shapes and types of a window's frames or features, for each network.
          size: windows of a batch; is rounded up.
          mesh: devices that share each batch; None: there is one device.
        """
        self._forward, self._weights, self._mesh = forward, weights, mesh
        self._inputs = inputs
        devices = mesh.size if mesh else 1
        self.size = -(-size // devices) * devices
        self._prepared = False

    def run(self, events: Iterable[Event]) -> Iterator[VideoStart | DecodedWindow | VideoEnd]:
        """Yields the events in their order, with each window decoded.

        Windows of different videos share batches. An event that follows a window waits until that
        window's batch is full, or until the events end.

        Args:
          events: as `read_windows` yields them.
        """
        waiting: deque[Event] = deque()
        windows: list[Window] = []

        def computed() -> Iterator[VideoStart | DecodedWindow | VideoEnd]:
            decoded = iter(list(self.compute(windows)))
            windows.clear()
            while waiting:
                event = waiting.popleft()
                yield next(decoded) if isinstance(event, Window) else event

        for event in events:
            waiting.append(event)
            if isinstance(event, VideoStart):
                self.prepare()  # while the first window is read
            elif isinstance(event, Window):
                windows.append(event)
            if len(windows) in (0, self.size):
                yield from computed()
        yield from computed()

    def prepare(self) -> None:
        """Compiles before the first batch, while another thread may read its windows."""
        if self._prepared:
            return
        self._prepared = True
        where = data_sharded(self._mesh) if self._mesh else None
        frames = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct((self.size, *x.shape), x.dtype, sharding=where),
            self._inputs,
        )
        num_frames = jax.ShapeDtypeStruct((self.size,), np.int32, sharding=where)
        self._forward.prepare(self._weights, frames, num_frames)

    def compute(self, windows: Sequence[Window]) -> Iterator[DecodedWindow]:
        """Yields what the networks predict in each window; at most `size` windows.

        Fewer are filled up by repetition: one shape is compiled, and rounds equally in every run.
        """
        if not windows:
            return
        filled = [*windows, *[windows[-1]] * (self.size - len(windows))]
        frames = jax.tree.map(lambda *parts: np.stack(parts), *(w.frames for w in filled))
        num_frames = np.array([window.num_frames for window in filled], np.int32)
        if self._mesh:
            frames, num_frames = jax.device_put((frames, num_frames), data_sharded(self._mesh))
        segments, scores = map(np.asarray, self._forward(self._weights, frames, num_frames))
        for row, window in enumerate(windows):
            yield DecodedWindow(window.offset, segments[row], scores[row])
