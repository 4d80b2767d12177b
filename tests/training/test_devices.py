"""The same global batch gives the same losses however it is spread over devices and processes.

Sums are taken in another order on other devices, and so are rounded otherwise: in float64 steps
agree within 1e-12. What no order explains would be as large there.

In float32 they agree to the last digits until one of these decides: which cell is a maximum, what
passes a ReLU, how a region's bound is rounded. From that step on losses differ in the fourth
digit. See docs/training.md.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.support import ROOT, free_port


def start(devices: int, x64: bool = False, **request: object) -> subprocess.Popen[str]:
    """Starts `tests.device_run` in a process that has so many devices."""
    environment = os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # compiling is what costs
        "JAX_ENABLE_X64": str(int(x64)),
    }
    command = [sys.executable, "-m", "tests.device_run", json.dumps(request)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=pipe, stderr=pipe, env=environment)


def results(process: subprocess.Popen[str]) -> list[dict]:
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def runs() -> dict[str, dict]:
    """Ten steps on 1 device, on 8, on 8 that share the state, and on 2 processes of 2 each."""
    one = start(8, ways=[(1, False), (8, False), (8, True)])
    found = dict(zip(("1", "8", "8 shared"), results(one), strict=True))
    address = f"127.0.0.1:{free_port()}"
    fields = {"ways": [(4, False)], "coordinator": address, "num_processes": 2}
    pair = [start(2, **fields, process_id=number) for number in range(2)]
    (found["2x2 first"],), (found["2x2 second"],) = (results(process) for process in pair)
    return found


def assert_close(found: dict, expected: dict, tolerance: float) -> None:
    for step, (a, b) in enumerate(zip(found["losses"], expected["losses"], strict=True), 1):
        assert a.keys() == b.keys()
        for term, value in b.items():
            np.testing.assert_allclose(
                a[term], value, tolerance, tolerance * 1e-3, err_msg=f"{term} at step {step}"
            )


@pytest.mark.parametrize("way", ["8", "8 shared", "2x2 first", "2x2 second"])
def test_ten_steps_give_the_same_losses(runs, way):
    assert runs["1"]["dtype"] == "float32"
    assert runs["1"]["losses"][-1]["total"] < 0.97 * runs["1"]["losses"][0]["total"]
    assert_close(runs[way], runs["1"], 5e-3)


def test_in_float64_they_differ_by_its_last_digits():
    # XLA's convolutions in float64 are slow: few steps.
    ways = [(1, False), (8, True)]
    one, eight = results(start(8, True, dtype="float64", ways=ways, steps=2))
    assert one["dtype"] == "float64"
    assert_close(eight, one, 1e-12)


def test_eight_devices_that_share_the_state_hold_little_more_than_an_eighth_each(runs):
    assert runs["8"]["bytes"] == runs["1"]["bytes"]
    assert runs["8 shared"]["bytes"] < 0.2 * runs["8"]["bytes"]
