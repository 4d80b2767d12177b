"""Huge pages for the memory that a training step maps in each step."""

import os
import subprocess
import sys

import pytest

from afsd_jax.runtime import memory
from tests.support import GPU_PLUGIN, needs_gpu_plugin

SCRIPT = """
import sys
from pathlib import Path
from afsd_jax.runtime import memory

memory.start_with_huge_pages()
block = b"x" * 2**29
size = asked = 0
for name, *values in map(str.split, Path("/proc/self/smaps").read_text().splitlines()):
    size = int(values[0]) if name == "Size:" else size
    asked += size if name == "VmFlags:" and "hg" in values else 0
print(asked)
print(*sys.argv[1:])
"""


def huge_mib(**environment: str) -> float:
    """Returns how much memory a process with a large block has in huge pages, MiB."""
    ours = ("GLIBC_TUNABLES", memory._SWITCH)
    given = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "an argument", "--another"],
        env=given | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    kib, arguments = done.stdout.splitlines()
    assert arguments == "an argument --another"
    return int(kib) / 1024


@pytest.mark.skipif(
    not memory._huge_pages_on_request() or memory._mallopt() is None,
    reason="huge pages are not set to madvise on this machine",
)
def test_a_command_starts_again_with_huge_pages():
    assert huge_mib() >= 512
    assert huge_mib(AFSD_KEEP_FREED_MEMORY="0") == 0
    assert huge_mib(GLIBC_TUNABLES="glibc.malloc.top_pad=0") >= 512


@needs_gpu_plugin
@pytest.mark.skipif(
    not memory._huge_pages_on_request() or memory._mallopt() is None,
    reason="huge pages are not set to madvise on this machine, or it has a GPU",
)
def test_jax_for_cuda_without_a_driver_does_not_prevent_it():
    assert huge_mib(PYTHONPATH=str(GPU_PLUGIN)) >= 512


@pytest.mark.parametrize(
    "environment",
    [{"AFSD_KEEP_FREED_MEMORY": "0"}, {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"}],
)
def test_the_environment_can_prevent_the_new_start(monkeypatch, environment):
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("started again"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    memory.start_with_huge_pages()
