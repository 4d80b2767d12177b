"""A resumed run keeps the meaning of its weights: classes, sampling and videos."""

import ast
import json
import logging
import shutil
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_collections
import numpy as np
import optax
import pytest

from afsd_jax.cli.flag_names import with_flags
from afsd_jax.configs import synthetic
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.datasets import prepare_dataset
from afsd_jax.data.storage.prepared_video import PreparedVideo
from afsd_jax.errors import UserError
from afsd_jax.io.run_log import read_records
from afsd_jax.models import parameters
from afsd_jax.training.loop import train
from afsd_jax.training.optimizer import make_optimizer
from afsd_jax.training.run_identity import (
    Allowed,
    RunIdentity,
    class_order,
    data_changes,
    reorder_classes,
)
from afsd_jax.weights import checkpoint, checksums
from tests import small_run

FPS, SIZE, COUNT = 10.0, 38, 80
ACTIONS = {
    "a": [("jump", 1.0, 3.0), ("run", 4.0, 6.5)],
    "b": [("swim", 2.0, 5.0)],
    "c": [("run", 0.5, 2.0), ("jump", 3.0, 4.5), ("swim", 5.0, 7.5)],
    "d": [("jump", 2.0, 6.0)],
}
HEADS = ("conf_head.", "prop_conf_head.")


def prepare(
    folder: Path,
    classes: Sequence[str] | None = None,
    actions: Mapping[str, list] = ACTIONS,
    names: Mapping[str, str] | None = None,
    shift: int = 0,
) -> Path:
    """Prepares videos of moving waves; returns the data folder."""
    source = folder / "source"
    source.mkdir(parents=True)
    database = {}
    for number, (video, listed) in enumerate(actions.items()):
        t, y, x = np.mgrid[:COUNT, :SIZE, :SIZE]
        wave = 128 + 100 * np.sin((x + y * number + (3 + number) * (t + shift)) / 9)
        np.save(source / f"{video}.npy", np.stack([wave, wave, 255 - wave], -1).astype(np.uint8))
        annotations = [
            {"label": (names or {}).get(label, label), "segment": [start, end]}
            for label, start, end in listed
        ]
        duration = COUNT / FPS
        database[video] = {"subset": "train", "duration": duration, "annotations": annotations}
    (source / "truth.json").write_text(json.dumps({"database": database}))
    listing = None
    if classes:
        listing = folder / "classes.txt"
        listing.write_text("\n".join(classes))
    options = {"encoding": "png", "size": SIZE, "fps": FPS, "workers": 1, "classes": listing}
    prepare_dataset("videos", folder / "data", "rgb", PrepareOptions(source, **options))
    return folder / "data"


