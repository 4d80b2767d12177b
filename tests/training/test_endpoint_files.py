"""Each endpoint of a frozen trunk is stored by itself; one pass computes all that are missing."""

import logging
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afsd_jax.data.clips.clip_reader import ClipView
from afsd_jax.data.storage.prepared_video import read_frames
from afsd_jax.data.training_data import TrainingData
from afsd_jax.errors import UserError
from afsd_jax.models import parameters
from afsd_jax.training import feature_cache
from tests import prepared_videos
from tests.small_run import small_config

ENDPOINTS = ("Mixed_3c", "Mixed_4b", "Mixed_4f", "Mixed_5c")
SIDE = 16


@pytest.fixture(scope="module", autouse=True)
def data_dir(tmp_path_factory) -> Path:
    """The small videos; three of them do not fill the last cell of `Mixed_5c`."""
    return prepared_videos.prepare(tmp_path_factory.mktemp("videos"))


def configuration(data_dir: Path, cache: Path, endpoints: tuple[str, ...]):
    """A small frozen trunk up to the last endpoint, which sees whole videos."""
    config = small_config(
        pyramid_inputs=endpoints, frozen_until=endpoints[-1], trunk_context="video"
    )
    config.data.update(
        dataset="videos",
        data_dir=str(data_dir),
        feature_cache=str(cache),
        frame_size=prepared_videos.SIZE,
        crop_size=SIDE,
        clip_length=32,
        clip_stride=8,
        max_actions=4,
        crops=1,
    )
    config.model.in_channels = 3
    return config


@pytest.fixture(scope="module")
def weights():
    """Weights of the whole trunk; the networks of fewer endpoints have a part of them."""
    return parameters.flatten(parameters.build_network(small_config(pyramid_inputs=ENDPOINTS[-2:])))


def fill(config, weights, endpoints) -> None:
    data = TrainingData(config)
    feature_cache.fill(config, weights, endpoints, data.videos, data.views)


def contents(cache: Path) -> dict[str, bytes]:
    return {str(x.relative_to(cache)): x.read_bytes() for x in cache.glob("*/*.features")}


@pytest.mark.parametrize("backend", ["xla", "openvino"])
def test_one_pass_gives_what_a_pass_for_each_endpoint_gives(
    data_dir, weights, tmp_path, monkeypatch, backend
):
    """XLA to the last bit; OpenVINO joins other layers, within float16's rounding and a little."""
    monkeypatch.setattr(feature_cache, "_backend", lambda config: backend)
    at_once, one_by_one = tmp_path / "at_once", tmp_path / "one_by_one"
    fill(configuration(data_dir, at_once, ENDPOINTS), weights, ENDPOINTS)
    for endpoint in ENDPOINTS:
        config = configuration(data_dir, one_by_one, (endpoint,))
        names = parameters.shapes(config)
        part = {name: x for name, x in weights.items() if name in names}
        data = TrainingData(config)
        feature_cache.cached(config, part, data.videos, data.views)
    found, expected = contents(at_once), contents(one_by_one)
    assert len(found) == len(ENDPOINTS) * len(prepared_videos.VIDEOS) * 2  # mirrored as well
    assert found.keys() == expected.keys()
    if backend == "xla":
        assert found == expected
    for name, content in found.items():
        one, other = (
            np.frombuffer(x[:-32], np.float16).astype(np.float32) for x in (content, expected[name])
        )
        assert np.abs(one - other).max() <= 2e-3 * np.abs(other).max(), name


def test_a_network_reads_the_files_of_its_endpoints_side_by_side(data_dir, weights, tmp_path):
    endpoints = ("Mixed_3c", "Mixed_4b")
    config = configuration(data_dir, tmp_path / "cache", endpoints)
    fill(config, weights, ENDPOINTS)
    before = contents(tmp_path / "cache")
    data, network = TrainingData(config), parameters.build_network(config)
    network = parameters.replace(
        network,
        {k: weights[k] for k in weights if "trunk." in k}
        | {
            name: x
            for name, x in parameters.flatten(network).items()
            if not name.startswith("trunk.")
        },
    )
    features = feature_cache.of_training(config, parameters.flatten(network), data)
    assert contents(tmp_path / "cache") == before
    whole = jax.jit(network.features)
    for number, video in enumerate(data.videos):
        total = -(-max(video.num_frames, 32) // 8) * 8
        frames = np.stack(list(read_frames(video, range(video.num_frames))))
        for view in data.views:
            crop = frames[:, view.y :, view.x :][:, :SIDE, :SIDE]
            clip = np.zeros((1, total, SIDE, SIDE, 3), np.float32)
            clip[0, : len(crop)] = (crop[:, :, ::-1] if view.flip else crop) / 127.5 - 1
            expected = whole(jnp.asarray(clip))
            for start in {0, (video.num_frames - 32) // 4 * 4, total - 32} - {-8, -4}:
                cells = features(ClipView(number, start, start + 32, *view), 8)
                assert cells.dtype == np.float16
                found = feature_cache.split(cells[None], network.feature_shapes, jnp.float32)
                for stride, x, of_video in zip((2, 4), found, expected, strict=True):
                    part = of_video[:, start // stride :][:, : 32 // stride]
                    np.testing.assert_allclose(x, part, rtol=2e-3, atol=1e-3)


def test_only_damaged_and_missing_files_are_made_anew(data_dir, weights, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="afsd_jax")
    cache = tmp_path / "cache"
    config = configuration(data_dir, cache, ENDPOINTS)
    fill(config, weights, ENDPOINTS[:3])
    assert caplog.text.count("stores features of 4 videos at Mixed_3c, Mixed_4b, Mixed_4f") == 1
    whole = contents(cache)
    paths = sorted(cache.glob("*/*.features"))
    times = {path: path.stat().st_mtime_ns for path in paths}
    paths[0].write_bytes(paths[0].read_bytes()[:-5])
    paths[-1].unlink()
    caplog.clear()
    fill(config, weights, ENDPOINTS)
    assert caplog.text.count("stores features of 4 videos") == 1
    assert "Mixed_5c" in caplog.text
    after = contents(cache)
    assert len(after) == len(whole) * 4 // 3
    changed = {path for path in paths if path.stat().st_mtime_ns != times[path]}
    assert changed == {paths[0], paths[-1]}
    for name, content in whole.items():
        if cache / name not in changed:
            assert after[name] == content
    caplog.clear()
    fill(config, weights, ENDPOINTS)
    assert "stores features" not in caplog.text


def test_the_disk_must_have_room_for_all_endpoints(data_dir, weights, tmp_path, monkeypatch):
    fill(configuration(data_dir, tmp_path / "first", ENDPOINTS), weights, ENDPOINTS)
    size = sum(len(content) - 32 for content in contents(tmp_path / "first").values())
    monkeypatch.setattr(feature_cache, "free_bytes", lambda path: size - 1)
    with pytest.raises(UserError, match=r"the trunk's features need .* are free; give"):
        fill(configuration(data_dir, tmp_path / "second", ENDPOINTS), weights, ENDPOINTS)
    assert contents(tmp_path / "second") == {}
    monkeypatch.setattr(feature_cache, "free_bytes", lambda path: size)
    fill(configuration(data_dir, tmp_path / "second", ENDPOINTS), weights, ENDPOINTS)
