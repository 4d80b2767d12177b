"""A checkpoint from a stranger is data: what its description forges is refused in one line."""

import json
import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afsd_jax.config import TRUNK_BLOCKS, check, config_fields, default_config
from afsd_jax.detection.detector import Detector
from afsd_jax.errors import UserError
from afsd_jax.models import i3d, parameters
from afsd_jax.weights import checkpoint, checksums
from afsd_jax.weights.run_checkpoints import set_damaged_aside
from afsd_jax.weights.stored_config import read_config
from tests.small_run import small_config
from tests.support import published

CLASSES = [f"act {i}" for i in range(20)]


@pytest.fixture(scope="module")
def honest(tmp_path_factory) -> Path:
    folder, config = tmp_path_factory.mktemp("honest") / "checkpoint", small_config()
    weights = parameters.flatten(parameters.build_network(config))
    checkpoint.write(folder, weights, config, CLASSES)
    return folder


@pytest.fixture
def folder(honest, tmp_path) -> Path:
    shutil.copytree(honest, tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def forge(folder: Path, edit: Callable[[dict], Any]) -> None:
    """Changes the description, and its checksum."""
    path = folder / "0" / "description" / "metadata"
    description = json.loads(path.read_text())
    changed = edit(description)
    path.write_text(json.dumps(description if changed is None else changed))
    forge_checksums(folder)


def forge_checksums(folder: Path) -> None:
    (folder / "0" / checksums.NAME).unlink()
    checksums.write(folder / "0")


def config(**fields: Any) -> Callable[[dict], None]:
    def edit(description: dict) -> None:
        for name, value in fields.items():
            section, _, field = name.partition("__")
            description["config"][section][field] = value

    return edit


def test_an_honest_checkpoint_is_read_with_the_configuration_that_was_written(honest):
    read = checkpoint.read(honest)
    assert read.config.to_dict() == small_config().to_dict()
    assert read.class_names == CLASSES


def test_a_forged_description_that_says_nothing_wrong_is_read(folder):
    forge(folder, config(inference__nms="plain"))
    assert checkpoint.read(folder).config.inference.nms == "plain"


@pytest.mark.parametrize("benchmark", ["thumos14", "anet"])
def test_the_published_configurations_are_read_as_they_were_written(benchmark):
    config = published(benchmark)
    description = json.loads(json.dumps(checkpoint.describe(config, [])))
    assert read_config(description, "here").to_dict() == config.to_dict()


def test_the_blocks_that_a_configuration_may_name_are_the_trunks():
    assert list(TRUNK_BLOCKS) == list(i3d.MIXED)


@pytest.mark.parametrize(
    "edit",
    [
        config(model__channels=2**40),
        config(model__channels=2**20, model__groups=1),
        config(model__channels=2**14, model__groups=1),
        config(model__trunk_width=1e9),
        config(model__trunk_width=float("nan")),
        config(model__levels=10**9, model__loc_multipliers=[1.0]),
        config(model__num_classes=2**62),
        config(model__num_classes=-5),
        config(model__num_classes="21"),
        config(model__num_classes=True),
        config(model__num_classes=20),
        config(model__pyramid_inputs=["Mixed_9z"]),
        config(model__pyramid_inputs=[]),
        config(model__pyramid_inputs="Mixed_4f"),
        config(model__pyramid_inputs=[["Mixed_4f"]]),
        config(model__loc_multipliers=["a"] * 6),
        config(model__loc_multipliers=[None] * 6),
        config(model__dtype="float64"),
        config(model__in_channels=7),
        config(model__new_field=1),
        config(**{"model__new\nfield\x1b": 1}),
        config(data__crop_size=10**9, data__frame_size=10**9),
        config(data__clip_length=2**40),
        config(data__clip_length=64.0),
        config(data__clip_length=None),
        config(data__clip_length=-8),
        config(data__dataset="../../etc"),
        config(data__dataset=3),
        config(data__dataset="a" * 10_000),
        config(data__fps=float("inf")),
        config(data__fps="10"),
        config(data__stream="sound"),
        config(inference__batch_size=2**50),
        config(inference__window_stride=0),
        config(inference__nms_sigma=0.0),
        config(inference__score_threshold=float("nan")),
        config(inference__nms="none"),
        config(train__checkpoint_every={"a": 1}),
        config(train__checkpoint_every=[1]),
        config(train__keep_epochs=[{}]),
        lambda description: description["config"].update(model=3),
        lambda description: description["config"].update(spam={}),
        lambda description: description.update(config=[]),
        lambda description: description.pop("config"),
        lambda description: [],
        lambda description: description.update(class_names=None),
        lambda description: description.update(class_names="act"),
        lambda description: description.update(class_names=[]),
        lambda description: description.update(class_names=CLASSES[1:]),
        lambda description: description.update(class_names=[*CLASSES[1:], ""]),
        lambda description: description.update(class_names=[*CLASSES[1:], "\x1b[2J"]),
        lambda description: description.update(class_names=[*CLASSES[1:], "a\nb"]),
        lambda description: description.update(class_names=[*CLASSES[1:], "\u202eab"]),
        lambda description: description.update(class_names=[*CLASSES[1:], CLASSES[1]]),
        lambda description: description.update(class_names=[*CLASSES[1:], 3]),
        lambda description: description.update(metrics={"average_mAP": "best"}),
        lambda description: description.update(metrics=[1]),
    ],
)
def test_every_forged_description_is_refused_in_one_line_before_anything_is_allocated(folder, edit):
    forge(folder, edit)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError) as error:
        checkpoint.read(folder, 0)
    assert "\n" not in str(error.value)
    assert "is damaged" not in str(error.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # KiB


@pytest.mark.parametrize("content", ["", "{", "[" * 100_000, "9" * 10_000, '{"a": 1, "a": 2}'])
def test_broken_and_deep_descriptions_are_one_line(folder, content):
    (folder / "0" / "description" / "metadata").write_text(content)
    forge_checksums(folder)
    with pytest.raises(UserError) as error:
        checkpoint.read(folder, 0)
    assert "\n" not in str(error.value)


def test_windows_that_fit_into_no_memory_are_refused_before_they_are_made(folder):
    forge(folder, config(inference__batch_size=2**16, data__clip_length=2**16))
    with pytest.raises(UserError, match=r"need .* GiB at least"):
        Detector([checkpoint.read(folder, 0)])


def test_metrics_that_are_not_numbers_do_not_choose_a_step(folder):
    forge(folder, lambda description: description.update(metrics={"average_mAP": [1]}))
    assert checkpoint.scores(folder) == {}


@pytest.mark.parametrize("path", ["/dev/zero", "../../../dev/zero", "weights/../../../x", "/"])
def test_checksums_of_files_elsewhere_are_not_computed(folder, path):
    sums = json.loads((folder / "0" / checksums.NAME).read_text())
    (folder / "0" / checksums.NAME).write_text(json.dumps({path: 0} | sums))
    assert checksums.damaged(folder / "0") == checksums.NAME


def test_links_to_devices_and_pipes_are_not_read(folder):
    place = folder / "0" / "weights"
    (place / "more").symlink_to("/dev/zero")
    with pytest.raises(UserError, match="is a pipe, device or broken link"):
        checkpoint.read(folder, 0)
    sums = json.loads((folder / "0" / checksums.NAME).read_text())
    (folder / "0" / checksums.NAME).write_text(json.dumps(sums | {"weights/more": 0}))
    assert checksums.damaged(folder / "0") == "weights/more"
    (place / "more").unlink()
    os.mkfifo(place / "more")
    with pytest.raises(UserError, match="is a pipe, device or broken link"):
        checkpoint.read(folder, 0)
    assert len(set_damaged_aside(folder)) == 1


@pytest.mark.parametrize("name", ["²", "1" * 200, "٣"])
def test_folders_whose_names_only_look_like_steps_are_left_out(folder, name):
    (folder / name).mkdir()
    assert checkpoint.steps(folder) == [0]


def test_every_default_field_passes_the_checks_and_no_field_may_be_nan():
    config = default_config()
    check(config)
    for field, value in list(config_fields(config)):
        if isinstance(value, float):
            changed = default_config()
            changed.update_from_flattened_dict({field: np.nan})
            with pytest.raises(UserError, match=field.replace(".", r"\.")):
                check(changed)
