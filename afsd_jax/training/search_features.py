"""The features of all endpoints that a search may try, computed in one pass before its trials."""

from collections.abc import Sequence

import ml_collections

from afsd_jax.config import resolve
from afsd_jax.data.training_data import TrainingData
from afsd_jax.models import i3d, parameters
from afsd_jax.training import feature_cache
from afsd_jax.training.state import initial_network, network_classes


def fill_features(configs: Sequence[ml_collections.ConfigDict], data: TrainingData) -> None:
    """Computes the features that runs need, as far as the cache lacks them.

    Without a cache it does nothing.

    Args:
      configs: configurations that differ in the endpoints that they read, among others.
      data: the training clips of all of them; their validation videos are among its videos.

    Raises:
      UserError: as `feature_cache.fill` does, or the initial weights cannot be read.
    """
    if not configs[0].data.feature_cache:
        return
    wanted = {endpoint for config in configs for endpoint in config.model.pyramid_inputs}
    endpoints = [endpoint for endpoint in i3d.ENDPOINTS if endpoint in wanted]
    deepest = next(c for c in configs if c.model.pyramid_inputs[-1] == endpoints[-1])
    config = resolve(deepest, len(data.class_names), data.videos[0].shape[2])
    feature_cache.check_frozen(config)
    names = network_classes(config, data.class_names)
    weights = parameters.flatten(initial_network(config, names))
    # Runs are evaluated on the centre crop as it is, in the first place of all views.
    views = dict.fromkeys([data.views[0]._replace(flip=False), *data.views])
    feature_cache.fill(config, weights, endpoints, data.videos, views)
