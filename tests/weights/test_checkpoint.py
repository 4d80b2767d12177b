"""Checkpoints: damage is detected, the best one is chosen, and the configured ones stay."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from afsd_jax import evaluation
from afsd_jax.errors import UserError
from afsd_jax.models import parameters
from afsd_jax.weights import checkpoint, checksums, loading
from afsd_jax.weights.run_checkpoints import RunCheckpoints, preservation_policy, set_damaged_aside
from tests.small_run import small_config

CLASSES = [f"act {i}" for i in range(20)]


def metrics(value: float) -> evaluation.Metrics:
    return evaluation.Metrics((0.5,), {"jump": np.array([value])})


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """Steps 1, 2 and 3; step 2 has the best evaluation."""
    folder = tmp_path_factory.mktemp("saved") / "checkpoints"
    config = small_config()
    weights = parameters.flatten(parameters.build_network(config))
    with checkpoint.open_manager(folder) as manager:
        for step, score in ((1, 0.2), (2, 0.4), (3, None)):
            found = None if score is None else metrics(score)
            description = checkpoint.describe(config, CLASSES, found)
            checkpoint.save(manager, step, weights, description, optimizer={"m": np.ones(9)})
    return folder


def damage(content: bytes, random: np.random.Generator, cut: bool) -> bytes:
    """Flips one bit, or cuts the end off."""
    if cut:
        return content[: random.integers(len(content))]
    flipped = bytearray(content)
    flipped[random.integers(len(content))] ^= 1 << random.integers(8)
    return bytes(flipped)


def test_every_damaged_file_is_named_with_its_step(saved, tmp_path, capfd):
    random, folder = np.random.default_rng(0), tmp_path / "checkpoints"
    shutil.copytree(saved, folder)
    read = [path for path in (folder / "2").rglob("*") if path.is_file() and path.stat().st_size]
    read = [path for path in read if "optimizer" not in path.parts]
    expected = checkpoint.read(folder, 2).weights
    for path in read:
        content, name = path.read_bytes(), path.relative_to(folder / "2")
        for cut in (False, False, True):
            path.write_bytes(damage(content, random, cut))
            try:
                message, found = "", checkpoint.read(folder, 2).weights
            except UserError as error:
                message = str(error)
            if message:
                assert "step 2 is damaged (" in message
                assert f"delete {folder / '2'}, or give {folder / '3'}" in message
                assert path.name == checksums.NAME or f"damaged ({name} is" in message
                continue
            assert path.name == checksums.NAME, name  # the sum of the optimizer's files, or a space
            for weight, value in expected.items():
                np.testing.assert_array_equal(found[weight], value)
        path.write_bytes(content)
    assert "Traceback" not in capfd.readouterr().err


def test_a_missing_file_is_damage_but_missing_checksums_are_not(saved, tmp_path):
    place = tmp_path / "2"
    shutil.copytree(saved / "2", place)
    assert checksums.damaged(place) == ""
    lost = next(path for path in (place / "optimizer").rglob("*") if path.is_file())
    lost.unlink()
    assert checksums.damaged(place) == str(lost.relative_to(place))
    assert checksums.damaged(place, "weights") == ""
    (place / checksums.NAME).unlink()
    assert checksums.damaged(place) == ""


def test_the_best_evaluated_step_is_read_and_tells_its_metrics(saved):
    best = checkpoint.read(saved)
    assert best.step == 2
    assert best.metrics == {"mAP@0.5": 0.4, "average_mAP": 0.4}
    assert checkpoint.read(saved / "1").step == 1
    assert checkpoint.read(saved, 3).metrics is None
    assert loading.load_checkpoint(saved.parent).step == 2


def test_without_evaluation_the_last_step_is_read(saved, tmp_path):
    shutil.copytree(saved / "3", tmp_path / "checkpoints" / "3")
    assert checkpoint.read(tmp_path / "checkpoints").step == 3


def test_a_checkpoint_without_checksums_and_metrics_is_read(saved, tmp_path):
    shutil.copytree(saved / "3", tmp_path / "c" / "3")
    (tmp_path / "c" / "3" / checksums.NAME).unlink()
    path = tmp_path / "c" / "3" / "description" / "metadata"
    description = json.loads(path.read_text())
    del description["metrics"]
    path.write_text(json.dumps(description))
    assert checkpoint.read(tmp_path / "c").metrics is None


def test_damaged_steps_are_set_aside_up_to_the_last_good_one(saved, tmp_path):
    folder = tmp_path / "checkpoints"
    shutil.copytree(saved, folder)
    for step in (2, 3):
        path = next(path for path in (folder / f"{step}" / "weights" / "d").iterdir())
        path.write_bytes(path.read_bytes()[:-1])
    lines = set_damaged_aside(folder)
    assert [line.split()[0] for line in lines] == [str(folder / "3"), str(folder / "2")]
    assert checkpoint.steps(folder) == [1]
    assert sorted(path.name for path in folder.iterdir()) == ["1", "damaged-2", "damaged-3"]
    assert set_damaged_aside(folder) == []


def test_the_last_the_best_and_chosen_steps_are_kept(tmp_path):
    config = small_config()
    checkpoints = RunCheckpoints(tmp_path / "c", last=2, best=1, steps=(3,))
    for step, score in ((1, 0.1), (2, 0.9), (3, 0.2), (4, 0.9), (5, 0.3), (6, None), (7, 0.4)):
        found = None if score is None else metrics(score)
        description = checkpoint.describe(config, CLASSES, found)
        checkpoints.save(step, {"x": np.zeros(3)}, description)
    checkpoints.close()
    # Of two that are equally good the later one is the best.
    assert checkpoint.steps(tmp_path / "c") == [3, 4, 6, 7]
    assert (checkpoints.last, checkpoints.failed) == (7, False)
    assert checkpoint.best_step(tmp_path / "c") == 4


@pytest.mark.parametrize(
    ("best", "scores", "kept"),
    [
        (0, {10: 0.5, 20: 0.1, 30: 0.7}, []),
        (2, {10: 0.5, 20: 0.1, 30: 0.7}, [10, 30]),
        (9, {10: 0.5, 20: 0.1, 30: 0.7}, [10, 20, 30]),
        (1, {10: 0.5, 20: 0.5, 30: 0.5}, [30]),  # the later one of equals
        (9, {10: 0.5}, [10]),  # without a score a step is not among the best
        (9, {}, []),
    ],
)
def test_as_many_of_the_best_are_kept_as_asked_for(best, scores, kept):
    class Info:
        def __init__(self, step: int):
            self.step = step

    policy = preservation_policy(1, best, (), scores)
    saved = policy.should_preserve([Info(step) for step in (10, 20, 30, 40)], context=None)
    assert list(saved) == [step in kept for step in (10, 20, 30)] + [True]


def test_the_score_of_a_step_that_cannot_be_saved_does_not_count(tmp_path):
    checkpoints = RunCheckpoints(tmp_path / "c", last=1, best=1, steps=())
    for step, score, value in ((1, 0.5, np.zeros(3)), (2, 0.9, object()), (3, None, np.zeros(3))):
        found = None if score is None else metrics(score)
        description = checkpoint.describe(small_config(), CLASSES, found)
        checkpoints.save(step, {"x": np.zeros(3)}, description, optimizer={"m": value})
        assert checkpoints.failed == (step == 2)
    checkpoints.close()
    assert checkpoint.steps(tmp_path / "c") == [1, 3]


def test_weights_of_other_classes_start_training_without_their_heads(saved, caplog):
    caplog.set_level(logging.INFO, "afsd_jax")
    config = small_config()
    same = loading.load_initial(saved.parent, config, CLASSES)  # the folder of the run
    assert same.keys() == loading.load_initial(saved, config, CLASSES).keys()
    assert caplog.messages == []
    other = loading.load_initial(saved, config, CLASSES[::-1])
    config.model.num_classes = 5
    fewer = loading.load_initial(saved, config, CLASSES[:4])
    assert [": has 20 other classes; " in message for message in caplog.messages] == [True, True]
    lost = {
        f"{head}.{kind}" for head in ("conf_head", "prop_conf_head") for kind in ("bias", "kernel")
    }
    assert same.keys() - other.keys() == same.keys() - fewer.keys() == lost
    with pytest.raises(UserError, match="nowhere: no such file or folder"):
        loading.load_initial("nowhere", config, CLASSES)
