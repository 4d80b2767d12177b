"""Windows are cut while frames are read; sharing batches between videos changes no result."""

import threading
import tracemalloc
from collections.abc import Iterator, Sequence

import jax
import numpy as np
import pytest

from afsd_jax.data.clips.geometry import centre_crop, cut_windows, window_offsets
from afsd_jax.detection import nms
from afsd_jax.detection.detector import Detector
from afsd_jax.detection.pipeline import VideoResult, detect_videos
from afsd_jax.detection.postprocess import candidates_of_window, detections_of_video
from afsd_jax.errors import UserError
from afsd_jax.inputs.arrays import open_sampled
from afsd_jax.inputs.video import OpenVideo, VideoSource
from afsd_jax.inputs.windows import cut
from afsd_jax.models import parameters
from afsd_jax.runtime.prefetch import prefetch
from afsd_jax.types import VideoLabel
from afsd_jax.weights.checkpoint import Checkpoint
from tests import small_run
from tests.video_files import write_video

FPS = 10.0
LENGTHS = {"one": 40, "four": 200, "two": 96, "three": 129}  # frames, by the number of windows


COMPILED: list[str] = []  # what XLA has compiled
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **_: COMPILED.append(event) if "backend_compile" in event else None
)


def frames_of(name: str) -> np.ndarray:
    """Frames in motion that differ from video to video."""
    t, y, x = np.mgrid[: LENGTHS[name], :38, :38]
    speed = 1 + list(LENGTHS).index(name)
    pixels = 128 + 100 * np.sin((x * speed + y + 3 * speed * t) / 9)
    return np.stack([pixels, pixels[::-1], 255 - pixels], -1).astype(np.uint8)


def detector_of(batch_size: int, one_window: bool = False, backend: str | None = None) -> Detector:
    config = small_run.small_config().unlock()
    config.inference.update({"batch_size": batch_size, "window_stride": 40})
    config.inference.update({"one_window": one_window, "score_threshold": 0.03})
    weights = parameters.flatten(parameters.build_network(config))
    names = [f"class {number}" for number in range(20)]
    return Detector([Checkpoint(0, config, names, weights)], backend)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return detector_of(1)


def source(name: str, detector: Detector) -> VideoSource:
    frames = frames_of(name)
    arguments = [frames], FPS, len(frames) / FPS, detector.configs, name
    return VideoSource(name, lambda: open_sampled(*arguments))


def whole_video_at_once(detector: Detector, frames: np.ndarray):
    """Detects with all frames, windows and outputs of a video in memory."""
    data = detector.config.data
    first = centre_crop(38, data.crop_size)
    cropped = frames[:, first : first + data.crop_size, first : first + data.crop_size]
    offsets = detector.window_offsets(len(frames))
    outputs = []
    for offset in offsets:
        clips, valid = cut_windows(cropped, [offset], data.clip_length)
        outputs.append(detector._forward(detector.weights, [clips], valid))
    candidates = [
        candidates_of_window(offset, segments[0], scores[0], FPS, threshold=-1.0)
        for offset, (segments, scores) in zip(offsets, outputs, strict=True)
    ]
    return detector.postprocessing.detections(candidates, len(frames) / FPS)


@pytest.mark.parametrize("name", LENGTHS)
def test_windows_one_by_one_give_exactly_what_all_in_memory_give(detector, name):
    frames = frames_of(name)
    expected = whole_video_at_once(detector, frames)
    assert len(expected) > 20
    assert detector.detect_frames([frames], FPS, len(frames) / FPS) == expected


def count_windows(detector: Detector) -> list[int]:
    """Returns a list that receives the number of windows of each forward pass."""
    forward, shapes = detector._forward, []

    class Counted:
        prepare = staticmethod(forward.prepare)

        def __call__(self, weights, clips, valid):
            shapes.append(clips[0].shape[0])
            return forward(weights, clips, valid)

    detector._forward = Counted()
    return shapes


def in_batches(detector: Detector, size: int, names: Sequence[str]) -> list[VideoResult]:
    """Detects in videos that share batches, as accelerators do."""
    sources = (source(name, detector) for name in names)
    runner = detector.batch_runner(size)
    windows = detector.open_windows(sources, detector.window_offsets, runner.size)
    return list(detect_videos(windows, runner, detector.postprocessing))


