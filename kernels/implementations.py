"""Choosing the implementation of boundary max pooling, with the reason if Triton cannot run."""

import functools
import importlib
import importlib.metadata
import sys
import warnings
from collections.abc import Collection

from afsd_jax.runtime.devices import cuda_is_installed

IMPLEMENTATIONS = ("triton", "xla")
# Versions whose kernels compile with JAX 0.10 and 0.11. An older ptxas refuses later versions' PTX.
PACKAGES = "'jax[cuda13]' 'jax-triton>=0.3.1,<0.4' 'triton>=3.6,<3.7'"
INSTALL = f"install all of it with: pip install {PACKAGES}"


def choose_implementation(implementation: str | None, on_cuda: bool) -> str:
    """Returns "triton" or "xla": the argument or, if it is None, the best one here.

    The best is Triton on CUDA GPUs and XLA elsewhere. If Triton would be the best but cannot be
    used, or its kernels do not run, the result is XLA, with one warning per process that
    says what to do.

    Args:
      implementation: "triton", "xla" or None.
      on_cuda: whether JAX's default backend is CUDA.

    Raises:
      ValueError: the implementation is unknown.
      RuntimeError: "triton" is requested but cannot be used here; the text says why and what to do.
    """
    if implementation not in (None, *IMPLEMENTATIONS):
        known = ", ".join(map(repr, IMPLEMENTATIONS))
        raise ValueError(f"implementation must be None or one of {known}, not {implementation!r}")
    if implementation == "xla" or (implementation is None and not on_cuda):
        return "xla"
    if not on_cuda:
        raise RuntimeError(
            "implementation='triton' needs a CUDA GPU as JAX's default backend: "
            "use implementation='xla' or None"
        )
    obstacle = triton_obstacle(version("triton"), version("jax-triton"), sys.modules)
    if obstacle is None:
        try:
            kernels = importlib.import_module("afsd_jax.kernels.triton_jax")
            # Who requests Triton gets the error itself.
            obstacle = kernels.run_obstacle() if implementation is None else None
            if obstacle is None:
                return "triton"
            obstacle = f"{obstacle}; {INSTALL}"
        except ImportError as error:
            obstacle = f"it cannot be loaded ({error}); {INSTALL}"
    if implementation == "triton":
        raise RuntimeError(f"implementation='triton' cannot be used: {obstacle}")
    _warn_once(f"boundary max pooling falls back to its slower XLA implementation: {obstacle}")
    return "xla"


def triton_obstacle(
    triton: str | None, jax_triton: str | None, loaded: Collection[str]
) -> str | None:
    """Returns the reason why Triton cannot be used, with the remedy, or None if it can.

    TensorFlow and Triton 3.7 or later both register LLVM's options. Loading such a Triton after
    TensorFlow aborts the process; the other order works, and so does any order with Triton 3.6.

    Args:
      triton: installed version of Triton, None if it is not installed.
      jax_triton: installed version of jax-triton, None if it is not installed.
      loaded: names of the modules that the process has loaded.
    """
    if triton is None:
        return f"Triton is missing; {INSTALL}"
    if jax_triton is None:
        return f"jax-triton is missing; {INSTALL}"
    is_loaded = "triton._C.libtriton" in loaded
    if not is_loaded and "tensorflow" in loaded and _release(triton) >= (3, 7):
        return (
            f"TensorFlow is loaded and loading Triton {triton} after it would abort the process; "
            "call afsd_jax.kernels.load_triton() before TensorFlow is imported, "
            "or install 'triton<3.7'"
        )
    return None


def load_triton() -> None:
    """Loads Triton if it can be used here, so that TensorFlow can safely be loaded later.

    Call it before the first import of TensorFlow. It does nothing without JAX's CUDA plugin,
    without Triton, or if loading Triton is no longer safe.
    """
    obstacle = triton_obstacle(version("triton"), version("jax-triton"), sys.modules)
    if cuda_is_installed() and obstacle is None:
        import triton  # noqa: F401


def version(package: str) -> str | None:
    """Returns the installed version of a package, or None; does not import the package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _release(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("+")[0].split(".")[:2])


@functools.cache
def _warn_once(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=2)
