"""Windows on their way through the networks, in batches of one compiled shape."""

from collections.abc import Iterator, Sequence

import jax
import numpy as np
from jax.sharding import Mesh
from numpy.typing import NDArray

from afsd_jax.detection.backends import Forward, Weights
from afsd_jax.inputs.windows import Window
from afsd_jax.runtime.prefetch import in_short_turns
from afsd_jax.runtime.sharding import data_sharded

Decoded = tuple[NDArray[np.float32], NDArray[np.float32]]  # segments [K,2], scores [K,C]


class Batches:
    """Runs the networks on the windows of one run.

    Attributes:
      size: windows of a whole batch: a multiple of the number of devices.
    """

    def __init__(
        self,
        forward: Forward,
        weights: list[Weights],
        shapes: Sequence[tuple[int, ...]],
        size: int,
        mesh: Mesh | None,
    ):
        """Computes nothing yet.

        Args:
          forward: the networks' pass.
          weights: of each network, where `mesh` wants them.
          shapes: (T,S,S,channels) of a window, for each network.
          size: windows of a batch; is rounded up.
          mesh: devices over which a batch is spread; None: there is one.
        """
        self._forward, self._weights, self._mesh = forward, weights, mesh
        self._shapes = shapes
        self._least = mesh.size if mesh else 1
        self.size = -(-size // self._least) * self._least
        self._shape = 0  # of the batches that have run
        self._prepared = False

    def prepare(self) -> None:
        """Compiles for the first batch, if it is known how many windows that will have.

        Meanwhile a thread may read them.
        """
        if self._prepared or self.size > self._least:
            return
        self._prepared = True
        where = data_sharded(self._mesh) if self._mesh else None
        clips = [
            jax.ShapeDtypeStruct((self.size, *shape), np.uint8, sharding=where)
            for shape in self._shapes
        ]
        valid = jax.ShapeDtypeStruct((self.size,), np.int32, sharding=where)
        with in_short_turns():
            self._forward.prepare(self._weights, clips, valid)

    def compute(self, windows: Sequence[Window]) -> Iterator[Decoded]:
        """Yields what the networks find in each window; at most `size` of them.

        Fewer windows than a batch go through one by one (one a device). After whole batches they
        are filled up by repetition instead: a few windows are less work than another compilation.
        """
        if len(windows) == self.size:
            self._shape = self.size
        shape = self._shape = self._shape or self._least
        for start in range(0, len(windows), shape):
            yield from self._run(windows[start : start + shape], shape)

    def _run(self, windows: Sequence[Window], shape: int) -> Iterator[Decoded]:
        filled = [*windows, *[windows[-1]] * (shape - len(windows))]
        clips = [np.concatenate(parts) for parts in zip(*(w.clips for w in filled), strict=True)]
        valid = np.concatenate([window.num_frames for window in filled])
        if self._mesh:
            clips, valid = jax.device_put((clips, valid), data_sharded(self._mesh))
        segments, scores = map(np.asarray, self._forward(self._weights, clips, valid))
        yield from zip(segments[: len(windows)], scores[: len(windows)], strict=True)
