"""Optical flow between consecutive frames, as images: the second stream of the network."""

import types
from collections.abc import Iterable, Iterator

import numpy as np

from afsd_jax.config import FLOW_METHODS
from afsd_jax.data.decode.sources import FrameSource
from afsd_jax.errors import UserError

BOUND = 20.0  # pixels; longer displacements are clipped


class FlowReader:
    """Computes optical flow from a source of RGB frames: as many frames, uint8 [H, W, 2]."""

    def __init__(self, rgb: FrameSource, method: str = "tvl1", threads: int = 0):
        """Computes nothing yet.

        Args:
          rgb: source of the RGB frames.
          method: tvl1, as in the reference implementation, or dis, about a hundred times faster.
          threads: threads of OpenCV; 0 lets it choose.

        Raises:
          UserError: the method is unknown or OpenCV is not installed.
        """
        self.fps, self.num_frames = rgb.fps, rgb.num_frames
        self.duration_s, self.source_frames = rgb.duration_s, rgb.source_frames
        self._rgb, self._method = rgb, method
        if threads:
            import_opencv().setNumThreads(threads)
        _estimator(method)  # raises an error now instead of at the first frame

    @property
    def aspect(self) -> float | None:
        """Returns width over height of the picture; None if unknown, or before a frame is read."""
        return self._rgb.aspect

    @property
    def damaged(self) -> int:
        """Returns the packets and frames skipped so far."""
        return self._rgb.damaged

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields the flow from each frame to the next; the last one is repeated."""
        return compute_flow(self._rgb, self._method)


def compute_flow(frames: Iterable[np.ndarray], method: str = "tvl1") -> Iterator[np.ndarray]:
    """Yields the flow from each frame to the next; the last one is repeated.

    Args:
      frames: uint8 [H, W, 3], RGB.
      method: tvl1 or dis; see `FlowReader`.

    Yields:
      As many images, uint8 [H, W, 2]; see `flow_to_image`.

    Raises:
      UserError: the method is unknown or OpenCV is not installed.
    """
    cv2, estimator = import_opencv(), _estimator(method)
    previous: np.ndarray | None = None
    image = np.full((0, 0, 2), 128, np.uint8)
    for frame in frames:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        if previous is not None:
            image = flow_to_image(estimator.calc(previous, grey, None))
            yield image
        previous = grey
    if previous is not None:
        # A video of a single frame has no motion at all.
        yield image if image.size else np.full((*previous.shape, 2), 128, np.uint8)


def flow_to_image(flow: np.ndarray) -> np.ndarray:
    """Maps displacements to grey levels: [-20, 20] pixels linearly to [0, 255].

    Args:
      flow: floating point [H, W, 2], (x, y) in pixels.

    Returns:
      uint8 [H, W, 2]; no motion is 128, since 127.5 is rounded to even.
    """
    scaled = (np.clip(flow, -BOUND, BOUND) + BOUND) * (255 / (2 * BOUND))
    return np.rint(scaled).astype(np.uint8)


def import_opencv() -> types.ModuleType:
    """Returns OpenCV with its contributed modules.

    Raises:
      UserError: it is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise UserError("flow needs OpenCV: pip install opencv-contrib-python-headless") from error
    return cv2


def _estimator(method: str):
    cv2 = import_opencv()
    if method == "dis":
        return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    if method != "tvl1":
        raise UserError(f"flow method {method!r}: must be one of {', '.join(FLOW_METHODS)}")
    if not hasattr(cv2, "optflow"):
        raise UserError(
            "TV-L1 flow needs OpenCV's contributed modules: pip uninstall opencv-python "
            "opencv-python-headless, then pip install opencv-contrib-python-headless; or choose dis"
        )
    return cv2.optflow.DualTVL1OpticalFlow_create()
