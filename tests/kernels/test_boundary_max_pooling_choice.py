"""Which implementation of boundary max pooling runs: real processes in the real import orders."""

import json
import os
import subprocess
import sys

import jax.numpy as jnp
import pytest

from afsd_jax.kernels import boundary_max_pooling
from afsd_jax.kernels.implementations import triton_obstacle
from tests.support import GPU_PLUGIN, needs_gpu_plugin

LIBTRITON = "triton._C.libtriton"

# As tracing does on a machine with a CUDA GPU: Triton is loaded if it is chosen.
CHOOSE_ON_CUDA = """
from afsd_jax.kernels.implementations import choose_implementation

def choose_on_cuda():
    return choose_implementation(None, on_cuda=True)
"""


def run_python(program, **environment):
    """Runs a program in a fresh interpreter and returns the JSON it prints last."""
    command = [sys.executable, "-c", program]
    given = os.environ | environment
    result = subprocess.run(command, capture_output=True, text=True, env=given)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_importing_the_package_loads_jax_and_nothing_else():
    loaded = run_python(
        "import json, sys, jax, jax.numpy\n"
        "before = set(sys.modules)\n"
        "import afsd_jax.kernels\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print(json.dumps(sorted(new - set(sys.stdlib_module_names))))"
    )
    assert set(loaded) <= {"afsd_jax", "jax"}


def test_pooling_on_a_cpu_loads_no_triton():
    loaded = run_python(
        "import json, sys, jax.numpy as jnp\n"
        "from afsd_jax.kernels import boundary_max_pooling\n"
        "boundary_max_pooling(jnp.zeros((1, 4, 2)), jnp.zeros((1, 3, 4)))\n"
        "print(json.dumps([n for n in sys.modules if n.startswith(('triton', 'jax_triton'))]))"
    )
    assert loaded == []


@pytest.mark.parametrize("first", ["triton", "tensorflow"])
def test_choosing_on_cuda_survives_every_import_order(first):
    pytest.importorskip(first)
    chosen, warned = run_python(
        f"import {first}, json, sys, warnings\n{CHOOSE_ON_CUDA}\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    chosen = [choose_on_cuda(), choose_on_cuda()]\n"
        "pooling = [w for w in caught if 'boundary max pooling' in str(w.message)]\n"
        "print(json.dumps([chosen, len(pooling)]))"
    )
    # Either Triton is chosen, or there was one warning for the two choices.
    assert chosen == ["triton"] * 2 if warned == 0 else (chosen == ["xla"] * 2 and warned == 1)


@needs_gpu_plugin
def test_kernels_that_do_not_run_are_replaced_with_one_warning():
    # Everything is installed, but JAX's device, a CPU, refuses the kernels.
    chosen, *warned = run_python(
        f"import json, warnings\n{CHOOSE_ON_CUDA}\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    chosen = [choose_on_cuda(), choose_on_cuda()]\n"
        "texts = [str(w.message) for w in caught]\n"
        "print(json.dumps([chosen, *(t for t in texts if 'boundary max pooling' in t)]))",
        PYTHONPATH=str(GPU_PLUGIN),
        JAX_PLATFORMS="cpu",
    )
    assert chosen == ["xla", "xla"]
    (text,) = warned
    assert "its kernels do not run here (MLIR translation rule" in text
    assert text.endswith("'jax-triton>=0.3.1,<0.4' 'triton>=3.6,<3.7'")


def test_triton_may_be_loaded_first_and_then_tensorflow():
    pytest.importorskip("triton")
    loaded = run_python(
        "import json, sys\n"
        "from afsd_jax.kernels import load_triton\n"
        "load_triton()\n"
        "import tensorflow\n"
        "load_triton()\n"
        "print(json.dumps('tensorflow' in sys.modules))"
    )
    assert loaded is True


@pytest.mark.parametrize(
    ("triton", "jax_triton", "loaded", "word"),
    [
        ("3.6.0", "0.3.1", [], None),
        ("3.6.0", "0.3.1", ["tensorflow"], None),
        ("3.7.0", "0.4.1", [], None),
        ("3.7.0", "0.4.1", ["tensorflow", LIBTRITON], None),
        ("3.7.0", "0.4.1", ["tensorflow"], "before TensorFlow is imported"),
        ("3.10.1+git1", "0.4.1", ["tensorflow"], "'triton<3.7'"),
        ("4.0.0", "0.4.1", ["tensorflow", "triton"], "abort"),
        (None, "0.4.1", [], "'jax-triton>=0.3.1,<0.4' 'triton>=3.6,<3.7'"),
        ("3.6.0", None, [], "'jax-triton>=0.3.1,<0.4' 'triton>=3.6,<3.7'"),
    ],
)
def test_reasons_why_triton_cannot_be_used(triton, jax_triton, loaded, word):
    obstacle = triton_obstacle(triton, jax_triton, loaded)
    if word is None:
        assert obstacle is None
    else:
        assert word in obstacle


def test_triton_where_there_is_no_gpu_is_a_clear_error():
    with pytest.raises(RuntimeError, match="implementation='triton' needs a CUDA GPU"):
        boundary_max_pooling(jnp.zeros((1, 4, 2)), jnp.zeros((1, 3, 4)), implementation="triton")


def test_an_unknown_implementation_is_refused():
    with pytest.raises(ValueError, match="one of 'triton', 'xla', not 'cuda'"):
        boundary_max_pooling(jnp.zeros((1, 4, 2)), jnp.zeros((1, 3, 4)), implementation="cuda")
