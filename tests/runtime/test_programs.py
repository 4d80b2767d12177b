"""Programs that are loaded whole: only the right ones, and they compute the same bits."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import SingleDeviceSharding

from afsd_jax.runtime import programs
from afsd_jax.runtime.programs import Program

X = np.linspace(-3, 3, 24, dtype=np.float32).reshape(2, 12)


@pytest.fixture
def folder(tmp_path):
    programs.store_in(tmp_path / "programs")
    yield tmp_path / "programs"
    programs.store_in(None)


class Softmax:
    """A function that counts how often JAX traces it."""

    def __init__(self, scale: float = 1.0):
        self.scale, self.traced = scale, 0

    def compute(self, x: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        self.traced += 1
        return jax.nn.softmax(self.scale * x), {"sum": jnp.sum(x, axis=0)}

    def program(self, **options) -> Program:
        return Program(self.compute, lambda: str(self.scale), **options)


def same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_a_stored_program_is_not_traced_again_and_computes_the_same_bits(folder):
    expected = jax.jit(Softmax().compute)(X)
    first, second = Softmax(), Softmax()
    same(first.program()(X), expected)
    program = second.program()
    for _ in range(2):
        same(program(X), expected)
    assert (first.traced, second.traced) == (1, 0)


def test_without_a_folder_and_without_values_nothing_is_stored(folder):
    Program(Softmax().compute, None)(X)
    assert not folder.exists()
    programs.store_in(None)
    unstored = Softmax()
    for _ in range(2):
        same(unstored.program()(X), jax.jit(Softmax().compute)(X))
    assert unstored.traced == 2
    assert not folder.exists()


@pytest.mark.parametrize(
    "change",
    ["shape", "dtype", "tree", "values", "options", "sources", "variable", "setting", "processor"],
)
def test_whatever_determines_a_program_is_part_of_its_key(folder, monkeypatch, change):
    Softmax().program()(X)
    other, x, options = Softmax(), X, {}
    before = jax.config.values["jax_default_matmul_precision"]
    if change == "shape":
        x = X[:1]
    elif change == "dtype":
        x = X.astype(np.float16)
    elif change == "values":
        other.scale = 2.0
    elif change == "options":
        options = {"out_shardings": SingleDeviceSharding(jax.devices()[0])}
    elif change == "sources":
        monkeypatch.setattr(programs, "_sources", lambda: "others")
    elif change == "variable":
        monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_min_max=true")
    elif change == "setting":
        jax.config.update("jax_default_matmul_precision", "highest")
    elif change == "processor":
        monkeypatch.setattr(programs, "_processor", lambda: ("another", 2))
    programs._environment.cache_clear()
    try:
        if change == "tree":
            found = Program(lambda x: other.compute(x[0]), str)([X])
        else:
            found = other.program(**options)(x)
    finally:
        jax.config.update("jax_default_matmul_precision", before)
        programs._environment.cache_clear()
    assert other.traced == 1
    same(found, jax.jit(Softmax(other.scale).compute)(x))


def test_settings_of_messages_do_not_count(folder, monkeypatch):
    Softmax().program()(X)
    other = Softmax()
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "1")
    programs._environment.cache_clear()
    try:
        with jax.log_compiles():
            other.program()(X)
    finally:
        programs._environment.cache_clear()
    assert other.traced == 0


def test_other_sources_that_lead_to_the_same_program_do_not_compile_it_again(folder, monkeypatch):
    Softmax().program()(X)
    monkeypatch.setattr(programs, "_sources", lambda: "others")
    written = {path.stat().st_ino for path in folder.iterdir()}
    Softmax().program()(X)
    assert {path.stat().st_ino for path in folder.iterdir()} == written
    again = Softmax()
    again.program()(X)
    assert again.traced == 0


@pytest.mark.parametrize("damage", ["cut", "another content"])
def test_what_cannot_be_loaded_is_compiled_again(folder, damage):
    Softmax().program()(X)
    for path in list(folder.iterdir()):
        if damage == "cut":
            path.write_bytes(path.read_bytes()[:-1])
        else:
            programs._folder.write(path.name, b"no program")
    again, third = Softmax(), Softmax()
    same(again.program()(X), jax.jit(Softmax().compute)(X))
    third.program()(X)
    assert (again.traced, third.traced) == (1, 0)


def test_donated_arguments_are_donated_by_loaded_programs_too(folder):
    for _ in range(2):
        x = jnp.ones((64, 64))
        Program(_next, str, donate_argnums=0)(x)
        assert x.is_deleted()


def _next(x: jax.Array) -> jax.Array:
    return x + 1


def test_a_program_serves_arguments_of_several_shapes(folder):
    for softmax in (Softmax(), Softmax()):
        program = softmax.program()
        for x in (X, X[:1], X, X[:, :5]):
            same(program(x), jax.jit(Softmax().compute)(x))
        assert len(program.executables) == 3


def test_arguments_that_a_function_does_not_use_may_have_other_shapes(folder):
    for columns in (2, 3, 2):  # the lowered form is the same
        np.testing.assert_array_equal(Program(_first, str)(X, X[:, :columns]), X + 1)


def _first(x: jax.Array, unused: jax.Array) -> jax.Array:
    return x + 1


CODE = """
import sys, jax, numpy as np
from pathlib import Path
jax.config.update("jax_compilation_cache_dir", sys.argv[1] + "/jax")
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
from pathlib import Path
from afsd_jax.runtime import programs
programs.store_in(Path(sys.argv[1]) / "programs" if sys.argv[2] == "stored" else None)
def f(x):
    print("traced")
    return jax.numpy.sort(jax.nn.softmax(x @ x.T + 1)).sum(0)
