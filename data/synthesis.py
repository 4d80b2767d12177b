"""Makes untrimmed videos whose actions are told apart by motion alone.

Two textured shapes, the actors, move through the picture along three axes: upright, level and
slanted. What leaves the picture at one side comes in again at the other. An action is motion in
one direction along an axis, and the direction is the class, so each class is another one played
backwards and shows the same frames. Between actions the actors rest or swing back and forth along
the same axes, as fast. Where the actors are tells neither classes nor actions from background.
"""

import dataclasses
import hashlib
import math
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path

import av
import numpy as np
from tqdm import tqdm

from afsd_jax import files
from afsd_jax.data.video import resize
from afsd_jax.errors import UserError

# Each axis as (right, up), per unit of motion along it.
AXES = {"upright": (0.0, 1.0), "level": (1.0, 0.0), "slanted": (0.7, 0.7)}
# For each class its axis and its direction.
CLASSES = {
    "rise": ("upright", 1),
    "fall": ("upright", -1),
    "go right": ("level", 1),
    "go left": ("level", -1),
    "climb": ("slanted", 1),
    "slide": ("slanted", -1),
}
ACTION_S = (1.5, 5.0)
SPEED = (0.16, 0.3)  # picture heights per second
SWING_S = (0.25, 0.5)  # before a swing turns back
ACTOR_RADIUS = (0.12, 0.22)  # picture heights
_MARGIN = 4  # pixels of the scene outside the picture, for the camera's jitter


