"""Detection with the context of the whole video equals a slow computation in memory."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afsd_jax.data.clips.geometry import centre_crop, window_offsets
from afsd_jax.detection.detector import Detector
from afsd_jax.detection.online import detect_online
from afsd_jax.detection.postprocess import candidates_of_window
from afsd_jax.errors import UserError
from afsd_jax.inputs.arrays import open_sampled
from afsd_jax.inputs.video import VideoSource
from afsd_jax.models import parameters
from afsd_jax.types import Detection
from afsd_jax.weights.checkpoint import Checkpoint
from tests import small_run

FPS = 10.0
LENGTHS = [1, 40, 67, 64, 201]  # frames
SIZE = 38


def detector_of(backend: str, streams: int = 1, **model: object) -> Detector:
    checkpoints = []
    for seed in range(streams):
        config = small_run.small_config().unlock()
        config.inference.update({"window_stride": 30, "score_threshold": 0.03})
        config.model.update({"trunk_context": "video", **model})
        if seed:
            config.data.stream, config.model.in_channels = "flow", 2
        weights = parameters.flatten(parameters.build_network(config, seed))
        names = [f"class {number}" for number in range(20)]
        checkpoints.append(Checkpoint(0, config, names, weights))
    return Detector(checkpoints, backend)


@pytest.fixture(scope="module", params=["xla", "openvino"])
def detector(request) -> Detector:
    return detector_of(request.param)


def frames_of(num_frames: int, channels: int = 3) -> np.ndarray:
    """Frames in motion."""
    t, y, x, c = np.mgrid[:num_frames, :SIZE, :SIZE, :channels]
    return (128 + 100 * np.sin((x + y * (c - 1) + 3 * t) / 9)).astype(np.uint8)


def whole_video_at_once(detector: Detector, streams: list[np.ndarray]) -> list[Detection]:
    """Detects with the network's own trunk on all frames at once."""
    data, num_frames = detector.config.data, len(streams[0])
    total = max(-(-num_frames // 8) * 8, data.clip_length)
    first = centre_crop(SIZE, data.crop_size)
    cut = slice(first, first + data.crop_size)
    cells = []
    for config, weights, frames in zip(detector.configs, detector.weights, streams, strict=True):
        network = parameters.replace(parameters.abstract_network(config), weights)
        clip = np.zeros((1, total, data.crop_size, data.crop_size, frames.shape[-1]), np.float32)
        clip[0, :num_frames] = frames[:, cut, cut] / 255 * 2 - 1
        cells.append(jax.jit(network.features)(jnp.asarray(clip)))
    candidates = []
    for offset in sorted({x // 8 * 8 for x in window_offsets(total, data.clip_length, 30)}):
        features = [
            [
                x[:, offset * x.shape[1] // total :][:, : data.clip_length * x.shape[1] // total]
                for x in of_stream
            ]
            for of_stream in cells
        ]
        segments, scores = detector._forward(detector.weights, features, [data.clip_length])
        candidates.append(candidates_of_window(offset, segments[0], scores[0], FPS, -1.0))
    return detector.postprocessing.detections(candidates, num_frames / FPS)


def assert_near(found: list[Detection], expected: list[Detection]) -> None:
    assert abs(len(found) - len(expected)) <= 0.03 * len(expected)
    assert len(expected) > 20
    for ours, theirs in zip(found[:10], expected[:10], strict=True):
        assert ours.score == pytest.approx(theirs.score, rel=1e-3)
        assert ours.start_s == pytest.approx(theirs.start_s, abs=0.02)
        assert ours.end_s == pytest.approx(theirs.end_s, abs=0.02)


@pytest.mark.parametrize("num_frames", LENGTHS)
def test_windows_are_slices_of_the_whole_video(detector, num_frames):
    frames = frames_of(num_frames)
    found = list(detector.detect_frames([frames], FPS, num_frames / FPS))
    assert_near(found, whole_video_at_once(detector, [frames]))


def test_two_streams_with_cells_of_different_lengths_share_windows():
    detector = detector_of("openvino", streams=2)
    flow = detector.configs[1].model
    assert tuple(flow.pyramid_inputs) == tuple(detector.config.model.pyramid_inputs)
    streams = [frames_of(130), frames_of(130, channels=2)]
    found = list(detector.detect_frames(streams, FPS, 13.0))
    assert_near(found, whole_video_at_once(detector, streams))


def test_a_live_video_gives_what_a_file_gives(detector):
    for num_frames in (40, 201):
        frames = frames_of(num_frames)
        arguments = [frames], FPS, num_frames / FPS, detector.configs
        source = VideoSource("video", functools.partial(open_sampled, *arguments))
        found: list[Detection] = []
        result = detect_online(detector, source, found.append)
        assert result.error is None
        expected = detector.detect_frames([frames], FPS, num_frames / FPS)
        assert {(d.label, round(d.start_s, 3)) for d in found} == {
            (d.label, round(d.start_s, 3)) for d in expected
        }


def test_videos_share_batches_and_a_damaged_one_costs_no_other(detector):
    def open_video(num_frames: int):
        video = open_sampled([frames_of(num_frames)], FPS, num_frames / FPS, detector.configs)
        if num_frames == 67:
            return video._replace(frames=itertools.islice(video.frames, 30))
        return video

    sources = [VideoSource(str(n), functools.partial(open_video, n)) for n in LENGTHS]
    results = list(detector.detect_sources(sources))
    assert [result.name for result in results] == [str(n) for n in LENGTHS]
    for num_frames, result in zip(LENGTHS, results, strict=True):
        if num_frames == 67:
            assert "but it has only 30" in str(result.error)
        else:
            alone = detector.detect_frames([frames_of(num_frames)], FPS, num_frames / FPS)
            assert result.detections == list(alone)


def test_a_video_as_long_as_a_window_is_the_same_in_both_ways(detector):
    frames = frames_of(64)
    clip_wise = detector_of(detector.backend, trunk_context="clip")
    expected = list(clip_wise.detect_frames([frames], FPS, 6.4))
    assert_near(list(detector.detect_frames([frames], FPS, 6.4)), expected)


def test_networks_with_different_contexts_are_not_fused():
    one, other = detector_of("xla"), detector_of("xla", trunk_context="clip")
    streams = [
        checkpoint._replace(weights=weights)
        for d in (one, other)
        for checkpoint, weights in zip(d.checkpoints, d.weights, strict=True)
    ]
    with pytest.raises(UserError, match=r"differ in config.model.trunk_context"):
        Detector(streams)
