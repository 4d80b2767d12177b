"""Flow images say how far each pixel moves, in the reference implementation's mapping."""

import subprocess
import sys

import numpy as np
import pytest

from afsd_jax.config import FLOW_METHODS
from afsd_jax.data.decode import flow
from afsd_jax.data.decode.resize import resize
from afsd_jax.data.decode.sources import FrameSource
from afsd_jax.errors import UserError


class Frames:
    """Frames in memory as a source."""

    def __init__(self, frames: np.ndarray):
        self.fps, self.num_frames = 10.0, len(frames)
        self.duration_s, self.source_frames, self.damaged = len(frames) / 10, 3 * len(frames), 0
        self._frames = frames

    def __iter__(self):
        return iter(self._frames)


def moving_texture(count: int, step: tuple[int, int]) -> FrameSource:
    """A smooth texture that moves by `step` (x, y) pixels a frame."""
    rng = np.random.default_rng(0)
    image = resize(rng.integers(0, 256, (14, 14, 3), dtype=np.uint8), (160, 160))
    x, y = step
    frames = [image[40 - y * i : 104 - y * i, 40 - x * i : 104 - x * i] for i in range(count)]
    return Frames(np.ascontiguousarray(frames))


@pytest.mark.parametrize("method", FLOW_METHODS)
@pytest.mark.parametrize("step", [(2, 0), (0, -3), (-1, 2)])
def test_a_moving_texture_has_its_displacement_everywhere(method, step):
    source = moving_texture(4, step)
    images = np.stack(list(flow.FlowReader(source, method)))
    assert images.shape == (4, 64, 64, 2)
    assert images.dtype == np.uint8
    expected = (np.array(step) + 20) / 40 * 255
    inside = images[:, 12:-12, 12:-12].astype(float)
    np.testing.assert_allclose(np.median(inside, (1, 2)), np.tile(expected, (4, 1)), atol=1.6)


def test_the_last_flow_is_repeated_so_that_counts_match():
    images = list(flow.FlowReader(moving_texture(5, (1, 0)), "dis"))
    assert len(images) == 5
    np.testing.assert_array_equal(images[3], images[4])


def test_a_single_frame_does_not_move():
    (image,) = flow.FlowReader(moving_texture(1, (1, 0)), "dis")
    assert image.shape == (64, 64, 2)
    assert np.all(image == 128)


def test_displacements_map_linearly_to_bytes_and_are_cut_at_20_pixels():
    values = np.array([-1e9, -20, -10, 0, 10, 20, 55.5], np.float32)
    images = flow.flow_to_image(np.stack([values, -values], -1)[None])
    assert images[0, :, 0].tolist() == [0, 0, 64, 128, 191, 255, 255]
    assert images[0, :, 1].tolist() == [255, 255, 191, 128, 64, 0, 0]


def test_an_unknown_method_is_refused_by_name():
    with pytest.raises(UserError, match="'farneback': must be one of tvl1, dis"):
        flow.FlowReader(moving_texture(2, (1, 0)), "farneback")


def test_without_opencv_only_flow_fails_and_says_what_to_install():
    code = (
        "import sys; sys.modules['cv2'] = None\n"
        "from afsd_jax.data import datasets\nfrom afsd_jax.data.decode import flow\n"
        "try: flow.import_opencv()\n"
        "except ValueError as error: print(error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "flow needs OpenCV: pip install opencv-contrib-python-headless"
