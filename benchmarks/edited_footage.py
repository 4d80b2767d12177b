"""Edits composed videos: what a detector loses shows what it had learnt from.

A composed video is a row of parts, each an action or background, with a cut where two meet.

- shuffled: the frames of each part in random order, so that no motion is left;
- still: each second of a part shows its first frame, so that only pictures are left;
- faded: neighbouring parts fade into each other for half a second, so that ends are no cuts;
- cut: in each part of more than a second, the view is closer from one third to two thirds, so that
  most cuts are no ends.
"""

import csv
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from tqdm import tqdm

from afsd_jax.data.decode.resize import resize

FADE_S, STILL_S, SHORTEST_S, CLOSER = 0.5, 1.0, 1.0, 0.8

Parts = list[tuple[int, int]]  # first frame, end
Edit = Callable[[np.ndarray, Parts, Fraction], np.ndarray]


def read_parts(path: Path) -> dict[str, Parts]:
    """Reads the parts of each video from a table with columns video, first_frame, end_frame."""
    parts: dict[str, Parts] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            parts.setdefault(row["video"], []).append(
                (int(row["first_frame"]), int(row["end_frame"]))
            )
    return parts


def shuffled(frames: np.ndarray, parts: Parts, fps: Fraction) -> np.ndarray:
    """Returns the frames, uint8 [T, H, W, 3], with those of each part in random order."""
    rng = np.random.default_rng(len(frames))
    order = [first + rng.permutation(end - first) for first, end in parts]
    return frames[np.concatenate(order)]


def still(frames: np.ndarray, parts: Parts, fps: Fraction) -> np.ndarray:
    """Returns the frames, uint8 [T, H, W, 3], with each second of a part as its first frame."""
    length = round(STILL_S * fps)
    index = [first + np.arange(end - first) // length * length for first, end in parts]
    return frames[np.concatenate(index)]


def faded(frames: np.ndarray, parts: Parts, fps: Fraction) -> np.ndarray:
    """Returns the frames, uint8 [T, H, W, 3], with neighbouring parts fading into each other.

    What a part shows beyond its end is played backwards from there.
    """
    result, half = frames.copy(), round(FADE_S * fps / 2)
    for border in (first for first, _ in parts[1:]):
        for i in range(-half, half):
            inside, beyond = frames[border + i], frames[border - 1 - i]
            later, earlier = (inside, beyond) if i >= 0 else (beyond, inside)
            share = (i + half + 0.5) / (2 * half)
            mixed = share * later.astype(np.float32) + (1 - share) * earlier
            result[border + i] = np.rint(mixed).astype(np.uint8)
    return result


def cut(frames: np.ndarray, parts: Parts, fps: Fraction) -> np.ndarray:
    """Returns the frames, uint8 [T, H, W, 3], with a closer view in the middle of each part."""
    result, (height, width) = frames.copy(), frames.shape[1:3]
    top, left = (round(side * (1 - CLOSER) / 2) for side in (height, width))
    for first, end in parts:
        if end - first <= SHORTEST_S * fps:
            continue
        third = (end - first) // 3
        for i in range(first + third, first + 2 * third):
            closer = frames[i, top : height - top, left : width - left]
            result[i] = resize(closer, (height, width))
    return result


EDITS: dict[str, Edit] = {"shuffled": shuffled, "still": still, "faded": faded, "cut": cut}


def edit_videos(source: Path, target: Path, names: list[str], parts: dict[str, Parts], edit: Edit):
    """Writes edited copies of videos, NAME.mp4, to a new folder."""
    target.mkdir(parents=True)
    for name in tqdm(names, desc=target.name, unit="video"):
        (path,) = source.glob(f"{name}.*")
        with av.open(str(path)) as container:
            fps = container.streams.video[0].average_rate
            frames = np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
        own = parts[name]
        borders = [0, *(end for _, end in own)]
        assert borders == [first for first, _ in own] + [len(frames)], name
        _write(target / f"{name}.mp4", edit(frames, own, fps), fps)


def _write(path: Path, frames: np.ndarray, fps: Fraction) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.options = "yuv420p", {"preset": "veryfast", "crf": "20"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
