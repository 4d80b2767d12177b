"""The network's convolutions and norms: channels last, padded "SAME" as in XLA."""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike

from afsd_jax.models.convolution import conv3d, pad_same, product, unfold

# NumPy draws all weights of the full network in 2 s. A jitted constructor with nnx.initializers
# compiles for 12 s or more on two cores. None: weights are zero, to be replaced by others.
Rng = np.random.Generator | None
Initializer = Callable[[Rng, tuple[int, ...]], np.ndarray]
Lengths = tuple[int, ...]


def normal(std: float) -> Initializer:
    """Returns an initialiser with a normal distribution of this standard deviation."""

    def init(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
        if rng is None:
            return np.zeros(shape, np.float32)
        return rng.standard_normal(shape, np.float32) * np.float32(std)

    return init


def he_normal(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    """Draws a kernel [..., in, out] from a normal distribution of variance 2 / fan-in."""
    return normal((2 / np.prod(shape[:-1])) ** 0.5)(rng, shape)


def glorot_uniform(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    """Draws a kernel [..., in, out] uniformly within ±sqrt(6 / (fan-in + fan-out))."""
    if rng is None:
        return np.zeros(shape, np.float32)
    taps = np.prod(shape[:-2])
    limit = (6 / (taps * (shape[-2] + shape[-1]))) ** 0.5
    return rng.uniform(-limit, limit, shape).astype(np.float32)


class Frozen(nnx.Variable):
    """A weight that is loaded and saved but never trained."""


def to_float32(x: jax.Array) -> jax.Array:
    """Returns x in float32, or unchanged if it is wider.

    Statistics, exponentials and losses are never computed in bfloat16.
    """
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def upsample(x: jax.Array, length: int) -> jax.Array:
    """Stretches [B,t,C] to [B,length,C] by nearest neighbours; `length` is a multiple of t."""
    return jnp.repeat(x, length // x.shape[1], axis=1)


class BatchNorm(nnx.Module):
    """Batch normalisation over all axes but the last, eps 1e-3.

    If frozen (the default of AFSD), it applies its running statistics and has no trainable
    parameter. If trained, it uses the statistics of the global batch, which XLA reduces over all
    devices.
    """

    def __init__(self, channels: int, trained: bool, momentum: float = 0.98, eps: float = 1e-3):
        variable = nnx.Param if trained else Frozen
        self.scale = variable(np.ones(channels, np.float32))
        self.bias = variable(np.zeros(channels, np.float32))
        self.mean = nnx.BatchStat(np.zeros(channels, np.float32))
        self.var = nnx.BatchStat(np.ones(channels, np.float32))
        self.trained, self.momentum, self.eps = trained, momentum, eps

    def __call__(self, x: jax.Array, training: bool = False) -> jax.Array:
        mean, var = self.mean[...], self.var[...]
        if self.trained and training:
            axes = tuple(range(x.ndim - 1))
            wide = to_float32(x)
            batch_mean = wide.mean(axes)
            batch_var = jnp.square(wide - batch_mean).mean(axes)
            self.mean[...] = self.momentum * mean + (1 - self.momentum) * batch_mean
            self.var[...] = self.momentum * var + (1 - self.momentum) * batch_var
            mean, var = batch_mean, batch_var
        scale, shift = self._scale_and_shift(mean, var)
        return x * scale.astype(x.dtype) + shift.astype(x.dtype)

    def scale_and_shift(self) -> tuple[jax.Array, jax.Array]:
        """Returns factor and summand [C] that apply the running statistics; float32."""
        return self._scale_and_shift(self.mean[...], self.var[...])

    def _scale_and_shift(self, mean: jax.Array, var: jax.Array) -> tuple[jax.Array, jax.Array]:
        scale = self.scale[...] * jax.lax.rsqrt(var + self.eps)
        return scale, self.bias[...] - mean * scale


class Conv3D(nnx.Module):
    """A 3-D convolution without bias, kernel [t,h,w,in,out], trained or frozen."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int, int],
        strides: tuple[int, int, int],
        learns: bool,
        dtype: DTypeLike,
        rng: Rng,
    ):
        variable = nnx.Param if learns else Frozen
        kernel = he_normal(rng, (*kernel_size, in_channels, out_channels))
        self.kernel = variable(kernel)
        self.strides, self.dtype = strides, dtype

    def __call__(self, x: jax.Array, scale: jax.Array | None = None) -> jax.Array:
        """Convolves x; `scale` [out] multiplies the output's channels, by way of the kernel."""
        kernel = self.kernel[...] if scale is None else self.kernel[...] * scale
        return conv3d(x.astype(self.dtype), kernel.astype(self.dtype), self.strides)


class SpatialConv(nnx.Module):
    """Collapses space by a "valid" convolution with an H×W kernel: [B,T,H,W,C] → [B,T,D]."""

    def __init__(self, size: int, in_channels: int, out_channels: int, dtype: DTypeLike, rng: Rng):
        kernel = glorot_uniform(rng, (1, size, size, in_channels, out_channels))
        self.kernel = nnx.Param(kernel)
        self.bias = nnx.Param(np.zeros(out_channels, np.float32))
        self.dtype = dtype

    def __call__(self, x: jax.Array, lengths: Lengths = ()) -> jax.Array:
        kernel = self.kernel[...].astype(self.dtype)
        flat = x.astype(self.dtype).reshape(*x.shape[:2], -1)
        return product(flat, kernel.reshape(-1, kernel.shape[-1])) + self.bias[...].astype(
            self.dtype
        )


class Conv1D(nnx.Module):
    """A 1-D convolution over time, [B,t,C] → [B,ceil(t/stride),D], kernel [size,in,out].

    With `lengths`, the input is several sequences concatenated along time, convolved separately.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        dtype: DTypeLike,
        rng: Rng,
        init: Initializer = glorot_uniform,
    ):
        self.kernel = nnx.Param(init(rng, (kernel_size, in_channels, out_channels)))
        self.bias = nnx.Param(np.zeros(out_channels, np.float32))
        self.stride, self.dtype = stride, dtype

    def __call__(self, x: jax.Array, lengths: Lengths = ()) -> jax.Array:
        kernel = self.kernel[...].astype(self.dtype)
        # As one matrix product, because there are few cells and many channels.
        padded = pad_same(x.astype(self.dtype), 1, kernel.shape[0], self.stride)
        taps = unfold(padded, 1, kernel.shape[0], self.stride)
        if len(lengths) > 1 and len(taps) > 1:
            masks = _inside(lengths, kernel.shape[0]).astype(self.dtype)
            taps = [tap * mask[:, None] for tap, mask in zip(taps, masks, strict=True)]
        folded = jnp.concatenate(taps, axis=-1)
        out = product(folded, kernel.reshape(-1, kernel.shape[-1]))
        return out + self.bias[...].astype(self.dtype)


def _inside(lengths: Lengths, kernel_size: int) -> np.ndarray:
    """Returns float32 [taps,K]: 1 where a tap reads the cell's own sequence, else 0."""
    index = np.concatenate([np.arange(length) for length in lengths])
    size = np.repeat(lengths, lengths)
    shifts = np.arange(kernel_size)[:, None] - (kernel_size - 1) // 2
    return ((index + shifts >= 0) & (index + shifts < size)).astype(np.float32)


class GroupNorm(nnx.Module):
    """Group normalisation of [B,t,C] over channel group × time, eps 1e-5.

    With `lengths`, the input is several sequences concatenated along time, each with its own
    statistics.
    """

    def __init__(self, channels: int, groups: int, eps: float = 1e-5):
        self.scale = nnx.Param(np.ones(channels, np.float32))
        self.bias = nnx.Param(np.zeros(channels, np.float32))
        self.groups, self.eps = groups, eps

    def __call__(self, x: jax.Array, lengths: Lengths = ()) -> jax.Array:
        lengths = lengths or (x.shape[1],)
        # Jitted separately, so that it is traced once for all units of the same shape.
        normalise = jax.jit(_normalised, static_argnums=(1, 2, 3))
        normalised = normalise(to_float32(x), lengths, self.groups, self.eps)
        return normalised * self.scale[...] + self.bias[...]


# This gradient has half the operations of the one that JAX derives.
@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _normalised(x: jax.Array, lengths: Lengths, groups: int, eps: float) -> jax.Array:
    """Returns x [B,K,C] normalised to mean 0 and variance 1 by sequence and group."""
    return _normalised_forward(x, lengths, groups, eps)[0]


def _normalised_forward(
    x: jax.Array, lengths: Lengths, groups: int, eps: float
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    grouped = x.reshape(*x.shape[:2], groups, -1)
    centred = grouped - _means(grouped, lengths)
    scale = jax.lax.rsqrt(_means(jnp.square(centred), lengths) + eps)
    normalised = centred * scale
    return normalised.reshape(x.shape), (normalised, scale)


def _normalised_backward(
    lengths: Lengths,
    groups: int,
    eps: float,
    saved: tuple[jax.Array, jax.Array],
    gradient: jax.Array,
) -> tuple[jax.Array]:
    normalised, scale = saved
    grouped = gradient.reshape(normalised.shape)
    along = normalised * _means(grouped * normalised, lengths)
    return (((grouped - _means(grouped, lengths) - along) * scale).reshape(gradient.shape),)


_normalised.defvjp(_normalised_forward, _normalised_backward)


def _means(values: jax.Array, lengths: Lengths) -> jax.Array:
    """Returns the mean [B,K,G,1] of values [B,K,G,c] over each cell's sequence and group."""
    cell_means = values.mean(-1)
    same = np.repeat(np.repeat(np.eye(len(lengths)), lengths, axis=0), lengths, axis=1)
    share = (same / np.repeat(lengths, lengths)).astype(np.float32)  # [K,K]
    return jnp.einsum("jk,bkg->bjg", share, cell_means, precision="highest")[..., None]


class NormReLU(nnx.Module):
    """A convolution to [B,t,C], then GroupNorm, then ReLU."""

    def __init__(self, conv: Conv1D | SpatialConv, channels: int, groups: int):
        self.conv = conv
        self.norm = GroupNorm(channels, groups)

    def __call__(self, x: jax.Array, lengths: Lengths = ()) -> jax.Array:
        x = self.conv(x, lengths)
        return jax.nn.relu(self.norm(x, lengths)).astype(x.dtype)


def conv_norm_relu(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int,
    groups: int,
    dtype: DTypeLike,
    rng: Rng,
    init: Initializer = glorot_uniform,
) -> NormReLU:
    """Returns Conv1D → GroupNorm → ReLU, the unit of pyramid, towers and branches."""
    conv = Conv1D(in_channels, out_channels, kernel_size, stride, dtype, rng, init)
    return NormReLU(conv, out_channels, groups)


def apply_all(modules: Sequence[NormReLU], x: jax.Array, lengths: Lengths = ()) -> jax.Array:
    """Applies units one after another."""
    for module in modules:
        x = module(x, lengths)
    return x
