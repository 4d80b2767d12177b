"""A batch of one training clip with visible actions."""

from collections.abc import Sequence

import numpy as np

from afsd_jax.data.clips.consistency import consistency_clip
from afsd_jax.data.clips.training_clips import boundary_targets

ACTION, LABEL = (20.0, 44.0), 3


def training_clip(
    length: int, size: int, actions: Sequence[tuple[float, float]] = (ACTION,)
) -> dict[str, np.ndarray]:
    """Returns a batch of one clip like the pipeline's: noise, brighter during the actions."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 128, (length, size, size, 3), np.uint8)
    for start_frame, end_frame in actions:
        frames[int(start_frame) : int(end_frame)] += 100
    segments = np.array(actions)
    consistency = consistency_clip(segments, length, moved=8, pick=lambda options: options // 2)
    start, end = boundary_targets(segments, length)
    clip = {
        "frames": frames,
        "num_frames": np.int32(length),
        "segments": segments.astype(np.float32),
        "labels": np.full(len(actions), LABEL, np.int32),
        "start_target": start,
        "end_target": end,
        "consistency_index": consistency.index,
        "consistency_segments": consistency.segments.astype(np.float32),
        "consistency_mask": np.bool_(True),
    }
    return {name: np.asarray(value)[None] for name, value in clip.items()}
