"""The synthetic data set, with a network small enough to train from scratch on a laptop's CPU.

    afsd prepare synthetic --output DIR --size 38
    afsd train --config synthetic --config.data.data_dir=DIR --workdir RUN

Preparing takes about a minute and training about 7 minutes on 2 CPU cores. The expected mAP@0.5 is
1.00, the average mAP 0.99 (docs/demo.md). `make demo` runs both commands, then detects and
evaluates. To train on optical flow, prepare with `--stream flow --flow-method dis --encoding png`
and use `--config synthetic:flow`.
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
    config.data.flip = 0.0  # mirroring would turn one class into another

    config.model.trunk_width = 0.25
    # In so few steps from scratch, the layers after this one would keep the others from learning.
    config.model.pyramid_inputs = ("Mixed_3c",)
    config.model.consistency_stride = 2
    config.model.batch_norm = "trained"
    config.model.channels = 128
    config.model.groups = 16
    config.model.loc_multipliers = (2.0, 2.0, 4.0, 8.0, 16.0, 32.0)

    # The two classes of a pair have equal scores at first; with the usual 2, the loss would hardly
    # separate them.
    config.loss.focal_gamma = 1.0
    config.loss.loc_weight = 2.0
    config.loss.consistency_weight = 0.0  # a second forward pass would double the time of a step

    config.optimizer.learning_rate = 2e-3
    config.optimizer.trunk_learning_rate = 2e-3
    config.optimizer.weight_decay = 1e-5
    # With a shorter warm-up, all segments shrink to zero width with some seeds, and the gradient of
    # the width vanishes there.
    config.optimizer.warmup_steps = 200
    config.optimizer.schedule = "cosine"
    config.optimizer.clip_norm = 10.0

    config.train.batch_size = 4
    config.train.steps = 1400
    config.train.checkpoint_every = 350

    config.inference.window_stride = 64
    config.inference.batch_size = 4
    config.inference.clip_to_video = True
    return config
