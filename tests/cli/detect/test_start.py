"""The start of `afsd detect`: what it imports and traces, in a first and in a second process."""

import json
import os
import subprocess
import sys

import pytest

from tests.untrained_checkpoints import write_untrained
from tests.video_files import numbered_frames, write_video

# Libraries that only preparation, training, pages or weights of other kinds need.
UNNEEDED = {"tensorflow", "tensorflow_datasets", "orbax", "matplotlib", "torch"}
UNNEEDED |= {"pandas", "keras", "scipy", "apache_beam", "jinja2"}
CODE = """
import json, sys
import jax
from afsd_jax import cli
traced = []
jax.monitoring.register_event_duration_secs_listener(
    lambda name, *_, **values: traced.append(values.get("fun_name")) if "trace" in name else None
)
code = cli.main(["detect", *sys.argv[1:]])
roots = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"code": code, "roots": roots, "traced": traced}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """checkpoint/ of an untrained network, and a video."""
    folder = tmp_path_factory.mktemp("start")
    write_untrained(folder / "checkpoint", "rgb")
    write_video(folder / "video.mp4", numbered_frames(70))
    return folder


def detect(folder, cache: str) -> tuple[dict, str]:
    """Runs the command in a new process; returns what it imported and traced, and its results."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    environment["AFSD_COMPILATION_CACHE"] = cache
    output = folder / "detections.json"
    flags = ["--checkpoint", folder / "checkpoint", "--output", output]
    command = [sys.executable, "-c", CODE, str(folder / "video.mp4"), *map(str, flags)]
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, cwd=folder
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1]), output.read_text()


def test_a_second_process_traces_no_network_and_finds_the_same_bits(folder):
    (first, expected), (second, found), (without, same) = (
        detect(folder, cache) for cache in (str(folder / "cache"), str(folder / "cache"), "0")
    )
    assert expected == found == same
    assert first["code"] == second["code"] == without["code"] == 0
    network = {"decode", "_normalised"}  # the trunk is OpenVINO's
    assert network <= set(first["traced"])
    assert network <= set(without["traced"])
    assert not network & set(second["traced"])
    assert not UNNEEDED & set(second["roots"])
