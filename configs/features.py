"""Features of your own videos that another network has computed, such as VideoMAE's.

    afsd prepare videos --stream features --source FEATURES --annotations actions.csv --output DATA
    afsd train --config features --config.data.data_dir=DATA --workdir=RUN

There is no trunk: the pyramid and the heads learn on rows of features, so this is not AFSD end to
end. docs/neighbours.md describes FEATURES. Values that are open here are chosen from the data set.
"""

import ml_collections

from afsd_jax.config import OPEN, default_config
from afsd_jax.config_checks import FEATURES, INPUT


def get_config() -> ml_collections.ConfigDict:
    """Returns the configuration."""
    config = default_config()
    config.update_from_flattened_dict(OPEN)
    config.data.dataset = "videos"
    config.data.stream = FEATURES
    config.data.crops = 1
    config.data.flip = 0.0

    config.model.pyramid_inputs = (INPUT,)
    config.model.frozen_until = ""
    config.model.channels = 256
    # A frame is a row, which other configurations have for four frames.
    config.model.loc_multipliers = (1.0, 1.0, 2.0, 4.0, 8.0, 16.0)

    config.loss.focal_gamma = 1.0
    config.loss.loc_weight = 2.0
    config.loss.consistency_weight = 0.0

    config.optimizer.name = "adamw"
    config.optimizer.learning_rate = 5e-4
    config.optimizer.weight_decay = 0.05
    config.optimizer.ema = 0.995
    config.optimizer.warmup_steps = 50
    config.optimizer.schedule = "cosine"
    config.optimizer.clip_norm = 10.0

    config.train.checkpoint_every = 200
    config.train.keep_last = 1
    config.inference.clip_to_video = True
    return config
