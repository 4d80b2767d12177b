"""Dense recognition: exact logits, smoothing, segments of likely runs, scores of whole videos."""

import itertools
import tracemalloc

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from afsd_jax.detection.recognizer import Recognizer, probabilities, segments, video_scores
from afsd_jax.models import parameters
from afsd_jax.weights import kinetics
from tests.real_videos import TOP_5, frames_of

SIZE = 32
NAMES = ["a", "b", "c"]


@pytest.fixture(scope="module", params=["xla", "openvino"])
def recognizer(request) -> Recognizer:
    return Recognizer(SIZE, request.param)


def noise(num_frames: int) -> np.ndarray:
    rng = np.random.default_rng(num_frames)
    return rng.integers(0, 256, (num_frames, SIZE, SIZE, 3), dtype=np.uint8)


def whole(frames: np.ndarray) -> np.ndarray:
    """Logits of the unchanged trunk, with its norms, on all frames at once."""
    weights = kinetics.load()
    network = parameters.abstract_network(weights.config)
    rest = {name: jnp.zeros(()) for name in parameters.flatten(network)}
    trunk = parameters.replace(network, rest | weights.parameters).trunk
    clip = frames[None].astype(np.float32) / 255 * 2 - 1
    cells = np.asarray(nnx.jit(lambda trunk, x: trunk(x)["Mixed_5c"])(trunk, clip)[0])
    kernel, bias, _ = kinetics.classifier()
    return cells.mean((1, 2)) @ kernel + bias


@pytest.mark.parametrize("num_frames", [3, 203])
def test_logits_are_those_of_the_trunk_on_the_whole_video(recognizer, num_frames):
    frames = noise(num_frames)
    padded = np.concatenate([frames, np.repeat(frames[-1:], -num_frames % 8, axis=0)])
    expected = whole(padded)
    found = recognizer.logits(iter(frames), num_frames)
    assert found.shape == (-(-num_frames // 8), 400)
    assert np.abs(found - expected).max() <= 1e-3 * expected.std()


def test_real_frames_give_what_the_usual_head_gives():
    recognizer = Recognizer()
    cells = recognizer.logits(frames_of("bikes.mp4"), 32)
    logits = ((cells[1:] + cells[:-1]) / 2).mean(0)
    top = TOP_5["bikes.mp4"]
    of_class = dict(zip(recognizer.class_names, logits.tolist(), strict=True))
    assert {name: of_class[name] for name in top} == pytest.approx(top, abs=0.05)


def test_frames_are_not_held(recognizer):
    def peak(num_frames: int) -> int:
        repeated = itertools.repeat(noise(1)[0], num_frames)
        tracemalloc.start()
        recognizer.logits((frame + np.uint8(1) for frame in repeated), num_frames)
        bytes_held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return bytes_held

    peak(1000)  # builds what later videos use
    # What is left to grow are logits: 400 floats for 8 frames, twice while they are put together.
    growth = peak(2800) - peak(1000)
    assert growth < 1800 / 8 * 400 * 4 * 3
    assert growth < 1800 * SIZE * SIZE * 3 / 4


def test_a_clip_of_64_frames_is_averaged_around_each_time_step():
    logits = np.zeros((40, 3), np.float32)
    logits[20, 1] = 80
    found = np.log(probabilities(logits, 8 / 25))
    raised = found[:, 1] - found[:, 0]
    # Eight pairs of cells see a time step: the outermost of its nine cells count half.
    np.testing.assert_allclose(raised[16:25], [5, *[10] * 7, 5], atol=1e-4)
    np.testing.assert_allclose(np.delete(raised, slice(16, 25)), 0, atol=1e-4)


@pytest.mark.parametrize("steps", [1, 2, 5, 8, 30])
def test_clips_stay_within_the_video(steps):
    logits = np.random.default_rng(0).normal(size=(steps, 3)).astype(np.float32)
    found = probabilities(logits, 8 / 25)
    assert found.shape == (steps, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert all((step == found[0]).all() for step in found[:4])
    constant = probabilities(np.ones((steps, 1)) * [0.0, 1.0, 2.0], 8 / 25)
    expected = np.exp([0.0, 1, 2]) / np.exp([0.0, 1, 2]).sum()
    np.testing.assert_allclose(constant, np.broadcast_to(expected, constant.shape), 1e-5)


def test_runs_of_a_likely_class_become_segments_that_score_their_mean():
    likely = np.zeros((10, 3))
    likely[1:4, 0] = 0.5, 0.9, 0.7
    likely[6:, 0] = 0.3
    likely[8:, 2] = 0.65
    found = segments(likely, NAMES, 0.32, 3.1, threshold=0.3)
    assert [(d.label, round(d.start_s, 6), round(d.end_s, 6)) for d in found] == [
        ("a", 0.32, 1.28),
        ("c", 2.56, 3.1),
    ]
    assert [d.score for d in found] == pytest.approx([0.7, 0.65])
    low = segments(likely, NAMES, 0.32, 3.1, threshold=0.1)
    assert [d.label for d in low] == ["a", "c", "a"]
    # The weaker run overlaps with that of another class: soft-NMS lowers its score.
    overlap = (3.1 - 2.56) / (3.1 - 1.92)
    assert low[2].score == pytest.approx(0.3 * np.exp(-(overlap**2) / 0.5))


def test_nothing_likely_is_no_segment():
    assert segments(np.full((5, 3), 0.1), NAMES, 0.32, 1.6, 0.2) == []


def test_a_video_scores_the_mean_of_each_class_in_its_best_eighth():
    likely = np.zeros((20, 2))
    likely[[3, 9, 15], 0] = 0.9, 0.6, 0.3
    likely[:, 1] = 0.5
    np.testing.assert_allclose(video_scores(likely), [0.6, 0.5])
    np.testing.assert_allclose(video_scores(likely[:1]), [0, 0.5])
