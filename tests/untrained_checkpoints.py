"""Checkpoints of a small network with random weights."""

from pathlib import Path

from afsd_jax.config import resolve
from afsd_jax.configs import synthetic
from afsd_jax.models import parameters
from afsd_jax.weights import checkpoint
from tests import small_run

CLASSES = ["fall", "go left", "go right", "grow", "rise", "shrink"]


def write_untrained(path: Path, stream: str, seed: int = 0, **model: object) -> None:
    """Writes a checkpoint of a small network with random weights and `model` fields."""
    config = synthetic.get_config()
    for name, value in small_run.OVERRIDES.items():
        section, field = name.split(".")
        config[section][field] = value
    config.data.stream = stream
    config.model.update(model)
    config = resolve(config, len(CLASSES))
    weights = parameters.flatten(parameters.build_network(config, seed))
    checkpoint.write(path, weights, config, CLASSES)
