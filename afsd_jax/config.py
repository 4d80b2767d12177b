"""The configuration: one tree of fields, which holds every difference between the benchmarks.

`default_config` is the reference's THUMOS14 RGB model with its published hyperparameters. The files
in `configs/` start from it and change fields; the tree is locked, so a mistyped field is an error.
"""

import math
import re
from collections.abc import Iterator
from typing import Any

import ml_collections
from ml_collections import config_dict

from afsd_jax.errors import UserError

LEVELS = 6
STREAM_CHANNELS = {"rgb": 3, "flow": 2}
FLOW_METHODS = ("tvl1", "dis")

# Fields that training chooses from the data set where they have this value.
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

REMAT = ("", "products", "blocks", "trunk")  # policies of `models.i3d.rematerialise`
_CHOICES = {
    "data.stream": tuple(STREAM_CHANNELS),
    "data.flow_method": FLOW_METHODS,
    "data.train_padding": ("black", "grey"),
    "model.dtype": ("float32", "bfloat16"),
    "model.remat": REMAT,
    **{"model.batch_norm": ("frozen", "trained"), "model.trunk_context": ("clip", "video")},
    "model.head_init": ("glorot", "normal"),
    "loss.offset": ("l1", "smooth_l1"),
    "loss.normalise": ("batch", "clip"),
    "optimizer.name": ("adam", "adamw"),
    "optimizer.schedule": ("constant", "cosine"),
    "inference.fusion": ("mean", "geometric"),
    "inference.nms": ("soft", "plain"),
}
_POSITIVE = (
    *("data.crop_size", "data.clip_length", "data.clip_stride"),
    "data.max_actions",
    "data.consistency.divisor",
    *("model.channels", "model.groups", "model.trunk_width"),
    *("model.levels", "model.consistency_stride"),
    "optimizer.learning_rate",
    *("train.batch_size", "train.accumulate", "train.log_every"),
    "train.keep_last",
    *("inference.window_stride", "inference.batch_size", "inference.nms_sigma"),
)
_NOT_NEGATIVE = (
    "seed",
    *("data.fps", "data.max_frames", "inference.max_detections", "model.num_classes"),
    *("train.keep_best", "train.early_stop", "train.nan_limit"),
)
# Beyond these nothing fits any machine.
_LARGEST = {
    **{"data.fps": 10**6, "data.max_frames": 10**7, "data.frame_size": 2**13},
    **{"data.clip_length": 2**16, "data.max_actions": 10**5, "inference.window_stride": 10**7},
    **{"model.channels": 2**14, "model.trunk_width": 16, "model.levels": 16},
    **{"model.num_classes": 10**6, "train.batch_size": 10**6, "inference.batch_size": 2**16},
}
TRUNK_BLOCKS = (
    *("Mixed_3b", "Mixed_3c", "Mixed_4b", "Mixed_4c", "Mixed_4d"),
    *("Mixed_4e", "Mixed_4f", "Mixed_5b", "Mixed_5c"),
)
_NAME = re.compile(r"[\w-]*", re.ASCII)
_INTERVALS = ("train.checkpoint_every", "train.evaluate_every")
_EPOCHS = re.compile(r"([1-9]\d*) epochs?")


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
    data.stream = "rgb"  # rgb or flow: the builder's configuration
    data.flow_method = "tvl1"  # tvl1 or dis: optical flow that detection computes, as for training
    data.train_split = "train"
    data.validation_split = ""  # split evaluated during training, such as train[90%:]; empty: none
    data.test_split = "test"
    data.fps = 10.0  # rate at which frames are sampled
    data.max_frames = 0  # > 0: lower the rate until a video has at most this many frames
    data.frame_size = 112  # height and width of stored frames, pixels
    data.crop_size = 96  # height and width of the network's input, pixels
    data.clip_length = 256  # T, frames
    data.clip_stride = 30  # distance between training clips, frames
    data.one_clip = False  # True: each video is one clip that begins at frame 0
    data.min_overlap = 0.5  # a clip contains an action if this share of the action lies in it
    data.class_agnostic = False  # True: every action has label 1
    data.max_actions = 64  # actions per training clip, padded to this number
    data.crops = 0  # places where clips are cropped; 0: anywhere, 1: centre, 5: centre and corners
    data.flip = 0.5  # probability of mirroring a training clip
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
    train.keep_last = 4  # newest checkpoints to keep
    train.keep_best = 1  # checkpoints of the highest average mAP to keep
    train.keep_epochs = (13, 14, 15, 16)  # epochs whose last checkpoint is kept
    train.early_stop = 0  # stop after this many evaluations without a better average mAP; 0: never
    train.nan_limit = 0  # steps with a loss or gradient that is not finite to skip before stopping
    train.init_from = ""  # initial weights: a checkpoint, a PyTorch file or kinetics
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


def check(config: ml_collections.ConfigDict) -> None:
    """Checks that the fields' values are possible and fit each other.

    Raises:
      UserError: naming the field, its value and what is possible.
    """
    for rules in (_ranges, _relations):
        for possible, field, remedy in rules(config):
            if not possible:
                raise UserError(f"config.{field}={_value(config, field)!r}: {remedy}")


