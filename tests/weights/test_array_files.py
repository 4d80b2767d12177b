"""Arrays that TensorStore reads alone are those that Orbax reads; what is odd is left to Orbax."""

import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from afsd_jax.models import parameters
from afsd_jax.weights import checkpoint, stored_items
from afsd_jax.weights.array_files import read_arrays
from tests.small_run import small_config
from tests.support import python

CLASSES = [f"act {i}" for i in range(20)]


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """A checkpoint in a folder whose name is no URL."""
    folder = tmp_path_factory.mktemp("saved") / "50 % of it, what?#1"
    config = small_config()
    weights = parameters.flatten(parameters.build_network(config, seed=3))
    learned = {name: weights[name] + 1 for name in parameters.learned_shapes(config)}
    with checkpoint.open_manager(folder) as manager:
        checkpoint.save(manager, 7, weights, checkpoint.describe(config, CLASSES), ema=learned)
    return folder


@pytest.fixture
def copied(saved, tmp_path) -> Path:
    """A copy without checksums, to be changed."""
    shutil.copytree(saved, tmp_path / "copy")
    (tmp_path / "copy/7/checksums.json").unlink()
    return tmp_path / "copy"


@pytest.mark.parametrize("averaged", [True, False])
def test_what_is_read_is_what_orbax_reads(saved, monkeypatch, averaged):
    found = checkpoint.read(saved, averaged=averaged).weights
    monkeypatch.setattr(stored_items, "read_arrays", lambda *_: None)
    expected = checkpoint.read(saved, averaged=averaged).weights
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert (found[name].dtype, found[name].sharding) == (array.dtype, array.sharding)
        np.testing.assert_array_equal(found[name], array)


def test_an_item_with_other_arrays_is_left_to_orbax(saved):
    shapes = parameters.shapes(small_config())
    name = next(iter(shapes))
    folder = saved / "7" / "weights"
    assert read_arrays(folder, shapes) is not None
    assert read_arrays(folder, {**shapes, "another": shapes[name]}) is None
    assert read_arrays(folder, {n: x for n, x in shapes.items() if n != name}) is None
    for shape, dtype in (((7, 7), "float32"), (shapes[name].shape, "float16")):
        other = jax.ShapeDtypeStruct(shape, np.dtype(dtype))
        assert read_arrays(folder, {**shapes, name: other}) is None
    assert read_arrays(saved / "7" / "nothing", shapes) is None


def test_a_folder_cut_short_is_left_to_orbax(copied):
    shapes, folder = parameters.shapes(small_config()), copied / "7" / "weights"
    for path in [*folder.glob("d/*"), folder / "manifest.ocdbt"]:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        assert read_arrays(folder, shapes) is None
        path.write_bytes(content)
    assert read_arrays(folder, shapes) is not None


def test_an_array_in_pieces_larger_than_itself_is_not_read(copied):
    import tensorstore

    shapes, folder = parameters.shapes(small_config()), copied / "7" / "weights"
    name = min(shapes)
    place = {"driver": "ocdbt", "base": {"driver": "file", "path": f"{folder}/"}}
    store = tensorstore.KvStore.open(place).result()
    fields = json.loads(store[f"{name}/.zarray"])
    fields["chunks"] = [2**40 for _ in fields["chunks"]]
    store[f"{name}/.zarray"] = json.dumps(fields).encode()
    assert read_arrays(folder, shapes) is None


def test_reading_a_checkpoint_does_not_import_orbax(saved):
    code = (
        "import sys; from afsd_jax.weights import checkpoint\n"
        f"checkpoint.read({str(saved)!r}); print('orbax' in sys.modules)"
    )
    result = python("-c", code)
    assert (result.stdout, result.stderr) == ("False\n", "")
