"""Memory of the host, which holds the arrays if there is no accelerator.

Why `afsd train` starts itself again: a training step maps and clears its large blocks of memory in
each step. With pages of 2 MiB this takes a sixth of the time that it takes with pages of 4 KiB, and
a full-size step a tenth less. glibc requests such huge pages only if GLIBC_TUNABLES is set when the
process begins. So `start_with_huge_pages` sets it and executes the command again in the same
process. The start takes a second longer, because Linux must first make the huge pages.
"""

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

from afsd_jax.runtime.devices import accelerator_is_installed

# Parameters of glibc's mallopt and what they are set to.
_ARENAS = (-8, 1 + (os.cpu_count() or 1))
_MAP_FROM_BYTES = (-3, 2**29)
_NEVER_TRIM = (-1, -1)
_GROW_BYTES = (-2, 2**28)

_SWITCH = "AFSD_KEEP_FREED_MEMORY"
_TUNABLES, _HUGE = "GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"
_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def keep_freed_memory() -> None:
    """Makes the process reuse the memory of freed arrays instead of returning it to the system.

    XLA allocates all intermediate arrays again whenever a program runs. glibc returns such large
    blocks to the system when they are freed, and the system clears pages before it provides them
    again: a sixth of a detector's time on two cores. The price is that the process keeps the most
    memory that it ever needed.

    Blocks of 512 MiB and more are still returned. glibc needs some extra bytes to align them, so
    they would not fit into the place of a freed one and would lie in memory twice or three times.

    There is an arena for each core's thread. With one arena, threads wait for each other to
    allocate oneDNN's small buffers, and search the fragments that the compiler left: a third of a
    step's time. More arenas hold more memory.

    Only the commands train and detect call this, never the library, because it concerns the whole
    process; AFSD_KEEP_FREED_MEMORY=0 in their environment switches it off. It must be called before
    JAX starts its threads. It does nothing with an accelerator, or without glibc.
    """
    mallopt = _mallopt()
    if mallopt is not None:
        for parameter, value in (_ARENAS, _MAP_FROM_BYTES, _NEVER_TRIM, _GROW_BYTES):
            mallopt(parameter, value)


def start_with_huge_pages() -> None:
    """Starts this process's command again with huge pages, if they are available on request.

    That is, if transparent huge pages are set to `madvise`. The module's docstring says why. It
    must be called first, in a process that only runs the command. It returns where there is nothing
    to gain, or where the environment already sets glibc's huge pages.
    """
    tunables = os.environ.get(_TUNABLES, "")
    if "glibc.malloc.hugetlb" not in tunables and _mallopt() and _huge_pages_on_request():
        environment = os.environ | {_TUNABLES: f"{tunables}:{_HUGE}".lstrip(":")}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def _huge_pages_on_request() -> bool:
    """Returns whether transparent huge pages are set to `madvise`."""
    try:
        return "[madvise]" in _HUGE_PAGES.read_text()
    except OSError:
        return False


def give_back_memory() -> None:
    """Returns the process's free memory to the system, such as what the compiler left."""
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _mallopt() -> Any:
    """Returns glibc's `mallopt`, or None where its settings must not be changed."""
    wanted = os.environ.get(_SWITCH) != "0" and not accelerator_is_installed()
    return _glibc("mallopt") if wanted else None


def _glibc(name: str) -> Any:
    """Returns a function of glibc; None on other systems, or with another library."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None


def physical_bytes() -> int:
    """Returns how much memory the machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
