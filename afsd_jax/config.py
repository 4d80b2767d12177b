"""The configuration: one tree of fields, which holds every difference between the benchmarks.

`default_config` is the reference's THUMOS14 RGB model with its published hyperparameters. The files
in `configs/` start from it and change fields; the tree is locked, so a mistyped field is an error.
"""

import ml_collections
from ml_collections import config_dict

from afsd_jax.config_checks import (
    FLOW_METHODS,
    REMAT,
    STREAM_CHANNELS,
    TRUNK_BLOCKS,
    check,
    config_fields,
    steps_between,
)
from afsd_jax.errors import UserError

__all__ = [
    "FLOW_METHODS",
    "OPEN",
    "REMAT",
    "STREAM_CHANNELS",
    "TRUNK_BLOCKS",
    "check",
    "config_fields",
    "default_config",
    "of_programs",
    "resolve",
    "steps_between",
]

LEVELS = 6

# Fields that training chooses from the data set where they have this value.
OPEN = {
    "data.fps": -1.0,
    "data.frame_size": 0,
    "data.crop_size": 0,
    "data.crop": "?",
    "data.keep_aspect": "?",
    "data.clip_length": 0,
    "data.clip_stride": 0,
    "data.max_actions": 0,
    "data.flip": -1.0,
    "data.train_split": "?",
    "data.validation_split": "?",
    "model.pyramid_inputs": (),
    "model.frozen_until": "?",
    "train.batch_size": 0,
    "train.epochs": 0,
    "train.evaluate_every": "?",
    "train.early_stop": -1,
    "train.cross_validation": -1,
    "inference.window_stride": 0,
}


def default_config() -> ml_collections.ConfigDict:
    """Returns the THUMOS14 RGB configuration of the reference, locked against unknown fields."""
    sections = {
        "data": _data(),
        "model": _model(),
        "matching": _matching(),
        "loss": _loss(),
        "optimizer": _optimizer(),
        "train": _train(),
        "inference": _inference(),
    }
    return ml_collections.ConfigDict({"seed": 0, **sections}).lock()


def _data() -> ml_collections.ConfigDict:
    data = ml_collections.ConfigDict()
    data.dataset = "thumos14"  # name of the TFDS builder
    data.data_dir = ""  # folder of prepared data sets
    data.stream = "rgb"  # rgb, flow or features: the builder's configuration
    data.flow_method = "tvl1"  # tvl1 or dis: optical flow that detection computes, as for training
    data.train_split = "train"
    data.validation_split = ""  # split evaluated during training, such as train[1/5]; empty: none
    data.test_split = "test"
    data.fps = 10.0  # rate at which frames are sampled
    data.max_frames = 0  # > 0: lower the rate until a video has at most this many frames
    data.frame_size = 112  # height and width of stored frames, pixels
    data.crop_size = 96  # height and width of the network's input, pixels
    data.crop = ""  # part x,y,width,height of pictures that new videos show; empty: all; or own
    data.keep_aspect = "squeeze"  # how pictures become square: squeeze, center or letterbox
    data.clip_length = 256  # T, frames
    data.clip_stride = 30  # distance between training clips, frames
    data.one_clip = False  # True: each video is one clip that begins at frame 0
    data.min_overlap = 0.5  # a clip contains an action if this share of the action lies in it
    data.class_agnostic = False  # True: every action has label 1
    data.max_actions = 64  # actions per training clip, padded to this number
    data.crops = 0  # places where clips are cropped; 0: anywhere, 1: centre, 5: centre and corners
    data.flip = 0.5  # probability of mirroring a training clip
    data.speed = 0.0  # clips of features are up to 1 + speed times as fast, or as slow; 0: not
    data.paste = 0.0  # probability of another video's background around a clip's actions
    data.balanced = False  # True: draw clips of rare classes more often; see `clips.balance`
    data.negate_flipped_flow = False  # True: mirroring flow changes the sign of its x component
    data.train_padding = "black"  # black (-1 after normalisation) or grey (0)
    data.feature_cache = ""  # folder for a frozen trunk's features; relative to data_dir

    data.consistency = consistency = ml_collections.ConfigDict()
    consistency.round_up = True  # True: round the shortest action's length up; False: down
    consistency.divisor = 1  # then divide it by this number, towards zero
    return data


