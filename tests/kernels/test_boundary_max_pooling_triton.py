"""The Triton kernels without a GPU: run in Triton's interpreter, and compiled for three GPUs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

pytest.importorskip("triton", reason="Triton is not installed")

import triton

from afsd_jax.kernels import triton_calls


def test_interpreted_kernels_are_the_xla_implementation():
    pytest.importorskip("torch", reason="the interpreter computes on PyTorch's tensors")
    tests = Path(__file__).parent / "interpreted_boundary_max_pooling.py"
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests],
        env={**os.environ, "TRITON_INTERPRET": "1", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
@pytest.mark.parametrize("capability", [80, 90, 100])
def test_kernels_compile_without_spills(capability, dtype, tmp_path):
    compiled = []

    def compile_only(kernel, inputs, outputs, grid, **constants):
        signature, values = {}, [*inputs, *outputs]
        for name in kernel.arg_names:
            if name in constants:
                signature[name] = "constexpr"
            else:
                signature[name] = triton_type(values.pop(0))
        pointers = [i for i, kind in enumerate(signature.values()) if kind.startswith("*")]
        source = triton.compiler.ASTSource(
            kernel,
            signature,
            {(kernel.arg_names.index(name),): value for name, value in constants.items()},
            {(i,): [["tt.divisibility", 16]] for i in pointers},
        )
        target = triton.backends.compiler.GPUTarget("cuda", capability, 32)
        compiled.append(triton.compile(source, target=target, options={"num_warps": 1}))
        return outputs

    features = jax.ShapeDtypeStruct((8, 1024, 1024), dtype)
    regions = jax.ShapeDtypeStruct((8, 512, 4), jnp.int32)
    longest = jax.ShapeDtypeStruct((8,), jnp.int32)
    triton_calls.forward(compile_only, features, regions, longest, dtype, track=False)
    gradient, *positions = triton_calls.forward(
        compile_only, features, regions, longest, dtype, track=True
    )
    triton_calls.backward(compile_only, gradient, regions, longest, positions, 1024, dtype)

    assert len(compiled) == 7  # twice the table and the pooling, three levels of gradients
    for kernel in compiled:
        assert f".target sm_{capability}" in kernel.asm["ptx"]
        assert "ld.global.v4" in kernel.asm["ptx"]  # 16 bytes per lane
        assert "atom" not in kernel.asm["ptx"]
        assert local_bytes(kernel.asm["cubin"], tmp_path / "kernel.cubin") == (0, 0)


def triton_type(value):
    names = {"float32": "fp32", "bfloat16": "bf16", "int16": "i16", "int32": "i32"}
    return "i32" if isinstance(value, int) else "*" + names[jnp.dtype(value.dtype).name]


def local_bytes(cubin, path):
    """Bytes of stack and local memory that a compiled kernel uses, where registers are spilled."""
    path.write_bytes(cubin)
    usage = subprocess.run(
        [triton.knobs.nvidia.cuobjdump.path, "--dump-resource-usage", path],
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(int(n) for n in re.search(r"STACK:(\d+).*LOCAL:(\d+)", usage.stdout).groups())
