"""Chooses endpoints of a frozen trunk, and whether clips are mirrored, by a linear probe.

A linear probe says in seconds how well endpoints tell the classes apart, for which a comparison of
detectors takes a training run each. It says nothing about where actions start and end. Late
endpoints see that worse, so one that replaces an earlier one must be clearly better.

`RUN/probe.json` records the result, so a run that continues does not probe again.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import jax
import ml_collections
import numpy as np

from afsd_jax.data.builders.prepared_report import stored_groups
from afsd_jax.data.clips.clip_reader import View
from afsd_jax.data.folds import assign_folds, count_groups
from afsd_jax.data.storage.prepared_video import PreparedVideo
from afsd_jax.data.training_data import TrainingData
from afsd_jax.errors import UserError
from afsd_jax.io.probe_record import RECORD, Probed, ProbeRecord, read_probe, write_probe
from afsd_jax.models import i3d
from afsd_jax.models.network import feature_shape
from afsd_jax.training.endpoint_features import evaluated_view, fill_endpoints
from afsd_jax.training.feature_files import ViewFiles
from afsd_jax.training.linear_probe import balanced_accuracy, describe, predict_left_out
from afsd_jax.training.probe_examples import (
    BACKGROUND,
    LEAST,
    Example,
    choose_videos,
    examples_of,
)
from afsd_jax.weights.kinetics import KINETICS

ENDPOINTS = (("Mixed_4b",), ("Mixed_4f",), ("Mixed_4f", "Mixed_5c"), ("Mixed_4b", "Mixed_5c"))
FIELDS = ("model.pyramid_inputs", "data.flip")  # what a probe chooses
FOLDS = 5
LEAST_FOLDS = 3
LEAST_ACTIONS = 40  # with fewer, chance decides
LEAST_GAIN = 0.05  # of accuracy
MIRRORED, AS_IT_IS = 0.5, 0.2  # shares of a class taken for another one, mirrored and not

log = logging.getLogger(__name__)


def choose_by_probe(
    config: ml_collections.ConfigDict, open_fields: Collection[str], workdir: Path
) -> ml_collections.ConfigDict:
    """Returns the configuration with the endpoints and mirroring that a probe chooses.

    It stays as it is without `train.probe` or cached features, with several processes, if a person
    has stated both fields, or if the run began without a probe.

    Args:
      config: the configuration, with all fields chosen.
      open_fields: names of the fields that a person has left open.
      workdir: folder of the run.

    Raises:
      UserError: the data set is missing or damaged, its features cannot be stored, the initial
        weights cannot be read, or the record in the folder is malformed.
    """
    wanted = [name for name in FIELDS if name in open_fields]
    if config.train.init_from not in ("", KINETICS):  # a detector, which has its endpoints
        wanted = [name for name in wanted if name != FIELDS[0]]
    if not config.data.flip:
        wanted = [name for name in wanted if name != FIELDS[1]]
    if not (config.train.probe and config.data.feature_cache and wanted):
        return config
    if jax.process_count() > 1:
        log.info("linear probe: none, for several processes train")
        return config
    path = workdir / RECORD
    if path.exists():
        record = read_probe(path)
        if record.endpoints and record.endpoints not in ENDPOINTS:
            raise UserError(
                f"{path}.endpoints: must be some that a probe compares; remove the file"
            )
    elif (workdir / "config.json").exists():
        return config
    else:
        record = _probe(config, wanted)
        workdir.mkdir(parents=True, exist_ok=True)
        write_probe(path, record)
    for line in describe_record(record):
        log.info(line)
    config = config.copy_and_resolve_references()
    if record.endpoints:
        config.model.update(pyramid_inputs=record.endpoints, frozen_until=record.endpoints[-1])
    if record.flip is not None:
        config.data.flip = record.flip
    return config


def describe_record(record: ProbeRecord) -> list[str]:
    """Returns the lines of what a probe has found."""
    names = {" and ".join(one.endpoints): one.accuracy for one in record.probed}
    width = max(map(len, names), default=0)
    lines = [f"  {name:<{width}}  {100 * fmean(x):5.1f} %" for name, x in names.items()]
    said = f"{record.actions} actions of the training videos"
    head = (
        f"linear probe: of {said} and the background between them, it tells apart" if names else ""
    )
    return [head, *lines, *(f"  {reason}" for reason in record.reasons)][not names :]


def _probe(config: ml_collections.ConfigDict, wanted: Collection[str]) -> ProbeRecord:
    """Probes; `wanted` has names of the fields to choose."""
    data, split = TrainingData(config), config.data.train_split
    videos = [data.videos[n] for n in choose_videos([video.labels for video in data.videos])]
    examples = examples_of(videos)
    actions = sum(example.label != BACKGROUND for example in examples)
    groups = stored_groups(data.folder.path)
    count = min(FOLDS, count_groups(videos, groups))
    if actions < LEAST_ACTIONS or count < LEAST_FOLDS:
        why = f"linear probe: none, for it needs {LEAST_ACTIONS} actions of classes with at least "
        why += f"{LEAST}, in {LEAST_FOLDS} videos or groups of them"
        return ProbeRecord(split, actions, (), (), None, (why,))
    numbers = assign_folds({v.name: set(v.labels.tolist()) for v in videos}, groups, count)
    folds = np.array([numbers[videos[example.video].name] for example in examples])
    labels = np.array([example.label for example in examples])
    own = tuple(config.model.pyramid_inputs)
    tried = [own, *(x for x in ENDPOINTS if x != own)] if FIELDS[0] in wanted else [own]
    centre = evaluated_view(data)
    plain = _Descriptions(config, data.class_names, videos, centre, tried)
    accuracy = {}
    for endpoints in tried:
        (predicted,) = predict_left_out([plain(endpoints, examples)], labels, folds)
        accuracy[endpoints] = balanced_accuracy(predicted, labels, folds)
    chosen, reason = choose_endpoints(accuracy)
    reasons, flip = [reason] if FIELDS[0] in wanted else [], None
    if FIELDS[1] in wanted:
        turned = centre._replace(flip=True)
        mirrored = _Descriptions(config, data.class_names, videos, turned, [chosen])
        views = [x(chosen, examples) for x in (plain, mirrored)]
        as_it_is, turned_over = predict_left_out(views, labels, folds)
        one_like_other = find_mirrored(as_it_is, turned_over, labels)
        if one_like_other:
            first, second = (data.class_names[label - 1] for label in one_like_other)
            flip = 0.0
            reasons.append(
                f"config.data.flip = 0: {first!r}, mirrored, looks like {second!r}, so clips are "
                "not mirrored"
            )
    probed = tuple(Probed(endpoints, values) for endpoints, values in accuracy.items())
    changed = chosen if chosen != own else ()
    return ProbeRecord(split, actions, probed, changed, flip, tuple(reasons))


class _Descriptions:
    """Describes examples by the features of a view, after computing those that the cache lacks."""

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        class_names: list[str],
        videos: Sequence[PreparedVideo],
        view: View,
        tried: Sequence[tuple[str, ...]],
    ):
        """Takes the configuration, and the endpoints that are tried."""
        configs = [_reading(config, endpoints) for endpoints in tried]
        self._model, self._data = config.model, config.data
        self._videos, self._view = videos, view
        self._files: list[ViewFiles] = fill_endpoints(configs, class_names, videos, [view])

    def __call__(self, endpoints: Sequence[str], examples: Sequence[Example]) -> np.ndarray:
        """Returns the descriptions, float32 [N, D], of examples at all endpoints together."""
        parts = [[self._describe(x, name) for name in endpoints] for x in examples]
        return np.stack([np.concatenate(of_one) for of_one in parts])

    def _describe(self, example: Example, endpoint: str) -> np.ndarray:
        video, stride = self._videos[example.video], i3d.endpoint_stride(endpoint)[0]
        cells, *_, channels = feature_shape(
            self._model, endpoint, video.num_frames, self._data.crop_size
        )
        start, end = example.start / stride, example.end / stride
        first = min(int(start), cells - 1)
        stop = min(max(int(np.ceil(end)), first + 1), cells)
        rows = self._files[example.video][self._view][endpoint].read(first, stop)
        means = rows.reshape(stop - first, -1, channels).mean(1, dtype=np.float32)
        return describe(means, start - first, end - first)


def _reading(
    config: ml_collections.ConfigDict, endpoints: tuple[str, ...]
) -> ml_collections.ConfigDict:
    config = config.copy_and_resolve_references()
    config.model.update(pyramid_inputs=endpoints, frozen_until=endpoints[-1])
    return config


def choose_endpoints(
    accuracy: Mapping[tuple[str, ...], list[float]],
) -> tuple[tuple[str, ...], str]:
    """Returns the endpoints to read, and the reason.

    The first ones stay unless others are better by `LEAST_GAIN`, and at least as good on every
    fold.

    Args:
      accuracy: accuracy on each fold by endpoints, the run's own first.
    """
    own, *others = accuracy
    before = accuracy[own]
    mean = {endpoints: fmean(values) for endpoints, values in accuracy.items()}
    better = [
        x
        for x in others
        if mean[x] - mean[own] >= LEAST_GAIN
        and all(a >= b for a, b in zip(accuracy[x], before, strict=True))
    ]
    name = " and ".join(own)
    if not better:
        points = round(100 * LEAST_GAIN)
        more = f"by {points} points and at least as good on every fold"
        return own, f"{name} stays: no other is better {more}"
    best = max(better, key=lambda x: mean[x])
    return best, (
        f"config.model.pyramid_inputs = {best!r}: better than {name} by "
        f"{100 * (mean[best] - mean[own]):.1f} points, and at least as good on every fold"
    )


def find_mirrored(
    plain: np.ndarray, mirrored: np.ndarray, labels: np.ndarray
) -> tuple[int, int] | None:
    """Returns a class that looks like another one when it is mirrored, and that one; None: none is.

    Args:
      plain: int [N], predicted classes of the examples as they are.
      mirrored: int [N], of their mirror images.
      labels: int [N], true classes.
    """
    actions = [label for label in np.unique(labels).tolist() if label != BACKGROUND]
    for label in actions:
        own = labels == label
        for other in actions:
            taken = (mirrored[own] == other).mean(), (plain[own] == other).mean()
            if other != label and taken[0] >= MIRRORED and taken[1] <= AS_IT_IS:
                return label, other
    return None