def _model() -> ml_collections.ConfigDict:
    model = ml_collections.ConfigDict()
    model.in_channels = 0  # 0: the number of channels of data.stream; see `resolve`
    model.num_classes = 0  # C, with background as class 0; 0: from the data set, see `resolve`
    model.dtype = "float32"  # compute type: float32 or bfloat16
    model.remat = ""  # what the trunk computes twice to save memory; see `REMAT`
    model.trunk_width = 1.0  # factor of every channel count of I3D
    model.batch_norm = "frozen"  # frozen or trained
    model.frozen_until = ""  # last trunk endpoint that is not trained; empty: all are trained
    model.trunk_context = "clip"  # what the trunk sees at a time: one clip, or the whole video
    model.channels = 512  # channels of pyramid, towers and branches
    model.groups = 32  # groups of each GroupNorm
    model.levels = LEVELS  # levels of the pyramid
    model.pyramid_inputs = ("Mixed_4f", "Mixed_5c")  # trunk endpoints of the first levels
    model.loc_multipliers = (1.0,) * LEVELS  # factor of the coarse distances, per level
    model.head_init = "glorot"  # glorot, or normal: std 0.01 in towers, heads and branches
    model.quality = True  # False: no quality logits; scores are class probabilities alone
    model.refinement = True  # False: coarse predictions alone, without boundary features
    model.consistency_stride = 4  # frames per cell when level 0 is pooled for consistency
    model.pooling = ""  # implementation of boundary max pooling; empty: the backend's fastest
    return model


def _matching() -> ml_collections.ConfigDict:
    matching = ml_collections.ConfigDict()
    matching.length_ranges = ()  # per level (above, up to), frames; empty: no limits
    matching.proposal_tiou = 0.5  # a proposal with at least this tIoU is positive
    matching.proposal_best = False  # True: so is one with its clip's highest tIoU
    return matching


def _loss() -> ml_collections.ConfigDict:
    loss = ml_collections.ConfigDict()
    loss.focal_alpha = 0.75  # weight of every class but the background
    loss.focal_gamma = 2.0
    loss.label_smoothing = 0.0  # share of a classification target that all classes get alike
    loss.offset = "l1"  # loss of the refined offsets: l1 or smooth_l1
    loss.normalise = "batch"  # count positives over the batch, or per clip
    loss.loc_weight = 10.0
    loss.conf_weight = 1.0
    loss.boundary_weight = 1.0  # weight of the start and end losses
    loss.consistency_weight = 0.1
    loss.margin = 1.0  # margin of the triplet loss
    return loss


def _optimizer() -> ml_collections.ConfigDict:
    optimizer = ml_collections.ConfigDict()
    optimizer.name = "adam"  # adam: weight decay in the gradient; adamw: in the update
    optimizer.learning_rate = 1e-5
    optimizer.trunk_learning_rate = 1e-5
    optimizer.trunk_decay = 1.0  # ratio of a trunk unit's learning rate to that of the next unit
    optimizer.weight_decay = 1e-3
    optimizer.warmup_steps = 0
    optimizer.schedule = "constant"  # constant or cosine (to zero at the last step)
    optimizer.clip_norm = 0.0  # > 0: limit of the gradient's global norm
    optimizer.ema = 0.0  # > 0: decay of the averaged weights, which detection then uses
    return optimizer


