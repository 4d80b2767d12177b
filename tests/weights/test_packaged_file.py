"""A detector as one file: equal to its checkpoint, and data, whatever a stranger puts in it."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from afsd_jax.errors import UserError
from afsd_jax.weights import loading, packaged_file
from afsd_jax.weights.score_calibration import ScoreCalibration
from tests.untrained_checkpoints import CLASSES, write_untrained

CALIBRATION = ScoreCalibration("validation", 0.5, 0.25, {"rise": 0.5}, (0.1, 0.9), (0.0, 1.0))
CARD = "# model\n\nPicture Ä.\n"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    write_untrained(folder / "network", "rgb")
    read = loading.load_checkpoint(folder / "network")
    read.config.data.data_dir, read.config.data.feature_cache = "/home/anna/data", "/home/anna/f"
    read.config.train.init_from = "/home/anna/other"
    return read._replace(metrics={"average_mAP": 0.5}, calibration=CALIBRATION)


@pytest.fixture(scope="module")
def content(checkpoint, tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("package") / "model.afsd"
    packaged_file.write_package(path, checkpoint, CARD)
    return path.read_bytes()


@pytest.fixture
def package(content, tmp_path) -> Path:
    path = tmp_path / "model.afsd"
    path.write_bytes(content)
    return path


def rebuilt(content: bytes, changes: dict[str, bytes | None], **options: int) -> bytes:
    """Returns the archive with members changed, added or, for None, left out."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()} | changes
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        for name, value in members.items():
            if value is not None:
                archive.writestr(name, value)
    return buffer.getvalue()


def described(content: bytes, **fields: object) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        description = json.loads(archive.read("description.json"))
    return {"description.json": json.dumps(description | fields).encode()}


def npy(value: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, value)
    return buffer.getvalue()


def test_the_detector_is_that_of_the_checkpoint(checkpoint, package):
    read = loading.load_checkpoint(package)
    assert read.class_names == CLASSES
    assert read.metrics == checkpoint.metrics
    assert read.calibration == CALIBRATION
    assert set(read.weights) == set(checkpoint.weights)
    for name, value in checkpoint.weights.items():
        np.testing.assert_array_equal(read.weights[name], np.asarray(value), err_msg=name)
    assert read.config.model == checkpoint.config.model
    assert packaged_file.read_card(package) == CARD


def test_paths_of_this_machine_stay_here(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        description = archive.read("description.json").decode()
    assert "anna" not in description
    assert json.loads(description)["config"]["train"]["init_from"] == "other"


def test_equal_detectors_make_equal_files(checkpoint, content, tmp_path):
    packaged_file.write_package(tmp_path / "again.afsd", checkpoint, CARD)
    assert (tmp_path / "again.afsd").read_bytes() == content


def test_a_package_under_another_name_is_recognised(package, checkpoint):
    other = package.rename(package.with_suffix(".zip"))
    assert loading.load_checkpoint(other).class_names == CLASSES


def test_training_can_start_from_it(package, checkpoint):
    weights = loading.load_initial(str(package), checkpoint.config, CLASSES)
    assert set(weights) == set(checkpoint.weights)
    others = loading.load_initial(str(package), checkpoint.config, CLASSES[::-1])
    assert {name.partition(".")[0] for name in set(weights) - set(others)} == {
        "conf_head",
        "prop_conf_head",
    }


def refused(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        loading.load_checkpoint(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("share", [0, 0.001, 0.1, 0.5, 0.9, 0.9999])
def test_a_file_cut_short_is_refused(content, tmp_path, share):
    refused(tmp_path / "model.afsd", content[: int(len(content) * share)])


def test_a_changed_byte_anywhere_is_refused_or_harmless(content, checkpoint, tmp_path):
    random, path = np.random.default_rng(0), tmp_path / "model.afsd"
    for position in random.integers(0, len(content), 60):
        changed = bytearray(content)
        changed[position] ^= 1 << int(random.integers(8))
        path.write_bytes(changed)
        try:
            read = loading.load_checkpoint(path)
        except UserError:
            continue
        for name, value in checkpoint.weights.items():
            np.testing.assert_array_equal(read.weights[name], np.asarray(value), err_msg=name)


def test_strange_members_are_refused(content, checkpoint, tmp_path):
    path = tmp_path / "model.afsd"
    known = next(n for n in checkpoint.weights if n.startswith("conf_head"))
    name, shape = f"weights/{known}.npy", np.shape(checkpoint.weights[known])
    nan = np.full(shape, np.nan, np.float32)
    objects = np.array([{"a": 1}], object)
    huge = npy(np.zeros(1, np.float32)).replace(b"(1,)", b"(2147483648,)")
    changes = {
        "missing": {name: None},
        "other shape": {name: npy(np.zeros((3, 3), np.float32))},
        "other dtype": {name: npy(np.zeros(shape))},
        "not finite": {name: npy(nan)},
        "columns first": {name: npy(np.asfortranarray(np.zeros((2, *shape), np.float32)))},
        "pickled objects": {name: npy(objects)},
        "a huge shape": {name: huge},
        "longer than its shape": {name: npy(np.zeros(shape, np.float32)) + b"more"},
        "no array": {name: b"text"},
        "empty": {name: b""},
        "no description": {"description.json": None},
        "description is a list": {"description.json": b"[]"},
        "description is no JSON": {"description.json": b"{"},
        "deeply nested": {"description.json": b"[" * 100_000},
        "too large a description": {"description.json": b" " * 2**24},
        "another format": described(content, format=2),
        "a format that is no number": described(content, format=True),
        "other classes": described(content, class_names=["one"]),
        "a class that is no text": described(content, class_names=[*CLASSES[:-1], 3]),
        "thresholds of another class": described(
            content, calibration=CALIBRATION._replace(thresholds={"spam": 0.5})._asdict()
        ),
        "calibration is a number": described(content, calibration=3),
    }
    for said, change in changes.items():
        assert refused(path, rebuilt(content, change)), said


def test_compressed_members_are_refused_before_they_are_unpacked(content, tmp_path):
    bomb = rebuilt(content, {}, compression=zipfile.ZIP_DEFLATED)
    assert "not a packaged detector" in refused(tmp_path / "model.afsd", bomb)


def test_nothing_is_unpacked_beside_the_file(content, tmp_path):
    path = tmp_path / "in" / "model.afsd"
    path.parent.mkdir()
    path.write_bytes(rebuilt(content, {"../proof": b"x", "/tmp/afsd-proof": b"x"}))
    loading.load_checkpoint(path)
    assert [p.name for p in tmp_path.rglob("*")] == ["in", "model.afsd"]
