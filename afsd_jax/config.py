"""The configuration: one tree of fields in which every benchmark differs, and nothing else does.

`default_config` is the reference's THUMOS14 RGB model with its published hyperparameters. The files
in `configs/` start from it and change fields; the tree is locked, so a mistyped field is an error.
"""

import re
from collections.abc import Mapping
from typing import Any

import ml_collections
from ml_collections import config_dict

from afsd_jax.errors import UserError

LEVELS = 6
STREAM_CHANNELS = {"rgb": 3, "flow": 2}
FLOW_METHODS = ("tvl1", "dis")

# Fields that training can choose from the data set, and the value that leaves them to it.
OPEN = {
    "data.fps": -1.0,
    "data.frame_size": 0,
    "data.crop_size": 0,
    "data.clip_length": 0,
    "data.clip_stride": 0,
    "data.max_actions": 0,
    "data.flip": -1.0,
    "data.validation_split": "?",
    "train.batch_size": 0,
    "train.epochs": 0,
    "train.early_stop": -1,
    "inference.window_stride": 0,
}

REMAT = ("", "products", "blocks", "trunk")  # policies of `models.remat`
_CHOICES = {
    "data.stream": tuple(STREAM_CHANNELS),
    "data.flow_method": FLOW_METHODS,
    "data.train_padding": ("black", "grey"),
    "model.dtype": ("float32", "bfloat16"),
    "model.remat": REMAT,
    "model.batch_norm": ("frozen", "trained"),
    "model.head_init": ("glorot", "normal"),
    "loss.offset": ("l1", "smooth_l1"),
    "loss.normalise": ("batch", "clip"),
    "optimizer.name": ("adam", "adamw"),
    "optimizer.schedule": ("constant", "cosine"),
    "inference.fusion": ("mean", "geometric"),
    "inference.nms": ("soft", "plain"),
}
_POSITIVE = (
    "data.crop_size",
    "data.clip_length",
    "data.clip_stride",
    "data.max_actions",
    "data.consistency.divisor",
    "model.channels",
    "model.groups",
    "model.trunk_width",
    "optimizer.learning_rate",
    "train.batch_size",
    "train.accumulate",
    "train.log_every",
    "train.keep_last",
    "inference.window_stride",
    "inference.batch_size",
    "inference.nms_sigma",
)
_NOT_NEGATIVE = ("train.keep_best", "train.early_stop", "train.nan_limit")
_INTERVALS = ("train.checkpoint_every", "train.evaluate_every")
_EPOCHS = re.compile(r"([1-9]\d*) epochs?")
_RENAMED = {"keep_checkpoints": "keep_last"}  # fields of `train`, since version 0.1.0


