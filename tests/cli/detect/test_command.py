"""Detection by the command line, from mp4 files; what is wrong is said in one line."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from afsd_jax import load_detector
from afsd_jax.config import resolve
from afsd_jax.configs import synthetic
from afsd_jax.data.decode.flow import compute_flow
from afsd_jax.data.decode.video_reader import read_video
from afsd_jax.errors import UserError
from afsd_jax.evaluation import evaluate
from afsd_jax.io.activitynet_json import read_ground_truth, read_predictions
from afsd_jax.models import parameters
from afsd_jax.weights import checkpoint
from afsd_jax.weights.score_calibration import ScoreCalibration, write_calibration
from tests import small_run
from tests.untrained_checkpoints import CLASSES, write_untrained


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """checkpoint/ and flow_checkpoint/ of untrained networks, a test video, and data/."""
    folder = tmp_path_factory.mktemp("detect")
    write_untrained(folder / "checkpoint", "rgb")
    write_untrained(folder / "flow_checkpoint", "flow")
    small_run.prepare(folder)
    (folder / "source" / "videos" / "test" / "test_0000.mp4").rename(folder / "video.mp4")
    return folder


def test_a_detector_loads_silently_and_says_what_it_is(folder):
    code = "import sys, afsd_jax; print(afsd_jax.load_detector(*sys.argv[1:]))"
    paths = [str(folder / name) for name in ("checkpoint", "flow_checkpoint")]
    command = [sys.executable, "-c", code, *paths]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (
        "Detector(rgb+flow, 6 classes: fall, go left, go right, …, clips of 64 frames at 10 fps)\n"
    )


def detect(folder: Path, *arguments: object, **options: object):
    options = {"checkpoint": folder / "checkpoint", **options}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return small_run.run("afsd_jax.detect", *arguments, *flags)


def detections(result, output: Path) -> dict[str, list[dict]]:
    assert result.returncode == 0, result.stderr
    return json.loads(output.read_text())["results"]


def test_detections_are_activitynet_json_with_a_page_and_subtitles(folder, tmp_path):
    output = tmp_path / "detections.json"
    result = detect(
        folder,
        folder / "video.mp4",
        output=output,
        report=tmp_path / "page.html",
        subtitles=tmp_path / "srt",
    )
    assert result.returncode == 0, result.stderr
    content = json.loads(output.read_text())
    assert set(content) >= {"version", "external_data", "results"}
    found = content["results"]["video"]
    assert found
    for detection in found:
        start, end = detection["segment"]
        assert 0 <= start < end <= 24.1
        assert detection["label"] in CLASSES
    assert "video" in (tmp_path / "page.html").read_text()
    assert (tmp_path / "srt" / "video.srt").exists()


def test_a_batch_is_spread_over_devices_that_do_not_divide_it(folder, tmp_path):
    output, found = tmp_path / "detections.json", []
    for devices in (1, 3):  # a batch of 4 becomes one of 6
        arguments = f"--checkpoint={folder / 'checkpoint'}", f"--output={output}"
        result = small_run.run("afsd_jax.detect", folder / "video.mp4", *arguments, devices=devices)
        found.append(detections(result, output)["video"])
    assert len(found[0]) == pytest.approx(len(found[1]), rel=0.02)
    for one, three in zip(found[0][:20], found[1][:20], strict=True):
        assert one["score"] == pytest.approx(three["score"], rel=1e-4)


def test_a_prepared_split_gives_what_its_videos_give(folder, tmp_path):
    of_video, of_split = tmp_path / "video.json", tmp_path / "split.json"
    expected = detections(detect(folder, folder / "video.mp4", output=of_video), of_video)
    options = {"output": of_split, "report": tmp_path / "page.html"}
    result = detect(folder, data_dir=folder / "data", split="test", **options)
    assert detections(result, of_split) == {"test_0000": expected["video"]}
    data = re.search(r'type="application/json">(.*?)</script>', options["report"].read_text())
    (shown,) = json.loads(data[1])["videos"]
    truth = read_ground_truth(folder / "source" / "ground_truth.json")["test_0000"].actions
    np.testing.assert_allclose(shown["truth"]["starts"], [a.start_s for a in truth], atol=0.1)
    assert len(truth) > 1


def test_a_prepared_split_is_detected_in_and_evaluated_by_one_command(folder, tmp_path):
    found, metrics, page = (tmp_path / name for name in ("found.json", "both.json", "page.html"))
    detected = detect(folder, data_dir=folder / "data", output=found)
    assert detected.returncode == 0, detected.stderr
    (truth,) = (folder / "data").rglob("ground_truth.json")
    data = [f"--checkpoint={folder / 'checkpoint'}", f"--data-dir={folder / 'data'}"]
    outputs = [f"--output={metrics}", f"--report={page}"]
    result = small_run.run("afsd_jax.cli", "evaluate", *data, *outputs)
    assert result.returncode == 0, result.stderr
    both = json.loads(metrics.read_text())
    expected = evaluate(read_ground_truth(truth, "test"), read_predictions(found), (0.3, 0.5))
    assert both["mAP@0.5"] == pytest.approx(expected.mean_ap[1], abs=1e-9)
    assert "Evaluation of checkpoint, test split" in page.read_text()


def test_own_thresholds_of_a_checkpoint_choose_what_is_shown(folder, tmp_path):
    shutil.copytree(folder / "checkpoint", tmp_path / "checkpoint")
    options = {"checkpoint": tmp_path / "checkpoint", "output": tmp_path / "out"}
    options |= {"format": "json,csv"}
    refused = detect(folder, folder / "video.mp4", min_score="auto", **options)
    assert refused.returncode == 2
    assert "this checkpoint has no thresholds; measure them with: afsd evaluate" in refused.stderr
    assert not (tmp_path / "out").exists()
    (step,) = (tmp_path / "checkpoint").glob("[0-9]*")
    kept = ScoreCalibration("validation", 0.5, 1.0, {"fall": 0.0}, (0.0, 1.0), (0.0, 1.0))
    write_calibration(step, kept)
    assert load_detector(tmp_path / "checkpoint").checkpoints[0].calibration == kept
    result = detect(folder, folder / "video.mp4", min_score="auto", **options)
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "out" / "video.json").read_text())["results"]["video"]
    with (tmp_path / "out" / "video.csv").open() as file:
        shown = list(csv.DictReader(file))
    assert len(shown) == sum(detection["label"] == "fall" for detection in found) > 0
    assert {detection["label"] for detection in shown} == {"fall"}


def test_flow_is_computed_from_videos_as_it_is_prepared(folder, tmp_path):
    video = read_video(folder / "video.mp4", 10.0, (38, 38))
    (tmp_path / "flow").mkdir()
    np.save(tmp_path / "video.npy", video.frames)
    np.save(tmp_path / "flow" / "video.npy", list(compute_flow(video.frames, "dis")))
    output = tmp_path / "detections.json"
    fusion = {"flow_checkpoint": folder / "flow_checkpoint", "output": output}
    found = detect(folder, folder / "video.mp4", flow_method="dis", **fusion)
    found = detections(found, output)
    arrays = detect(
        folder, tmp_path / "video.npy", flow_dir=tmp_path / "flow", fps=video.fps, **fusion
    )
    assert detections(arrays, output) == found
    alone = detect(
        folder,
        tmp_path / "flow" / "video.npy",
        checkpoint=folder / "flow_checkpoint",
        fps=video.fps,
        output=output,
        report=tmp_path / "page.html",
    )
    assert detections(alone, output) != found


def test_folders_are_searched_and_damaged_videos_do_not_cost_the_others(folder, tmp_path):
    content = (folder / "video.mp4").read_bytes()
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "fine.mp4").write_bytes(content)
    (tmp_path / "in" / "truncated.mp4").write_bytes(content[:2000])
    (tmp_path / "in" / "notes.txt").write_text("no video")
    output = tmp_path / "detections.json"
    result = detect(folder, tmp_path / "in", output=output)
    assert result.returncode == 1, result.stderr
    assert f"failed: {tmp_path / 'in' / 'truncated.mp4'}: " in result.stderr
    assert list(json.loads(output.read_text())["results"]) == ["fine"]


def test_a_training_run_is_a_checkpoint(folder, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoints").symlink_to(folder / "checkpoint")
    assert str(load_detector(tmp_path / "run")) == str(load_detector(folder / "checkpoint"))


def test_a_second_checkpoint_that_is_not_on_flow_is_refused(folder):
    with pytest.raises(UserError, match=r"checkpoint: is a network on rgb; .* on optical flow"):
        load_detector(folder / "flow_checkpoint", folder / "checkpoint")


def test_a_video_that_fails_does_not_cost_the_others(folder, tmp_path):
    np.save(tmp_path / "small.npy", np.zeros((40, 8, 8, 3), np.uint8))
    np.save(tmp_path / "fine.npy", np.zeros((40, 38, 38, 3), np.uint8))
    output = tmp_path / "detections.json"
    result = detect(folder, *sorted(tmp_path.glob("*.npy")), fps=10, output=output)
    assert result.returncode == 1, result.stderr
    assert "failed: small: frames of 8x8 pixels" in result.stderr
    assert "Traceback" not in result.stderr
    assert list(json.loads(output.read_text())["results"]) == ["fine"]


def test_bad_input_is_one_line_exit_code_2_and_nothing_is_overwritten(folder, tmp_path):
    video, output = folder / "video.mp4", tmp_path / "detections.json"
    (tmp_path / "truncated.mp4").write_bytes(video.read_bytes()[:2000])
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "no_checkpoint").mkdir()
    np.save(tmp_path / "float.npy", np.zeros((40, 38, 38, 3)))
    np.save(tmp_path / "small.npy", np.zeros((40, 8, 8, 3), np.uint8))
    np.save(tmp_path / "fine.npy", np.zeros((40, 38, 38, 3), np.uint8))
    cases = [
        ([tmp_path / "missing.mp4"], {}, "missing.mp4"),
        ([tmp_path / "truncated.mp4"], {}, "truncated.mp4"),
        ([tmp_path / "no_checkpoint"], {}, "this folder contains no video"),
        ([tmp_path / "text.mp4"], {}, "text.mp4"),
        ([tmp_path / "empty.mp4"], {}, "empty.mp4"),
        ([video], {"checkpoint": tmp_path / "no_checkpoint"}, "no_checkpoint"),
        ([video], {"checkpoint": tmp_path / "nowhere"}, "nowhere"),
        ([tmp_path / "float.npy"], {"fps": 10}, "float64"),
        ([tmp_path / "small.npy"], {"fps": 10}, "8x8"),
        ([tmp_path / "fine.npy"], {}, "--fps"),
        ([tmp_path / "fine.npy"], {"fps": -1}, "--fps"),
        ([tmp_path / "fine.npy"], {"fps": 10, "flow_dir": tmp_path}, "--flow-dir"),
        ([], {}, "--data-dir"),
        ([], {"data_dir": tmp_path}, f"--data-dir={str(tmp_path)!r}: holds no prepared data set"),
        ([], {"data_dir": folder / "data", "split": "tset"}, "tset"),
    ]
    output.write_text("precious")
    for videos, options, message in cases:
        result = detect(folder, *videos, output=output, **options)
        assert result.returncode == 2, (message, result.stderr)
        assert "Traceback" not in result.stderr, message
        last = result.stderr.strip().splitlines()[-1]
        assert last.startswith("error: "), last
        assert message in last
        assert output.read_text() == "precious"


def test_checkpoint_of_another_configuration_is_refused(folder, tmp_path):
    config = resolve(synthetic.get_config(), len(CLASSES))
    other = parameters.flatten(parameters.build_network(config))
    config.model.channels = 64  # the description no longer fits the weights
    checkpoint.write(tmp_path / "checkpoint", other, config, CLASSES)
    result = detect(
        folder,
        folder / "video.mp4",
        checkpoint=tmp_path / "checkpoint",
        output=tmp_path / "detections.json",
    )
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert str(tmp_path / "checkpoint") in result.stderr.strip().splitlines()[-1]
