"""Features of made-up videos, in the layout of ActionFormer, with two classes of actions."""

import json
from pathlib import Path

import numpy as np

FACTS = {"fps": 30, "feat_stride": 4, "num_frames": 16}
CLASSES = ("jump", "run")


def write_features(folder: Path, videos: int = 5, rows: int = 400, channels: int = 12) -> Path:
    """Writes features and labels.csv; rows within an action point into its class's direction."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(len(CLASSES), channels))
    (folder / "features").mkdir(parents=True)
    (folder / "features" / "features.json").write_text(json.dumps(FACTS))
    lines = ["video,label,start,end,subset"]
    for number in range(videos):
        x = rng.normal(scale=0.3, size=(rows, channels)).astype(np.float32)
        for first in range(10, rows - 40, 40):
            label, length = rng.integers(len(CLASSES)), rng.integers(12, 30)
            x[first : first + length] += directions[label]
            start, end = ((4 * row + 8 - 2) / 30 for row in (first, first + length))
            subset = "test" if number == videos - 1 else "train"
            lines.append(f"v{number},{CLASSES[label]},{start:.3f},{end:.3f},{subset}")
        np.save(folder / "features" / f"v{number}.npy", x)
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder
