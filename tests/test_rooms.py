"""A room imports only rooms below it; import-linter refuses other imports."""

import ast
import glob
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT


@pytest.fixture
def installed(tmp_path) -> Path:
    """A copy of the package as it is installed, which a test can change."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "afsd_jax", tmp_path / "afsd_jax", ignore=ignored)
    return tmp_path


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    command = [program, "--no-logo", "--no-cache", ROOT / "pyproject.toml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_no_room_imports_a_room_above_it(installed):
    result = lint(installed)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("place", "line", "broken"),
    [
        ("io/files.py", "from afsd_jax.data import tasks", "io is not allowed to import"),
        ("report/page.py", "from afsd_jax.weights import kinetics", "report is not allowed"),
    ],
)
def test_an_import_upwards_or_sideways_is_refused(installed, place, line, broken):
    path = installed / "afsd_jax" / place
    path.write_text(f"{path.read_text()}\n{line}\n")
    result = lint(installed)
    assert result.returncode != 0
    assert f"afsd_jax.{broken}" in result.stdout


def test_a_new_room_must_be_given_a_place(installed):
    (installed / "afsd_jax" / "cellar").mkdir()
    (installed / "afsd_jax" / "cellar" / "__init__.py").touch()
    result = lint(installed)
    assert result.returncode != 0
    assert "cellar" in result.stdout


def test_no_test_module_imports_another():
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = [getattr(node, "module", None) or "", *(name.name for name in node.names)]
                parts = [part for module in modules for part in module.split(".")]
                assert not any(part.startswith("test_") for part in parts), f"{path}:{node.lineno}"


def modules() -> Iterator[tuple[str, str, ast.Module]]:
    """Yields the room, path and syntax tree of each module of the package."""
    package = ROOT / "afsd_jax"
    for place in sorted(glob.glob("**/*.py", root_dir=package, recursive=True)):  # follows links
        text = (package / place).read_text(encoding="utf-8")
        yield Path(place).parts[0], place, ast.parse(text)


def test_files_and_functions_are_short():
    for room, place, tree in modules():
        assert last_line(tree) <= 350, place
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and room != "kernels":
                lines = last_line(node) - node.lineno + 1
                assert lines <= 60, f"{place}: {node.name} has {lines} lines"


def last_line(node: ast.AST) -> int:
    return max((getattr(child, "end_lineno", 0) or 0 for child in ast.walk(node)), default=0)


def test_no_two_files_have_the_same_name():
    doors, benchmarks = (
        {"train.py", "detect.py"},
        {path.name for path in (ROOT / "configs").iterdir()},
    )
    names = Counter(Path(place).name for _, place, _ in modules() if place not in doors)
    twice = {name for name, count in names.items() if count > 1}
    assert twice <= benchmarks, "only a data set's builder and its configuration share a name"


@pytest.mark.parametrize(
    ("name", "rooms"),
    [("argparse", {"cli"}), ("print", {"cli"}), ("environ", {"cli", "runtime"})],
)
def test_flags_prints_and_the_environment_stay_in_their_rooms(name, rooms):
    for room, place, tree in modules():
        for node in ast.walk(tree):
            used = {getattr(node, field, None) for field in ("id", "attr", "module", "name")}
            assert room in rooms or name not in used, f"{place}: {name}"
