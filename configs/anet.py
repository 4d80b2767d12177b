"""ActivityNet 1.3, one network per stream, with the hyperparameters of AFSD (CVPR 2021).

The commands train the two streams; detect with both together:

    afsd train --config anet:rgb --workdir RGB
    afsd train --config anet:flow --workdir FLOW

The training time has not been measured; docs/data.md gives the time to prepare the data.

The network detects actions without their class; the scores of a video-level classifier give the
classes (`afsd detect --video-scores`). Published mAP on the validation videos, at tIoU 0.5, 0.75,
0.95 and the mean over 0.5, 0.55, ... 0.95:

    both streams    52.4  35.3  6.5    34.4
    RGB alone                          32.9
    flow alone                         33.1

Start the trunk from I3D weights trained on Kinetics, with `--config.train.init_from=kinetics`
(docs/weights.md) or with a file of such weights.
"""

import ml_collections

from afsd_jax.config import default_config


def get_config(stream: str = "rgb") -> ml_collections.ConfigDict:
    """Returns the configuration of one stream, rgb or flow."""
    config = default_config()

    config.data.dataset = "activitynet"
    config.data.stream = stream

    # A video is one clip: its frame rate is lowered until it has at most 768 frames.
    config.data.fps = 0.0
    config.data.max_frames = 768
    config.data.clip_length = 768
    config.data.one_clip = True
    config.data.class_agnostic = True
    config.data.train_padding = "grey"
    config.data.consistency.round_up = False
    config.data.consistency.divisor = 4

    config.model.pyramid_inputs = ("Mixed_5c",)
    config.model.loc_multipliers = (4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
    config.model.head_init = "normal"
    # The reference pools level 0 at stride 4, although a cell is 8 frames here.
    config.model.consistency_stride = 4

    config.matching.length_ranges = (
        (0.0, 30.0),
        (15.0, 60.0),
        (30.0, 120.0),
        (60.0, 240.0),
        (96.0, 768.0),
        (256.0, 768.0),
    )
    config.matching.proposal_tiou = 0.6
    config.matching.proposal_best = True
    config.loss.offset = "smooth_l1"
    config.loss.normalise = "clip"
    config.loss.loc_weight = 1.0

    config.optimizer.learning_rate = 1e-4
    config.optimizer.trunk_learning_rate = 1e-5
    config.optimizer.weight_decay = 1e-4
    config.train.batch_size = 1
    config.train.epochs = 16
    config.train.keep_epochs = (13, 14, 15, 16)

    config.inference.one_window = True
    config.inference.clip_to_video = True
    config.inference.score_threshold = 1e-9
    config.inference.video_labels = True
    config.inference.nms_sigma = 0.85
    config.inference.nms_threshold = 1e-9
    config.inference.max_detections = 5000
    config.inference.fusion = "geometric"
    config.inference.fusion_score_threshold = 0.0
    config.inference.fusion_nms_threshold = 1e-18
    return config
