"""Checks of a configuration: which values its fields may have, and which of them fit each other."""

import math
import re
from collections.abc import Iterator
from typing import Any

import ml_collections

from afsd_jax.errors import UserError
from afsd_jax.types import KEEP_ASPECT, OWN_CROPS

FEATURES = "features"  # the stream of features that another network has computed
STREAM_CHANNELS = {"rgb": 3, "flow": 2, FEATURES: 0}  # 0: as many as the features have
INPUT = "Input"  # endpoint of a network without a trunk: what it is given
FLOW_METHODS = ("tvl1", "dis")
REMAT = ("", "products", "blocks", "trunk")  # policies of `models.i3d.rematerialise`
_CHOICES = {
    "data.stream": tuple(STREAM_CHANNELS),
    "data.flow_method": FLOW_METHODS,
    "data.keep_aspect": KEEP_ASPECT,
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
    *("train.keep_best", "train.early_stop", "train.nan_limit", "train.cross_validation"),
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
_CROP = re.compile(rf"|{OWN_CROPS}|(\d{{1,7}}(\.\d{{1,6}})?%?(,|$)){{4}}(?<!,)", re.ASCII)
_INTERVALS = ("train.checkpoint_every", "train.evaluate_every")
_EPOCHS = re.compile(r"([1-9]\d*) epochs?")


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
    yield whole, "train.accumulate", f"must divide config.train.batch_size={train.batch_size}"
    validated = bool(data.validation_split) or not train.early_stop
    yield validated, "train.early_stop", "needs config.data.validation_split to evaluate on"
    refits = bool(data.validation_split) or not train.refit
    yield refits, "train.refit", "needs config.data.validation_split, to choose the number of steps"
    yield train.cross_validation != 1, "train.cross_validation", "must be at least 2 folds; 0: none"
    once = not (data.validation_split and train.cross_validation)
    yield once, "train.cross_validation", "must be 0 with config.data.validation_split"
    yield train.search_minutes >= 0, "train.search_minutes", "must be minutes; 0: no search"
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
    yield not channels or model.in_channels in (0, channels), "model.in_channels", remedy
    classes = "must be at least 2: the background and one action"
    yield not model.num_classes or model.num_classes >= 2, "model.num_classes", classes
    multipliers = model.loc_multipliers
    remedy = f"must have config.model.levels={model.levels} values"
    yield len(multipliers) == model.levels, "model.loc_multipliers", remedy
    yield all(map(_is_number, multipliers)), "model.loc_multipliers", "must be finite numbers"
    blocks = model.pyramid_inputs
    known = 0 < len(blocks) <= model.levels and all(block in TRUNK_BLOCKS for block in blocks)
    remedy = f"must be 1 to config.model.levels of {', '.join(TRUNK_BLOCKS)}"
    if data.stream == FEATURES:
        known, remedy = tuple(blocks) == (INPUT,), f"must be ({INPUT!r},) for a stream of features"
    yield known, "model.pyramid_inputs", remedy
    named = bool(_NAME.fullmatch(data.dataset))
    yield named, "data.dataset", "must be a name of letters, digits, _ and -"
    yield 0 <= data.flip <= 1, "data.flip", "must be a probability, from 0 to 1"
    yield 0 <= data.paste <= 1, "data.paste", "must be a probability, from 0 to 1"
    yield 0 <= data.speed <= 3, "data.speed", "must be from 0 to 3, such as 0.3"
    smoothing = config.loss.label_smoothing
    yield 0 <= smoothing < 1, "loss.label_smoothing", "must be at least 0 and below 1, such as 0.1"
    has_features = bool(data.feature_cache) or data.stream == FEATURES
    for field in ("speed", "paste"):
        remedy = "needs config.data.feature_cache or config.data.stream=features; set it to 0"
        yield has_features or not data[field], f"data.{field}", remedy
    cut = not (data.speed and data.one_clip)
    yield cut, "data.speed", "must be 0 with config.data.one_clip"
    part = f"must be x,y,width,height, such as 10%,0,80%,100%, or {OWN_CROPS}, or empty"
    yield bool(_CROP.fullmatch(data.crop)), "data.crop", part
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


def _value(config: ml_collections.ConfigDict, field: str) -> Any:
    for name in field.split("."):
        config = config[name]
    return config
