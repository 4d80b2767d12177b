"""The devices that JAX can use, and which of its plugins for accelerators are installed."""

import os
from importlib.util import find_spec

from afsd_jax.errors import UserError

_CUDA = ("jax_cuda12_plugin", "jax_cuda13_plugin")
_OTHERS = ("jax_rocm7_plugin", "libtpu")


def cuda_is_installed() -> bool:
    """Returns whether JAX can use CUDA GPUs, if the machine has some."""
    return any(map(find_spec, _CUDA))


def accelerator_is_installed() -> bool:
    """Returns whether JAX can use any accelerator, if the machine has one."""
    return any(map(find_spec, (*_CUDA, *_OTHERS)))


def use_cpu_only() -> None:
    """Lets JAX use only the CPU, if this process has not imported it yet."""
    os.environ["JAX_PLATFORMS"] = "cpu"


def check_found() -> None:
    """Starts JAX, and checks that it finds the devices that its settings ask for.

    Raises:
      UserError: it finds none.
    """
    import jax  # here, since the plugins are found without it

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter if a plugin is missing
        wanted = jax.config.values["jax_platforms"]
        if not wanted:
            raise
        raise UserError(
            f"JAX finds no device for JAX_PLATFORMS={wanted} on this machine; unset JAX_PLATFORMS"
        ) from error
