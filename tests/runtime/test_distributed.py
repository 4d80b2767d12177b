"""Two processes train together by the command line; if one dies, the other says so and ends."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from afsd_jax.errors import UserError
from afsd_jax.runtime import distributed
from afsd_jax.weights import checkpoint
from tests import small_run
from tests.small_run import SMALL, command, records
from tests.support import ROOT, free_port

pytestmark = pytest.mark.usefixtures("fast_compiling")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return small_run.prepare(tmp_path_factory.mktemp("small"))


def start(data: Path, workdir: Path, **overrides: object) -> list[subprocess.Popen[str]]:
    """Starts two processes of one device each, that train together with the state in shares."""
    port = free_port()
    fields = {"train__shard_state": True, **overrides}
    return [
        subprocess.Popen(
            [
                *command(data, workdir, **fields),
                *(f"--coordinator=127.0.0.1:{port}", "--num-processes=2", f"--process-id={number}"),
            ],
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=1"},
        )
        for number in range(2)
    ]


def finish(pair: list[subprocess.Popen[str]]) -> list[tuple[str, str]]:
    """Returns what both printed; both end well."""
    outputs = [process.communicate() for process in pair]
    assert [process.returncode for process in pair] == [0, 0], outputs
    return outputs


def test_two_processes_are_one_run_and_outlive_the_death_of_one(data, tmp_path):
    together, alone = tmp_path / "together", tmp_path / "alone"
    pair = start(data, together, train__steps=1000, train__checkpoint_every=4)
    log = together / "metrics.jsonl"
    while all(process.poll() is None for process in pair) and not (
        log.exists() and len(records(together)) >= 6
    ):
        time.sleep(0.1)
    pair[1].send_signal(signal.SIGKILL)
    killed = time.monotonic()
    errors = pair[0].communicate()[1]
    assert time.monotonic() - killed < 120
    assert pair[0].returncode == distributed.LOST, errors
    assert "Traceback" not in errors
    assert re.search(
        r"error: another process of this run is gone .*start all of them again", errors
    )
    pair[1].communicate()
    last = checkpoint.steps(together / "checkpoints")[-1]
    assert last in (4, 8)

    outputs = finish(start(data, together, train__steps=last + 2))
    assert "process 0 of 2, 1 of 2 devices" in outputs[0][1]
    assert "parameters learn" in outputs[0][0]
    assert "next, detect: afsd detect" in outputs[0][0]
    for text in ("parameters learn", "next, detect"):
        assert text not in outputs[1][0], "only the first process speaks of the run"
    assert [record["step"] for record in records(together)] == list(range(1, last + 3))
    assert checkpoint.read(together / "checkpoints").step == last + 2
    # Each wrote its share of the optimiser's state.
    written = {path.name for path in (together / f"checkpoints/{last + 2}/optimizer").iterdir()}
    assert {"ocdbt.process_0", "ocdbt.process_1"} <= written

    assert small_run.train(data, alone, **SMALL).returncode == 0
    losses = [[record["total"] for record in records(folder)[:4]] for folder in (together, alone)]
    np.testing.assert_allclose(*losses, rtol=5e-3)  # see tests/training/test_devices.py


@pytest.mark.parametrize(
    ("environment", "launcher"),
    [
        ({}, ""),
        ({"SLURM_STEP_NODELIST": "node[1-2]", "SLURM_NTASKS": "2"}, "SLURM"),
        ({"SLURM_STEP_NODELIST": "node1", "SLURM_NTASKS": "1"}, ""),
        ({"SLURM_NTASKS": "2"}, ""),  # a batch script of its own, not srun
        ({"OMPI_COMM_WORLD_SIZE": "4"}, "Open MPI"),
        ({"OMPI_COMM_WORLD_SIZE": "1"}, ""),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"}, "Kubernetes"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, ""),  # a pod of no indexed Job
    ],
)
def test_launchers_of_several_processes_are_known(environment, launcher):
    assert distributed.launched_by(environment) == launcher


@pytest.mark.parametrize("launcher", ["SLURM", "Open MPI"])
def test_a_launcher_s_processes_join_by_themselves(launcher):
    code = "import os, jax\nfrom afsd_jax.runtime import distributed\n"
    code += "print(distributed.join(None, None, None, os.environ))\n"
    port = str(free_port())

    def environment(number: int) -> dict[str, str]:
        if launcher == "SLURM":
            fields = {"SLURM_JOB_ID": "1", "SLURM_STEP_NODELIST": "127.0.0.1", "SLURM_NTASKS": "2"}
            fields |= {"SLURM_PROCID": str(number), "SLURM_LOCALID": str(number)}
        else:
            fields = {"OMPI_MCA_orte_hnp_uri": "4096.0;tcp://127.0.0.1:1"}
            fields |= {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": str(number)}
            fields |= {"OMPI_COMM_WORLD_LOCAL_RANK": str(number)}
        return os.environ | fields | {"JAX_COORDINATOR_PORT": port}

    pair = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            env=environment(number),
        )
        for number in range(2)
    ]
    lines = [process.communicate()[0].splitlines() for process in pair]
    for number in range(2):
        assert f"process {number} of 2, 1 of 2 devices" in lines[number]


def test_a_launcher_that_jax_does_not_understand_is_one_line():
    # Open MPI 5 does not say where its first process is.
    with pytest.raises(
        UserError, match=r"Open MPI: the processes cannot be joined .*coordinator's address"
    ):
        distributed.join(None, None, None, {"OMPI_COMM_WORLD_SIZE": "2"})
    assert distributed.join(None, 1, None, {"OMPI_COMM_WORLD_SIZE": "2"}) == ""
