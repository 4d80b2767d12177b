"""The classes of synthetic videos differ in motion only; files are the same on every machine."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest

from afsd_jax.data.builders import generator
from afsd_jax.data.decode import video_reader
from afsd_jax.errors import UserError
from afsd_jax.io import activitynet_json

TINY = generator.Settings(
    train_videos=2, test_videos=1, height=48, width=64, min_duration_s=20, max_duration_s=22
)
STILL = dataclasses.replace(TINY, clutter=0, noise=0.0, jitter=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("synthetic")
    generator.synthesize(path, TINY, workers=2)
    return path


def digests(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }


def course(label: str, phase: float, period: float, count: int) -> np.ndarray:
    """The strokes of one action, in frames."""
    _, direction = generator.CLASSES[label]
    share = generator.SLOW_SHARE if direction > 0 else 1 - generator.SLOW_SHARE
    return generator.wave(phase + np.arange(count) / period, share)


def test_there_are_six_classes_each_with_its_time_reversal():
    pairs = list(generator.CLASSES.values())
    assert len(set(pairs)) == len(pairs) >= 6
    assert all((quantity, -direction) in pairs for quantity, direction in pairs)


@pytest.mark.parametrize("label", generator.CLASSES)
def test_a_class_played_backwards_shows_the_frames_of_its_pair(label):
    quantity, direction = generator.CLASSES[label]
    pair = next(k for k, v in generator.CLASSES.items() if v == (quantity, -direction))
    count, phase, period = 40, 0.3, 16.7

    def render(values: np.ndarray) -> np.ndarray:
        scene = generator.Scene(np.random.default_rng(5), STILL)
        states = {q: np.full(count, np.mean(generator.RANGES[q])) for q in generator.QUANTITIES}
        low, high = generator.RANGES[quantity]
        states[quantity] = low + (high - low) * values
        return np.stack(list(scene.render(np.random.default_rng(6), states, count)))

    frames = render(course(label, phase, period, count))
    backwards = render(course(pair, -phase - (count - 1) / period, period, count))
    np.testing.assert_array_equal(frames[::-1], backwards)
    assert np.abs(np.diff(frames.astype(int), axis=0)).max() > 20, "nothing moves"
    forwards = render(course(pair, phase, period, count))
    assert np.abs(frames.astype(int) - forwards).mean() > 1, "the pair moves alike"


def test_a_stroke_rises_slowly_and_returns_quickly():
    steps = np.diff(course("rise", 0, 100, 1000))
    assert np.mean(steps > 0) == pytest.approx(generator.SLOW_SHARE, abs=0.02)
    even = generator.wave(np.arange(1000) / 100, 0.5)
    assert np.mean(np.diff(even) > 0) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("quantity", generator.QUANTITIES)
@pytest.mark.parametrize("seed", range(5))
def test_a_quantity_moves_without_a_jump_and_stays_in_its_range(quantity, seed):
    rng = np.random.default_rng(seed)
    actions = generator.script(rng, 60, (1.5, 5.0))
    values = generator.trajectory(rng, quantity, 1200, actions, TINY)
    low, high = generator.RANGES[quantity]
    assert low - 1e-9 <= values.min() <= values.max() <= high + 1e-9
    quick = max(generator.AMPLITUDES[quantity]) / (1 - generator.SLOW_SHARE)
    assert np.abs(np.diff(values)).max() <= quick / (min(generator.PERIOD_S) * TINY.fps) + 1e-9


def test_strokes_show_at_the_size_training_sees():
    at_64 = {quantity: 64 * amplitudes[0] for quantity, amplitudes in generator.AMPLITUDES.items()}
    assert at_64["height"] > 0.08 * 64
    assert at_64["side"] > 0.08 * 64
    assert 2 * at_64["size"] > 0.08 * 64, "a shape's size is its radius"


@pytest.mark.parametrize("seed", range(5))
def test_actions_follow_each_other_with_background_between(seed):
    actions = generator.script(np.random.default_rng(seed), 60, (1.5, 5.0))
    assert len(actions) >= 4
    edges = [0.0, *(t for action in actions for t in (action.start_s, action.end_s)), 60.0]
    assert np.all(np.diff(edges)[::2] >= 1.48)
    assert len({action.label for action in actions[:6]}) == len(actions[:6])


def test_the_files_are_real_videos_with_their_ground_truth(folder):
    truth = activitynet_json.read_ground_truth(folder / "ground_truth.json")
    paths = sorted((folder / "videos").rglob("*.mp4"))
    assert sorted(path.stem for path in paths) == sorted(truth)
    for path in paths:
        entry = truth[path.stem]
        assert path.parent.name == entry.subset
        decoded = video_reader.read_video(path, fps=10)
        assert decoded.duration_s == pytest.approx(entry.duration_s)
        assert 20 <= decoded.duration_s <= 22
        assert len(decoded.frames) == int(decoded.duration_s * 10)
        assert len(entry.actions) >= 1
        assert all(0 < a.start_s < a.end_s < entry.duration_s for a in entry.actions)
        assert np.abs(np.diff(decoded.frames.astype(int), axis=0)).max() > 40


def test_a_seed_gives_the_same_files_again_and_another_seed_others(folder, tmp_path):
    generator.synthesize(tmp_path / "again", TINY, workers=1)
    assert digests(tmp_path / "again") == digests(folder)
    other = dataclasses.replace(TINY, seed=1, train_videos=1, test_videos=0)
    generator.synthesize(tmp_path / "other", other, workers=1)
    assert not set(digests(tmp_path / "other").values()) & set(digests(folder).values())


def test_existing_videos_are_kept_and_other_settings_are_refused(folder):
    before = digests(folder)
    assert generator.synthesize(folder, TINY) == folder / "ground_truth.json"
    with pytest.raises(UserError, match="made with other settings"):
        generator.synthesize(folder, dataclasses.replace(TINY, noise=1.0))
    assert digests(folder) == before


def states_and_labels(seeds: range) -> tuple[np.ndarray, np.ndarray]:
    """What single frames show of the actors, [N, 3], and the class there, 0 for background."""
    states, labels = [], []
    for seed in seeds:
        rng = np.random.default_rng([1, seed])
        actions = generator.script(rng, 40, (1.5, 5.0))
        courses = [
            generator.trajectory(rng, quantity, 800, actions, TINY)
            for quantity in generator.QUANTITIES
        ]
        label = np.zeros(800, int)
        for action in actions:
            start, end = round(action.start_s * TINY.fps), round(action.end_s * TINY.fps)
            label[start:end] = 1 + list(generator.CLASSES).index(action.label)
        states.append(np.stack(courses, 1)[::16])
        labels.append(label[::16])
    widths = [high - low for low, high in generator.RANGES.values()]
    return np.concatenate(states) / widths, np.concatenate(labels)


def test_a_single_frame_tells_almost_nothing_about_the_class():
    """Its 60 nearest neighbours in other videos predict the class hardly better than chance."""
    known, known_labels = states_and_labels(range(80))
    states, labels = states_and_labels(range(1000, 1020))
    distances = ((states[:, None] - known) ** 2).sum(-1)
    near = known_labels[np.argpartition(distances, 60)[:, :60]]
    share = (near > 0).mean(1)
    action, background = share[labels > 0], share[labels == 0]
    # The probability that an action's frame looks more like an action than a background's does.
    order = np.mean(np.sign(action[:, None] - background)) / 2 + 0.5
    assert 0.44 < order < 0.58
    votes = np.stack([(near == label).sum(1) for label in range(1, 7)], 1)
    right = (votes.argmax(1) + 1 == labels)[labels > 0].mean()
    assert right < 0.25, "one in six is chance"
