"""The trunk: I3D (Inception-v1 inflated to three dimensions) up to Mixed_5c.

Source: Carreira & Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017; AFSD §3.2.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from flax import nnx
from jax.typing import DTypeLike

from afsd_jax.config_checks import INPUT
from afsd_jax.errors import UserError
from afsd_jax.models import layers
from afsd_jax.models.max_pool import max_pool3d

# Channels of the branches: b0, b1a, b1b, b2a, b2b, b3b.
MIXED = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
# Units and pools in order: (channels, kernel_size, strides) and (kernel_size, strides).
UNITS = {
    "Conv3d_1a_7x7": (64, (7, 7, 7), (2, 2, 2)),
    "Conv3d_2b_1x1": (64, (1, 1, 1), (1, 1, 1)),
    "Conv3d_2c_3x3": (192, (3, 3, 3), (1, 1, 1)),
}
POOLS = {
    "MaxPool3d_2a_3x3": ((1, 3, 3), (1, 2, 2)),
    "MaxPool3d_3a_3x3": ((1, 3, 3), (1, 2, 2)),
    "MaxPool3d_4a_3x3": ((3, 3, 3), (2, 2, 2)),
    "MaxPool3d_5a_2x2": ((2, 2, 2), (2, 2, 2)),
}
ENDPOINTS = (
    "Conv3d_1a_7x7",
    "MaxPool3d_2a_3x3",
    "Conv3d_2b_1x1",
    "Conv3d_2c_3x3",
    "MaxPool3d_3a_3x3",
    "Mixed_3b",
    "Mixed_3c",
    "MaxPool3d_4a_3x3",
    "Mixed_4b",
    "Mixed_4c",
    "Mixed_4d",
    "Mixed_4e",
    "Mixed_4f",
    "MaxPool3d_5a_2x2",
    "Mixed_5b",
    "Mixed_5c",
)


def scaled(channels: int, width: float) -> int:
    """Returns a channel count times `width`, rounded to a multiple of 8 and at least 8."""
    return channels if width == 1 else max(8, round(channels * width / 8) * 8)


def endpoint_channels(endpoint: str, width: float) -> int:
    """Returns the number of channels of a Mixed endpoint in a trunk of this width."""
    b0, _, b1b, _, b2b, b3b = MIXED[endpoint]
    return sum(scaled(channels, width) for channels in (b0, b1b, b2b, b3b))


def endpoints_until(*endpoints: str) -> tuple[str, ...]:
    """Returns the endpoints up to and including the last of these; none for `INPUT`."""
    if endpoints == (INPUT,):
        return ()
    return ENDPOINTS[: max(map(ENDPOINTS.index, endpoints)) + 1]


def endpoint_stride(endpoint: str) -> tuple[int, int]:
    """Returns an endpoint's stride (frames, pixels)."""
    time, space = 1, 1
    for name in endpoints_until(endpoint):
        strides = UNITS[name][2] if name in UNITS else POOLS.get(name, ((), (1, 1, 1)))[1]
        time, space = time * strides[0], space * strides[1]
    return time, space


def endpoint_centre(endpoint: str) -> float:
    """Returns the middle of what an endpoint's first cell sees, in frames from the video's start.

    Cell i sees as many frames before as after the middle of `endpoint_centre + i * stride`. A layer
    of kernel k and stride s is padded at its front by (k - s) // 2.

    Example:
      >>> [endpoint_centre(name) for name in ("Mixed_3c", "Mixed_4f", "Mixed_5c")]
      [1.5, 3.5, 5.5]
    """
    stride, centre = 1, 0.5
    for name in endpoints_until(endpoint):
        kernel, strides = UNITS[name][1:] if name in UNITS else POOLS.get(name, ((1,), (1,)))
        padding = max(kernel[0] - strides[0], 0) // 2
        centre += stride * ((kernel[0] - 1) / 2 - padding)
        stride *= strides[0]
    return centre


def frozen_endpoints(frozen_until: str) -> tuple[str, ...]:
    """Returns the endpoints up to and including `frozen_until`, none for "".

    Raises:
      UserError: `frozen_until` is not an endpoint.
    """
    if frozen_until and frozen_until not in ENDPOINTS:
        raise UserError(
            f"config.model.frozen_until={frozen_until!r}: must be empty or one of "
            f"{', '.join(ENDPOINTS)}"
        )
    return endpoints_until(frozen_until) if frozen_until else ()


def rematerialise(function: Callable[..., Any], part: str, policy: str) -> Callable[..., Any]:
    """Returns the function, computed again in the backward pass as far as the policy says.

    Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.

    Args:
      function: takes a module and arrays.
      part: what the function computes: one of the "blocks", or the "trunk".
      policy: one of `config.REMAT`, which says what is stored for the gradient. "": everything;
        "products": results of convolutions and matrix products; "blocks": the output of each unit
        or Inception block; "trunk": only what the pyramid reads. A policy for the other part
        changes nothing.
    """
    if policy == part:
        return nnx.remat(function)
    if policy == "products" and part == "blocks":
        return nnx.remat(function, policy=_is_product)
    return function


