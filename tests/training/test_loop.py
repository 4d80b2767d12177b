"""Training by the command line: logs, exact resume, checkpoints that describe themselves."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import afsd_jax
from afsd_jax.weights import checkpoint
from tests import small_run
from tests.event_files import read_events
from tests.support import ROOT

TERMS = ("loc", "conf", "prop_loc", "prop_conf", "center", "start", "end", "triplet", "total")
# The cosine schedule depends on the last step, which an interrupted run must know from its start.
CONSTANT = {"optimizer__schedule": "constant"}

pytestmark = pytest.mark.usefixtures("fast_compiling")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return small_run.prepare(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def whole_run(data, tmp_path_factory) -> Path:
    """A run of four steps."""
    workdir = tmp_path_factory.mktemp("whole")
    result = small_run.train(data, workdir, **CONSTANT)
    assert result.returncode == 0, result.stderr
    assert "4/4" in result.stderr, "no progress is shown"
    return workdir


def scalars(workdir: Path) -> dict[str, dict[int, float]]:
    """Reads TensorBoard's event files: name → step → value."""
    found: dict[str, dict[int, float]] = {}
    for event in read_events(workdir):
        for value in event.summary.value:
            found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


def test_every_loss_term_of_every_step_is_logged(whole_run):
    logged = scalars(whole_run)
    for term in TERMS:
        assert sorted(logged[term]) == [1, 2, 3, 4]
        assert np.isfinite(list(logged[term].values())).all()


def test_checkpoint_describes_itself(whole_run):
    saved = checkpoint.read(whole_run / "checkpoints")
    assert saved.step == 4
    assert saved.config.data.clip_length == 64
    assert (saved.config.model.num_classes, saved.config.model.in_channels) == (7, 3)
    assert saved.class_names == ["fall", "go left", "go right", "grow", "rise", "shrink"]
    detector = afsd_jax.load_detector(whole_run / "checkpoints")
    found = detector.detect_frames([np.zeros((90, 38, 38, 3), np.uint8)], 10.0, 9.0)
    assert {detection.label for detection in found} <= set(saved.class_names)


def test_a_trained_network_goes_to_pytorch_and_back_bit_by_bit(whole_run, tmp_path):
    there = [sys.executable, "scripts/convert_weights.py", "--to-pytorch"]
    there += [f"--input={whole_run / 'checkpoints'}", f"--output={tmp_path / 'trained.pt'}"]
    back = [sys.executable, "scripts/convert_weights.py", "--config=configs/synthetic.py"]
    back += [f"--config.{name}={value}" for name, value in small_run.OVERRIDES.items()]
    back += [f"--input={tmp_path / 'trained.pt'}", f"--output={tmp_path / 'back'}"]
    for command in (there, back):
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
    expected = checkpoint.read(whole_run / "checkpoints").weights
    weights = checkpoint.read(tmp_path / "back").weights
    assert weights.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(weights[name], value, err_msg=name)


def test_interrupted_run_continues_as_if_it_had_never_stopped(data, whole_run, tmp_path):
    first = small_run.train(data, tmp_path, **CONSTANT, train__steps=2)
    assert first.returncode == 0, first.stderr
    second = small_run.train(data, tmp_path, **CONSTANT)
    assert second.returncode == 0, second.stderr
    resumed = checkpoint.read(tmp_path / "checkpoints")
    expected = checkpoint.read(whole_run / "checkpoints")
    assert resumed.step == expected.step == 4
    for name, value in expected.weights.items():
        np.testing.assert_array_equal(resumed.weights[name], value, err_msg=name)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"model__num_classes": 5}, "config.model.num_classes=5"),
        ({"train__batch_size": 10_000}, "train.batch_size"),
        ({"model__channels": 15}, "config.model.channels=15"),
        ({"data__clip_length": 60}, "config.data.clip_length=60"),
        ({"loss__offset": "l3"}, "config.loss.offset"),
        ({"model__trunk_widht": 1}, "trunk_widht"),
        ({"train__steps": "many"}, "many"),
        ({"data__data_dir": "/nowhere"}, "/nowhere"),
    ],
)
def test_impossible_configuration_is_one_line_and_exit_code_2(data, tmp_path, overrides, message):
    result = small_run.train(data, tmp_path / "run", **overrides)
    assert result.returncode == 2, result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith("error: ")
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_missing_and_broken_configuration_files_are_refused(tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text(
        "from afsd_jax.config import default_config\n"
        "def get_config():\n"
        "    config = default_config()\n"
        "    config.data.clip_lenght = 64\n"
        "    return config\n"
    )
    for path, message in ((tmp_path / "none.py", "none.py"), (broken, "clip_lenght")):
        result = small_run.run("afsd_jax.train", f"--config={path}", f"--workdir={tmp_path}/run")
        assert result.returncode == 2, result.stderr
        assert "Traceback" not in result.stderr
        assert message in result.stderr.strip().splitlines()[-1]


def test_run_of_another_network_is_not_continued(data, whole_run):
    before = sorted((whole_run / "checkpoints").iterdir())
    result = small_run.train(data, whole_run, model__channels=32)
    assert result.returncode == 2, result.stderr
    assert "config.model differs in channels" in result.stderr
    assert sorted((whole_run / "checkpoints").iterdir()) == before
