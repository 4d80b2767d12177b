"""Images are resized as the reference implementation does it, however many there are."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from afsd_jax.data.decode import bicubic
from afsd_jax.data.decode import resize as resizing
from afsd_jax.data.decode.resize import resize
from tests.support import GOLDEN

SIDES = st.integers(1, 80)


def pillow(image, size):
    height, width = size
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def random_image(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("function", [resize, bicubic.resize])
def test_it_is_the_reference_implementations(function):
    golden = np.load(GOLDEN / "resize.npz")
    np.testing.assert_array_equal(function(golden["image"], (112, 112)), golden["resized"])


@pytest.mark.parametrize("shape", [(180, 320, 3), (721, 1280, 3), (50, 60)])
def test_it_is_pillows_bicubic_filter(shape):
    image = random_image(*shape)
    np.testing.assert_array_equal(resize(image, (112, 112)), pillow(image, (112, 112)))


@settings(max_examples=40, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES, st.booleans(), st.integers(0, 9))
def test_the_compiled_filter_is_pillows_for_any_sizes(height, width, tall, wide, extreme, seed):
    image = random_image(height, width, 3, seed=seed)
    if extreme:  # where sums leave the range of 8 bits
        image = np.where(image < 128, 0, 255).astype(np.uint8)
    size = tall, wide
    np.testing.assert_array_equal(bicubic.resize(image, size), pillow(image, size))


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((720, 1280, 3), (112, 112)),
        ((1080, 1920, 3), (112, 112)),
        ((333, 1000, 3), (64, 500)),
    ],
)
def test_the_compiled_filter_is_pillows_for_frames_of_videos(shape, size):
    image = random_image(*shape)
    np.testing.assert_array_equal(bicubic.resize(image, size), pillow(image, size))


def test_after_many_images_of_a_shape_the_compiled_filter_takes_over(monkeypatch):
    monkeypatch.setattr(resizing, "_MANY", 5 * 40 * 60)
    monkeypatch.setattr(resizing, "_seen", resizing.Counter())
    taken = []
    compiled = bicubic.resize
    monkeypatch.setattr(bicubic, "resize", lambda *args: taken.append(1) or compiled(*args))
    images = [random_image(40, 60, 3, seed=seed) for seed in range(8)]
    images[6] = np.asfortranarray(images[6])
    resized = [resize(image, (16, 16)) for image in images]
    np.testing.assert_array_equal(resized, [pillow(image, (16, 16)) for image in images])
    assert len(taken) == 3
    resize(random_image(40, 61, 3), (16, 16))
    resize(random_image(40, 60), (16, 16))
    assert len(taken) == 3


@pytest.mark.parametrize("allowed", [False, True])
def test_a_process_without_use_for_jax_starts_it_only_where_it_may(allowed):
    code = (
        "import sys, numpy as np\n"
        "from afsd_jax.data.decode import resize\n"
        "resize._MANY = 0\n"
        f"if {allowed}: resize.start_jax_when_needed()\n"
        "resize.resize(np.zeros((40, 60, 3), np.uint8))\n"
        "jax = sys.modules.get('jax')\n"
        "print(jax and [device.platform for device in jax.devices()])\n"
    )
    environment = {name: x for name, x in os.environ.items() if name != "JAX_PLATFORMS"}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert run.stdout.strip() == ("['cpu']" if allowed else "None")


def test_where_jax_may_not_use_the_cpu_pillow_resizes(monkeypatch):
    def refuse(backend):
        raise RuntimeError(f"Unknown backend {backend}")

    monkeypatch.setattr(resizing, "_MANY", 0)
    monkeypatch.setattr(jax, "local_devices", refuse)
    bicubic.is_possible.cache_clear()
    image = random_image(40, 60, 3)
    np.testing.assert_array_equal(resize(image, (16, 16)), pillow(image, (16, 16)))
    bicubic.is_possible.cache_clear()
