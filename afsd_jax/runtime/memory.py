"""Memory of the host, where arrays lie if there is no accelerator."""

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
    """Makes the process reuse the memory of its arrays instead of giving it back each time.

    XLA allocates all intermediate arrays anew whenever a program runs. glibc gives blocks that
    large straight back to the system when they are freed, and the system hands out cleared pages
    again: a sixth of the time of a detector on two cores. The price is that the process keeps the
    most memory it ever needed.

    Blocks of 512 MiB and more are given back: they would not fit into the place they had, for
    glibc wants some bytes more than that to align them, and lie in memory twice or three times.

    There are arenas for all cores' threads. In one for all, of products' small aligned buffers each
    must wait for the others and search what a compiler left free: a third of a step's time. More
    hold more memory.

    Only the commands train and detect call this, never the library, because it concerns the whole
    process; AFSD_KEEP_FREED_MEMORY=0 in their environment switches it off. To be called before JAX
    makes its threads; does nothing where an accelerator computes, or without glibc.
    """
    mallopt = _mallopt()
    if mallopt is not None:
        for parameter, value in (_ARENAS, _MAP_FROM_BYTES, _NEVER_TRIM, _GROW_BYTES):
            mallopt(parameter, value)


def start_with_huge_pages() -> None:
    """Starts this process's command again with huge pages, if Linux gives them to who asks.

    The large blocks of a training step are mapped and cleared anew in each step. In pages of 2 MiB
    this takes a sixth of the time that it takes in pages of 4 KiB: of a full-size step a tenth is
    saved. The start takes a second longer, for Linux must first make huge pages.

    glibc asks for them only if its environment said so when the process began. To be called first,
    by a process that is nothing but the command; returns where there is nothing to win, or the
    environment says something else.
    """
    tunables = os.environ.get(_TUNABLES, "")
    if "glibc.malloc.hugetlb" not in tunables and _mallopt() and _given_to_who_asks():
        environment = os.environ | {_TUNABLES: f"{tunables}:{_HUGE}".lstrip(":")}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def _given_to_who_asks() -> bool:
    try:
        return "[madvise]" in _HUGE_PAGES.read_text()
    except OSError:
        return False


def give_back_memory() -> None:
    """Gives the system what is free of the process's memory now, such as a compiler leaves."""
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _mallopt() -> Any:
    """Returns glibc's function, or None where memory is to be left as it is."""
    wanted = os.environ.get(_SWITCH) != "0" and not accelerator_is_installed()
    return _glibc("mallopt") if wanted else None


def _glibc(name: str) -> Any:
    """Returns a function of glibc; None on other systems, or with another library."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
