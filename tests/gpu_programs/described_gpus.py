"""Compiling the detector's and the training step's programs for GPUs that are only described.

This needs JAX's CUDA plugin on PYTHONPATH (`make gpu-plugin`), but no GPU, driver or library of
NVIDIA. Nothing can be run this way. Import it before anything else uses JAX.
"""

import os
from typing import Any, NamedTuple

# XLA chooses the tiles of its own matrix products by measuring; without a GPU, cuBLAS gets them.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_enable_triton_gemm=false"

import jax
import ml_collections
import numpy as np
from jax.experimental import topologies
from jax_triton import triton_lib

from tests.gpu_programs.hlo import Gpu


class Described(NamedTuple):
    """A GPU as XLA describes it (`stream_executor.GpuTargetConfigProto`), and its peaks.

    The peaks are those of dense tensor cores as the data sheets give them, less a fifth, which
    large matrix products do not reach; and the bandwidth that a copy reaches.
    """

    target: str
    compute_capability: int
    peaks: Gpu


_COMMON = """
    threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152
    threads_per_core_limit: 2048 block_dim_limit_x: 2147483647 block_dim_limit_y: 65535
    block_dim_limit_z: 65535 registers_per_core_limit: 65536 registers_per_block_limit: 65536
"""
_TARGET = """
gpu_device_info {{ {common} {device} }}
platform_name: "CUDA" dnn_version_info {{ major: 9 minor: 12 }} runtime_version {{ major: 13 }}
device_description_str: "{name}"
"""
_H100 = """
    core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98 l2_cache_size: 52428800
    memory_bandwidth: 3352320000000 device_memory_size: 84942979072
    shared_memory_per_core: 233472 shared_memory_per_block_optin: 232448
    cuda_compute_capability { major: 9 feature_extension: ACCELERATED_FEATURES }
"""
_A100 = """
    core_count: 108 fpus_per_core: 64 clock_rate_ghz: 1.41 l2_cache_size: 41943040
    memory_bandwidth: 2039000000000 device_memory_size: 84987740160
    shared_memory_per_core: 167936 shared_memory_per_block_optin: 166912
    cuda_compute_capability { major: 8 }
"""
GPUS = {
    "H100": Described(
        _TARGET.format(common=_COMMON, device=_H100, name="NVIDIA H100 80GB HBM3"),
        90,
        Gpu({"bf16": 790e12, "f32": 380e12}, 3.0e12),
    ),
    "A100": Described(
        _TARGET.format(common=_COMMON, device=_A100, name="NVIDIA A100-SXM4-80GB"),
        80,
        Gpu({"bf16": 250e12, "f32": 125e12}, 1.8e12),
    ),
}


def describe(name: str, count: int = 1) -> jax.sharding.Mesh:
    """Lets the package choose its code as on one of `GPUS`; returns a host with so many of them."""
    from afsd_jax.kernels import triton_jax
    from afsd_jax.runtime.sharding import data_mesh

    gpu = GPUS[name]
    jax.default_backend = lambda: "gpu"
    triton_jax.run_obstacle = lambda: None  # nothing can be run
    library = triton_lib.triton_kernel_call_lib
    library.get_compute_capability = lambda device: gpu.compute_capability
    topology = topologies.get_topology_desc(
        platform="cuda", topology=f"1x1x{count}", target_config=gpu.target
    )
    return data_mesh(topology.devices)


def placed(tree: Any, shardings: Any) -> Any:
    """Returns the shapes and types of a tree's arrays, on described GPUs.

    `shardings` is a sharding for all arrays, or a tree of shardings.
    """
    if isinstance(shardings, jax.sharding.Sharding):
        shardings = jax.tree.map(lambda x: shardings, tree)
    return jax.tree.map(
        lambda x, place: jax.ShapeDtypeStruct(np.shape(x), x.dtype, sharding=place),
        tree,
        shardings,
    )


def weight_shapes(config: ml_collections.ConfigDict) -> list[jax.ShapeDtypeStruct]:
    """Returns shape and type of each weight."""
    from afsd_jax.models import parameters

    return list(parameters.shapes(config).values())


def compile_forward(config: ml_collections.ConfigDict, frames: Any, mesh: jax.sharding.Mesh) -> Any:
    """Returns the program of detection for windows like uint8 frames [B, T, H, W, C]."""
    from afsd_jax.detection.backends import ForwardPass
    from afsd_jax.models import parameters
    from afsd_jax.runtime.sharding import replicated

    place = replicated(mesh)
    weights = placed(parameters.shapes(config), place)
    lengths = jax.ShapeDtypeStruct(frames.shape[:1], np.int32)
    arguments = [weights], [placed(frames, place)], placed(lengths, place)
    return ForwardPass([config], "xla").program.prepare(*arguments)


def compile_step(
    config: ml_collections.ConfigDict, batch: Any, mesh: jax.sharding.Mesh
) -> tuple[Any, Any, int]:
    """Returns both programs of a training step, gradients and update, and the state's bytes.

    The batch is that of all GPUs.
    """
    from afsd_jax.models import parameters
    from afsd_jax.runtime.sharding import data_sharded, fully_sharded, replicated
    from afsd_jax.training.optimizer import make_optimizer
    from afsd_jax.training.state import init_state
    from afsd_jax.training.step import make_train_step

    network, optimizer = parameters.build_network(config), make_optimizer(config.optimizer, 1000)
    state = init_state(network, optimizer)
    shared = fully_sharded(state, mesh) if config.train.shard_state else replicated(mesh)
    step = make_train_step(network, optimizer, config, mesh)
    step.compile(placed(state, shared), placed(batch, data_sharded(mesh)))
    return *step.programs, sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
