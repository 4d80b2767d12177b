"""The module beside an exported network does what `afsd detect` does to frames and outputs."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from afsd_jax.config import default_config
from afsd_jax.data.clips.geometry import window_offsets
from afsd_jax.data.decode.frame_geometry import FrameGeometry, place_picture
from afsd_jax.data.decode.frame_times import FrameTimes, sample_indices, sampled_rate
from afsd_jax.detection.postprocess import Postprocessing, candidates_of_window
from afsd_jax.errors import UserError
from afsd_jax.export import afsd_numpy
from afsd_jax.export.network_description import describe
from afsd_jax.types import KEEP_ASPECT, VideoLabel

NAMES = ["jump", "run", "throw"]


def described(data=(), inference=()):
    config = default_config()
    config.model.num_classes = len(NAMES) + 1
    config.data.update(dict(data))
    config.inference.update(dict(inference))
    return config, describe([config], NAMES, "network.onnx")


@given(st.integers(1, 700), st.integers(8, 64), st.integers(1, 64), st.booleans())
def test_windows_begin_where_the_detectors_do(count, length, stride, one_window):
    _, about = described(
        {"clip_length": length}, {"window_stride": stride, "one_window": one_window}
    )
    expected = window_offsets(count, length, stride, one_window)
    assert afsd_numpy.window_offsets(count, about) == expected


@given(st.integers(1, 400), st.sampled_from([8.0, 10.0, 24000 / 1001, 25.0, 59.94]), st.booleans())
def test_the_same_frames_are_sampled(count, rate, whole):
    _, about = described({"fps": 0.0, "max_frames": 76} if whole else {"fps": 10.0})
    kept, fps = afsd_numpy.sampled(count, rate, about)
    assert fps == sampled_rate(rate, count, about["fps"], about["max_frames"])
    times = FrameTimes(np.empty(0, np.int64), np.arange(count) / rate, rate, True, count / rate)
    assert kept == sample_indices(times, fps).tolist()


@given(
    st.tuples(st.integers(1, 500), st.integers(1, 500)),
    st.sampled_from(["", "10%,5%,80%,90%", "0,0,1,1"]),
    st.sampled_from(KEEP_ASPECT),
    st.sampled_from([1.0, 16 / 15, 0.25, 3.0]),
)
def test_pictures_are_cropped_and_shaped_alike(shape, crop, keep_aspect, pixel_aspect):
    _, about = described({"crop": crop, "keep_aspect": keep_aspect, "frame_size": 112})
    geometry = FrameGeometry(crop, keep_aspect)
    try:
        expected = place_picture(geometry, shape, (112, 112), pixel_aspect)
    except UserError:
        assume(False)
    (left, top, right, bottom), (width, height), (x, y) = afsd_numpy.placement(
        *shape, about, pixel_aspect
    )
    assert ((top, left, bottom, right), (height, width), (y, x)) == expected[:3]


def test_windows_hold_the_centre_of_the_frames_and_zeros_after_the_end():
    _, about = described({"clip_length": 8, "crop_size": 4}, {"window_stride": 4})
    frames = np.random.default_rng(0).integers(1, 256, (13, 7, 6, 3), np.uint8)
    found = list(afsd_numpy.windows({"rgb": frames}, about))
    assert [offset for offset, _ in found] == [0, 4, 5]
    for offset, inputs in found:
        assert inputs["num_frames"].tolist() == [8]
        centre = frames[None, offset : offset + 8, 2:6, 1:5]
        np.testing.assert_array_equal(inputs["rgb"], centre)
    ((offset, inputs),) = afsd_numpy.windows({"rgb": frames[:5]}, about)
    assert (offset, inputs["num_frames"].tolist()) == (0, [5])
    assert not inputs["rgb"][:, 5:].any()
    assert inputs["num_frames"].dtype == np.int32


@settings(deadline=None)
@given(
    seed=st.integers(0, 10**6),
    nms=st.sampled_from(["soft", "plain"]),
    voting=st.sampled_from([0.0, 0.6]),
    clip=st.booleans(),
    label=st.sampled_from([None, ("dance", 0.25)]),
    most=st.sampled_from([3, 5000]),
    fps=st.sampled_from([10.0, 7.3]),
)
def test_detections_are_the_detectors(seed, nms, voting, clip, label, most, fps):
    fields = {
        **{"nms": nms, "voting_tiou": voting, "clip_to_video": clip, "max_detections": most},
        **{"score_threshold": 0.2, "nms_threshold": 0.05},
    }
    config, about = described(inference=fields)
    rng = np.random.default_rng(seed)
    outputs = []
    for offset in (0, 128, 200):
        ends = np.sort(rng.uniform(0, 256, (30, 2)).astype(np.float32), axis=1)
        outputs.append((offset, ends, rng.random((30, 4), np.float32)))
    candidates = [candidates_of_window(*output, fps, 0.2) for output in outputs]
    expected = Postprocessing(config, NAMES).detections(
        candidates, 40.0, None if label is None else VideoLabel(*label)
    )
    batches = [(offset, ends[None], scores[None]) for offset, ends, scores in outputs]
    found = afsd_numpy.detections(batches, fps, about, 40.0, label)
    assert [d["label"] for d in found] == [d.label for d in expected]
    for name in ("score", "start_s", "end_s"):
        values = [getattr(d, name) for d in expected]
        assert [d[name] for d in found] == pytest.approx(values, rel=1e-5, abs=1e-5)


def test_nothing_is_found_where_no_score_is_high_enough():
    _, about = described()
    assert afsd_numpy.detections([(0, np.zeros((1, 5, 2)), np.zeros((1, 5, 4)))], 10, about) == []
