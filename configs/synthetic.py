r"""The embedded data set, configured small enough to train from scratch on a laptop's CPU.

    afsd prepare synthetic --output DIR --size 38
    afsd train --config synthetic --config.data.data_dir=DIR --workdir RUN

`make demo` does both, then detects and evaluates; README.md has the result it should give. With
`--stream flow --flow-method dis --encoding png` and `--config synthetic:flow` the same is trained
on optical flow.
"""

import ml_collections

from afsd_jax.config import default_config


def get_config(stream: str = "rgb") -> ml_collections.ConfigDict:
    """Returns the configuration of one stream of the synthetic data set, rgb or flow."""
    config = default_config()

    config.data.dataset = "synthetic"
    config.data.stream = stream
    config.data.flow_method = "dis"
    config.data.fps = 10.0
    config.data.frame_size = 38
    config.data.crop_size = 32
    config.data.clip_length = 128
    config.data.clip_stride = 20
    config.data.max_actions = 16
    config.data.flip = 0.0  # mirrored, one class would be another

    config.model.trunk_width = 0.25
    # From scratch, in so few steps, the layers after this one would keep the others from learning.
    config.model.pyramid_inputs = ("Mixed_3c",)
    config.model.consistency_stride = 2
    config.model.batch_norm = "trained"
    config.model.channels = 128
    config.model.groups = 16
    config.model.loc_multipliers = (2.0, 2.0, 4.0, 8.0, 16.0, 32.0)

    # Two classes of opposite motion are alike at first; the usual 2 would mute what parts them.
    config.loss.focal_gamma = 1.0
    config.loss.loc_weight = 2.0
    config.loss.consistency_weight = 0.0  # the second pass would double the time of a step

    config.optimizer.learning_rate = 2e-3
    config.optimizer.trunk_learning_rate = 2e-3
    config.optimizer.weight_decay = 1e-5
    # Faster, and with some seeds all segments shrink to nothing, from which no gradient leads back.
    config.optimizer.warmup_steps = 200
    config.optimizer.schedule = "cosine"
    config.optimizer.clip_norm = 10.0

    config.train.batch_size = 4
    config.train.steps = 1400
    config.train.checkpoint_every = 350
    config.train.keep_epochs = ()

    config.inference.window_stride = 64
    config.inference.batch_size = 4
    config.inference.clip_to_video = True
    return config
