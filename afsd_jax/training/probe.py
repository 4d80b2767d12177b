"""Chooses endpoints of a frozen trunk, and whether clips are mirrored, by a linear probe.

A linear probe says in seconds how well endpoints tell the classes apart, for which a comparison of
detectors takes a training run each. It says nothing about where actions start and end. Late
endpoints see that worse, so one that replaces an earlier one must be clearly better.

`RUN/probe.json` records the result, so a run that continues does not probe again.
"""

import logging
from collections.abc import Collection
from pathlib import Path
from statistics import fmean

import jax
import ml_collections

from afsd_jax.data.builders.prepared_report import stored_groups
from afsd_jax.data.training_data import TrainingData
from afsd_jax.errors import UserError
from afsd_jax.io.probe_record import RECORD, Probed, ProbeRecord, read_probe, write_probe
from afsd_jax.training.endpoint_features import evaluated_view
from afsd_jax.training.endpoints import CHOICES, fields_of
from afsd_jax.training.feature_cache import check_frozen
from afsd_jax.training.linear_probe import balanced_accuracy, predict_left_out
from afsd_jax.training.probe_examples import BACKGROUND, FOLDS, LEAST, draw_sample
from afsd_jax.training.probe_features import Descriptions
from afsd_jax.training.probe_rules import choose_endpoints, find_mirrored
from afsd_jax.weights.kinetics import KINETICS

INPUTS, FROZEN, FLIP = "model.pyramid_inputs", "model.frozen_until", "data.flip"
LEAST_ACTIONS = 40  # with fewer, chance decides

log = logging.getLogger(__name__)


def choose_by_probe(
    config: ml_collections.ConfigDict, open_fields: Collection[str], workdir: Path
) -> ml_collections.ConfigDict:
    """Returns the configuration with the endpoints and mirroring that a probe chooses.

    It stays as it is without `train.probe` or cached features, with several processes, if a person
    has stated both fields, or if the run began without a probe. If a probe is wanted but there are
    too few actions, `train.probe` becomes False, so that a search compares endpoints.

    Args:
      config: the configuration, with all fields chosen.
      open_fields: names of the fields that a person has left open.
      workdir: folder of the run.

    Raises:
      UserError: the data set is missing or damaged, its features cannot be stored, the initial
        weights cannot be read, or the record in the folder is malformed or of another split.
    """
    wanted = _wanted(config, open_fields)
    if not wanted:
        return config
    if jax.process_count() > 1:
        log.info("linear probe: none, for several processes train")
        return config
    path = workdir / RECORD
    if path.exists():
        record = _checked(path, config.data.train_split)
    elif (workdir / "config.json").exists():
        return config
    else:
        record = _probe(config, wanted)
        workdir.mkdir(parents=True, exist_ok=True)
        write_probe(path, record)
    for line in describe_record(record):
        log.info(line)
    config = config.copy_and_resolve_references()
    if INPUTS in wanted and record.endpoints:
        config.update_from_flattened_dict(fields_of(record.endpoints))
    if FLIP in wanted and record.flip is not None:
        config.data.flip = record.flip
    config.train.probe = bool(record.probed)
    return config


def _wanted(config: ml_collections.ConfigDict, open_fields: Collection[str]) -> set[str]:
    """Returns the fields that a probe may change."""
    if not (config.train.probe and config.data.feature_cache):
        return set()
    wanted = {INPUTS, FLIP} & set(open_fields)
    of_detector = config.train.init_from not in ("", KINETICS)  # it has its own endpoints
    if of_detector or FROZEN not in open_fields:
        wanted.discard(INPUTS)
    if not config.data.flip:
        wanted.discard(FLIP)
    return wanted


def _checked(path: Path, split: str) -> ProbeRecord:
    """Returns the record of a run on this split; raises UserError if it is another one."""
    record = read_probe(path)
    if record.endpoints and record.endpoints not in CHOICES:
        raise UserError(f"{path}.endpoints: must be some that a probe compares; remove the file")
    if record.split != split:
        raise UserError(
            f"{path}: is of a run on split {record.split}; remove it, or train in another folder"
        )
    return record


def describe_record(record: ProbeRecord) -> list[str]:
    """Returns the lines of what a probe has found."""
    if not record.probed:
        return [f"linear probe: {reason}" for reason in record.reasons]
    names = {one.name: one.accuracy for one in record.probed}
    width = max(map(len, names))
    lines = [f"  {name:<{width}}  {100 * fmean(x):5.1f} %" for name, x in names.items()]
    what = f"{record.actions} actions of the training videos"
    return [
        f"linear probe: mean recall of the classes and the background, {what}",
        *lines,
        *(f"  {reason}" for reason in record.reasons),
    ]


def _probe(config: ml_collections.ConfigDict, wanted: Collection[str]) -> ProbeRecord:
    """Probes; `wanted` has names of the fields to choose."""
    check_frozen(config)
    data, split = TrainingData(config), config.data.train_split
    sample = draw_sample(data.videos, stored_groups(data.folder.path))
    actions = 0 if sample is None else int((sample.labels != BACKGROUND).sum())
    if sample is None or actions < LEAST_ACTIONS:
        why = (
            f"none, for it needs {LEAST_ACTIONS} actions, of classes with at least {LEAST}, and "
            f"{LEAST} in each of {min(FOLDS)} folds of the videos or of groups of them"
        )
        return ProbeRecord(split, actions, (), (), None, (why,))
    own = tuple(config.model.pyramid_inputs)
    tried = [own, *(x for x in CHOICES if x != own)] if INPUTS in wanted else [own]
    centre = evaluated_view(data)
    plain = Descriptions(config, data.class_names, sample, centre, tried)
    accuracy = {}
    for endpoints in tried:
        (predicted,) = predict_left_out([plain(endpoints)], sample.labels, sample.folds)
        accuracy[endpoints] = balanced_accuracy(predicted, sample.labels, sample.folds)
    chosen, reason = choose_endpoints(accuracy)
    reasons, flip = [reason] if INPUTS in wanted else [], None
    if FLIP in wanted:
        turned = centre._replace(flip=True)
        mirrored = Descriptions(config, data.class_names, sample, turned, [chosen])
        views = [x(chosen) for x in (plain, mirrored)]
        as_it_is, turned_over = predict_left_out(views, sample.labels, sample.folds)
        alike = find_mirrored(as_it_is, turned_over, sample.labels)
        if alike:
            flip = 0.0
            first, second = (data.class_names[label - 1] for label in alike)
            said = f"0: {first!r}, mirrored, looks like {second!r}, so no clip is mirrored"
        else:
            said = f"{config.data.flip:g} stays: no class, mirrored, looks like another one"
        reasons.append(f"config.data.flip = {said}")
    probed = tuple(Probed(endpoints, values) for endpoints, values in accuracy.items())
    changed = chosen if chosen != own else ()
    return ProbeRecord(split, actions, probed, changed, flip, tuple(reasons))
