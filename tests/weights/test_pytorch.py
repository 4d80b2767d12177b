"""Conversion of PyTorch's names and layouts, and refusal of files that do not fit."""

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from afsd_jax.errors import UserError
from afsd_jax.weights import pytorch, torch_files
from tests.golden.weights import array
from tests.support import GOLDEN, ROOT, published
from tests.weight_files import HEAD, Calls, small_config, small_state

VARIANTS = ("thumos14", "anet")


def official_shapes(name: str) -> dict[str, tuple[int, ...]]:
    shapes = json.loads((GOLDEN / f"state_dict_{name}_rgb.json").read_text())
    return {key: tuple(shape) for key, shape in shapes.items()}


@pytest.mark.parametrize("name", VARIANTS)
def test_official_names_and_shapes_follow_from_the_configuration(name):
    config = published(name)
    derived = pytorch.official_shapes(pytorch.parameter_shapes(config), config)
    expected = official_shapes(name)
    counters = {key for key in expected if key.endswith(".num_batches_tracked")}
    assert derived == {key: shape for key, shape in expected.items() if key not in counters}


@pytest.mark.parametrize("name", VARIANTS)
def test_there_and_back_is_bit_exact_with_all_official_tensors(name):
    config = published(name)
    state = {key: array(key, shape) for key, shape in official_shapes(name).items()}
    names = pytorch.parameter_shapes(config)
    back = pytorch.to_pytorch(pytorch.from_pytorch(state, names, config), config)
    assert back.keys() == state.keys()
    for key, value in state.items():
        assert back[key].dtype == value.dtype
        np.testing.assert_array_equal(back[key], value, key)


def test_kernels_become_channels_last():
    config = small_config()
    state = {key: x.numpy() for key, x in small_state(config).items()}
    parameters = pytorch.from_pytorch(state, pytorch.parameter_shapes(config), config)
    spatial = state["backbone._model.Mixed_3b.b1b.conv3d.weight"]
    ours = parameters["trunk.Mixed_3b.b1b.conv.kernel"]
    assert ours[2, 0, 1, 3, 5] == spatial[5, 3, 2, 0, 1]
    temporal = state["coarse_pyramid_detection.loc_tower.1.0.conv1d.weight"]
    assert parameters["loc_tower.1.conv.kernel"][2, 3, 5] == temporal[5, 3, 2]


