"""Generates untrimmed videos whose actions differ in their motion only.

Two textured shapes, the actors, are always visible. They share three quantities: their height in
the picture, their place from left to right, and their size. An action is a series of strokes of one
quantity. A stroke is a slow ramp and a quick return, and the direction of the ramp is the class, so
each class is another class played backwards and shows the same frames. Between actions the same
quantities rest, drift or swing evenly, through the same range. So no single frame distinguishes one
class from another, or an action from background.
"""

import dataclasses
import hashlib
import math
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from tqdm import tqdm

from afsd_jax.data.decode.resize import resize
from afsd_jax.errors import UserError
from afsd_jax.io import files
from afsd_jax.io.activitynet_json import write_ground_truth
from afsd_jax.runtime.child_processes import worker_pool
from afsd_jax.types import Action, AnnotatedVideo

QUANTITIES = ("height", "side", "size")
# For each class the quantity its strokes move and the direction of their slow part.
CLASSES = {
    "rise": ("height", 1),
    "fall": ("height", -1),
    "go right": ("side", 1),
    "go left": ("side", -1),
    "grow": ("size", 1),
    "shrink": ("size", -1),
}
SLOW_SHARE = 0.8  # part of a stroke's period that its slow ramp takes
PERIOD_S = (0.7, 1.1)
STROKES = (3, 6)
# Range of a quantity and amplitude of its strokes, as fractions of the picture's height.
RANGES = {"height": (0.22, 0.78), "side": (-0.32, 0.32), "size": (0.09, 0.34)}
AMPLITUDES = {"height": (0.30, 0.44), "side": (0.36, 0.50), "size": (0.16, 0.21)}
ACTORS_APART = 0.7  # distance of the actors, as a fraction of the picture's height
_MARGIN = 4  # pixels of the scene outside the picture, for the camera's jitter


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything that determines a synthetic data set, to the last bit of every file.

    `digest` hashes its `repr`: renaming the class or a field would change every data set's digest.
    """

    train_videos: int = 192
    test_videos: int = 32
    seed: int = 0
    height: int = 96
    width: int = 128
    fps: int = 20
    min_duration_s: float = 20.0
    max_duration_s: float = 40.0
    gap_s: tuple[float, float] = (1.5, 5.0)  # background between actions
    restless: float = 0.25  # fraction of background, per quantity, that drifts or swings
    clutter: int = 2  # small shapes moving on their own
    noise: float = 4.0  # standard deviation of the camera's noise, grey levels
    jitter: int = 1  # largest shift of the camera, pixels

    def digest(self) -> str:
        """Returns a fingerprint of these settings and of the motion of the classes."""
        motion = (CLASSES, SLOW_SHARE, PERIOD_S, STROKES, RANGES, AMPLITUDES, ACTORS_APART)
        return hashlib.sha256(repr((self, motion)).encode()).hexdigest()[:16]


def synthesize(
    folder: str | os.PathLike[str], settings: Settings | None = None, workers: int = 0
) -> Path:
    """Writes the videos and their ground truth, unless they exist.

    `folder` then holds videos/train/*.mp4, videos/test/*.mp4 and, written last,
    ground_truth.json in ActivityNet's format with the subsets train and test.

    Args:
      folder: folder to write to.
      settings: settings of the data set; None uses the defaults.
      workers: number of processes; 0 uses one per core.

    Returns:
      The path of ground_truth.json.

    Raises:
      UserError: the folder holds a data set with other settings, or cannot be written.
    """
    settings = settings or Settings()
    folder = Path(folder)
    truth = folder / "ground_truth.json"
    version = f"synthetic {settings.digest()}"
    if truth.exists():
        if files.read_json(truth).get("version") != version:
            raise UserError(
                f"{truth}: made with other settings; delete {folder} or choose another folder"
            )
        return truth
    jobs = [
        (folder / "videos" / subset / f"{subset}_{i:04d}.mp4", subset, i, settings)
        for subset, count in (("train", settings.train_videos), ("test", settings.test_videos))
        for i in range(count)
    ]
    with worker_pool(workers or os.cpu_count() or 1) as pool:
        entries = list(
            tqdm(pool.map(_write_video, jobs), total=len(jobs), desc="videos", unit="video")
        )
    videos = {path.stem: entry for (path, *_), entry in zip(jobs, entries, strict=True)}
    write_ground_truth(truth, videos, version)
    return truth


def _write_video(job: tuple[Path, str, int, Settings]) -> AnnotatedVideo:
    """Writes one video and returns its annotations."""
    path, subset, index, settings = job
    rng = np.random.default_rng([settings.seed, ("train", "test").index(subset), index])
    count = round(rng.uniform(settings.min_duration_s, settings.max_duration_s) * settings.fps)
    actions = script(rng, count / settings.fps, settings.gap_s)
    scene = Scene(rng, settings)
    states = {q: trajectory(rng, q, count, actions, settings) for q in QUANTITIES}
    if not path.exists():
        with files.atomic_write(path) as temporary:
            encode_video(temporary, scene.render(rng, states, count), settings)
    return AnnotatedVideo(subset, count / settings.fps, tuple(actions))


def script(rng: np.random.Generator, duration_s: float, gap_s: tuple[float, float]) -> list[Action]:
    """Draws the actions of a video at random, with background of `gap_s` seconds between them."""
    actions: list[Action] = []
    bag: list[str] = []
    start_s = rng.uniform(*gap_s)
    while True:
        # Classes are drawn from a shuffled bag, so they are about equally frequent.
        bag = bag or list(rng.permutation(list(CLASSES)))
        end_s = start_s + rng.uniform(*STROKES) * rng.uniform(*PERIOD_S)
        if end_s + gap_s[0] > duration_s:
            return actions
        actions.append(Action(str(bag.pop()), round(start_s, 2), round(end_s, 2)))
        start_s = end_s + rng.uniform(*gap_s)


def wave(phase: np.ndarray, slow_share: float) -> np.ndarray:
    """Returns a periodic ramp in [0, 1]: up during `slow_share` of the period, then down.

    With 1 - slow_share it runs backwards: wave(x, s) == wave(-x, 1 - s). One half gives an even
    swing, the same in both directions.
    """
    phase = np.mod(phase, 1.0)
    return np.where(phase < slow_share, phase / slow_share, (1 - phase) / (1 - slow_share))


def trajectory(
    rng: np.random.Generator, quantity: str, count: int, actions: list[Action], settings: Settings
) -> np.ndarray:
    """Draws the course of a quantity: strokes in its own actions, other motion outside them.

    Returns:
      float64 [count], continuous in time, within the quantity's range.
    """
    fps = settings.fps
    values = np.empty(count)
    own = [a for a in actions if CLASSES[a.label][0] == quantity]
    spans = [(round(a.start_s * fps), round(a.end_s * fps), CLASSES[a.label][1]) for a in own]
    now = rng.uniform(*RANGES[quantity])
    position = 0
    for start, end, direction in [*spans, (count, count, 0)]:
        while position < start:
            # A piece of background is cut at the action, so that no rest announces the action.
            length = round(rng.uniform(0.8, 4.0) * fps)
            stop = min(position + length, start)
            course = _background(rng, quantity, now, length, settings)
            values[position:stop] = course[: stop - position]
            position, now = stop, values[stop - 1]
        if direction:
            share = SLOW_SHARE if direction > 0 else 1 - SLOW_SHARE
            values[start:end] = _swing(rng, quantity, now, end - start, fps, share)
            position, now = end, values[end - 1]
    return values


def _background(
    rng: np.random.Generator, quantity: str, now: float, length: int, settings: Settings
) -> np.ndarray:
    """Returns [length] values from `now` that rest, drift smoothly to another value, or swing."""
    if rng.random() >= settings.restless:
        return np.full(length, now)
    if rng.random() < 0.5:
        return _swing(rng, quantity, now, length, settings.fps, 0.5)
    x = np.arange(1, length + 1) / length
    return now + (rng.uniform(*RANGES[quantity]) - now) * x * x * (3 - 2 * x)


def _swing(
    rng: np.random.Generator, quantity: str, now: float, length: int, fps: float, share: float
) -> np.ndarray:
    """Returns [length] values of repeated strokes, see `wave`, in a range that includes `now`."""
    low, high = RANGES[quantity]
    amplitude = rng.uniform(*AMPLITUDES[quantity])
    bottom = rng.uniform(max(low, now - amplitude), min(high - amplitude, now))
    level = np.clip((now - bottom) / amplitude, 0, 1)
    # The wave has the value `level` twice per period, going up and going down: start at either.
    phase = level * share if rng.random() < share else 1 - level * (1 - share)
    steps = np.arange(1, length + 1) / (fps * rng.uniform(*PERIOD_S))
    return bottom + amplitude * wave(phase + steps, share)


class Scene:
    """The appearance of a video: its textured background, its actors and its clutter."""

    def __init__(self, rng: np.random.Generator, settings: Settings):
        """Draws the appearance at random."""
        self.settings = settings
        shape = (settings.height + 2 * _MARGIN, settings.width + 2 * _MARGIN)
        coarse = rng.integers(20, 120, (2, *rng.integers(3, 12, 2), 3), dtype=np.uint8)
        self.background = np.mean([resize(image, shape) for image in coarse], axis=0)
        self.centre = rng.uniform(0.45, 0.55) * settings.width
        self.actors = [Shape(rng) for _ in range(2)]
        self.clutter = [Shape(rng) for _ in range(settings.clutter)]

    def render(
        self, rng: np.random.Generator, states: dict[str, np.ndarray], count: int
    ) -> Iterator[np.ndarray]:
        """Yields `count` frames, uint8 [height, width, 3].

        Args:
          rng: random generator of clutter, noise and jitter.
          states: [count] values of each quantity, as fractions of the picture's height.
          count: number of frames.
        """
        settings, height = self.settings, self.settings.height
        paths = [self._wander(rng, count) for _ in self.clutter]
        sizes = rng.uniform(0.03, 0.08, len(self.clutter)) * height
        shifts = rng.integers(-settings.jitter, settings.jitter + 1, (count, 2)) + _MARGIN
        # Noise is cut from one tile at a random place per frame, many times faster than new noise.
        tile = rng.normal(0, settings.noise, (2 * height, 2 * settings.width, 3))
        tile = tile.astype(np.float32)
        corners = rng.integers(0, [height, settings.width], (count, 2))
        for i in range(count):
            canvas = self.background.astype(np.float32)
            for shape, path, size in zip(self.clutter, paths, sizes, strict=True):
                shape.draw(canvas, path[i, 0], path[i, 1], size)
            self._draw_actors(canvas, {name: values[i] for name, values in states.items()})
            (top, left), (y, x) = shifts[i], corners[i]
            picture = canvas[top : top + height, left : left + settings.width]
            picture = picture + tile[y : y + height, x : x + settings.width]
            yield np.clip(picture, 0, 255).astype(np.uint8)

    def _draw_actors(self, canvas: np.ndarray, state: dict[str, float]) -> None:
        """Draws both actors beside each other; a larger height is further up in the picture."""
        height = self.settings.height
        y = (1 - state["height"]) * height + _MARGIN
        for apart, actor in zip((-ACTORS_APART / 2, ACTORS_APART / 2), self.actors, strict=True):
            x = self.centre + (state["side"] + apart) * height + _MARGIN
            actor.draw(canvas, y, x, state["size"] * height)

    def _wander(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Returns a smooth random path in the picture: float64 [count, 2], (y, x) in pixels."""
        times = np.arange(count)[:, None] / self.settings.fps
        speeds = rng.uniform(0.3, 2.5, (3, 2))
        phases = rng.uniform(0, 2 * math.pi, (3, 2))
        waves = [np.sin(s * times + p) for s, p in zip(speeds, phases, strict=True)]
        return (0.5 + np.mean(waves, 0) * 0.6) * [self.settings.height, self.settings.width]


class Shape:
    """A textured disc, diamond or rounded square."""

    def __init__(self, rng: np.random.Generator):
        """Draws form and texture at random."""
        self.power = float(rng.choice([1.0, 2.0, 5.0]))
        base = rng.integers(130, 226, 3)
        grain = rng.integers(-60, 61, (rng.integers(2, 5), rng.integers(2, 5), 3))
        cells = np.clip(base + grain, 0, 255).astype(np.uint8)
        self.texture = resize(cells, (32, 32)).astype(np.float32)

    def draw(self, canvas: np.ndarray, y: float, x: float, radius: float) -> None:
        """Draws onto a float32 [H, W, 3] canvas, centre (y, x) and radius in pixels, in place."""
        reach = radius + 1
        top, bottom = max(math.floor(y - reach), 0), min(math.ceil(y + reach), len(canvas))
        left, right = max(math.floor(x - reach), 0), min(math.ceil(x + reach), canvas.shape[1])
        if top >= bottom or left >= right:
            return
        v = (np.arange(top, bottom, dtype=np.float32) - y) / radius
        u = (np.arange(left, right, dtype=np.float32) - x) / radius
        far = (np.abs(v) ** self.power)[:, None] + np.abs(u) ** self.power
        # Near the edge, where `far` is 1, its root is almost linear.
        edge = np.clip((1 - far) * (radius / self.power) + 0.5, 0, 1)[..., None]
        rows = np.clip((v + 1) * 16, 0, 31).astype(np.intp)
        columns = np.clip((u + 1) * 16, 0, 31).astype(np.intp)
        patch = canvas[top:bottom, left:right]
        patch += edge * (self.texture[rows[:, None], columns] - patch)


def encode_video(path: Path, frames: Iterator[np.ndarray], settings: Settings) -> None:
    """Writes frames as H.264 in mp4."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(settings.fps))
        stream.height, stream.width, stream.pix_fmt = settings.height, settings.width, "yuv420p"
        # One thread, since with more the file would depend on the number of cores.
        stream.options = {"preset": "ultrafast", "crf": "23", "threads": "1"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