def _train() -> ml_collections.ConfigDict:
    train = ml_collections.ConfigDict()
    train.batch_size = 1  # clips per step over all devices
    train.shard_state = False  # True: shard weights and optimiser over devices, to save memory
    train.accumulate = 1  # parts of a batch, computed one after another to save memory
    train.epochs = 16
    train.steps = 0  # > 0: stop after this many steps, whatever the epochs
    # Steps, or a text such as "2 epochs"; 0: never. An evaluation is also a checkpoint.
    train.checkpoint_every = config_dict.FieldReference(1000, field_type=object)
    train.evaluate_every = config_dict.FieldReference("1 epoch", field_type=object)
    train.log_every = 20  # steps
    train.keep_last = 2  # newest checkpoints to keep; the second one in case the first is damaged
    train.keep_best = 1  # checkpoints of the highest average mAP to keep
    train.keep_epochs = ()  # epochs whose last checkpoint is kept
    train.keep_optimizer = True  # False: after the end only weights to detect with are kept
    train.whole_checkpoints = False  # True: hold a frozen trunk, too, instead of a reference to it
    train.early_stop = 0  # stop after this many evaluations without a better average mAP; 0: never
    train.cross_validation = 0  # folds of the training videos that measure the detector; 0: none
    train.probe = False  # True: a linear probe compares endpoints of a frozen trunk, and mirroring
    train.search_minutes = 0.0  # time to search for better settings before the run; 0: none
    train.refit = False  # True: then train on the validation videos, too, as long as was best
    train.nan_limit = 0  # steps with a loss or gradient that is not finite to skip before stopping
    train.init_from = ""  # initial weights: a checkpoint, model.afsd, a PyTorch file or kinetics
    return train


def _inference() -> ml_collections.ConfigDict:
    inference = ml_collections.ConfigDict()
    inference.one_window = False  # True: each video is one window
    inference.window_stride = 128  # frames
    inference.batch_size = 1  # windows per forward pass
    inference.score_threshold = 0.01
    inference.video_labels = False  # True: classes come from a video-level classifier
    inference.nms = "soft"  # suppression of overlaps within a class: soft or plain
    inference.nms_sigma = 0.5  # width of soft-NMS
    inference.nms_tiou = 0.5  # plain NMS drops a detection that overlaps a better one by more
    inference.voting_tiou = 0.0  # > 0: average the ends of candidates with at least this tIoU
    inference.nms_threshold = 0.001
    inference.max_detections = 5000  # per class and video
    inference.fusion = "mean"  # segments of two streams: mean (raw outputs) or geometric
    inference.fusion_score_threshold = 0.01
    inference.fusion_nms_threshold = 0.001
    inference.clip_to_video = False  # True: cut detections at the video's end
    return inference


# Fields that compiled programs depend on, beside the shapes of their arguments; (): all of the
# section.
_OF_PROGRAMS: dict[str, tuple[str, ...]] = {
    "data": ("stream", "clip_length", "crop_size", "train_padding"),
    "model": (),
    "matching": (),
    "loss": (),
    "optimizer": ("name", "weight_decay", "trunk_decay", "clip_norm", "ema"),
    "train": ("accumulate", "shard_state"),
    "inference": ("fusion",),
}


def of_programs(config: ml_collections.ConfigDict, *sections: str) -> ml_collections.ConfigDict:
    """Returns only the fields that compiled programs may depend on, of some sections.

    A program whose function gets no other configuration serves all configurations that agree in
    them: other data sets, numbers of steps and learning rates, for example.
    """
    chosen = ml_collections.ConfigDict()
    for section in sections:
        values = config[section]
        names = _OF_PROGRAMS[section] or tuple(values)
        chosen[section] = ml_collections.ConfigDict({name: values[name] for name in names})
    return chosen.lock()


def resolve(
    config: ml_collections.ConfigDict, num_actions: int, channels: int = 0
) -> ml_collections.ConfigDict:
    """Returns a copy in which model.in_channels and model.num_classes have their values.

    Both may be 0: then the first follows from data.stream, the second from the number of classes.

    Args:
      config: the configuration.
      num_actions: number of the data set's classes; with data.class_agnostic they count as one.
      channels: number of channels of the data set's frames; needed for features.

    Raises:
      UserError: as `check` does, or model.num_classes contradicts the data set.
    """
    check(config)
    config = config.copy_and_resolve_references()
    model = config.model
    model.in_channels = STREAM_CHANNELS[config.data.stream] or model.in_channels or channels
    if not model.in_channels:
        raise UserError("config.model.in_channels=0: set it to the number of channels of a feature")
    num_actions = 1 if config.data.class_agnostic else num_actions
    if model.num_classes not in (0, num_actions + 1):
        raise UserError(
            f"config.model.num_classes={model.num_classes}, but the data has "
            f"{num_actions} classes; set it to {num_actions + 1}, or leave it at 0"
        )
    model.num_classes = num_actions + 1
    return config
