"""The folder in which processes store compiled programs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = (
    "import jax, os; from afsd_jax.runtime import compilation\n"
    "compilation.enable_cache(os.environ.get('AFSD_COMPILATION_CACHE'))\n"
    "print(jax.config.jax_compilation_cache_dir)\n"
    "print(jax.config.jax_persistent_cache_min_compile_time_secs)"
)
LEAST = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"


def enabled(folder: Path, settings: dict[str, str]) -> list[str]:
    """Returns the cache folder and minimum compile time of a process in `folder`."""
    environment = {
        k: v for k, v in os.environ.items() if "COMPILATION_CACHE" not in k and k != LEAST
    }
    environment |= {"XDG_CACHE_HOME": str(folder / "caches")} | settings
    command = [sys.executable, "-c", CODE]
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return result.stdout.split()


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({}, "caches/afsd_jax/"),
        ({"AFSD_COMPILATION_CACHE": "mine/deep"}, "mine/deep"),
        ({"AFSD_COMPILATION_CACHE": "0"}, None),
        ({"AFSD_COMPILATION_CACHE": ""}, None),
        ({"AFSD_COMPILATION_CACHE": "file/deep"}, None),  # cannot be made
        ({"JAX_COMPILATION_CACHE_DIR": "jax"}, "jax"),
        ({"JAX_COMPILATION_CACHE_DIR": "jax", "AFSD_COMPILATION_CACHE": "mine"}, "mine"),
    ],
)
def test_the_environment_chooses_the_folder(tmp_path, settings, place):
    (tmp_path / "file").touch()
    found, _ = enabled(tmp_path, settings)
    assert found.removeprefix(f"{tmp_path}{os.sep}").startswith(str(place))
    made = {path.name for path in tmp_path.iterdir()} - {"file"}
    assert made <= ({place.split("/")[0]} if place else set())


@pytest.mark.parametrize(("settings", "seconds"), [({}, 0.1), ({LEAST: "3"}, 3)])
def test_short_programs_are_kept_too_unless_the_environment_says_otherwise(
    tmp_path, settings, seconds
):
    _, least = enabled(tmp_path, settings)
    assert float(least) == seconds
