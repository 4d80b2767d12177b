"""A folder of two videos, and a server of the page for them."""

import pytest

from tests.labelling.served import serving
from tests.video_files import numbered_frames, write_video


@pytest.fixture(scope="session")
def footage(tmp_path_factory):
    """Two mp4 files of two seconds, `one` and `two`, whose frames show their numbers."""
    folder = tmp_path_factory.mktemp("footage")
    for name in ("one", "two"):
        write_video(folder / f"{name}.mp4", numbered_frames(50), rate=25)
    return folder


@pytest.fixture
def labels(tmp_path):
    return tmp_path / "labels.csv"


@pytest.fixture
def served(footage, labels):
    with serving(footage, "--labels", labels) as running:
        yield running
