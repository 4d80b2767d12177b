"""Settings of every test run."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright import sync_api

from afsd_jax.runtime import compilation, devices
from tests.report.opened import CHROMIUM

# Subprocesses compile the same programs repeatedly, so they share a cache.
CACHE = Path(__file__).parent.parent / ".pytest_cache" / "jax"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
if devices.accelerator_is_installed():  # float32 is TF32 on GPUs, too coarse for most tolerances
    os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "float32")
pytest.register_assert_rewrite("tests.clocks")
# Files whose few tests take minutes; started last, they would leave the other process idle.
LONG = (
    "test_training_goldens.py",
    "test_detection_goldens.py",
    "test_export_goldens.py",
    "test_gpu_programs.py",
    "test_step.py",
    "test_devices.py",
    "test_long_runs.py",
    "test_notebook.py",
    "test_distributed.py",
    "test_loop.py",
    "test_own_videos.py",
    "test_ablate.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs the longest files first; otherwise the order remains."""
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(autouse=True, scope="session")
def no_whole_programs() -> Iterator[None]:
    """Stores no whole programs of this process, because tests replace parts of them.

    The key of a program covers the source files, not what a test puts in the place of a function.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compilation, "store_programs", lambda folder: None)
        yield


@pytest.fixture(scope="session")
def browser() -> Iterator[sync_api.Browser]:
    """A real browser, Debian's Chromium."""
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def fast_compiling() -> Iterator[None]:
    """Disables most optimisations in new processes, where compiling takes longest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
        yield
