"""Loading a trained detector."""

import os

from afsd_jax.detection.detector import Detector
from afsd_jax.errors import UserError
from afsd_jax.weights import loading


def load_detector(
    path: str | os.PathLike[str],
    flow_path: str | os.PathLike[str] | None = None,
    backend: str | None = None,
) -> Detector:
    """Loads a trained detector.

    Args:
      path: a checkpoint folder that `afsd train` (the run's folder will do) or `afsd convert`
        wrote, or an official PyTorch checkpoint file.
      flow_path: a second one of the same kind, trained on optical flow, to fuse with the first.
      backend: what computes the trunk: xla, openvino, or openvino-bfloat16, whose scores differ a
        little; None: openvino on CPUs where it is installed, else xla.

    Raises:
      UserError: a path is neither, the two do not fit together, or there is no such backend.
    """
    streams = [loading.load_checkpoint(p) for p in (path, flow_path) if p is not None]
    if len(streams) > 1 and streams[1].config.data.stream != "flow":
        raise UserError(
            f"{flow_path}: is a network on {streams[1].config.data.stream}; the second checkpoint "
            "must be one on optical flow"
        )
    return Detector(streams, backend)
