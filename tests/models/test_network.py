"""The network equals the reference; its parts, compute types and frozen weights are correct."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from afsd_jax.models import i3d, layers, normalise, parameters
from afsd_jax.models.convolution import conv2d, conv3d
from afsd_jax.models.max_pool import max_pool3d
from afsd_jax.runtime.compilation import compiled
from tests.golden.weights import clip
from tests.goldens import golden_parameters
from tests.small_run import small_config
from tests.support import GOLDEN, published

CONFIGS = {
    "thumos14_rgb": published("thumos14"),
    "thumos14_flow": published("thumos14", "flow"),
    "anet_rgb": published("anet"),
}


def clips(batch: int = 2) -> jax.Array:
    frames = np.random.default_rng(0).integers(0, 256, (batch, 64, 32, 32, 3), np.uint8)
    return normalise(frames, np.full(batch, 64), 0.0)


@pytest.mark.parametrize("name", CONFIGS)
def test_outputs_and_trunk_are_the_references_within_a_thousandth_of_their_deviation(name):
    config = CONFIGS[name]
    golden = np.load(GOLDEN / f"forward_{name}.npz")
    frames = clip(config.data.clip_length, config.model.in_channels, 0)[None]
    network = parameters.replace(parameters.abstract_network(config), golden_parameters(config))
    of_clip = jax.jit(lambda clips: (network.trunk(clips), network(clips)))  # shares the trunk
    endpoints, outputs = of_clip(normalise(frames, np.full(1, frames.shape[1]), 0.0))

    found = outputs.predictions._asdict() | {
        "center": outputs.predictions.center[..., None],
        "priors": network.priors[None, :, None],
        # The goldens' trunk is channels-first.
        "Mixed_4f": np.moveaxis(endpoints["Mixed_4f"], -1, 1)[:, ::64, ::8],
        "Mixed_5c": np.moveaxis(endpoints["Mixed_5c"], -1, 1)[:, ::64, ::4],
        "endpoint_mean": np.array([endpoints[name].mean() for name in i3d.ENDPOINTS]),
        "endpoint_std": np.array([endpoints[name].std() for name in i3d.ENDPOINTS]),
    }
    for suffix, features in (
        ("", outputs.boundary.frame_level),
        ("_loc_prop", outputs.boundary.level_loc),
        ("_conf_prop", outputs.boundary.level_conf),
    ):
        start, end = jnp.split(features, 2, axis=-1)
        found |= {f"start{suffix}": start[..., ::16], f"end{suffix}": end[..., ::16]}
    assert found.keys() == set(golden.files)
    for key, value in found.items():
        expected = golden[key][..., :1] if key == "priors" else golden[key]
        assert value.shape == expected.shape, key
        assert np.abs(value - expected).max() <= 1e-3 * expected.std(), key


def test_bfloat16_predicts_what_float32_predicts():
    outputs = {}
    for dtype in ("float32", "bfloat16"):
        network = parameters.build_network(small_config(dtype=dtype))
        outputs[dtype] = jax.jit(network)(clips())
    flat = {
        dtype: of.predictions._asdict() | of.boundary._asdict() for dtype, of in outputs.items()
    }
    for name in flat["float32"]:
        expected, found = flat["float32"][name], flat["bfloat16"][name]
        assert found.dtype == jnp.float32
        # Where a proposal's region moves by a cell a pooled value jumps, so not every one is close.
        error = np.median(abs(found - expected)) / np.std(expected)
        assert error < 0.05, name


def test_frozen_batch_norm_has_nothing_to_learn_and_trained_has():
    short = {"pyramid_inputs": ("Mixed_3b",), "levels": 1, "loc_multipliers": (1.0,)}
    frozen = parameters.build_network(small_config(**short))
    trained = parameters.build_network(small_config(**short, batch_norm="trained"))
    trunk = "trunk.Mixed_3b.b0.norm."
    learns = set(parameters.names(frozen, nnx.Param))
    assert not any(".norm." in name for name in learns if name.startswith("trunk."))
    assert {trunk + "scale", trunk + "bias"} <= set(parameters.names(trained, nnx.Param))
    before = parameters.flatten(frozen)
    frozen(clips(), training=True)
    for name, value in parameters.flatten(frozen).items():
        np.testing.assert_array_equal(value, before[name])
    before = parameters.flatten(trained)
    trained(clips(), training=True)
    assert (parameters.flatten(trained)[trunk + "mean"] != before[trunk + "mean"]).any()


@pytest.mark.parametrize("trained_norm", [False, True])
def test_a_norm_folded_into_its_kernel_on_gpus_has_the_same_gradients(monkeypatch, trained_norm):
    rng = np.random.default_rng(0)
    learning = i3d.Learning(kernel=True, norm=trained_norm)
    unit = i3d.Unit3D(4, 6, (3, 3, 3), (1, 2, 2), learning, "float32", rng)
    for part in ("scale", "bias", "mean", "var"):
        getattr(unit.norm, part)[...] = jnp.asarray(rng.uniform(0.5, 1.5, 6), jnp.float32)
    x = jnp.asarray(rng.standard_normal((2, 4, 8, 8, 4), np.float32))
    graph, weights = nnx.split(unit)

    def gradients():
        def total(weights, x):
            return jnp.square(nnx.merge(graph, weights)(x)).sum()

        return jax.tree.leaves(jax.jit(jax.value_and_grad(total, (0, 1)))(weights, x))

    expected = gradients()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")  # chooses the forms, not the device
    assert len(expected) == 7  # the value, five weights and statistics, the input
    for found, value in zip(gradients(), expected, strict=True):
        np.testing.assert_allclose(found, value, atol=1e-4 * float(abs(value).max()))


def test_the_trunk_ends_where_the_last_level_reads_it():
    inputs = ("Mixed_3c", "Mixed_4c")
    config = small_config(pyramid_inputs=inputs, levels=2, loc_multipliers=(1.0, 1.0))
    network = parameters.build_network(config)
    units = {name.split(".")[1] for name in parameters.flatten(network) if name[:5] == "trunk"}
    first = "Conv3d_1a_7x7 Conv3d_2b_1x1 Conv3d_2c_3x3 Mixed_3b Mixed_3c Mixed_4b Mixed_4c"
    assert units == set(first.split())
    assert list(network.trunk(clips(1)))[-1] == "Mixed_4c"


def test_frames_behind_the_end_are_the_padding_value():
    frames = np.full((2, 4, 2, 2, 3), 255, np.uint8)
    clip = normalise(frames, np.array([4, 1]), -1.0)
    np.testing.assert_array_equal(clip[0], 1)
    np.testing.assert_array_equal(clip[1, :1], 1)
    np.testing.assert_array_equal(clip[1, 1:], -1)


@pytest.mark.parametrize("kernel_size", [1, 3])
def test_levels_side_by_side_are_convolved_and_normalised_each_by_itself(kernel_size):
    lengths = (8, 4, 2, 1)
    rng = np.random.default_rng(0)
    unit = layers.conv_norm_relu(6, 8, kernel_size, 1, 4, jnp.float32, rng)
    cells = jnp.asarray(rng.normal(size=(3, sum(lengths), 6)), jnp.float32)
    together = unit(cells, lengths)
    each = [unit(x) for x in jnp.split(cells, np.cumsum(lengths)[:-1], axis=1)]
    np.testing.assert_allclose(together, jnp.concatenate(each, axis=1), atol=1e-5)


@pytest.mark.parametrize("size", [5, 6, 7, 8])
@pytest.mark.parametrize(("kernel_size", "stride"), [(7, 2), (3, 1), (3, 2), (1, 1), (2, 2)])
def test_folded_convolution_and_sliced_pool_are_the_native_ones(size, kernel_size, stride):
    rng = np.random.default_rng(size)
    x = jnp.asarray(rng.uniform(size=(2, size, size, size, 3)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(kernel_size,) * 3 + (3, 4)), jnp.float32)
    strides = (stride,) * 3
    folded, native = (
        conv3d(x, kernel, strides, implementation) for implementation in ("folded", "native")
    )
    np.testing.assert_allclose(folded, native, rtol=1e-4, atol=1e-4)
    pooled = jax.lax.reduce_window(
        x, -jnp.inf, jax.lax.max, (1, *(kernel_size,) * 3, 1), (1, *strides, 1), "SAME"
    )
    np.testing.assert_array_equal(max_pool3d(x, (kernel_size,) * 3, strides), pooled)


@pytest.mark.parametrize("sizes", [(8, 8), (9, 8), (3, 5)])
@pytest.mark.parametrize(
    ("taps", "strides"), [((7, 7), (2, 2)), ((3, 3), (1, 1)), ((3, 1), (1, 1)), ((2, 3), (3, 2))]
)
def test_gradients_of_convolutions_are_those_that_jax_derives(sizes, taps, strides):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, *sizes, 3)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(*taps, 3, 4)), jnp.float32)

    def derived(x: jax.Array, kernel: jax.Array) -> jax.Array:
        layout = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, strides, "SAME", dimension_numbers=layout)

    out, gradients = jax.vjp(lambda x, kernel: conv2d(x, kernel, strides), x, kernel)
    expected_out, expected = jax.vjp(derived, x, kernel)
    np.testing.assert_array_equal(out, expected_out)
    cotangent = jnp.asarray(rng.normal(size=out.shape), jnp.float32)
    for found, other in zip(gradients(cotangent), expected(cotangent), strict=True):
        np.testing.assert_allclose(found, other, rtol=1e-4, atol=1e-4)


def test_convolutions_have_the_fast_layout_inside_of_loops_too():
    kernel = jnp.ones((3, 3, 8, 8))

    def total(kernel: jax.Array, x: jax.Array) -> jax.Array:
        return jnp.square(conv2d(jnp.tanh(conv2d(x, kernel, (2, 2))), kernel, (1, 1))).sum()

    def gradients(kernel: jax.Array, xs: jax.Array) -> jax.Array:
        def add(carry: jax.Array, x: jax.Array) -> tuple[jax.Array, None]:
            return carry + jax.grad(total)(kernel, x), None

        return jax.lax.scan(add, jnp.zeros_like(kernel), xs)[0]

    text = compiled(gradients).lower(kernel, jnp.ones((3, 2, 8, 8, 8))).compile().as_text()
    layouts = set(re.findall(r"dim_labels=(\S+?)[,}\s]", text))
    assert layouts == {"b01f_01io->b01f"}


@pytest.mark.parametrize("lengths", [(5,), (3, 1, 1)])
def test_group_norm_and_its_gradient_are_the_formula_of_each_sequence(lengths):
    """Compares with the formula in float64 and with JAX's own gradient."""
    rng = np.random.default_rng(0)
    x, cotangent = rng.normal(3, 2, size=(2, 2, 5, 8))
    norm = layers.GroupNorm(8, 2)

    def formula(x: jax.Array) -> jax.Array:
        parts = []
        for part in jnp.split(x, np.cumsum(lengths)[:-1], axis=1):
            grouped = part.reshape(2, -1, 2, 4)
            mean, var = (f(grouped, axis=(1, 3), keepdims=True) for f in (jnp.mean, jnp.var))
            parts.append(((grouped - mean) / jnp.sqrt(var + 1e-5)).reshape(part.shape))
        return jnp.concatenate(parts, axis=1)

    with jax.enable_x64(True):
        expected, pull_back = jax.vjp(formula, jnp.asarray(x, jnp.float64))
        (expected_gradient,) = pull_back(jnp.asarray(cotangent, jnp.float64))
    found, pull_back = jax.vjp(lambda x: norm(x, lengths), jnp.asarray(x, jnp.float32))
    (gradient,) = pull_back(jnp.asarray(cotangent, jnp.float32))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(gradient, expected_gradient, atol=1e-5)
