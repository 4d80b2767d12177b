"""A device that JAX is asked for and does not find is one line that says what to do."""

import os
import subprocess
import sys

import pytest

from tests.support import GPU_PLUGIN, ROOT, needs_gpu_plugin

LINE = "JAX finds no device for JAX_PLATFORMS={} on this machine; unset JAX_PLATFORMS"
NO_GPU = pytest.mark.skipif(os.path.exists("/dev/nvidia0"), reason="has a GPU")


def python(platform: str, program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    environment = os.environ | {"JAX_PLATFORMS": platform}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)


@NO_GPU
def test_python_gets_a_user_error():
    ended = python("gpu", "import afsd_jax; afsd_jax.load_detector('checkpoint')")
    assert ended.stderr.splitlines()[-1] == f"afsd_jax.errors.UserError: {LINE.format('gpu')}"


@NO_GPU
@pytest.mark.parametrize(
    "arguments",
    [
        ["detect", __file__, "--checkpoint=checkpoint", "--output={}/found.json"],
        ["look", __file__, "--output={}/found.json"],
        ["train", "--config=synthetic", "--workdir={}/run"],
    ],
)
def test_commands_refuse_in_one_line_and_write_nothing(tmp_path, arguments):
    arguments = [argument.format(tmp_path) for argument in arguments]
    program = f"import sys; from afsd_jax.cli import main; sys.exit(main({arguments}))"
    ended = python("cuda", program)
    assert (ended.returncode, ended.stderr) == (2, f"error: {LINE.format('cuda')}\n")
    assert list(tmp_path.iterdir()) == []


@NO_GPU
@needs_gpu_plugin
@pytest.mark.parametrize(("asked", "warnings"), [({}, 1), ({"JAX_PLATFORMS": "cpu"}, 0)])
def test_jax_for_cuda_without_a_driver_computes_on_the_cpu_with_one_warning(
    tmp_path, asked, warnings
):
    given = {name: value for name, value in os.environ.items() if name != "JAX_PLATFORMS"}
    environment = given | {"PYTHONPATH": str(GPU_PLUGIN)} | asked
    command = [sys.executable, "-m", "afsd_jax.cli", "detect", __file__, "--checkpoint=none"]
    command.append(f"--output={tmp_path / 'found.json'}")
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    *before, last = ended.stderr.splitlines()
    driver = "warning: JAX for CUDA is installed, but NVIDIA's driver is not: computing on the CPU"
    assert before == [driver] * warnings
    assert last.startswith("error: none")
