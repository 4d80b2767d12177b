"""Your own videos, starting from I3D trained on Kinetics (the extra `kinetics`).

    afsd prepare videos --source VIDEOS --annotations actions.csv --output DATA
    afsd train --config videos --config.data.data_dir=DATA --workdir=RUN

The trunk is not trained and its features are stored in DATA/features, so a laptop can train: with
the 192 half-minute videos of the synthetic data set, the features take 1.6 minutes and training 1.4
on 2 cores of an AMD EPYC, for an mAP@0.5 of 83 %. docs/own_videos.md explains every step.
`--config videos:finetune` trains the trunk, too, and needs a GPU. Values that are open here are
chosen from the data set when training starts, and printed with the reason.
"""

import ml_collections

from afsd_jax.config import OPEN, default_config


def get_config(variant: str = "frozen") -> ml_collections.ConfigDict:
    """Returns the configuration with the trunk frozen or, for the variant finetune, trained."""
    if variant not in ("frozen", "finetune"):
        raise ValueError(f"variant {variant!r}: must be frozen or finetune")
    config = default_config()
    config.update_from_flattened_dict(OPEN)
    config.data.dataset = "videos"
    config.data.crops = 1

    config.model.channels = 256
    config.model.loc_multipliers = (4.0, 4.0, 8.0, 16.0, 32.0, 64.0)

    config.loss.focal_gamma = 1.0
    config.loss.loc_weight = 2.0
    config.loss.consistency_weight = 0.0

    config.optimizer.name = "adamw"
    config.optimizer.learning_rate = 5e-4
    config.optimizer.trunk_learning_rate = 1e-5
    config.optimizer.weight_decay = 0.05
    config.optimizer.ema = 0.995
    config.optimizer.warmup_steps = 50
    config.optimizer.schedule = "cosine"
    config.optimizer.clip_norm = 10.0

    config.train.init_from = "kinetics"
    config.train.checkpoint_every = 200
    config.train.keep_last = 1
    config.inference.clip_to_video = True

    if variant == "frozen":
        config.model.trunk_context = "video"
        config.data.feature_cache = "features"
        config.train.keep_optimizer = False
        config.train.probe = True
    else:
        config.model.pyramid_inputs = ("Mixed_4f", "Mixed_5c")
        config.model.frozen_until = ""
        config.data.crops = 0
        config.loss.consistency_weight = 0.1
        config.train.batch_size = 1
    return config