def default_config() -> ml_collections.ConfigDict:
    """Returns the THUMOS14 RGB configuration of the reference, locked against unknown fields."""
    config = ml_collections.ConfigDict()
    config.seed = 0

    config.data = data = ml_collections.ConfigDict()
    data.dataset = "thumos14"  # name of the TFDS builder
    data.data_dir = ""  # folder of prepared data sets
    data.stream = "rgb"  # rgb or flow: the builder's config
    data.flow_method = "tvl1"  # or dis: of flow that detection computes, as the data's was
    data.train_split = "train"
    data.validation_split = ""  # evaluated while training, as train[90%:]; empty: nothing is
    data.test_split = "test"
    data.fps = 10.0  # frames are sampled at this rate
    data.max_frames = 0  # > 0: the rate is lowered until a video has no more frames
    data.frame_size = 112  # frames are stored at this height and width, pixels
    data.crop_size = 96  # the network sees this height and width, pixels
    data.clip_length = 256  # T, frames
    data.clip_stride = 30  # between training clips, frames
    data.one_clip = False  # True: a video is one clip at offset 0
    data.min_overlap = 0.5  # share of an action that must lie in a clip to be kept
    data.class_agnostic = False  # True: every action has label 1
    data.max_actions = 64  # actions per training clip, padded to this number
    data.crops = 0  # places to crop training clips at: 0 any; 1 the centre; 5 the corners, too
    data.flip = 0.5  # probability of mirroring a training clip
    data.negate_flipped_flow = False  # True: mirrored flow changes the sign of its x component
    data.train_padding = "black"  # black (-1 after normalising) or grey (0)
    data.feature_cache = ""  # keeps a frozen trunk's features: a folder, in data_dir if relative

    data.consistency = consistency = ml_collections.ConfigDict()
    consistency.round_up = True  # the shortest action: ceil, else floor
    consistency.divisor = 1  # then divided by this, towards zero

    config.model = model = ml_collections.ConfigDict()
    model.in_channels = 0  # 0: those of data.stream, see `resolve`
    model.num_classes = 0  # C, class 0 is the background; 0: those of the data set, see `resolve`
    model.dtype = "float32"  # compute type: float32 or bfloat16
    model.remat = ""  # what of the trunk is computed twice, to save memory; see `models.remat`
    model.trunk_width = 1.0  # multiplies every channel count of I3D
    model.batch_norm = "frozen"  # frozen or trained
    model.frozen_until = ""  # trunk endpoint up to which no weight is trained; empty: all are
    model.channels = 512  # of the pyramid, towers and branches
    model.groups = 32  # of each GroupNorm
    model.levels = LEVELS  # of the pyramid
    model.pyramid_inputs = ("Mixed_4f", "Mixed_5c")  # the first levels' trunk endpoints
    model.loc_multipliers = (1.0,) * LEVELS  # of the coarse distances, per level
    model.head_init = "glorot"  # glorot, or normal: std 0.01 in towers, heads and branches
    model.quality = True  # False: no quality logits; scores are the classes' alone
    model.refinement = True  # False: coarse predictions alone, without boundary features
    model.consistency_stride = 4  # frames per cell at which level 0 is pooled for consistency
    model.pooling = ""  # implementation of boundary max pooling; empty: the backend's best

    config.matching = matching = ml_collections.ConfigDict()
    matching.length_ranges = ()  # per level (above, up to) in frames; empty: no limits
    matching.proposal_tiou = 0.5  # a proposal at least this good is positive
    matching.proposal_best = False  # True: or as good as its clip's best one

    config.loss = loss = ml_collections.ConfigDict()
    loss.focal_alpha = 0.75  # of every class but the background
    loss.focal_gamma = 2.0
    loss.offset = "l1"  # loss of the refined offsets: l1 or smooth_l1
    loss.normalise = "batch"  # counts of positives: over the batch, or per clip
    loss.loc_weight = 10.0
    loss.conf_weight = 1.0
    loss.boundary_weight = 1.0  # of the start and end losses
    loss.consistency_weight = 0.1
    loss.margin = 1.0  # of the triplet loss

    config.optimizer = optimizer = ml_collections.ConfigDict()
    optimizer.name = "adam"  # weight decay is added to the gradient; adamw: to the update
    optimizer.learning_rate = 1e-5
    optimizer.trunk_learning_rate = 1e-5
    optimizer.trunk_decay = 1.0  # factor of the trunk's rate from a unit to the one before it
    optimizer.weight_decay = 1e-3
    optimizer.warmup_steps = 0
    optimizer.schedule = "constant"  # constant or cosine (to zero at the last step)
    optimizer.clip_norm = 0.0  # > 0: limit of the gradient's global norm
    optimizer.ema = 0.0  # > 0: averaged weights keep this share a step; they detect

    config.train = train = ml_collections.ConfigDict()
    train.batch_size = 1  # clips per step over all devices
    train.shard_state = False  # weights and optimiser lie in shares on the devices, to save memory
    train.accumulate = 1  # parts that a batch is worked on in, one after another, to save memory
    train.epochs = 16
    train.steps = 0  # > 0: stop after this many steps, whatever the epochs
    # Steps, or a text such as "2 epochs"; 0: never. An evaluation is also a checkpoint.
    train.checkpoint_every = config_dict.FieldReference(1000, field_type=object)
    train.evaluate_every = config_dict.FieldReference("1 epoch", field_type=object)
    train.log_every = 20  # steps
    train.keep_last = 4  # checkpoints; besides them stay
    train.keep_best = 1  # as many of the highest average mAP
    train.keep_epochs = (13, 14, 15, 16)  # and those at the end of these epochs
    train.early_stop = 0  # evaluations without a better average mAP after which to stop; 0: none
    train.nan_limit = 0  # steps to skip whose loss or gradient is not finite; then training stops
    train.init_from = ""  # weights to start from: a checkpoint, a PyTorch file or kinetics

    config.inference = inference = ml_collections.ConfigDict()
    inference.one_window = False  # True: a video is one window
    inference.window_stride = 128  # frames
    inference.batch_size = 1  # windows per forward pass
    inference.score_threshold = 0.01
    inference.video_labels = False  # True: classes come from a video-level classifier
    inference.nms = "soft"  # suppression of overlaps in a class: soft or plain
    inference.nms_sigma = 0.5  # of soft-NMS
    inference.nms_tiou = 0.5  # of plain NMS: a greater overlap with a better one drops
    inference.voting_tiou = 0.0  # > 0: ends are means over candidates that overlap so much
    inference.nms_threshold = 0.001
    inference.max_detections = 5000  # per class and video
    inference.fusion = "mean"  # of the streams' segments: mean (raw outputs) or geometric
    inference.fusion_score_threshold = 0.01
    inference.fusion_nms_threshold = 0.001
    inference.clip_to_video = False  # True: detections are cut at the video's end

    return config.lock()


