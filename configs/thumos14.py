"""THUMOS14, one network per stream, with the hyperparameters of AFSD (CVPR 2021).

The commands train the two streams; detect with both together:

    afsd train --config thumos14:rgb --workdir RGB
    afsd train --config thumos14:flow --workdir FLOW

The training time has not been measured; docs/data.md gives the time to prepare the data.

Published mAP on the test videos, at tIoU 0.3, 0.4, 0.5, 0.6, 0.7 and their mean:

    both streams    67.3  62.4  55.5  43.7  31.1    52.0
    RGB alone                                       43.2
    flow alone                                      44.2

Start the trunk from I3D weights trained on Kinetics, with `--config.train.init_from=kinetics`
(docs/weights.md) or with a file of such weights. The published numbers are for the best epoch
from 13 to 16.
"""

import ml_collections

from afsd_jax.config import default_config

CLASSES = (
    *("BaseballPitch", "BasketballDunk", "Billiards", "CleanAndJerk", "CliffDiving"),
    *("CricketBowling", "CricketShot", "Diving", "FrisbeeCatch", "GolfSwing"),
    *("HammerThrow", "HighJump", "JavelinThrow", "LongJump", "PoleVault"),
    *("Shotput", "SoccerPenalty", "TennisSwing", "ThrowDiscus", "VolleyballSpiking"),
)


def get_config(stream: str = "rgb") -> ml_collections.ConfigDict:
    """Returns the configuration of one stream, rgb or flow."""
    config = default_config()

    config.data.dataset = "thumos14"
    config.data.stream = stream

    config.data.fps = 10.0
    config.data.clip_length = 256
    config.data.clip_stride = 30
    config.data.min_overlap = 0.5
    config.data.train_padding = "black"

    config.model.pyramid_inputs = ("Mixed_4f", "Mixed_5c")
    config.model.head_init = "glorot"

    config.matching.proposal_tiou = 0.5
    config.loss.offset = "l1"
    config.loss.normalise = "batch"
    config.loss.loc_weight = 10.0

    config.optimizer.learning_rate = 1e-5
    config.optimizer.trunk_learning_rate = 1e-5
    config.optimizer.weight_decay = 1e-3
    config.train.batch_size = 1
    config.train.epochs = 16
    config.train.keep_epochs = (13, 14, 15, 16)

    config.inference.window_stride = 128
    config.inference.score_threshold = 0.01
    config.inference.nms_sigma = 0.5
    config.inference.nms_threshold = 0.001
    config.inference.max_detections = 5000
    config.inference.fusion = "mean"
    config.inference.fusion_score_threshold = 0.01
    config.inference.fusion_nms_threshold = 0.001
    return config
