"""A network exported as StableHLO on a CPU compiles for a GPU."""

import json
import os
import subprocess
import sys

from afsd_jax.export.network_folder import export_networks
from tests.export.exported import small_checkpoint
from tests.support import GPU_PLUGIN, ROOT, needs_gpu_plugin

pytestmark = needs_gpu_plugin


def test_an_exported_program_compiles_for_a_gpu_and_calls_only_nvidias_libraries(tmp_path):
    export_networks([small_checkpoint()], "stablehlo", tmp_path / "network")
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(GPU_PLUGIN)}
    command = [sys.executable, "-m", "tests.gpu_programs.compile_exported", tmp_path / "network"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    targets = json.loads(done.stdout)
    assert targets["__cudnn$convForward"] > 0
    assert [name for name in targets if not name.startswith(("__cudnn$", "__cublas$"))] == []