def _ranges(config: ml_collections.ConfigDict) -> Iterator[tuple[bool, str, str]]:
    """Yields whether each field alone is possible, its name, and what it must be."""
    for field, choices in _CHOICES.items():
        yield _value(config, field) in choices, field, f"must be one of {', '.join(choices)}"
    for field in _POSITIVE:
        yield _value(config, field) > 0, field, "must be above 0"
    for field in _NOT_NEGATIVE:
        yield _value(config, field) >= 0, field, "must not be negative"
    for field, value in config_fields(config):
        yield not isinstance(value, float) or math.isfinite(value), field, "must be finite"
    for field, largest in _LARGEST.items():
        yield _value(config, field) <= largest, field, f"must be at most {largest:,}"
    interval = 'must be a number of steps, or a text such as "1 epoch"; 0: never'
    for field in _INTERVALS:
        yield steps_between(_value(config, field), 1) is not None, field, interval


def _relations(config: ml_collections.ConfigDict) -> Iterator[tuple[bool, str, str]]:
    """Yields whether fields fit each other, the field to change, and what it must be."""
    data, model, optimizer, train = config.data, config.model, config.optimizer, config.train
    whole = train.batch_size % train.accumulate == 0
    yield whole, "train.accumulate", f"must divide train.batch_size={train.batch_size}"
    validated = bool(data.validation_split) or not train.early_stop
    yield validated, "train.early_stop", "needs config.data.validation_split to evaluate on"
    yield 0 <= optimizer.ema < 1, "optimizer.ema", "must be at least 0 and below 1, such as 0.999"
    yield 0 < optimizer.trunk_decay <= 1, "optimizer.trunk_decay", "must be above 0 and at most 1"
    side = data.frame_size
    yield data.crop_size <= side, "data.crop_size", f"must be at most config.data.frame_size={side}"
    stride = "must be a multiple of 8, the trunk's stride in time"
    yield data.clip_length % 8 == 0, "data.clip_length", stride
    grouped = model.channels % model.groups == 0
    yield grouped, "model.channels", f"must be a multiple of config.model.groups={model.groups}"
    crops = "must be 0, for any place, or the number of fixed ones, from 1 to 5"
    yield 0 <= data.crops <= 5, "data.crops", crops
    channels = STREAM_CHANNELS[data.stream]
    remedy = f"config.data.stream={data.stream} has {channels}; leave it at 0"
    yield model.in_channels in (0, channels), "model.in_channels", remedy
    classes = "must be at least 2: the background and one action"
    yield not model.num_classes or model.num_classes >= 2, "model.num_classes", classes
    multipliers = model.loc_multipliers
    remedy = f"must have config.model.levels={model.levels} values"
    yield len(multipliers) == model.levels, "model.loc_multipliers", remedy
    yield all(map(_is_number, multipliers)), "model.loc_multipliers", "must be finite numbers"
    blocks = model.pyramid_inputs
    known = 0 < len(blocks) <= model.levels and all(block in TRUNK_BLOCKS for block in blocks)
    remedy = f"must be 1 to model.levels of {', '.join(TRUNK_BLOCKS)}"
    yield known, "model.pyramid_inputs", remedy
    named = bool(_NAME.fullmatch(data.dataset))
    yield named, "data.dataset", "must be a name of letters, digits, _ and -"
    yield 0 <= data.flip <= 1, "data.flip", "must be a probability, from 0 to 1"
    ranges = f"must have {model.levels} ranges, or none"
    yield len(config.matching.length_ranges) in (0, model.levels), "matching.length_ranges", ranges


def config_fields(config: ml_collections.ConfigDict) -> Iterator[tuple[str, Any]]:
    """Yields the name of every field, with dots, and its value."""
    for name, value in config.items():
        if isinstance(value, ml_collections.ConfigDict):
            yield from ((f"{name}.{field}", inner) for field, inner in config_fields(value))
        else:
            yield name, value


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) < 1e300


def steps_between(interval: Any, steps_per_epoch: int) -> int | None:
    """Converts an interval, a number of steps or a text such as "2 epochs", to steps.

    Returns:
      The number of steps; 0 for 0 and "", which mean never; None if it is not an interval.
    """
    if isinstance(interval, int) and not isinstance(interval, bool) and interval >= 0:
        return interval
    match = _EPOCHS.fullmatch(interval) if isinstance(interval, str) else None
    return int(match[1]) * steps_per_epoch if match else (0 if interval == "" else None)


def resolve(config: ml_collections.ConfigDict, num_actions: int) -> ml_collections.ConfigDict:
    """Returns a copy in which model.in_channels and model.num_classes have their values.

    Both may be 0: then the first follows from data.stream, the second from the number of classes.

    Args:
      config: the configuration.
      num_actions: number of the data set's classes; with data.class_agnostic they count as one.

    Raises:
      UserError: as `check` does, or model.num_classes contradicts the data set.
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
