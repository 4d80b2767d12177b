"""A network's weights as a flat dictionary, for files and converters without a module tree."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import ml_collections
import numpy as np
from flax import nnx

from afsd_jax.errors import UserError
from afsd_jax.models import Network
from afsd_jax.models.network import feature_shapes

_MOST_VALUES = 2**32  # of a network's weights: 16 GiB


def check_size(config: ml_collections.ConfigDict) -> None:
    """Checks, before anything is allocated, that a network is not absurdly large.

    Raises:
      UserError: it would have more than 4 billion weights.
    """
    model, channels = config.model, config.model.channels
    inputs = feature_shapes(model, config.data.clip_length, config.data.crop_size)
    pyramid = sum(height * width * features for _, height, width, features in inputs) * channels
    # Towers, branches, frame-level feature and the pyramid's other levels are convolutions.
    convolutions = (60 + 3 * model.levels) * channels**2
    heads = 4 * channels * (model.num_classes + 3)
    trunk = 13e6 * max(model.trunk_width, 0.1) ** 2
    if pyramid + convolutions + heads + trunk > _MOST_VALUES:
        raise UserError(
            "the network of this configuration would have more than 4 billion weights; lower "
            f"config.model.channels={channels}, config.model.trunk_width={model.trunk_width:g} or "
            f"config.data.crop_size={config.data.crop_size}"
        )


def build_network(config: ml_collections.ConfigDict, seed: int = 0) -> Network:
    """Returns the configured network with random weights."""
    check_size(config)
    rng = np.random.default_rng(seed)
    network = Network(config.model, config.data.clip_length, config.data.crop_size, rng)
    return replace(network, jax.device_put(flatten(network)))


def abstract_network(config: ml_collections.ConfigDict) -> Network:
    """Returns the configured network with shapes instead of weights, the same object each time."""
    check_size(config)
    model = ml_collections.FrozenConfigDict(config.model)
    return _abstract_network(model, config.data.clip_length, config.data.crop_size)


@functools.lru_cache(maxsize=8)
def _abstract_network(
    model: ml_collections.FrozenConfigDict, clip_length: int, crop_size: int
) -> Network:
    return nnx.eval_shape(lambda: Network(model, clip_length, crop_size))


def _path_name(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))


def names(network: Network, kind: type[nnx.Variable] = nnx.Variable) -> list[str]:
    """Returns the paths of weights of one kind; nnx.Param are those that are trained."""
    return [_path_name(path) for path, _ in nnx.to_flat_state(nnx.state(network, kind))]


def flatten(network: Network) -> dict[str, Any]:
    """Returns every weight and statistic by its path, such as `trunk.Mixed_3b.b0.conv.kernel`."""
    return {
        _path_name(path): variable.get_value()
        for path, variable in nnx.to_flat_state(nnx.state(network))
    }


def replace(network: Network, parameters: Mapping[str, Any]) -> Network:
    """Returns a network like this one (which may be abstract) with these weights."""
    graph, state = nnx.split(network)
    flat = {
        path: variable.replace(parameters[_path_name(path)])
        for path, variable in nnx.to_flat_state(state)
    }
    return nnx.merge(graph, nnx.from_flat_state(flat))


def shapes(config: ml_collections.ConfigDict) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the shape and dtype of every weight of the configured network."""
    return flatten(abstract_network(config))


def learned_shapes(config: ml_collections.ConfigDict) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the shape and dtype of every weight that is trained."""
    network = abstract_network(config)
    learned = set(names(network, nnx.Param))
    return {name: value for name, value in flatten(network).items() if name in learned}