def test_videos_share_batches_of_one_shape_and_come_in_order(detector):
    shared = detector_of(4)
    shapes = count_windows(shared)
    found = in_batches(shared, 4, list(LENGTHS))
    assert [video.name for video in found] == list(LENGTHS)
    windows = sum(len(shared.window_offsets(length)) for length in LENGTHS.values())
    assert shapes == [4] * -(-windows // 4)
    for name, video in zip(LENGTHS, found, strict=True):
        alone = detector.detect_frames([frames_of(name)], FPS, LENGTHS[name] / FPS)
        assert abs(len(video.detections) - len(alone)) <= 0.02 * len(alone)
        for ours, theirs in zip(video.detections[:20], alone[:20], strict=True):
            assert ours.score == pytest.approx(theirs.score, rel=1e-4)


def test_fewer_windows_than_a_batch_are_filled_up():
    shared = detector_of(4)
    shapes = count_windows(shared)
    in_batches(shared, 4, ["one"])
    in_batches(shared, 4, ["two"])
    assert shapes == [4, 4]


@pytest.mark.parametrize("backend", ["xla", "openvino"])
def test_on_a_cpu_a_result_does_not_depend_on_the_other_videos(backend):
    """To the last bit, whatever batch the configuration states."""
    shared = detector_of(4, backend=backend)
    shapes = count_windows(shared)
    together = list(shared.detect_sources(source(name, shared) for name in LENGTHS))
    assert set(shapes) == {1}
    assert any(video.detections for video in together)
    for name, video in zip(LENGTHS, together, strict=True):
        (alone,) = shared.detect_sources([source(name, shared)])
        assert alone.detections == video.detections
    backwards = shared.detect_sources(source(name, shared) for name in reversed(LENGTHS))
    assert [v.detections for v in backwards] == [v.detections for v in reversed(together)]


def test_videos_of_any_length_compile_the_network_once():
    shared = detector_of(4, backend="xla")
    for name in (*LENGTHS, *reversed(LENGTHS)):
        shared.detect_frames([frames_of(name)], FPS)
    list(shared.detect_sources(source(name, shared) for name in LENGTHS))
    assert len(shared._forward.program.executables) == 1


@pytest.mark.parametrize("backend", ["xla", "openvino"])
def test_what_is_compiled_while_a_video_is_read_is_all_that_its_windows_need(backend):
    alone, order = detector_of(1, backend=backend), []
    forward = alone._forward

    class Noted:
        def prepare(self, *args):
            order.append("prepared")
            forward.prepare(*args)
            COMPILED.clear()

        def __call__(self, *args):
            order.append("computed")
            found = forward(*args)
            assert not COMPILED
            return found

    alone._forward = Noted()
    alone.detect_frames([frames_of("two")], FPS)
    assert order == ["prepared", "computed", "computed"]


def test_nothing_is_prepared_for_a_video_that_cannot_be_opened():
    def refuse():
        raise UserError("x.mp4: no such file")

    alone, order = detector_of(1), []
    alone._forward.prepare = lambda *args: order.append("prepared")
    (found,) = alone.detect_sources([VideoSource("x.mp4", refuse)])
    assert found.error
    assert not order


def test_a_video_that_is_one_window_is_cut_at_the_windows_end(detector):
    whole = detector_of(1, one_window=True)
    frames = frames_of("four")
    assert whole.detect_frames([frames], FPS) == detector.detect_frames([frames[:64]], FPS)


def test_each_video_is_yielded_before_the_next_but_one_is_read(detector):
    opened = []

    def sources() -> Iterator[VideoSource]:
        for number in range(20):
            opened.append(number)
            yield source("one", detector)

    found = detector.detect_sources(sources())
    next(found)
    assert len(opened) < 6
    found.close()


def broken(error: Exception, after: int) -> VideoSource:
    def frames() -> Iterator[list[np.ndarray]]:
        yield from ([frame] for frame in frames_of("four")[:after])
        raise error

    return VideoSource("broken", lambda: OpenVideo("broken", frames(), 200, FPS, 20.0))


@pytest.mark.parametrize(
    ("failing", "message"),
    [
        (broken(MemoryError("no room\nleft"), 100), "broken: MemoryError: no room left"),
        (broken(MemoryError(), 0), "broken: MemoryError"),
        (broken(UserError("x.mp4: damaged"), 70), "x.mp4: damaged"),
        (VideoSource("gone", lambda: 1 / 0), "gone: ZeroDivisionError: division by zero"),  # type: ignore
    ],
)
def test_a_video_that_fails_in_any_way_does_not_affect_the_others(detector, failing, message):
    given = [source("two", detector), failing, source("one", detector)]
    before, failed, after = detector.detect_sources(given)
    assert str(failed.error) == message
    assert failed.detections == []
    for found in (before, after):
        frames = frames_of(found.name)
        assert found.error is None
        assert found.detections == detector.detect_frames([frames], FPS, len(frames) / FPS)


def test_a_wrong_number_of_frames_is_refused(detector):
    for count, decoded in ((100, "more"), (201, "only 200")):
        video = OpenVideo("v", ([frame] for frame in frames_of("four")), count, FPS, count / FPS)
        with pytest.raises(
            UserError, match=rf"v: its times state {count} frames, but it has {decoded}"
        ):
            list(cut(video, detector.window_offsets(count), 64, 32))


@pytest.mark.parametrize(("length", "stride"), [(64, 16), (64, 64), (16, 50)])
@pytest.mark.parametrize("num_frames", [1, 15, 64, 65, 300])
def test_windows_are_those_of_the_whole_video(num_frames, length, stride):
    frames = np.random.default_rng(0).integers(0, 256, (num_frames, 9, 12, 3), np.uint8)
    offsets = window_offsets(num_frames, length, stride)
    video = OpenVideo("v", ([frame, frame[..., :2]] for frame in frames), num_frames, FPS, 1.0)
    windows = list(cut(video, offsets, length, 8))
    assert [window.offset for window in windows] == offsets
    y, x = centre_crop(9, 8), centre_crop(12, 8)
    expected, counts = cut_windows(frames[:, y : y + 8, x : x + 8], offsets, length)
    for window, clip, count in zip(windows, expected, counts, strict=True):
        np.testing.assert_array_equal(window.frames[0], clip)
        np.testing.assert_array_equal(window.frames[1], clip[..., :2])
        assert window.num_frames == count


def test_memory_does_not_grow_with_the_length_of_a_video():
    def peak(num_frames: int) -> int:
        frames = ([np.zeros((64, 64, 3), np.uint8)] for _ in range(num_frames))
        video = OpenVideo("v", frames, num_frames, FPS, 1.0)
        tracemalloc.start()
        for _ in cut(video, window_offsets(num_frames, 64, 32), 64, 64):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(3000) < 1.1 * peak(300)


def test_dropping_priors_below_the_threshold_changes_no_detection():
    rng = np.random.default_rng(1)
    segments = np.sort(rng.uniform(0, 64, (7, 50, 2)).astype(np.float32), -1)
    scores = rng.uniform(0, 1, (7, 50, 4)).astype(np.float32) ** 8
    scores[2] = 0
    windows = list(zip(range(0, 70, 10), segments, scores, strict=True))

    def candidates(threshold):
        parts = [candidates_of_window(*window, FPS, threshold) for window in windows]
        return [np.concatenate(part) for part in zip(*parts, strict=True)]

    settings = {"score_threshold": 0.3, "factor": nms.gaussian(0.5), "nms_threshold": 0.01}
    settings |= {"max_detections": 100, "video_label": VideoLabel("jump", 0.5)}
    few, whole = candidates(0.3), candidates(-1.0)
    assert 0 < len(few[0]) < 300
    assert len(whole[0]) == 350
    names = ["a", "b", "c"]
    expected = detections_of_video(*whole, names, **settings)
    assert detections_of_video(*few, names, **settings) == expected


def test_prefetching_is_bounded_and_ends_with_its_reader():
    made, ended = [], threading.Event()

    def numbers(unwanted: threading.Event) -> Iterator[int]:
        try:
            for number in range(1000):
                made.append(number)
                yield number
        finally:
            assert unwanted.is_set()
            ended.set()

    reader = prefetch(numbers, 3)
    assert [next(reader) for _ in range(5)] == list(range(5))
    reader.close()
    assert ended.wait(5)
    assert len(made) <= 5 + 3 + 1


def test_an_error_in_prefetching_is_raised_after_the_items_before_it():
    def numbers(unwanted: threading.Event) -> Iterator[int]:
        yield 1
        raise UserError("broken")

    reader = prefetch(numbers, 3)
    assert next(reader) == 1
    with pytest.raises(UserError, match="broken"):
        next(reader)


def test_detect_many_tells_files_of_one_name_apart(detector, tmp_path):
    for camera in ("cam1", "cam2"):
        (tmp_path / camera).mkdir()
        write_video(tmp_path / camera / "take.mp4", frames_of("one"), rate=10)
    paths = [str(tmp_path / camera / "take.mp4") for camera in ("cam2", "cam1")]
    found = dict(detector.detect_many(paths))
    assert [found[path].video.name for path in paths] == ["cam2__take", "cam1__take"]
    assert [found.video.name for _, found in detector.detect_many(iter(paths[:1]))] == ["take"]


def test_detect_many_yields_files_in_order_and_names_failures_last(detector, tmp_path):
    good = [write_video(tmp_path / f"{n}.mp4", frames_of(n), rate=10) for n in ("one", "two")]
    paths = [good[0], tmp_path / "none.mp4", str(good[1])]
    found = detector.detect_many(paths)
    assert next(found) == (good[0], detector.detect(good[0]))
    assert next(found) == (str(good[1]), detector.detect(good[1]))
    with pytest.raises(UserError, match=r"none\.mp4: no such file"):
        next(found)
