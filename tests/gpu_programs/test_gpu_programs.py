"""What XLA makes of a small network's programs for GPUs, compiled without a GPU."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.support import GPU_PLUGIN, ROOT, needs_gpu_plugin

PAIRS = ("H100:bfloat16", "H100:float32", "A100:bfloat16")

pytestmark = needs_gpu_plugin


@pytest.fixture(scope="module")
def compiled() -> dict[str, Any]:
    """The facts of all programs, by GPU and dtype."""
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(GPU_PLUGIN)}
    command = [sys.executable, "-m", "tests.gpu_programs.compile_programs", *PAIRS]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = map(json.loads, done.stdout.splitlines())
    return {facts.pop("pair"): facts for facts in found}


@pytest.fixture(params=PAIRS)
def programs(compiled, request) -> dict[str, Any]:
    return compiled[request.param]


def test_boundary_pooling_is_triton_forward_and_backward(programs):
    assert (programs["forward"]["pooled"], programs["forward"]["pooled_backward"]) == (2, 0)
    gradients = programs["gradients"]
    assert gradients["pooled_backward"] == gradients["pooled"] > 2


@pytest.mark.parametrize(
    ("name", "directions"),
    [
        ("forward", {"BiasActivationForward"}),
        ("gradients", {"BiasActivationForward", "BackwardInput", "BackwardFilter"}),
    ],
)
def test_every_convolution_is_cudnns_with_channels_last_and_folded_norm(programs, name, directions):
    program = programs[name]
    convolutions = {x for x in program["targets"] if "conv" in x}
    assert convolutions == {f"__cudnn$conv{direction}" for direction in directions}
    assert program["own_convolutions"] == 0
    assert program["layouts"] == ["b012f_o012i->b012f"]


def test_clips_and_consistency_clips_pass_the_network_at_once(programs):
    convolutions = programs["forward"]["convolved_forward"]
    assert programs["gradients"]["convolved_forward"] == convolutions > 0


def test_only_weights_are_transposed(programs):
    for name in ("forward", "gradients", "update"):
        assert programs[name]["transposed"] <= programs["largest_weight"]


def test_the_update_overwrites_the_state(programs):
    assert programs["update"]["donated"] >= programs["state_bytes"] > 0


def test_nothing_is_computed_in_float64_or_on_the_host(programs):
    known = ("__cudnn$", "__cublas$", "triton_kernel_call")
    for name in ("forward", "gradients", "update"):
        assert not programs[name]["float64"]
        assert [x for x in programs[name]["targets"] if not x.startswith(known)] == []


def test_max_pools_and_their_gradients_move_little_more_than_their_arrays(compiled):
    assert max(compiled["max pools"]["traffic"]) <= 1.5


def test_eight_gpus_sum_each_gradient_once_and_keep_their_clips(compiled):
    found = compiled["eight GPUs"]["replicated"]
    assert set(found["moved"]) == {"all-reduce"}  # nothing of a clip moves to another GPU
    assert found["moved"]["all-reduce"] == pytest.approx(found["learned"], rel=1e-3)
    assert found["pooled"] == compiled["H100:float32"]["gradients"]["pooled"]


def test_gpus_that_share_the_state_gather_weights_and_sum_only_their_part(compiled):
    found = compiled["eight GPUs"]["shared"]
    moved = found["moved"]
    assert set(moved) == {"all-gather", "reduce-scatter", "all-reduce"}
    assert moved["reduce-scatter"] > 0.95 * found["learned"]
    assert moved["all-reduce"] < 0.05 * found["learned"]
    assert moved["all-gather"] > 0.95 * found["learned"]
