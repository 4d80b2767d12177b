"""Convolutions and matrix products in the forms that are fastest on CPUs and GPUs."""

import functools

import jax
import jax.numpy as jnp


def same_padding(size: int, kernel_size: int, stride: int) -> tuple[int, int]:
    """Returns the padding (before, after) with which `size` cells give ceil(size/stride)."""
    total = max(kernel_size - (size % stride or stride), 0)
    return total // 2, total - total // 2


def pad_same(x: jax.Array, axis: int, kernel_size: int, stride: int) -> jax.Array:
    """Pads an axis with zeros, "SAME" as XLA does: a kernel then gives ceil(size/stride) cells."""
    padding = [(0, 0)] * x.ndim
    padding[axis] = same_padding(x.shape[axis], kernel_size, stride)
    return jnp.pad(x, padding)


def unfold(x: jax.Array, axis: int, kernel_size: int, stride: int) -> list[jax.Array]:
    """Returns for each of `kernel_size` taps the cells of an already padded axis that it reads."""
    last = (x.shape[axis] - kernel_size) // stride * stride
    return [
        jax.lax.slice_in_dim(x, tap, tap + last + 1, stride, axis) for tap in range(kernel_size)
    ]


@jax.custom_vjp
def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns x @ kernel for x [...,C] and kernel [C,D].

    Its gradients are products of matrices in their memory order. With JAX's own gradient of
    `x @ kernel` by the kernel, XLA first copies the transposed cotangent, on one core.
    """
    return x @ kernel


def _product_forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    return x @ kernel, (x, kernel)


def _product_backward(
    residuals: tuple[jax.Array, ...], cotangent: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = residuals
    rows, cotangent_rows = x.reshape(-1, kernel.shape[0]), cotangent.reshape(-1, kernel.shape[1])
    by_kernel = jax.lax.dot_general(rows, cotangent_rows, (((0,), (0,)), ((), ())))
    return (cotangent_rows @ kernel.T).reshape(x.shape), by_kernel


product.defvjp(_product_forward, _product_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv2d(x: jax.Array, kernel: jax.Array, strides: tuple[int, int]) -> jax.Array:
    """Convolves [N,H,W,C] with a kernel [h,w,C,D], "SAME"-padded, to [N,H',W',D].

    Its gradients are convolutions of the same layout, the only one for which XLA has a fast
    convolution on CPUs. XLA converts other layouts to it, but not inside loops.
    """
    return _conv2d(x, kernel, "SAME", strides)


def _conv2d(
    x: jax.Array,
    kernel: jax.Array,
    padding: str | list[tuple[int, int]],
    strides: tuple[int, int] = (1, 1),
    x_dilation: tuple[int, int] = (1, 1),
    kernel_dilation: tuple[int, int] = (1, 1),
) -> jax.Array:
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, kernel, strides, padding, x_dilation, kernel_dilation, dimension_numbers=layout
    )


def _conv2d_forward(
    x: jax.Array, kernel: jax.Array, strides: tuple[int, int]
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _conv2d(x, kernel, "SAME", strides), (x, kernel)


def _conv2d_backward(
    strides: tuple[int, int], residuals: tuple[jax.Array, jax.Array], cotangent: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = residuals
    taps, sizes = kernel.shape[:2], x.shape[1:3]
    before = [low for low, _ in jax.lax.padtype_to_pads(sizes, taps, strides, "SAME")]
    # Extent of the dilated cotangent along each axis.
    extents = [(n - 1) * s + 1 for n, s in zip(cotangent.shape[1:3], strides, strict=True)]
    axes = list(zip(taps, sizes, extents, before, strict=True))
    by_x = _conv2d(
        cotangent,
        kernel[::-1, ::-1].swapaxes(2, 3),
        [(tap - 1 - low, size + low - extent) for tap, size, extent, low in axes],
        x_dilation=strides,
    )
    by_kernel = _conv2d(
        x.transpose(3, 1, 2, 0),
        cotangent.transpose(1, 2, 0, 3),
        [(low, tap - 1 + extent - size - low) for tap, size, extent, low in axes],
        kernel_dilation=strides,
    )
    return by_x, by_kernel.transpose(1, 2, 0, 3)


conv2d.defvjp(_conv2d_forward, _conv2d_backward)


def conv3d(
    x: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, int, int] = (1, 1, 1),
    implementation: str | None = None,
    pad_time: bool = True,
) -> jax.Array:
    """Convolves [B,T,H,W,C] with a kernel [t,h,w,C,D], "SAME"-padded, to [B,T',H',W',D].

    Args:
      implementation: "native" is XLA's 3-D convolution; "folded" concatenates the temporal taps as
        channels of one 2-D convolution. None: the faster one on the default backend.
      pad_time: whether time is padded as well as space.
    """
    if implementation is None:
        implementation = "folded" if jax.default_backend() == "cpu" else "native"
    if kernel.shape[:3] == (1, 1, 1) and strides == (1, 1, 1):
        return product(x, kernel[0, 0, 0])
    if implementation == "native":
        padding = jax.lax.padtype_to_pads(x.shape[1:4], kernel.shape[:3], strides, "SAME")
        if not pad_time:
            padding[0] = (0, 0)
        return jax.lax.conv_general_dilated(
            x, kernel, strides, padding, dimension_numbers=("NDHWC", "DHWIO", "NDHWC")
        )
    taps, height, width, channels, features = kernel.shape
    padded = pad_same(x, 1, taps, strides[0]) if pad_time else x
    folded = jnp.concatenate(unfold(padded, 1, taps, strides[0]), axis=-1)
    batch, length = folded.shape[:2]
    out = conv2d(
        folded.reshape(batch * length, *folded.shape[2:]),
        kernel.transpose(1, 2, 0, 3, 4).reshape(height, width, taps * channels, features),
        strides[1:],
    )
    return out.reshape(batch, length, *out.shape[1:])
