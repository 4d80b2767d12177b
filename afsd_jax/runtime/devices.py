"""Which of JAX's plugins for accelerators are installed, found without loading them."""

from importlib.util import find_spec

_CUDA = ("jax_cuda12_plugin", "jax_cuda13_plugin")
_OTHERS = ("jax_rocm7_plugin", "libtpu")


def cuda_is_installed() -> bool:
    """Returns whether JAX can use CUDA GPUs, if the machine has some."""
    return any(map(find_spec, _CUDA))


def accelerator_is_installed() -> bool:
    """Returns whether JAX can use any accelerator, if the machine has one."""
    return any(map(find_spec, (*_CUDA, *_OTHERS)))