@pytest.mark.parametrize("file_format", ["zip", "before 1.6", "safetensors"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_every_file_format_and_prefix_gives_the_same_parameters(tmp_path, file_format, prefix):
    config = small_config()
    state = small_state(config)
    named = {prefix + name: x for name, x in state.items()}
    path = tmp_path / "weights.safetensors"
    if file_format == "safetensors":
        torch_files.write(path, {name: x.numpy() for name, x in named.items()})
    else:
        path = tmp_path / "weights.pt"
        torch.save(named, path, _use_new_zipfile_serialization=file_format == "zip")

    found = pytorch.load(path, config)
    arrays = {name: x.numpy() for name, x in state.items()}
    expected = pytorch.from_pytorch(arrays, pytorch.parameter_shapes(config), config)
    assert found.kind == "detector"
    assert found.used + len(found.ignored) == len(state)
    assert all(name.endswith("num_batches_tracked") for name in found.ignored)
    assert found.parameters.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found.parameters[name], value, name)


@pytest.mark.parametrize("stream", ["rgb", "flow"])
@pytest.mark.parametrize("prefix", ["", "backbone._model.", "module.backbone._model."])
def test_a_kinetics_trunk_is_recognised_and_its_classifier_ignored(tmp_path, stream, prefix):
    # As published: saved by an old PyTorch, which kept no counters, with 400-class logits.
    trunk = "backbone._model."
    shapes = official_shapes("thumos14")
    stem = f"{trunk}Conv3d_1a_7x7.conv3d.weight"
    shapes[stem] = (64, {"rgb": 3, "flow": 2}[stream], 7, 7, 7)
    state = {
        prefix + name.removeprefix(trunk): torch.from_numpy(array(name, shape))
        for name, shape in shapes.items()
        if name.startswith(trunk) and not name.endswith("tracked")
    }
    state[f"{prefix}logits.conv3d.weight"] = torch.zeros(400, 1024, 1, 1, 1)
    state[f"{prefix}logits.conv3d.bias"] = torch.zeros(400)
    torch.save(state, tmp_path / "i3d.pt", _use_new_zipfile_serialization=False)

    found = pytorch.load(tmp_path / "i3d.pt")
    assert found.kind == "trunk"
    assert found.config.data.stream == stream
    assert set(found.ignored) == {f"{trunk}logits.conv3d.{leaf}" for leaf in ("weight", "bias")}
    assert found.used == len(state) - 2
    assert all(name.startswith("trunk.") for name in found.parameters)
    np.testing.assert_array_equal(
        found.parameters["trunk.Conv3d_1a_7x7.conv.kernel"],
        array(stem, shapes[stem]).transpose(2, 3, 4, 1, 0),
    )


def test_a_shorter_trunk_takes_its_part_of_a_whole_one(tmp_path):
    config = small_config()
    state = small_state(config)
    torch.save(state, tmp_path / "whole.pt")
    whole = pytorch.load(tmp_path / "whole.pt", config)
    config.model.pyramid_inputs = ("Mixed_4e", "Mixed_4f")
    trunk = {k: v for k, v in state.items() if k.startswith(pytorch.TRUNK)}
    torch.save(trunk, tmp_path / "trunk.pt")
    found = pytorch.load(tmp_path / "trunk.pt", config)
    assert found.kind == "trunk"
    assert {name.split(".")[2] for name in found.ignored if "_5" in name} == {
        "Mixed_5b",
        "Mixed_5c",
    }
    for name, value in found.parameters.items():
        np.testing.assert_array_equal(value, whole.parameters[name])


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("stream", ["rgb", "flow"])
def test_an_official_checkpoint_tells_its_benchmark_and_stream(name, stream):
    config = published(name, stream)
    shapes = pytorch.official_shapes(pytorch.parameter_shapes(config), config)
    assert pytorch.recognise(shapes) == config


def test_half_precision_is_widened(tmp_path):
    config = small_config()
    state = small_state(config)
    torch.save({name: x.bfloat16() for name, x in state.items()}, tmp_path / "weights.pt")
    kernel = pytorch.load(tmp_path / "weights.pt", config).parameters["loc_head.kernel"]
    official = state["coarse_pyramid_detection.loc_head.conv1d.weight"].bfloat16().float()
    assert kernel.dtype == np.float32
    np.testing.assert_array_equal(kernel, official.permute(2, 1, 0).numpy())


def test_a_state_dict_may_lie_in_a_training_checkpoint(tmp_path):
    config = small_config()
    torch.save({"epoch": 3, "state_dict": small_state(config)}, tmp_path / "weights.pt")
    assert pytorch.load(tmp_path / "weights.pt", config).kind == "detector"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({f"{HEAD}.bias": None}, rf"1 tensor is missing: {HEAD}\.bias$"),
        ({"spam": torch.zeros(2)}, "1 tensor is unexpected: spam$"),
        ({"a\nb": torch.zeros(2)}, r"1 tensor is unexpected: 'a\\nb'$"),
        (
            {f"{HEAD}.bias": torch.zeros(9), f"{HEAD}.weight": torch.zeros(9, 16, 3)},
            rf"2 tensors are of a wrong shape \(another configuration may fit\): "
            rf"{HEAD}\.bias is \[9\] instead of \[21\], {HEAD}\.weight is \[9, 16, 3\]",
        ),
        ({f"{HEAD}.bias": torch.full([21], torch.nan)}, rf"1 tensor is not finite: {HEAD}\.bias$"),
        ({f"{HEAD}.bias": torch.full([21], torch.inf)}, rf"1 tensor is not finite: {HEAD}\.bias$"),
        ({f"{HEAD}.bias": torch.zeros(21, dtype=torch.int64)}, "not of a floating.* type: .*int64"),
        ({f"{HEAD}.bias": [0.0] * 21}, rf"{HEAD}\.bias is a list, not a dense tensor"),
        ({f"{HEAD}.bias": torch.zeros(21).to_sparse()}, "sparse_coo, not a dense tensor"),
        ({7: torch.zeros(2)}, "one of its names is 7"),
    ],
)
def test_tensors_that_do_not_fit_are_listed_by_name(tmp_path, change, message):
    config = small_config()
    state = small_state(config) | change
    torch.save({name: x for name, x in state.items() if x is not None}, tmp_path / "weights.pt")
    with pytest.raises(UserError, match=message):
        pytorch.load(tmp_path / "weights.pt", config)


def test_a_tensor_that_pretends_to_be_huge_is_refused_by_its_shape(tmp_path):
    config = small_config()
    state = small_state(config) | {f"{HEAD}.bias": torch.zeros(1).expand(2**50)}
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(UserError, match="1 tensor is of a wrong shape"):
        pytorch.load(tmp_path / "weights.pt", config)


@pytest.mark.parametrize("file_format", ["zip", "before 1.6", "bare pickle"])
def test_a_pickle_that_runs_code_is_refused_in_one_line_and_does_not_run(tmp_path, file_format):
    proof = tmp_path / "proof"
    hostile = {"weight": Calls(os.system, f"touch {proof}")}
    path = tmp_path / "weights.pt"
    if file_format == "bare pickle":
        path.write_bytes(pickle.dumps(hostile, 2))
    else:
        torch.save(hostile, path, _use_new_zipfile_serialization=file_format == "zip")
    with pytest.raises(UserError, match="would run code of its own") as error:
        pytorch.load(path)
    assert "\n" not in str(error.value)
    assert not proof.exists()


def test_torch_is_imported_only_where_a_pytorch_file_is_read():
    code = "import sys, afsd_jax.weights.pytorch; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_no_part_of_the_weights_room_imports_the_data_sets():
    names = [path.stem for path in (ROOT / "afsd_jax" / "weights").glob("[a-z]*.py")]
    assert len(names) >= 5
    imports = "; ".join(f"import afsd_jax.weights.{name}" for name in names)
    code = f"{imports}; import sys; print([m for m in sys.modules if m.startswith('tensorflow')])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_what_is_written_reads_back_in_pytorch(tmp_path):
    state = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3).T, "count": np.zeros((), int)}
    for name in ("state.pt", "state.safetensors"):
        torch_files.write(tmp_path / name, state)
        back = torch_files.read(tmp_path / name)
        assert {key: x.tolist() for key, x in back.items()} == {
            key: x.tolist() for key, x in state.items()
        }