x = np.linspace(-1, 1, 6400, dtype=np.float32).reshape(80, 80)
print(np.asarray(programs.Program(f, str)(x)).tobytes().hex())
g = jax.jit(lambda x: jax.numpy.cumsum(x * 3))
before = len(list(Path(sys.argv[1], "jax").glob("*")))
g(x)
print(len(list(Path(sys.argv[1], "jax").glob("*"))) > before)
"""


def run(folder: Path, kind: str) -> list[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    command = [sys.executable, "-c", CODE, str(folder), kind]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return result.stdout.split()


def test_programs_in_jaxs_own_cache_are_stored_whole_and_loaded_by_other_processes(tmp_path):
    (_, expected, _), (_, cached, _) = run(tmp_path, "unstored"), run(tmp_path, "unstored")
    traced, stored, _ = run(tmp_path, "stored")
    loaded, _ = run(tmp_path, "stored")
    assert traced == "traced"
    assert expected == cached == stored == loaded


def test_jaxs_own_cache_serves_all_other_programs(tmp_path):
    assert run(tmp_path, "stored")[-1] == "True"  # the other program was added to it
    assert run(tmp_path, "stored")[-1] == "False"  # and found there


def test_code_in_linked_folders_is_part_of_the_key(tmp_path, monkeypatch):
    package, linked = tmp_path / "package", tmp_path / "data"
    for folder in (package, linked):
        folder.mkdir()
        (folder / "code.py").write_text("x = 1\n")
    (package / "data").symlink_to("../data")
    monkeypatch.setattr(programs, "_PACKAGE", package)
    before = programs._sources.__wrapped__()
    (linked / "code.py").write_text("x = 2\n")
    assert programs._sources.__wrapped__() != before


READ_FROM_THE_CACHE = """
import sys, jax, numpy as np
from pathlib import Path
from afsd_jax.runtime import programs
from afsd_jax.runtime.programs import Program

def function(x):
    return jax.nn.softmax(x).sum(axis=0)

x = np.ones((2, 12), np.float32)
Program(function, None)(x)  # JAX stores it in its cache
jax.clear_caches()
Program(function, None)(x)  # and reads it there
programs.store_in(Path(sys.argv[1]))
Program(function, str)(x)
print(np.asarray(Program(function, str)(x)).sum())
"""


def test_a_program_that_jax_read_from_its_cache_is_stored_with_its_code(tmp_path):
    cache, store = tmp_path / "jax", tmp_path / "programs"
    settings = {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    found = subprocess.run(
        [sys.executable, "-c", READ_FROM_THE_CACHE, store],
        env=os.environ | settings,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    assert float(found.stdout) == pytest.approx(2)
    assert any(cache.iterdir())
    assert any(store.iterdir())