@dataclasses.dataclass(frozen=True)
class Settings:
    """What determines a synthetic data set, to the last bit of every file."""

    train_videos: int = 192
    test_videos: int = 32
    seed: int = 0
    height: int = 96
    width: int = 128
    fps: int = 20
    min_duration_s: float = 20.0
    max_duration_s: float = 40.0
    gap_s: tuple[float, float] = (1.5, 5.0)  # of background between actions
    restless: float = 0.3  # share of background, per axis, in which the actors swing
    clutter: int = 2  # small shapes moving on their own
    noise: float = 4.0  # standard deviation of the camera's, grey levels
    jitter: int = 1  # of the camera, pixels

    def digest(self) -> str:
        """Returns a short name for these settings and for how classes move."""
        motion = (AXES, CLASSES, ACTION_S, SPEED, SWING_S, ACTOR_RADIUS)
        return hashlib.sha256(repr((self, motion)).encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class Action:
    """One action, in seconds."""

    label: str
    start_s: float
    end_s: float


def synthesize(
    folder: str | os.PathLike[str], settings: Settings | None = None, workers: int = 0
) -> Path:
    """Writes the videos and their ground truth, unless they are already there.

    `folder` then holds videos/train/*.mp4, videos/test/*.mp4 and, written last,
    ground_truth.json in ActivityNet's format with the subsets train and test.

    Args:
      folder: to write to.
      settings: of the data set.
      workers: processes; 0 is one for every core.

    Returns:
      The path of ground_truth.json.

    Raises:
      UserError: the folder holds a data set of other settings, or cannot be written.
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
    # Fresh processes: forking one that runs TensorFlow or JAX can hang.
    with ProcessPoolExecutor(workers or os.cpu_count(), get_context("spawn")) as pool:
        entries = list(
            tqdm(pool.map(_write_video, jobs), total=len(jobs), desc="videos", unit="video")
        )
    database = {path.stem: entry for (path, *_), entry in zip(jobs, entries, strict=True)}
    files.write_json(truth, {"version": version, "database": database})
    return truth


def _write_video(job: tuple[Path, str, int, Settings]) -> dict[str, object]:
    """Writes one video and returns its entry in the ground truth."""
    path, subset, index, settings = job
    rng = np.random.default_rng([settings.seed, ("train", "test").index(subset), index])
    count = round(rng.uniform(settings.min_duration_s, settings.max_duration_s) * settings.fps)
    actions = script(rng, count / settings.fps, settings.gap_s)
    scene = Scene(rng, settings)
    travels = {axis: travel(rng, axis, count, actions, settings) for axis in AXES}
    if not path.exists():
        with files.atomic_write(path) as temporary:
            encode_video(temporary, scene.render(rng, travels, count), settings)
    return {
        "subset": subset,
        "duration": count / settings.fps,
        "annotations": [
            {"segment": [action.start_s, action.end_s], "label": action.label} for action in actions
        ],
    }


def script(rng: np.random.Generator, duration_s: float, gap_s: tuple[float, float]) -> list[Action]:
    """Draws the actions of a video; between any two lies background of `gap_s` seconds."""
    actions: list[Action] = []
    bag: list[str] = []
    start_s = rng.uniform(*gap_s)
    while True:
        # Classes come from a shuffled bag, so that all are about equally frequent.
        bag = bag or list(rng.permutation(list(CLASSES)))
        end_s = start_s + rng.uniform(*ACTION_S)
        if end_s + gap_s[0] > duration_s:
            return actions
        actions.append(Action(str(bag.pop()), round(start_s, 2), round(end_s, 2)))
        start_s = end_s + rng.uniform(*gap_s)


def travel(
    rng: np.random.Generator,
    axis: str,
    count: int,
    actions: list[Action],
    settings: Settings,
) -> np.ndarray:
    """Draws how far the actors have come along an axis.

    Returns:
      float64 [count], picture heights: in the axis's own actions growing or shrinking evenly,
      outside of them at rest or swinging.
    """
    fps = settings.fps
    velocity = np.zeros(count)
    position = 0
    while position < count:
        # The background is cut where it must be, so no rest announces an action.
        stop = position + round(rng.uniform(0.8, 4.0) * fps)
        if rng.random() < settings.restless:
            half = round(rng.uniform(*SWING_S) * fps)
            turns = (np.arange(count) + rng.integers(2 * half)) // half
            swing = rng.uniform(*SPEED) * (1 - 2 * (turns % 2))
            velocity[position:stop] = swing[: len(velocity[position:stop])]
        position = stop
    for action in actions:
        own, direction = CLASSES[action.label]
        if own == axis:
            start, end = round(action.start_s * fps), round(action.end_s * fps)
            velocity[start:end] = direction * rng.uniform(*SPEED)
    return rng.uniform(0, 10) + np.cumsum(velocity) / fps


def places(
    travels: dict[str, np.ndarray], radius: float, picture: tuple[float, float]
) -> np.ndarray:
    """Returns where both actors are, half a picture apart: float64 [count, 2, (right, up)].

    Args:
      travels: [count] how far they have come along each axis.
      radius: of an actor.
      picture: its width and height, in the same unit.

    Returns:
      From `radius` before the picture's edges to as far behind them, where they come round.
    """
    moved = np.stack([travels[axis] for axis in AXES], axis=1) @ np.array(list(AXES.values()))
    around = np.add(picture, 2 * radius)
    return np.mod(moved[:, None] + np.multiply([[0.0], [0.5]], around), around) - radius


class Scene:
    """How a video looks: its textured background, its actors and its clutter."""

    def __init__(self, rng: np.random.Generator, settings: Settings):
        """Draws the appearance."""
        self.settings = settings
        shape = (settings.height + 2 * _MARGIN, settings.width + 2 * _MARGIN)
        coarse = rng.integers(20, 120, (2, *rng.integers(3, 12, 2), 3), dtype=np.uint8)
        self.background = np.mean([resize(image, shape) for image in coarse], axis=0)
        self.actors = [Shape(rng) for _ in range(2)]
        self.radius = rng.uniform(*ACTOR_RADIUS)
        self.clutter = [Shape(rng) for _ in range(settings.clutter)]

    def render(
        self, rng: np.random.Generator, travels: dict[str, np.ndarray], count: int
    ) -> Iterator[np.ndarray]:
        """Yields `count` frames, uint8 [height, width, 3].

        Args:
          rng: of clutter, noise and jitter.
          travels: [count] how far the actors have come along each axis, picture heights.
          count: frames.
        """
        settings, height = self.settings, self.settings.height
        stage = places(travels, self.radius, (settings.width / height, 1.0)) * height
        paths = [self._wander(rng, count) for _ in self.clutter]
        sizes = rng.uniform(0.03, 0.08, len(self.clutter)) * height
        shifts = rng.integers(-settings.jitter, settings.jitter + 1, (count, 2)) + _MARGIN
        # Noise comes from a tile at a new place each frame, which is many times faster.
        tile = rng.normal(0, settings.noise, (2 * height, 2 * settings.width, 3))
        tile = tile.astype(np.float32)
        corners = rng.integers(0, [height, settings.width], (count, 2))
        for i in range(count):
            canvas = self.background.astype(np.float32)
            for shape, path, size in zip(self.clutter, paths, sizes, strict=True):
                shape.draw(canvas, path[i, 0], path[i, 1], size)
            for actor, (right, up) in zip(self.actors, stage[i], strict=True):
                y, x = height - up + _MARGIN, right + _MARGIN
                actor.draw(canvas, y, x, self.radius * height)
            (top, left), (y, x) = shifts[i], corners[i]
            picture = canvas[top : top + height, left : left + settings.width]
            picture = picture + tile[y : y + height, x : x + settings.width]
            yield np.clip(picture, 0, 255).astype(np.uint8)

    def _wander(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """A smooth random path through the picture: float64 [count, 2], (y, x) in pixels."""
        times = np.arange(count)[:, None] / self.settings.fps
        speeds = rng.uniform(0.3, 2.5, (3, 2))
        phases = rng.uniform(0, 2 * math.pi, (3, 2))
        waves = [np.sin(s * times + p) for s, p in zip(speeds, phases, strict=True)]
        return (0.5 + np.mean(waves, 0) * 0.6) * [self.settings.height, self.settings.width]


class Shape:
    """A textured disc, diamond or rounded square."""

    def __init__(self, rng: np.random.Generator):
        """Draws form and texture."""
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
        # Near the edge, where far is 1, its root is as good as linear.
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
        # One thread: more would make the file depend on the number of cores.
        stream.options = {"preset": "ultrafast", "crf": "23", "threads": "1"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