def _is_product(primitive: Any, *_: Any, **__: Any) -> bool:
    return primitive.name in ("conv_general_dilated", "dot_general")


class Learning(NamedTuple):
    """States whether a unit's kernels and its BatchNorms (with batch statistics) are trained."""

    kernel: bool
    norm: bool


class Unit3D(nnx.Module):
    """Convolution without bias → BatchNorm → ReLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int, int],
        strides: tuple[int, int, int],
        learning: Learning,
        dtype: DTypeLike,
        rng: layers.Rng,
    ):
        self.conv = layers.Conv3D(
            in_channels, out_channels, kernel_size, strides, learning.kernel, dtype, rng
        )
        self.norm = layers.BatchNorm(out_channels, learning.norm)

    def __call__(self, x: jax.Array, training: bool = False) -> jax.Array:
        if jax.default_backend() == "cpu" or (self.norm.trained and training):
            return jax.nn.relu(self.norm(self.conv(x), training))
        # cuDNN adds the shift and applies ReLU, so the convolution's result is written only once.
        scale, shift = self.norm.scale_and_shift()
        x = self.conv(x, scale)
        return jax.nn.relu(x + shift.astype(x.dtype))


class Mixed(nnx.Module):
    """An Inception block: four branches with the same input, concatenated along channels."""

    def __init__(
        self,
        in_channels: int,
        channels: tuple[int, ...],
        learning: Learning,
        dtype: DTypeLike,
        rng: layers.Rng,
    ):
        def unit(inputs: int, outputs: int, size: int) -> Unit3D:
            kernel_size = (size, size, size)
            return Unit3D(inputs, outputs, kernel_size, (1, 1, 1), learning, dtype, rng)

        b0, b1a, b1b, b2a, b2b, b3b = channels
        self.b0 = unit(in_channels, b0, 1)
        self.b1a = unit(in_channels, b1a, 1)
        self.b1b = unit(b1a, b1b, 3)
        self.b2a = unit(in_channels, b2a, 1)
        self.b2b = unit(b2a, b2b, 3)
        self.b3b = unit(in_channels, b3b, 1)

    def __call__(self, x: jax.Array, training: bool = False) -> jax.Array:
        pooled = max_pool3d(x, (3, 3, 3), (1, 1, 1))
        branches = (
            self.b0(x, training),
            self.b1b(self.b1a(x, training), training),
            self.b2b(self.b2a(x, training), training),
            self.b3b(pooled, training),
        )
        return jax.numpy.concatenate(branches, axis=-1)


class I3D(nnx.Module):
    """The trunk, whose units are attributes with their official names.

    Attributes:
      endpoints: names of the endpoints that it computes.
    """

    remat = ""  # policy, see `rematerialise`

    def __init__(
        self,
        in_channels: int,
        width: float,
        trained_norm: bool,
        frozen_until: str,
        dtype: DTypeLike,
        rng: layers.Rng,
        until: Sequence[str] = ENDPOINTS,
    ):
        """Builds the trunk up to the last of `until`, frozen up to `frozen_until`.

        Raises:
          UserError: `frozen_until` is not an endpoint.
        """
        channels, frozen = in_channels, frozen_endpoints(frozen_until)
        self.endpoints = endpoints_until(*until)
        for name in self.endpoints:
            learns = name not in frozen
            learning = Learning(learns, learns and trained_norm)
            if name in UNITS:
                out, kernel_size, strides = UNITS[name]
                out = scaled(out, width)
                unit = Unit3D(channels, out, kernel_size, strides, learning, dtype, rng)
                setattr(self, name, unit)
                channels = out
            elif name in MIXED:
                branches = tuple(scaled(c, width) for c in MIXED[name])
                setattr(self, name, Mixed(channels, branches, learning, dtype, rng))
                channels = endpoint_channels(name, width)

    def __call__(self, clips: jax.Array, training: bool = False) -> dict[str, jax.Array]:
        """Returns every endpoint [B,T',H',W',C'] of clips [B,T,H,W,channels] in [-1, 1].

        A trunk without endpoints returns the clips as the endpoint `INPUT`.
        """
        endpoints = {} if self.endpoints else {INPUT: clips}
        x = clips
        for name in self.endpoints:
            if name in POOLS:
                x = max_pool3d(x, *POOLS[name])
            else:
                run = rematerialise(lambda unit, x: unit(x, training), "blocks", self.remat)
                x = run(getattr(self, name), x)
            endpoints[name] = x
        return endpoints
