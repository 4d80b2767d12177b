"""The devices that JAX can use, and which of its plugins for accelerators are installed."""

import ctypes
import logging
import os
import sys
from importlib.util import find_spec

from afsd_jax.errors import UserError

_log = logging.getLogger(__name__)

_CUDA = ("jax_cuda12_plugin", "jax_cuda13_plugin")
_NO_DRIVER = "JAX for CUDA is installed, but NVIDIA's driver is not: computing on the CPU"
_OTHERS = ("jax_rocm7_plugin", "libtpu")


def cuda_is_installed() -> bool:
    """Returns whether JAX can use CUDA GPUs, if the machine has some."""
    return any(map(find_spec, _CUDA))


def accelerator_is_installed() -> bool:
    """Returns whether JAX can use any accelerator, if the machine has one.

    JAX's CUDA plugin counts only where NVIDIA's driver is installed, too: many clusters share one
    environment between machines with GPUs and login nodes without.
    """
    return any(map(find_spec, _OTHERS)) or (cuda_is_installed() and _driver_is_installed())


def _driver_is_installed() -> bool:
    """Returns whether NVIDIA's driver can be loaded."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def use_cpu_only() -> None:
    """Lets JAX use only the CPU, if this process has not imported it yet."""
    os.environ["JAX_PLATFORMS"] = "cpu"


def use_cpu_without_driver() -> None:
    """Lets JAX use only the CPU if its CUDA plugin is installed without NVIDIA's driver.

    JAX would do so, too, but only after it has printed a traceback. Nothing changes if its settings
    name a platform.
    """
    if not cuda_is_installed() or accelerator_is_installed():
        return
    if "jax" in sys.modules:
        import jax

        if not jax.config.values["jax_platforms"]:
            jax.config.update("jax_platforms", "cpu")
            _log.warning(_NO_DRIVER)
    elif "JAX_PLATFORMS" not in os.environ:
        use_cpu_only()
        _log.warning(_NO_DRIVER)


def start_jax() -> None:
    """Starts JAX, and checks that it finds the devices that its settings ask for.

    Raises:
      UserError: it finds none.
    """
    import jax  # here, since the plugins are found without it

    use_cpu_without_driver()
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter if a plugin is missing
        wanted = jax.config.values["jax_platforms"]
        if not wanted:
            raise
        raise UserError(
            f"JAX finds no device for JAX_PLATFORMS={wanted} on this machine; unset JAX_PLATFORMS"
        ) from error
