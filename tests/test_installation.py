"""The package as pip installs it, in place or from a wheel: its files, its names and its types."""

import glob
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import afsd_jax
from tests.support import ROOT

SOURCES = ("LICENSE", "README.md", "pyproject.toml", "setup.cfg")
FOLDERS = ("afsd_jax", "configs", "data", "kernels", "src")
KINDS = ("in place", "wheel")
SCRIPT = """\
import afsd_jax

detector = afsd_jax.load_detector("run")
detections = detector.detect("video.mp4")
for action in detections:
    print(action.label, action.start_s, action.end_s)
reveal_type(detections)
"""
MISSPELT = {
    "load_detektor": 'afsd_jax.load_detektor("run")',
    "detekt": 'detector.detekt("video.mp4")',
    "sav": 'detections.sav("results")',
    "labl": "print(action.labl)",
}


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True)


def run_python(*arguments: object, cwd: Path) -> None:
    result = run(sys.executable, "-m", *arguments, cwd=cwd)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A copy of what the package is built from, since building writes into that folder."""
    folder = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        shutil.copy(ROOT / name, folder)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
    return folder


@pytest.fixture(scope="module")
def wheel(source) -> Path:
    """A wheel, built from a source distribution."""
    run_python("build", "--no-isolation", cwd=source)
    (path,) = (source / "dist").glob("*.whl")
    return path


@pytest.fixture(scope="module")
def python(source, wheel, tmp_path_factory) -> Callable[[str], Path]:
    """The Python of an environment that has the package of this kind, and all other packages."""
    found = {}
    for kind, arguments in zip(KINDS, (["--editable", source], [wheel]), strict=True):
        folder = tmp_path_factory.mktemp("environment")
        venv.create(folder, with_pip=False)
        (packages,) = folder.glob("lib/python3*/site-packages")
        (packages / "others.pth").write_text(f"{Path(pytest.__file__).parents[1]}\n")
        found[kind] = folder / "bin" / "python"
        install = ["--python", found[kind], "install", "--no-deps", "--no-build-isolation"]
        run_python("pip", *install, *arguments, cwd=folder)
    return found.__getitem__


def test_make_says_how_long_it_installs_and_what_to_type_then():
    options = ["--no-print-directory", "--dry-run", "--always-make"]  # make test is a make, too
    said = run("make", *options, ".venv", cwd=ROOT).stdout.splitlines()
    assert re.fullmatch(r'echo "installing .*: about three minutes, 5 GB"', said[0])
    assert said[-1] == 'echo "installed; now: source .venv/bin/activate"'
    assert len(said) > 3


def test_the_wheel_of_a_source_distribution_has_each_file_once(source, wheel):
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    assert len(set(names)) == len(names)
    paths = map(Path, glob.glob(f"{source}/afsd_jax/**", recursive=True))  # follows links
    files = [str(path.relative_to(source)) for path in paths if path.is_file()]
    assert sorted(names) == sorted(files)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_but_the_package_can_be_imported(kind, python, tmp_path):
    code = (
        "import importlib.util, afsd_jax.configs.videos, afsd_jax.data.splits\n"
        "for name in ('configs', 'data', 'kernels', 'scripts', 'tests'):\n"
        "    assert importlib.util.find_spec(name) is None, name\n"
        "print(afsd_jax.__file__)"
    )
    result = run(python(kind), "-c", code, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert not Path(result.stdout.strip()).samefile(afsd_jax.__file__)


@pytest.mark.parametrize("kind", KINDS)
def test_type_checkers_know_the_types_and_find_typing_errors(kind, python, tmp_path):
    # The types of other packages take mypy half a minute; `make lint` has stored them here.
    check = [
        *("-m", "mypy", "--config-file", ROOT / "pyproject.toml"),
        *("--cache-dir", ROOT / ".mypy_cache", "script.py"),
    ]
    (tmp_path / "script.py").write_text(SCRIPT + "\n".join(MISSPELT.values()))
    found = run(python(kind), *check, cwd=tmp_path).stdout
    assert 'Revealed type is "afsd_jax.results.detections.Detections"' in found
    for name in MISSPELT:
        assert f'has no attribute "{name}"' in found
    assert f"Found {len(MISSPELT)} errors in 1 file" in found
