"""Features at endpoints that several configurations read, computed in one pass of the trunk."""

from collections.abc import Collection, Sequence

import ml_collections

from afsd_jax.config import resolve
from afsd_jax.data.clips.clip_reader import View
from afsd_jax.data.storage.prepared_video import PreparedVideo
from afsd_jax.data.training_data import TrainingData
from afsd_jax.models import i3d, parameters
from afsd_jax.training import feature_cache
from afsd_jax.training.feature_files import ViewFiles
from afsd_jax.training.state import initial_network, network_classes


def fill_endpoints(
    configs: Sequence[ml_collections.ConfigDict],
    class_names: list[str],
    videos: Sequence[PreparedVideo],
    views: Collection[View],
) -> list[ViewFiles]:
    """Computes the features that the configurations read, as far as the cache lacks them.

    Args:
      configs: configurations that differ in the endpoints that they read, among others.
      class_names: classes of the data set.
      videos: videos of one prepared data set.
      views: crops and mirrorings of each video.

    Returns:
      The files of each video.

    Raises:
      UserError: as `feature_cache.fill` does, or the initial weights cannot be read.
    """
    wanted = {endpoint for config in configs for endpoint in config.model.pyramid_inputs}
    endpoints = [endpoint for endpoint in i3d.ENDPOINTS if endpoint in wanted]
    deepest = next(c for c in configs if c.model.pyramid_inputs[-1] == endpoints[-1])
    config = resolve(deepest, len(class_names), videos[0].shape[2])
    feature_cache.check_frozen(config)
    weights = parameters.flatten(initial_network(config, network_classes(config, class_names)))
    return feature_cache.fill(config, weights, endpoints, videos, views)


def evaluated_view(data: TrainingData) -> View:
    """Returns the view in which runs are evaluated: the centre crop as it is, first of all."""
    return data.views[0]._replace(flip=False)
