"""The command line converts PyTorch files to checkpoint folders and back."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from afsd_jax import errors
from afsd_jax.cli.process import REFUSED
from afsd_jax.weights import checkpoint, conversion
from tests.goldens import golden_twin
from tests.support import ROOT, published
from tests.weight_files import HEAD, convert, small_config, small_state


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        (published("thumos14", "flow"), "thumos14, flow"),
        (published("anet"), "activitynet, rgb"),
    ],
    ids=["thumos14_flow", "anet_rgb"],
)
def test_an_official_checkpoint_survives_the_command_line_bit_by_bit(tmp_path, config, kind):
    network = golden_twin(config)
    source, folder, back = tmp_path / "official.ckpt", tmp_path / "ours", tmp_path / "back.pt"
    torch.save(network.state_dict(), source)

    there = convert("--input", source, "--output", folder)
    assert there.returncode == 0, there.stderr
    assert f"found a complete AFSD network for {kind}" in there.stdout
    assert "used 385 tensors" in there.stdout
    assert checkpoint.read(folder).config.to_json() == config.to_json()

    again = convert("--input", folder, "--output", back, "--to-pytorch")
    assert again.returncode == 0, again.stderr
    state = torch.load(back, weights_only=True)
    expected = network.state_dict()
    assert state.keys() == expected.keys()
    assert [key for key in expected if not torch.equal(state[key], expected[key])] == []
    network.load_state_dict(state)


def test_a_configuration_on_the_command_line_fits_a_network_of_another_shape(tmp_path):
    config = small_config()
    config.model.num_classes = 7
    torch.save(small_state(config), tmp_path / "weights.pt")
    fields = [
        f"--config.model.{field}={config.model[field]}"
        for field in ("trunk_width", "channels", "groups", "num_classes")
    ]
    arguments = "--input", tmp_path / "weights.pt", "--output", tmp_path / "ours"
    assert convert(*arguments).returncode == REFUSED
    result = convert(*arguments, "--config", "configs/thumos14.py:rgb", *fields)
    assert result.returncode == 0, result.stderr
    saved = checkpoint.read(tmp_path / "ours")
    assert saved.config == config
    assert saved.class_names == [f"class_{i}" for i in range(1, 7)]


def test_nothing_is_overwritten_without_force_and_never_what_is_something_else(tmp_path):
    config = small_config()
    torch.save(small_state(config), tmp_path / "weights.pt")
    output = tmp_path / "ours"
    conversion.from_pytorch_file(tmp_path / "weights.pt", output, config)
    before = snapshot(output)
    with pytest.raises(errors.UserError, match="or force overwriting"):
        conversion.from_pytorch_file(tmp_path / "weights.pt", output, config)
    assert snapshot(output) == before

    state = small_state(config)
    state[f"{HEAD}.bias"] += 1
    torch.save(state, tmp_path / "weights.pt")
    conversion.from_pytorch_file(tmp_path / "weights.pt", output, config, force=True)
    kernel = checkpoint.read(output).weights["conf_head.bias"]
    np.testing.assert_array_equal(np.asarray(kernel), state[f"{HEAD}.bias"].numpy())

    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"meow")
    with pytest.raises(errors.UserError, match="is of another kind than the output"):
        conversion.from_pytorch_file(tmp_path / "weights.pt", tmp_path / "photos", config, True)
    assert (tmp_path / "photos" / "cat.jpg").exists()


def test_a_write_that_fails_leaves_nothing_behind(tmp_path):
    config = small_config()
    torch.save(small_state(config), tmp_path / "weights.pt")
    (tmp_path / "sealed").write_bytes(b"")
    with pytest.raises(errors.UserError, match="cannot be written"):
        conversion.from_pytorch_file(tmp_path / "weights.pt", tmp_path / "sealed" / "ours", config)
    assert sorted(os.listdir(tmp_path)) == ["sealed", "weights.pt"]


MEASURED = """
import resource, sys
import jax, orbax.checkpoint, torch
from afsd_jax.weights import conversion
def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
jax.devices()
before = peak_bytes()
conversion.from_pytorch_file(sys.argv[1], sys.argv[2])
print(peak_bytes() - before)
"""


def test_a_conversion_takes_at_most_three_times_the_memory_of_the_file(tmp_path):
    source = tmp_path / "official.ckpt"
    torch.save(golden_twin(published("thumos14")).state_dict(), source)
    command = [sys.executable, "-c", MEASURED, source, tmp_path / "ours"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) <= 3 * source.stat().st_size


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
