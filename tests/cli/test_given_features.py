"""Features that another network has computed: prepared, trained on and detected in."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from afsd_jax import cli, load_detector
from afsd_jax.io.activitynet_json import read_predictions
from tests import small_run
from tests.given_features import CLASSES, write_features


def afsd(*arguments: object) -> int:
    return cli.main(list(map(str, arguments)))


def prepare(folder: Path, output: Path) -> int:
    return afsd(
        *("prepare", "videos", "--stream=features", f"--source={folder / 'features'}"),
        *(f"--annotations={folder / 'labels.csv'}", f"--output={output}", "--workers=1"),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Features, the data set prepared from them and a run that has learnt on it."""
    folder = write_features(tmp_path_factory.mktemp("given"))
    assert prepare(folder, folder / "data") == 0
    fields = {
        "data.data_dir": folder / "data",
        "data.validation_split": "test",
        "data.clip_length": 64,
        "data.clip_stride": 16,
        "inference.window_stride": 32,
        "model.channels": 16,
        "model.groups": 4,
        "model.levels": 3,
        "model.loc_multipliers": (2.0, 4.0, 8.0),
        "train.steps": 200,
        "train.batch_size": 4,
        "train.evaluate_every": 200,
        "optimizer.learning_rate": 5e-3,
    }
    flags = [f"--config.{name}={value}" for name, value in fields.items()]
    assert afsd("train", "--config=features", f"--workdir={folder / 'run'}", *flags) == 0
    return folder


def detected(folder: Path, output: Path, *flags: object) -> dict:
    assert afsd("detect", f"--checkpoint={folder / 'run'}", *flags, f"--output={output}") == 0
    return read_predictions(output)


def test_heads_learn_actions_from_features(folder):
    assert small_run.records(folder / "run")[-1]["validation"]["average_mAP"] > 0.6


def test_a_file_and_the_prepared_data_give_the_same(folder, tmp_path):
    from_data = detected(folder, tmp_path / "a.json", f"--data-dir={folder / 'data'}")
    file = folder / "features" / "v4.npy"
    from_file = detected(folder, tmp_path / "b.json", file)
    assert from_data == from_file
    assert {d.label for d in from_file["v4"]} == set(CLASSES)
    found = load_detector(folder / "run").detect(file)
    best = max(from_file["v4"], key=lambda d: d.score)
    assert (found[0].label, found[0].start_s) == (best.label, pytest.approx(best.start_s))


def test_detections_of_a_folder_have_pages_and_tables(folder, tmp_path, capsys):
    files = sorted((folder / "features").glob("*.npy"))
    outputs = ("--format=json,html,csv", f"--output={tmp_path / 'out'}")
    assert afsd("detect", f"--checkpoint={folder / 'run'}", *files, *outputs) == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} >= {"v0.html", "v0.csv", "index.html"}


def test_inspect_describes_features_without_pictures(folder, tmp_path, capsys):
    capsys.readouterr()
    assert afsd("inspect", folder / "data", f"--output={tmp_path / 'data.html'}") == 0
    assert "--config=features" in capsys.readouterr().out
    page = (tmp_path / "data.html").read_text()
    assert "features: 12 numbers, 7.5 times per second" in page
    assert "<img" not in page


def test_another_rate_is_refused(folder, tmp_path, capsys):
    (tmp_path / "features.json").write_text('{"fps": 25, "feat_stride": 4, "num_frames": 16}')
    np.save(tmp_path / "a.npy", np.zeros((90, 12), np.float32))
    assert afsd("detect", f"--checkpoint={folder / 'run'}", tmp_path / "a.npy") == 2
    message = capsys.readouterr().err
    assert "a.npy: has 6.25 rows a second, but the checkpoint was trained on 7.5" in message


def test_a_damaged_file_does_not_cost_the_others(folder, tmp_path, capsys):
    shutil.copytree(folder / "features", tmp_path / "features")
    shutil.copy(folder / "labels.csv", tmp_path)
    (tmp_path / "features" / "v0.npy").write_bytes(b"nothing")
    assert prepare(tmp_path, tmp_path / "data") == 1
    text = capsys.readouterr()
    assert "v0.npy: not a complete .npy array" in text.out + text.err
    report = json.loads(next((tmp_path / "data").rglob("preparation.json")).read_text())
    assert [video["name"] for video in report["videos"]] == ["v4", "v1", "v2", "v3"]
