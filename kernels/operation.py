"""Boundary max pooling and its gradient as primitive operations of JAX.

As primitives, for their implementation is chosen when code is lowered: only then is the platform
known, and only then may Triton be loaded. The compiler sees no more than the chosen one, so what
only the other one would keep for the gradient costs nothing inside one `jit`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax._src import dispatch
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir
from jax.sharding import PartitionSpec

from afsd_jax.kernels import xla
from afsd_jax.kernels.batch_sharding import over_batch
from afsd_jax.kernels.choice import choose
from afsd_jax.kernels.levels import positions_like

CPU_CACHE = 8 << 20  # bytes that stay near a CPU's cores

Arrays = list[jax.Array]


def pool(features: jax.Array, regions: jax.Array, implementation: str | None) -> jax.Array:
    """Pools features [B, T, C] over regions [B, N, 4] to [B, N, C]."""
    return _pool.bind(features, regions, implementation=implementation, track=False)[0]


def pool_and_track(features: jax.Array, regions: jax.Array, implementation: str | None) -> Arrays:
    """Pools and returns the arrays of `positions_like` as well (XLA leaves them zero)."""
    return _pool.bind(features, regions, implementation=implementation, track=True)


def pool_back(
    features: jax.Array,
    regions: jax.Array,
    tracked: Sequence[jax.Array],
    gradient: jax.Array,
    implementation: str | None,
) -> jax.Array:
    """Returns the gradient [B, T, C] of the features from that of the output [B, N, C]."""
    operands = (features, regions, *tracked, gradient)
    return _pool_back.bind(*operands, implementation=implementation)[0]


def _pool_xla(features: jax.Array, regions: jax.Array, *, track: bool, cache: int | None) -> Arrays:
    kept = positions_like(features, regions.shape[1]) if track else []
    return [xla.forward(features, regions, cache), *(jnp.zeros(k.shape, k.dtype) for k in kept)]


def _pool_triton(
    features: jax.Array, regions: jax.Array, *, track: bool, devices: int | None
) -> Arrays:
    from afsd_jax.kernels import triton_jax

    results = "b n c, b n c, b m c" if track else "b n c"
    forward = partial(triton_jax.forward, track=track)
    return over_batch(forward, f"b t c, b n f -> {results}", devices)(features, regions)


def _pool_types(features: Any, regions: Any, *, implementation: str | None, track: bool) -> list:
    count = regions.shape[1]
    kept = positions_like(features, count) if track else []
    output = jax.ShapeDtypeStruct((features.shape[0], count, features.shape[2]), features.dtype)
    return [_type_like(features, form) for form in (output, *kept)]


def _pool_back_xla(
    features: jax.Array, regions: jax.Array, *others: jax.Array, cache: int | None
) -> Arrays:
    return [xla.backward(features, regions, others[-1], cache)]


def _pool_back_triton(features: jax.Array, *others: jax.Array, devices: int | None) -> Arrays:
    from afsd_jax.kernels import triton_jax

    backward = partial(triton_jax.backward, length=features.shape[1], dtype=features.dtype)
    return over_batch(backward, "b n f, b n c, b m c, b n c -> b t c", devices)(*others)


def _pool_back_types(features: Any, *_: Any, implementation: str | None) -> list:
    return [_type_like(features, features)]


def _type_like(features: Any, form: Any) -> Any:
    """A result's type: sharded over clips and channels, and varying over devices, as features."""
    clips, _, channels = features.sharding.spec
    sharding = features.sharding.update(spec=PartitionSpec(clips, None, channels))
    return features.update(shape=form.shape, dtype=form.dtype, weak_type=False, sharding=sharding)


def _primitive(name: str, types: Callable, xla: Callable, triton: Callable) -> Primitive:
    def lower(ctx, *operands, implementation, platform, **parameters):
        function = partial(xla, cache=CPU_CACHE if platform == "cpu" else None, **parameters)
        if choose(implementation, platform) == "triton":
            devices = getattr(ctx.module_context.axis_context, "num_devices", None)
            function = partial(triton, devices=devices, **parameters)
        return mlir.lower_fun(function)(ctx, *operands)

    def batch(operands, axes, **parameters):
        """The axis of vmap joins the batch as its fast axis, so that a sharded batch stays so."""
        size = next(x.shape[a] for x, a in zip(operands, axes, strict=True) if a is not None)
        operands = [
            jnp.repeat(x[:, None], size, axis=1) if a is None else jnp.moveaxis(x, a, 1)
            for x, a in zip(operands, axes, strict=True)
        ]
        clips = operands[0].shape[0]
        folded = [x.reshape(clips * size, *x.shape[2:]) for x in operands]
        results = primitive.bind(*folded, **parameters)
        return [x.reshape(clips, size, *x.shape[1:]) for x in results], [1] * len(results)

    primitive = Primitive(name)
    primitive.multiple_results = True
    primitive.def_abstract_eval(types)
    primitive.def_impl(jax.jit(primitive.bind, static_argnames=("implementation", "track")))
    batching.primitive_batchers[primitive] = batch
    for platform in ("cuda", "cpu"):
        mlir.register_lowering(primitive, partial(lower, platform=platform), platform=platform)
    mlir.register_lowering(primitive, partial(lower, platform="other"))
    # JAX has no public way to say what custom_partitioning, used in `lower`, says for itself: that
    # programs for several devices must know them while they are lowered.
    dispatch.prim_requires_devices_during_lowering.add(primitive)
    return primitive


_pool = _primitive("boundary_max_pooling", _pool_types, _pool_xla, _pool_triton)
_pool_back = _primitive(
    "boundary_max_pooling_back", _pool_back_types, _pool_back_xla, _pool_back_triton
)
