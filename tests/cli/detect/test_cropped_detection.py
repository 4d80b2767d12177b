"""Crops and shapes of new videos: as in the checkpoint, or as stated for other cameras."""

import json
from pathlib import Path

import numpy as np
import pytest

import afsd_jax
from afsd_jax import cli
from afsd_jax.cli.process import REFUSED
from afsd_jax.io.activitynet_json import read_predictions
from afsd_jax.weights import checkpoint
from tests.untrained_checkpoints import write_untrained
from tests.video_files import write_video

CROP = "25%,0,50%,100%"
PART = np.s_[:, :, 16:48]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """plain/ and cropped/, checkpoints of one network; two videos, lossless."""
    folder = tmp_path_factory.mktemp("folder")
    write_untrained(folder / "plain", "rgb")
    made = checkpoint.read(folder / "plain")
    made.config.data.update(crop=CROP, keep_aspect="letterbox")
    checkpoint.write(folder / "cropped", made.weights, made.config, made.class_names)
    for name, step in (("a", 3), ("b", 5)):
        options = {"codec": "ffv1", "pixels": "bgr0"}
        write_video(folder / f"{name}.mkv", frames(step), 10, **options)
    return folder


def frames(step: int) -> np.ndarray:
    t, y, x = np.mgrid[:50, :40, :64]
    pixels = 128 + 100 * np.sin((x + y + step * t) / 9)
    return np.stack([pixels, pixels[:, ::-1], 255 - pixels], -1).astype(np.uint8)


def detect(folder: Path, network: str, *flags: str) -> dict[str, list]:
    output = folder / "found.json"
    videos = [str(folder / "a.mkv"), str(folder / "b.mkv")]
    assert (
        cli.main(
            ["detect", f"--checkpoint={folder / network}", *videos, *flags, f"--output={output}"]
        )
        == 0
    )
    return read_predictions(output)


def test_a_checkpoint_crops_new_videos_unless_another_crop_is_stated(folder, tmp_path):
    plain, cropped = detect(folder, "plain"), detect(folder, "cropped")
    assert plain["a"] != cropped["a"]
    network = afsd_jax.load_detector(folder / "cropped", crop="")
    assert cropped["a"] == list(network.detect(frames(3)[PART], fps=10))
    other = detect(folder, "plain", f"--crop={CROP}")
    plain_network = afsd_jax.load_detector(folder / "plain")
    assert other["b"] == list(plain_network.detect(frames(5)[PART], fps=10))
    crops = tmp_path / "crops.json"
    crops.write_text(json.dumps({"b": CROP}))
    mixed = detect(folder, "plain", f"--crop={crops}")
    assert mixed == {"a": plain["a"], "b": other["b"]}


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["a.mkv", "--crop=0,0,0,9"], "has no area"),
        (["--data-dir=.", "--crop=0,0,9,9"], "--crop: not with --data-dir"),
        (["a.mkv", "--crop=crops.json"], "has a crop for none of the videos: a"),
        (["a.npy", "--fps=9", "--crop=0,0,9,9"], "--crop: not with"),
    ],
)
def test_crops_that_do_not_fit_are_refused(folder, tmp_path, monkeypatch, capsys, flags, reason):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.mkv").symlink_to(folder / "a.mkv")
    np.save("a.npy", frames(3)[:, :38, :38])
    Path("crops.json").write_text('{"c": "0,0,9,9"}')
    assert cli.main(["detect", f"--checkpoint={folder / 'plain'}", *flags]) == REFUSED
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1


def test_a_crop_outside_of_a_picture_costs_that_video_only(folder, tmp_path, capsys):
    crops = tmp_path / "crops.json"
    crops.write_text(json.dumps({"a": "0,0,65,9", "b": "0,0,64,9"}))
    output = tmp_path / "found.json"
    videos = [str(folder / "a.mkv"), str(folder / "b.mkv")]
    flags = [f"--checkpoint={folder / 'plain'}", f"--crop={crops}", f"--output={output}"]
    assert cli.main(["detect", *videos, *flags]) == 1
    assert "a.mkv: the crop 0,0,65,9 lies partly outside of the picture" in "".join(
        capsys.readouterr()
    )
    assert list(read_predictions(output)) == ["b"]
