"""Pages of a test file, opened one after another in one window."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright import sync_api

from tests.report.opened import VIEWPORT, Opened, visited, window


@pytest.fixture(scope="module")
def own_window(browser: sync_api.Browser) -> Iterator[sync_api.Page]:
    """The file's window."""
    with window(browser) as page:
        yield page


@pytest.fixture
def page(own_window: sync_api.Page, path: Path) -> Iterator[Opened]:
    """Opens the file at `path` again."""
    own_window.set_viewport_size(VIEWPORT)
    with visited(own_window, path) as page:
        yield page
