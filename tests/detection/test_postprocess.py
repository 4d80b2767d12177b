"""Decoding, fusion of streams, and a video's detections."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afsd_jax.detection import nms, postprocess
from afsd_jax.errors import UserError
from afsd_jax.io.video_scores import label_of, read_video_scores
from afsd_jax.types import Detection, Predictions, VideoLabel
from tests.support import GOLDEN

T = 256


def random_predictions(seed, batch=(2,), k=7, c=4):
    rng = np.random.default_rng(seed)
    shapes = [(k, 2), (k, c), (k, 2), (k, c), (k,)]
    arrays = [rng.normal(size=(*batch, *shape)).astype(np.float32) for shape in shapes]
    arrays[0] = np.exp(2 + arrays[0])
    return Predictions(*arrays)


PRIORS = ((np.arange(7) + 0.5) / 7).astype(np.float32)


# Decoding


def test_one_prior_decoded_by_hand():
    segments, scores = postprocess.decode(
        Predictions(
            loc=[[20.0, 40.0]],
            conf=[[0.0, 0.0]],
            prop_loc=[[0.5, -0.25]],
            prop_conf=[[0.0, np.log(3)]],
            center=[0.0],
        ),
        priors=[0.5],
        clip_length=T,
    )
    # Half the coarse width is 30: l = 20 + 15, r = 40 - 7.5, around frame 128.
    np.testing.assert_allclose(segments, [[93.0, 160.5]], rtol=1e-6)
    np.testing.assert_allclose(scores, [[(0.5 + 0.25) / 4, (0.5 + 0.75) / 4]], rtol=1e-6)


def test_decoding_equals_the_formula_in_float64():
    raw = random_predictions(0)
    loc, conf, prop_loc, prop_conf, center = (np.float64(x) for x in raw)
    half = (loc[..., :1] + loc[..., 1:]) / 2
    refined = loc + half * prop_loc
    start, end = PRIORS * T - refined[..., 0], PRIORS * T + refined[..., 1]
    softmax = [np.exp(x) / np.exp(x).sum(-1, keepdims=True) for x in (conf, prop_conf)]
    quality = 1 / (1 + np.exp(-center))
    segments, scores = jax.jit(postprocess.decode, static_argnums=2)(raw, PRIORS, T)
    np.testing.assert_allclose(segments, np.clip(np.stack([start, end], -1), 0, T), atol=1e-3)
    np.testing.assert_allclose(scores, sum(softmax) / 2 * quality[..., None], rtol=1e-5)


def test_segments_are_clamped_to_the_clip():
    raw = random_predictions(1)._replace(loc=np.full((2, 7, 2), 1e4, np.float32))
    segments, _ = postprocess.decode(raw, PRIORS, T)
    assert segments.min() >= 0
    assert segments.max() <= T


@pytest.mark.parametrize("fusion", ["mean", "geometric"])
def test_one_stream_is_fused_to_itself(fusion):
    raw = random_predictions(2)
    for fused, alone in zip(
        postprocess.decode_streams([raw], PRIORS, T, fusion),
        postprocess.decode(raw, PRIORS, T),
        strict=True,
    ):
        np.testing.assert_allclose(fused, alone, rtol=1e-6)


def test_mean_fusion_decodes_the_mean_of_all_raw_outputs():
    rgb, flow = random_predictions(3), random_predictions(4)
    mean = [(a + b) / 2 for a, b in zip(rgb, flow, strict=True)]
    segments, scores = postprocess.decode_streams([rgb, flow], PRIORS, T, "mean")
    expected = postprocess.decode(mean, PRIORS, T)
    np.testing.assert_allclose(segments, expected[0], rtol=1e-6)
    np.testing.assert_allclose(scores, expected[1], rtol=1e-6)


def test_geometric_fusion_averages_logits_and_takes_the_root_of_the_segments_product():
    rgb, flow = random_predictions(5), random_predictions(6)
    segments, scores = postprocess.decode_streams([rgb, flow], PRIORS, T, "geometric")
    of_rgb, of_flow = (postprocess.decode(raw, PRIORS, T)[0] for raw in (rgb, flow))
    np.testing.assert_allclose(segments, np.sqrt(of_rgb * of_flow), rtol=1e-5)
    _, of_means = postprocess.decode_streams([rgb, flow], PRIORS, T, "mean")
    np.testing.assert_allclose(scores, of_means, rtol=1e-6)


def test_streams_are_fused_under_jit_as_outside():
    streams = [random_predictions(7), random_predictions(8)]
    jitted = jax.jit(postprocess.decode_streams, static_argnums=(2, 3))
    for inside, outside in zip(
        jitted(streams, PRIORS, T, "geometric"),
        postprocess.decode_streams(streams, PRIORS, T, "geometric"),
        strict=True,
    ):
        np.testing.assert_allclose(inside, outside, rtol=1e-5)


def test_an_unknown_fusion_and_no_stream_are_refused():
    with pytest.raises(ValueError, match="mean or geometric"):
        postprocess.decode_streams([random_predictions(0)], PRIORS, T, "product")
    with pytest.raises(ValueError, match="at least one stream"):
        postprocess.decode_streams([], PRIORS, T)


# A video's detections

SETTINGS = {
    "score_threshold": 0.01,
    "factor": nms.gaussian(0.5),
    "nms_threshold": 0.001,
    "max_detections": 5000,
}


def candidates(*windows, classes=2):
    """[W,K,2] and [W,K,C] from windows of (start_frame, end_frame, class, score), padded."""
    k = max(len(window) for window in windows)
    segments = np.zeros((len(windows), k, 2), np.float32)
    scores = np.zeros((len(windows), k, classes + 1), np.float32)
    for w, window in enumerate(windows):
        for i, (start, end, label, score) in enumerate(window):
            segments[w, i] = start, end
            scores[w, i, label] = score
    return segments, scores


def detect(windows, offsets=(0,), names=("run", "jump"), fps=10, **changes):
    settings = SETTINGS | changes
    windows = zip(offsets, *candidates(*windows, classes=len(names)), strict=True)
    threshold = settings["score_threshold"]
    rows = [postprocess.candidates_of_window(*window, fps, threshold) for window in windows]
    segments, scores = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    return postprocess.detections_of_video(segments, scores, names, **settings)


def test_windows_are_pooled_in_seconds_and_sorted_by_score():
    found = detect([[(10, 20, 1, 0.25)], [(0, 64, 2, 0.5)]], offsets=(0, 128))
    assert [d.label for d in found] == ["jump", "run"]
    np.testing.assert_allclose([d[1:] for d in found], [(0.5, 12.8, 19.2), (0.25, 1, 2)])


def test_the_same_action_seen_by_two_windows_is_suppressed_once():
    found = detect([[(128, 138, 1, 0.5)], [(0, 10, 1, 0.25)]], offsets=(0, 128))
    assert [d.score for d in found] == pytest.approx([0.5, 0.25 * np.exp(-1 / 0.5)])


def test_classes_do_not_suppress_each_other():
    found = detect([[(10, 20, 1, 0.5), (10, 20, 2, 0.25)]])
    assert [(d.label, d.score) for d in found] == [("run", 0.5), ("jump", 0.25)]


def test_plain_suppression_and_votes_of_all_classes_are_options():
    windows = [[(10, 20, 1, 0.5), (10, 20, 1, 0.25), (10, 30, 2, 0.25)]]
    plain = detect(windows, factor=nms.plain(0.7))
    assert [(d.label, d.score, d.end_s) for d in plain] == [("run", 0.5, 2), ("jump", 0.25, 3)]
    run, jump = detect(windows, factor=nms.plain(0.7), voting_tiou=0.5)
    assert run.end_s == pytest.approx((0.75 * 2 + 0.25 * 0.5 * 3) / (0.75 + 0.25 * 0.5))
    assert jump.end_s == pytest.approx((0.75 * 0.5 * 2 + 0.25 * 3) / (0.75 * 0.5 + 0.25))


def test_the_background_is_no_detection():
    assert detect([[(10, 20, 0, 0.9)]]) == []


def test_a_candidate_must_exceed_the_score_threshold():
    found = detect([[(10, 20, 1, 0.5), (30, 40, 1, 0.25)]], score_threshold=0.25)
    assert [d.score for d in found] == [0.5]


def test_the_limit_counts_per_class():
    window = [(20 * i, 20 * i + 9, 1 + i % 2, 0.1 + 0.01 * i) for i in range(8)]
    found = detect([window], max_detections=1)
    assert [(d.label, pytest.approx(d.score)) for d in found] == [("jump", 0.17), ("run", 0.16)]


def test_only_with_a_duration_are_detections_clipped_to_it_and_empty_ones_dropped():
    window = [(10, 90, 1, 0.5), (60, 90, 1, 0.25)]
    clipped = detect([window], duration_s=5.0)
    assert [(d.label, d.start_s, d.end_s) for d in clipped] == [("run", 1.0, 5.0)]
    assert [(d.start_s, d.end_s) for d in detect([window])] == [(1.0, 9.0), (6.0, 9.0)]


def test_a_video_label_names_all_and_scales_the_scores_after_the_thresholds():
    window = [(10, 20, 1, 0.5), (30, 40, 1, 0.02)]
    found = detect([window], names=("action",), video_label=VideoLabel("Diving", 1e-6))
    assert [(d.label, pytest.approx(d.score)) for d in found] == [
        ("Diving", 0.5e-6),
        ("Diving", 0.02e-6),
    ]


def test_a_class_with_a_single_candidate_yields_it():
    assert len(detect([[(10, 20, 1, 0.5)]])) == 1


def test_a_video_without_candidates_yields_nothing():
    assert detect([[]]) == []


def test_detections_take_arrays_of_jax_too():
    segments, scores = candidates([(10, 20, 1, 0.5)])
    window = 0, jnp.asarray(segments)[0], jnp.asarray(scores)[0]
    rows = map(jnp.asarray, postprocess.candidates_of_window(*window, 10.0, 0.01))
    found = postprocess.detections_of_video(*rows, ("run", "jump"), **SETTINGS)
    assert found == [Detection("run", 0.5, 1.0, 2.0)]


def test_names_that_do_not_fit_the_scores_are_refused():
    segments, scores = candidates([(10, 20, 1, 0.5)])
    with pytest.raises(ValueError, match="1 class names for 3 scores"):
        postprocess.detections_of_video(segments[0], scores[0], ("run",), **SETTINGS)


# The video-level classifier


def test_a_videos_label_is_its_best_class():
    labels = read_video_scores(GOLDEN / "detect_anet_video_scores.json")
    assert labels["00000000000"] == VideoLabel("class_103", pytest.approx(0.162154556))
    assert labels["00000000001"] == VideoLabel("class_171", pytest.approx(0.191219419))


def test_a_video_is_found_with_and_without_its_prefix():
    labels = {"abc": VideoLabel("Diving", 0.5)}
    assert label_of("v_abc", labels) == label_of("abc", labels) == VideoLabel("Diving", 0.5)
    with pytest.raises(UserError, match="xyz: has no entry"):
        label_of("xyz", labels)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], '"class" must be'),
        ({"class": "a", "results": {}}, '"class" must be'),
        ({"class": ["a", 1], "results": {}}, '"class" must be'),
        ({"class": ["a"]}, '"results" must'),
        ({"class": ["a", "b"], "results": {"x": [1]}}, r"results\['x'\] must be 2 finite"),
        ({"class": ["a"], "results": {"x": ["?"]}}, r"results\['x'\] must be 1 finite"),
        ({"class": ["a"], "results": {"x": [None]}}, r"results\['x'\] must be 1 finite"),
        ({"class": ["a"], "results": {"x": [float("inf")]}}, "finite"),
        ({"class": ["a"], "results": {"x": {"a": 1}}}, "finite"),
        ({"class": ["a", "b"], "results": {"x": [[1], [2, 3]]}}, "finite"),
        ({"class": [], "results": {"x": []}}, "finite"),
    ],
)
def test_malformed_video_scores_are_refused(tmp_path, content, message):
    path = tmp_path / "scores.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=message):
        read_video_scores(path)