def check(config: ml_collections.ConfigDict) -> None:
    """Checks that the fields' values are possible and fit each other.

    Raises:
      UserError: naming the field, its value and what is possible.
    """

    def fail(field: str, remedy: str) -> None:
        raise UserError(f"config.{field}={_value(config, field)!r}: {remedy}")

    for field, choices in _CHOICES.items():
        if _value(config, field) not in choices:
            fail(field, f"must be one of {', '.join(choices)}")
    for field in _POSITIVE:
        if _value(config, field) <= 0:
            fail(field, "must be above 0")
    for field in _NOT_NEGATIVE:
        if _value(config, field) < 0:
            fail(field, "must not be negative")
    for field in _INTERVALS:
        if steps_between(_value(config, field), 1) is None:
            fail(field, 'must be a number of steps, or a text such as "1 epoch"; 0: never')
    if config.train.batch_size % config.train.accumulate:
        fail("train.accumulate", f"must divide train.batch_size={config.train.batch_size}")
    if config.train.early_stop and not config.data.validation_split:
        fail("train.early_stop", "needs config.data.validation_split to evaluate on")
    if not 0 <= config.optimizer.ema < 1:
        fail("optimizer.ema", "must be at least 0 and below 1, such as 0.999")
    if not 0 < config.optimizer.trunk_decay <= 1:
        fail("optimizer.trunk_decay", "must be above 0 and at most 1")
    model, data = config.model, config.data
    if data.crop_size > data.frame_size:
        fail("data.crop_size", f"must be at most config.data.frame_size={data.frame_size}")
    if data.clip_length % 8:
        fail("data.clip_length", "must be a multiple of 8, the trunk's stride in time")
    if model.channels % model.groups:
        fail("model.channels", f"must be a multiple of config.model.groups={model.groups}")
    if not 0 <= data.crops <= 5:
        fail("data.crops", "must be 0, for any place, or the number of fixed ones, from 1 to 5")
    channels = STREAM_CHANNELS[data.stream]
    if model.in_channels not in (0, channels):
        fail("model.in_channels", f"config.data.stream={data.stream} has {channels}; leave it at 0")
    if model.num_classes and model.num_classes < 2:
        fail("model.num_classes", "must be at least 2: the background and one action")
    if len(model.loc_multipliers) != model.levels:
        fail("model.loc_multipliers", f"must have config.model.levels={model.levels} values")
    if len(config.matching.length_ranges) not in (0, model.levels):
        fail("matching.length_ranges", f"must have {model.levels} ranges, or none")


def steps_between(interval: Any, steps_per_epoch: int) -> int | None:
    """Returns the steps of an interval, given as their number or as "2 epochs".

    Returns:
      0 for 0 and "", which mean never; None for what is no interval.
    """
    if isinstance(interval, int) and not isinstance(interval, bool) and interval >= 0:
        return interval
    match = _EPOCHS.fullmatch(interval) if isinstance(interval, str) else None
    return int(match[1]) * steps_per_epoch if match else (0 if interval == "" else None)


def upgrade(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a saved configuration under their present names."""
    train = {_RENAMED.get(name, name): value for name, value in fields["train"].items()}
    return {**fields, "train": train}


def resolve(config: ml_collections.ConfigDict, num_actions: int) -> ml_collections.ConfigDict:
    """Returns a copy in which the fields left at 0, to be derived, have their values.

    These are model.in_channels, from data.stream, and model.num_classes, from the classes.

    Args:
      config: the configuration.
      num_actions: the data set's classes; with data.class_agnostic they count as one.

    Raises:
      UserError: as `check` does, or model.num_classes is given and contradicts the data set.
    """
    check(config)
    config = config.copy_and_resolve_references()
    model = config.model
    model.in_channels = STREAM_CHANNELS[config.data.stream]
    num_actions = 1 if config.data.class_agnostic else num_actions
    if model.num_classes not in (0, num_actions + 1):
        raise UserError(
            f"config.model.num_classes={model.num_classes}, but the data has "
            f"{num_actions} classes; set it to {num_actions + 1}, or leave it at 0"
        )
    model.num_classes = num_actions + 1
    return config


def _value(config: ml_collections.ConfigDict, field: str) -> Any:
    for name in field.split("."):
        config = config[name]
    return config
