"""How the network's programs are compiled."""

import functools
from collections.abc import Callable
from typing import Any

import jax

# YNNPACK's convolutions take XLA more than YNNPACK saves: 3.4 times the processor time of Eigen's
# for a kernel's gradient, a training step 22 s instead of 16 on two cores with AVX-512.
_CPU_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": ""}


def compiled(function: Callable[..., Any], **options: Any) -> Any:
    """Returns `jax.jit(function, **options)` with the compiler's best settings for networks."""
    return jax.jit(function, compiler_options=_compiler_options(), **options)


@functools.cache
def _compiler_options() -> dict[str, str] | None:
    """The settings of the default backend, as far as the installed XLA knows them."""
    if jax.default_backend() != "cpu":
        return None
    try:
        jax.jit(lambda: 0, compiler_options=_CPU_OPTIONS).lower().compile()
    except jax.errors.JaxRuntimeError:  # before or after this XLA, where there is no YNNPACK
        return None
    return _CPU_OPTIONS
