"""A configuration with which a round of learning takes seconds: a small network, few steps."""

from pathlib import Path

from afsd_jax.cli.config_flags import load_config
from afsd_jax.config import default_config, resolve
from afsd_jax.models import parameters
from afsd_jax.weights import checkpoint
from tests.labelling.served import Served, segment
from tests.video_files import numbered_frames, write_video

_SMALL = {
    "model.trunk_width": 0.05, "model.channels": 16, "model.groups": 4,
    "model.pyramid_inputs": ("Mixed_4b",), "model.frozen_until": "Mixed_4b",
}  # fmt: skip
_NAMES = ("a", "b", "c", "d")


def write_small(folder: Path) -> None:
    """Writes four videos of six seconds, and a configuration with a small frozen trunk."""
    (folder / "videos").mkdir()
    for name in _NAMES:
        write_video(folder / "videos" / f"{name}.mp4", numbered_frames(60), rate=10)
    fields = _SMALL | {
        "train.steps": 3, "train.init_from": str(folder / "trunk"), "data.clip_length": 64,
        "train.early_stop": 0, "optimizer.schedule": "constant",
    }  # fmt: skip
    lines = [f"    config.{name} = {value!r}" for name, value in fields.items()]
    source = ["from afsd_jax.configs import videos", "def get_config():"]
    source += ["    config = videos.get_config()", *lines, "    return config", ""]
    (folder / "small.py").write_text("\n".join(source))
    config = default_config()
    config.data.clip_length, config.data.crop_size = 64, 96
    config.model.update(
        load_config("videos", [f"--config.{k}={v}" for k, v in _SMALL.items()]).model
    )
    config = resolve(config, 1)
    weights = parameters.flatten(parameters.build_network(config, seed=5))
    trunk = {name: value for name, value in weights.items() if name.startswith("trunk.")}
    checkpoint.write(folder / "trunk", trunk, config, ["run"])


def arguments(folder: Path, labels: Path) -> tuple[object, ...]:
    """Returns the arguments of `afsd label` for what `write_small` wrote."""
    flags = ("--labels", labels, "--config", folder / "small.py", "--min-score", "0")
    return (folder / "videos", *flags)


def label(served: Served) -> None:
    """Labels three of the videos as reviewed; the last one is not."""
    for number in (1, 2, 3):
        put = [segment("s", 1, 3), segment("t", 4, 5, label="hop")]
        served.post(f"/api/videos/{number}", {"version": 0, "put": put, "reviewed": True})