def configuration(data: Path, steps: int, **fields: Any) -> ml_collections.ConfigDict:
    config = synthetic.get_config()
    small = {name.replace("__", "."): value for name, value in small_run.SMALL.items()}
    given = {name.replace("__", "."): value for name, value in fields.items()}
    for name, value in (small_run.OVERRIDES | small | given).items():
        section, field = name.split(".")
        is_tuple = isinstance(value, str) and value.startswith("(")
        config[section][field] = ast.literal_eval(value) if is_tuple else value
    config.data.dataset, config.data.data_dir = "videos", str(data)
    config.data.validation_split = ""
    config.train.steps = steps
    return config


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """The videos with their classes in alphabetical order: jump, run, swim."""
    return prepare(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def begun(data, tmp_path_factory) -> Path:
    """A run of two steps."""
    workdir = tmp_path_factory.mktemp("begun") / "run"
    assert train(configuration(data, 2), workdir) == 0
    return workdir


@pytest.fixture
def workdir(begun, tmp_path) -> Path:
    """A copy of that run."""
    return Path(shutil.copytree(begun, tmp_path / "run"))


def read(workdir: Path, step: int) -> checkpoint.Checkpoint:
    return checkpoint.read(workdir / "checkpoints", step)


def losses(workdir: Path) -> list[float]:
    return [record["total"] for record in read_records(workdir)]


def test_the_same_classes_in_another_order_are_moved(data, workdir, tmp_path, caplog):
    """Weights and losses become those of a run whose classes kept their order, up to rounding."""
    caplog.set_level(logging.INFO, "afsd_jax")
    order = ["swim", "jump", "run"]
    kept = shutil.copytree(workdir, tmp_path / "kept")
    assert train(configuration(data, 4), kept) == 0
    assert "another order" not in caplog.text
    assert train(configuration(prepare(tmp_path / "new", order), 4), workdir) == 0
    assert "the classes are in another order now" in caplog.text

    then, now = read(kept, 4), read(workdir, 4)
    assert (then.class_names, now.class_names) == (["jump", "run", "swim"], order)
    np.testing.assert_allclose(losses(workdir), losses(kept), rtol=1e-4)
    index = [0, 3, 1, 2]
    begun = read(kept, 2).weights
    for name, value in now.weights.items():
        expected = then.weights[name]
        if name.startswith(HEADS):
            expected = expected[..., index]
            assert np.abs(then.weights[name] - begun[name]).max() > 2e-5, "it learned nothing"
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("heads", [True, False])
def test_moments_move_with_their_weights(heads):
    """An update of reordered weights with reordered moments is the reordered update."""
    config = small_run.small_config(refinement=heads)
    network = parameters.flatten(parameters.build_network(config, 0))
    weights = {name: np.asarray(value) for name, value in network.items()}
    order = np.random.default_rng(0).permutation(20).tolist()
    rng = np.random.default_rng(1)
    gradients = {name: rng.normal(size=x.shape).astype(np.float32) for name, x in weights.items()}
    optimizer = make_optimizer(config.optimizer, 10)
    _, state = optimizer.update(gradients, optimizer.init(weights), weights)

    updates, _ = optimizer.update(gradients, state, weights)
    moved = [reorder_classes(tree, order) for tree in (gradients, state, weights)]
    moved_updates, _ = optimizer.update(*moved)
    then = reorder_classes(optax.apply_updates(weights, updates), order)
    now = optax.apply_updates(moved[2], moved_updates)
    changed = [name for name in weights if not np.array_equal(weights[name], moved[2][name])]
    assert {name.partition(".")[0] + "." for name in changed} == set(HEADS[: 1 + heads])
    for name in weights:
        np.testing.assert_array_equal(then[name], now[name])
    background = weights["conf_head.bias"][..., 0]
    np.testing.assert_array_equal(moved[2]["conf_head.bias"][..., 0], background)


def test_orders():
    then, folder = ["jump", "run", "swim"], Path("RUN")
    assert class_order(then, then, {}, folder) is None
    assert class_order(then, ["swim", "jump", "run"], {}, folder) == [2, 0, 1]
    assert class_order(then, ["jump", "sprint", "swim"], {"run": "sprint"}, folder) is None
    assert class_order(then, ["dive", "jump", "run"], {"swim": "dive"}, folder) == [2, 0, 1]
    # Given again, after the checkpoint has the new name.
    assert class_order(["jump", "sprint"], ["jump", "sprint"], {"run": "sprint"}, folder) is None


@pytest.mark.parametrize(
    ("now", "renames", "message"),
    [
        (["climb", "jump", "run", "swim"], {}, r"4 classes now, 3 then: climb is new; give"),
        (["jump", "swim"], {}, "2 classes now, 3 then: run is gone; give"),
        (
            ["jump", "sprint", "swim"],
            {},
            r"3 classes now, 3 then: sprint is new, run is gone; give the classes that the run "
            r"began with, state which class was renamed, or train in another folder",
        ),
        (["jump", "sprint", "swim"], {"walk": "sprint"}, "the run has no class walk to rename"),
        (["jump", "sprint", "swim"], {"run": "hop"}, "but the data set has no class hop"),
        (["jump", "swim"], {"run": "swim"}, "the run has a class swim already"),
        # Otherwise a swap would be undone when the same command is run again.
        (["jump", "run", "swim"], {"run": "jump", "jump": "run"}, "has a class jump already"),
        (["dive", "jump"], {"run": "dive", "swim": "dive"}, "two classes are renamed to dive"),
    ],
)
def test_other_classes_are_refused(now, renames, message):
    with pytest.raises(UserError, match=message):
        class_order(["jump", "run", "swim"], now, renames, Path("RUN"))


def test_a_renamed_class_is_refused_unless_it_is_stated(data, workdir, tmp_path):
    """The new name also moves the class: run, the second of three, becomes the last."""
    renamed = prepare(tmp_path / "new", names={"run": "tumble"})
    before = sorted(workdir.rglob("*"))
    with pytest.raises(UserError, match="3 classes now, 3 then: tumble is new, run is gone") as no:
        train(configuration(renamed, 3), workdir)
    typed = with_flags(str(no.value), Namespace(command="train", config="videos"))
    assert "(--rename OLD=NEW)" in typed
    assert f"(--config.train.init_from={workdir / 'checkpoints'})" in typed
    assert sorted(workdir.rglob("*")) == before
    allowed = Allowed({"run": "tumble"})
    assert train(configuration(renamed, 3), workdir, allowed=allowed) == 0
    assert read(workdir, 3).class_names == ["jump", "swim", "tumble"]
    # With and without the statement it now goes on.
    assert train(configuration(renamed, 3), workdir, allowed=allowed) == 0
    assert train(configuration(renamed, 3), workdir) == 0


CHANGED = {
    "a video more": (
        {"actions": ACTIONS | {"e": [("run", 1.0, 2.0)]}},
        r"train split \(train\): 5 videos now, 4 then, 1 new \(e\)",
    ),
    "another action": (
        {"actions": ACTIONS | {"b": [("run", 2.0, 5.0)], "d": [("swim", 2.0, 6.0)]}},
        r"train split \(train\): 2 with other actions \(b, d\)",
    ),
    "other frames": ({"shift": 5}, r"train split \(train\): \d with other frames \("),
}


@pytest.mark.parametrize("kind", CHANGED)
def test_changed_videos_are_refused_and_named_unless_they_are_allowed(
    data, workdir, tmp_path, caplog, kind
):
    fields, message = CHANGED[kind]
    changed = prepare(tmp_path / "new", **fields)
    with pytest.raises(UserError, match=message) as raised:
        train(configuration(changed, 2), workdir)
    assert f"config.train.init_from={workdir / 'checkpoints'}" in str(raised.value)
    typed = with_flags(str(raised.value), Namespace(command="train", config="videos"))
    assert "give --allow-changed-data" in typed
    assert train(configuration(changed, 2), workdir, allowed=Allowed(changed_data=True)) == 0
    assert "continues with changed data: train split" in caplog.text


def test_allowed_changes_are_those_of_the_next_checkpoint(data, workdir, tmp_path):
    changed = prepare(tmp_path / "new", **CHANGED["a video more"][0])
    assert train(configuration(changed, 3), workdir, allowed=Allowed(changed_data=True)) == 0
    assert train(configuration(changed, 3), workdir) == 0
    with pytest.raises(UserError, match=r"4 videos now, 5 then, 1 gone \(e\)"):
        train(configuration(data, 3), workdir)


def test_of_very_many_videos_the_digests_are_those_of_all_together():
    def described(names: Sequence[str], label: int = 1) -> dict:
        one = PreparedVideo(
            *("", 10.0, 1.0, "jpeg", (4, 4, 3), np.array([[0.0, 2.0]]), np.array([label])),
            *(Path("shard"), np.arange(4)),
        )
        videos = {"train": [one._replace(name=name) for name in names]}
        identity = RunIdentity(["jump", "run"], ["jump", "run"], videos)
        return identity.splits(synthetic.get_config())

    many = [f"video_{number}" for number in range(20_001)]
    then = described(many)
    assert len(json.dumps(then)) < 200
    assert data_changes(then, described(many)) == []
    assert data_changes(then, described(many, label=2)) == [
        "train split (train): 1 with other actions (all 20001 videos)"
    ]
    (changed,) = data_changes(then, described([*many[1:], "another"]))
    assert "1 with other frames (all 20001 videos)" in changed
    assert len(described(many[1:])["train"]["videos"]) == 20_000


def test_another_split_is_named(data, workdir):
    changed = configuration(data, 2, data__train_split="train[:75%]")
    with pytest.raises(UserError, match=r"train\[:75%\], earlier train\): 3 videos now, 4 then"):
        train(changed, workdir)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"data__clip_length": 32}, r"config.data.clip_length=32, but the run began with 64; set"),
        ({"data__crop_size": 36}, r"config.data.crop_size=36, but the run began with 32"),
        ({"data__negate_flipped_flow": True}, "negate_flipped_flow=True, but the run began with F"),
    ],
)
def test_other_sampling_is_refused(data, workdir, fields, message):
    with pytest.raises(UserError, match=message):
        train(configuration(data, 2, **fields), workdir)


