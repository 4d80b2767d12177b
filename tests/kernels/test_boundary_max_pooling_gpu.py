"""Boundary max pooling on a GPU: the Triton kernels against the XLA implementation there."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afsd_jax.kernels import boundary_max_pooling

GOLDEN = Path(__file__).parents[1] / "golden" / "boundary_max_pooling.npz"
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, 1.0, -1.0]

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(jax.default_backend() != "gpu", reason="JAX sees no CUDA GPU"),
]


def pool(features, segments, gradient, implementation="triton"):
    """Output and gradient of the features."""
    output, pull_back = jax.vjp(
        lambda x: boundary_max_pooling(x, segments, implementation), features
    )
    return output, pull_back(gradient)[0]


def random_problem(seed, clips, cells, count, channels, dtype, longest=None):
    """Features with ties, segments with every oddity, and whole numbers as gradients."""
    random = np.random.default_rng(seed)
    first = random.uniform(-3, cells + 3, (clips, count, 2, 1))
    lengths = random.uniform(-2, longest or cells, (clips, count, 2, 1))
    segments = np.concatenate([first, first + lengths], axis=-1).reshape(clips, count, 4)
    return (
        jnp.asarray(random.integers(-9, 10, (clips, cells, channels)) / 4, dtype),
        jnp.asarray(segments, jnp.float32),
        jnp.asarray(random.integers(-4, 5, (clips, count, channels)), dtype),
    )


def assert_equal(actual, expected):
    for a, e in zip(actual, expected, strict=True):
        assert (a.shape, a.dtype) == (e.shape, e.dtype)
        np.testing.assert_array_equal(np.asarray(a, np.float32), np.asarray(e, np.float32))


def test_kernels_are_the_reference():
    golden = dict(np.load(GOLDEN))
    for name in ("features", "output", "grad_output", "grad_features"):
        golden[name] = jnp.asarray(golden[name].transpose(0, 2, 1))
    output, gradient = jax.jit(pool)(golden["features"], golden["segments"], golden["grad_output"])
    np.testing.assert_array_equal(output, golden["output"])
    np.testing.assert_allclose(gradient, golden["grad_features"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize(
    "shape",
    [
        (1, 1, 1, 1),
        (2, 7, 5, 3),
        (3, 33, 40, 64),
        (8, 126, 126, 1024),
        (8, 256, 126, 512),
        (2, 1000, 300, 130),
        (1, 5000, 700, 96),
        (1, 40000, 50, 32),
        (2, 64, 0, 8),
        (0, 64, 4, 8),
    ],
)
def test_kernels_are_the_xla_implementation(shape, dtype):
    problem = random_problem(0, *shape, dtype)
    expected = jax.jit(pool, static_argnums=3)(*problem, "xla")
    assert_equal(jax.jit(pool)(*problem), expected)


@pytest.mark.parametrize("longest", [1, 16, 64, 1024])
def test_large_problems_are_the_xla_implementation(longest):
    problem = random_problem(1, 8, 1024, 1024, 1024, jnp.bfloat16, longest)
    expected = jax.jit(pool, static_argnums=3)(*problem, "xla")
    assert_equal(jax.jit(pool)(*problem), expected)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_nan_and_infinities_are_as_in_the_xla_implementation(dtype):
    _, segments, gradient = random_problem(2, 2, 300, 80, 64, dtype)
    features = jnp.asarray(np.random.default_rng(3).choice(SPECIAL, (2, 300, 64)), dtype)
    problem = (features, segments, gradient)
    assert_equal(jax.jit(pool)(*problem), jax.jit(pool, static_argnums=3)(*problem, "xla"))


def test_gradients_are_bit_identical_from_run_to_run():
    features, segments, _ = random_problem(4, 4, 512, 512, 512, jnp.bfloat16)
    gradient = jax.random.normal(jax.random.key(0), (4, 512, 512), jnp.bfloat16)
    run = jax.jit(pool)
    first = np.asarray(run(features, segments, gradient)[1]).view(np.uint16)
    for _ in range(5):
        again = np.asarray(run(features, segments, gradient)[1]).view(np.uint16)
        np.testing.assert_array_equal(again, first)


def test_a_gpu_uses_triton_by_default():
    problem = random_problem(5, 1, 8, 3, 4, jnp.float32)
    program = jax.jit(lambda *p: pool(*p, None)).lower(*problem).as_text()
    assert "triton_kernel_call" in program


def test_vmap_is_a_larger_batch():
    problem = random_problem(6, 6, 100, 20, 64, jnp.bfloat16)
    split = [a.reshape(2, 3, *a.shape[1:]) for a in problem]
    mapped = jax.jit(jax.vmap(pool))(*split)
    assert_equal([a.reshape(6, *a.shape[2:]) for a in mapped], jax.jit(pool)(*problem))


def test_shard_map_runs_the_kernels():
    problem = random_problem(7, 4, 100, 20, 64, jnp.bfloat16)
    auto = (jax.sharding.AxisType.Auto,)
    mesh = jax.make_mesh((1,), ("batch",), auto, devices=jax.devices()[:1])
    batch = jax.sharding.PartitionSpec("batch")
    mapped = jax.shard_map(pool, mesh=mesh, in_specs=batch, out_specs=batch)
    assert_equal(jax.jit(mapped)(*problem), jax.jit(pool)(*problem))


def test_exported_programs_run():
    problem = random_problem(8, 2, 100, 20, 64, jnp.float32)
    # JAX promises no stability of jax-triton's calls, so exporting them must be asked for.
    unchecked = [
        jax.export.DisabledSafetyCheck.custom_call(name)
        for name in ("triton_kernel_call", "triton_kernel_call_ffi")
    ]
    exported = jax.export.export(jax.jit(pool), disabled_checks=unchecked)(*problem)
    restored = jax.export.deserialize(exported.serialize())
    assert_equal(restored.call(*problem), jax.jit(pool)(*problem))


def test_the_network_is_the_same_with_either_implementation():
    pytest.importorskip("ml_collections")
    nnx = pytest.importorskip("flax.nnx")
    from afsd_jax.config import default_config, resolve
    from afsd_jax.models.network import Network

    model = resolve(default_config(), 20).model
    model.trunk_width, model.channels = 0.25, 128

    def run(pooling):
        model.pooling = pooling
        network = Network(model, 256, 96, np.random.default_rng(0))
        definition, state = nnx.split(network)

        @jax.jit
        def outputs_and_gradients(state, clips):
            def total(state):
                outputs = nnx.merge(definition, state)(clips)
                return sum(jnp.sum(x**2) for x in outputs), outputs

            (_, outputs), gradients = jax.value_and_grad(total, has_aux=True)(state)
            return outputs, gradients

        return outputs_and_gradients(state, clips)

    clips = jax.random.uniform(jax.random.key(0), (1, 256, 96, 96, 3), minval=-1)
    with jax.default_matmul_precision("highest"):
        for actual, expected in zip(
            jax.tree.leaves(run("triton")), jax.tree.leaves(run("xla")), strict=True
        ):
            scale = max(float(jnp.abs(expected).max()), 1e-6)
            np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-3 * scale)
