"""Folders of the repository, the published networks, processes and ports."""

import importlib.metadata
import socket
import subprocess
import sys
from pathlib import Path

import ml_collections
import pytest

from afsd_jax.config import resolve
from afsd_jax.configs import anet, thumos14

GOLDEN = Path(__file__).parent / "golden"
ROOT = Path(__file__).parent.parent
# Real annotations, beside the repository; tests that need them skip where they are absent.
THUMOS14 = ROOT.parent / "shared" / "thumos14"

# JAX's CUDA plugin in a folder of its own, for processes that have it on PYTHONPATH.
GPU_PLUGIN = ROOT / ".gpu-plugin"
needs_gpu_plugin = pytest.mark.skipif(
    not list(GPU_PLUGIN.glob(f"jax_cuda13_plugin-{importlib.metadata.version('jax')}.*")),
    reason=f"{GPU_PLUGIN.name} is missing or for another JAX: make gpu-plugin",
)


def published(benchmark: str, stream: str = "rgb") -> ml_collections.ConfigDict:
    """Returns the whole configuration of a published network, thumos14 or anet."""
    config = {"thumos14": thumos14, "anet": anet}[benchmark].get_config(stream)
    return resolve(config, len(thumos14.CLASSES))  # ActivityNet's count as one


def free_port() -> int:
    """Returns a port of this machine that no process listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def python(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs Python with these arguments in the repository's folder."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
