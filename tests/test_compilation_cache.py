"""Where compiled programs are kept, in processes of their own."""

import os
import subprocess
import sys

import pytest

CODE = (
    "import jax, os; from afsd_jax import compilation_cache\n"
    "compilation_cache.enable(os.environ.get('AFSD_COMPILATION_CACHE'))\n"
    "print(jax.config.jax_compilation_cache_dir)"
)


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
    environment = {k: v for k, v in os.environ.items() if "COMPILATION_CACHE" not in k}
    environment |= {"XDG_CACHE_HOME": str(tmp_path / "caches")} | settings
    (tmp_path / "file").touch()
    command = [sys.executable, "-c", CODE]
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    found = result.stdout.strip().removeprefix(f"{tmp_path}{os.sep}")
    assert found.startswith(str(place))
    made = {path.name for path in tmp_path.iterdir()} - {"file"}
    assert made <= ({place.split("/")[0]} if place else set())
