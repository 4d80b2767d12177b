"""Compilation of programs, and the folder in which compiled programs are stored.

JAX is imported where it is used: memory settings must come before it starts its threads.
"""

import functools
import hashlib
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

# YNNPACK's convolutions cost XLA more than YNNPACK saves: a kernel's gradient takes 3.4 times the
# processor time of Eigen's, a training step 22 s instead of 16 on two cores with AVX-512.
_CPU_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": ""}
# XLA's own choice for 3-D convolutions, channels first, makes a step transpose most of its arrays.
_GPU_OPTIONS = {"xla_gpu_force_conv_nhwc": True}
_OPTIONS: dict[str, dict[str, Any]] = {"cpu": _CPU_OPTIONS, "gpu": _GPU_OPTIONS}
# Many programs of a command compile in less than the 1 s from which JAX stores them.
_MIN_COMPILE_S = 0.1


def compiled(function: Callable[..., Any], **options: Any) -> Any:
    """Returns `jax.jit(function, **options)` with the compiler's best settings for networks."""
    import jax

    return jax.jit(function, compiler_options=_compiler_options(jax.default_backend()), **options)


@functools.cache
def _compiler_options(backend: str) -> dict[str, Any] | None:
    """Returns the options for a backend, if the installed XLA knows them."""
    import jax

    options = _OPTIONS.get(backend)
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:  # another version of XLA, without this option
        return None
    return options


def enable_cache(folder: str | None = None) -> None:
    """Stores this process's compiled programs on disk, so that the next command starts faster.

    Only commands call this, never the library, and before anything is compiled. It does nothing
    if the folder cannot be written.

    Args:
      folder: where to store them. "" or "0": nowhere. None: JAX's own setting if there is one,
        else afsd_jax in the user's cache folder, with a subfolder for each kind of processor.
    """
    import jax

    if folder in ("", "0"):
        return
    chosen = jax.config.values["jax_compilation_cache_dir"]
    if folder is None and chosen:
        store_programs(Path(chosen))
        return
    path = Path(folder) if folder else _default_folder()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if os.access(path, os.W_OK | os.X_OK):
        store_programs(path)
        jax.config.update("jax_compilation_cache_dir", str(path))
        if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
            jax.config.update("jax_persistent_cache_min_compile_time_secs", _MIN_COMPILE_S)


def store_programs(folder: Path) -> None:
    """Stores whole programs in a subfolder of the cache; see `programs`."""
    from afsd_jax.runtime import programs

    programs.store_in(folder / "programs")


def _default_folder() -> Path:
    # A program for CPUs may hold instructions that another machine with the same home lacks.
    processor = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(errors="replace").splitlines()
        flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
        processor += "-" + hashlib.sha256(flags.encode()).hexdigest()[:8]
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "afsd_jax" / processor
