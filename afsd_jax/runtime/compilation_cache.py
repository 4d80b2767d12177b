"""Programs compiled once are kept on disk, so that a command starts faster the next time."""

import hashlib
import os
import platform
from pathlib import Path

# Many of a command's programs compile in less than JAX's bound of 1 s.
_WORTH_KEEPING_S = 0.1


def enable(place: str | None = None) -> None:
    """Lets JAX keep what it compiles, for this process.

    Only commands call this, never the library. To be called before anything is compiled; does
    nothing if the folder cannot be written.

    Args:
      place: the folder; "" or "0": keep nothing; None: JAX's own setting if there is one, else
        afsd_jax in the user's folder of caches, apart for each kind of processor.
    """
    import jax

    if place in ("", "0") or (place is None and jax.config.values["jax_compilation_cache_dir"]):
        return
    folder = Path(place) if place else _default()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if os.access(folder, os.W_OK | os.X_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
            jax.config.update("jax_persistent_cache_min_compile_time_secs", _WORTH_KEEPING_S)


def _default() -> Path:
    # Programs for CPUs hold instructions that another machine with the same home may lack.
    processor = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(errors="replace").splitlines()
        flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
        processor += "-" + hashlib.sha256(flags.encode()).hexdigest()[:8]
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "afsd_jax" / processor
