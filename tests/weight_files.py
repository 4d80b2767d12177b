"""Small PyTorch weights under their official names, hostile pickles, and the conversion script."""

import subprocess

import ml_collections
import torch

from afsd_jax.weights import pytorch
from tests.golden.weights import array
from tests.support import published, python

HEAD = "coarse_pyramid_detection.conf_head.conv1d"


def small_config() -> ml_collections.ConfigDict:
    """Returns the configuration of a network with few channels, whose files are small."""
    config = published("thumos14")
    config.model.trunk_width = 0.125
    config.model.channels, config.model.groups = 16, 4
    return config


def small_state(config: ml_collections.ConfigDict) -> dict[str, torch.Tensor]:
    """A state dict for `config` with official names."""
    shapes = pytorch.official_shapes(pytorch.parameter_shapes(config), config)
    state = {name: torch.from_numpy(array(name, shape)) for name, shape in shapes.items()}
    counters = [name.replace("running_var", "num_batches_tracked") for name in state]
    return state | {name: torch.tensor(7) for name in counters if name.endswith("tracked")}


class Calls:
    """An object whose pickle calls a function when it is loaded."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def convert(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs scripts/convert_weights.py."""
    return python("scripts/convert_weights.py", *arguments)