def test_a_run_of_an_earlier_version_goes_on_but_its_classes_are_checked(data, workdir, tmp_path):
    """Its checkpoints name classes and configuration, but no videos."""
    place = workdir / "checkpoints" / "2"
    description = json.loads((place / "description" / "metadata").read_text())
    del description["splits"]
    (place / "description" / "metadata").write_text(json.dumps(description))
    (place / checksums.NAME).unlink()
    checksums.write(place)
    more = prepare(tmp_path / "more", **CHANGED["a video more"][0])
    assert train(configuration(more, 2), workdir) == 0
    other = prepare(tmp_path / "other", actions=ACTIONS | {"e": [("dive", 1.0, 2.0)]})
    # With other classes, training may have chosen other values of fields, too.
    for fields in ({}, {"data__clip_length": 32}):
        with pytest.raises(UserError, match="4 classes now, 3 then: dive is new"):
            train(configuration(other, 2, **fields), workdir)


@pytest.mark.parametrize("splits", [[], {"train": 1}, {"train": {"name": "t", "videos": {"a": 1}}}])
def test_a_forged_description_of_videos_is_one_line(data, workdir, splits):
    place = workdir / "checkpoints" / "2"
    description = json.loads((place / "description" / "metadata").read_text())
    (place / "description" / "metadata").write_text(json.dumps(description | {"splits": splits}))
    (place / checksums.NAME).unlink()
    with pytest.raises(UserError, match="the description of step 2: splits"):
        train(configuration(data, 2), workdir)
