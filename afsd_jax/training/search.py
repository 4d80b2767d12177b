"""Searches for settings by short runs on folds of the training videos, within a budget of time.

`RUN/search.json` records each trial, so a search that was interrupted repeats none. Which trial is
next follows from the scores before it (`search_plan`), so the same number of trials chooses the
same settings; the budget is checked before each trial.
"""

import logging
import math
import shutil
import time
from pathlib import Path
from statistics import fmean

import jax
import ml_collections

from afsd_jax.data.builders.prepared_report import stored_groups
from afsd_jax.data.folds import Fold, count_groups
from afsd_jax.data.training_data import TrainingData
from afsd_jax.errors import UserError
from afsd_jax.io.run_log import read_records
from afsd_jax.io.search_record import RECORD, SearchRecord, Trial, read_record, write_record
from afsd_jax.training.endpoint_features import evaluated_view, fill_endpoints
from afsd_jax.training.fold_runs import TrainIn, fold_config, planned_steps
from afsd_jax.training.monitoring import scores
from afsd_jax.training.search_plan import (
    Candidate,
    choose_winner,
    count_trials,
    list_candidates,
    next_trial,
)

TRIALS = "search"  # folder of the short runs
FOLDS = 3
SHARE = 2  # a trial has one part in so many of the run's steps; shorter ones mislead
LEAST_STEPS = 50

log = logging.getLogger(__name__)


def search(
    config: ml_collections.ConfigDict, workdir: Path, train_in: TrainIn
) -> tuple[int, ml_collections.ConfigDict]:
    """Returns the exit code of an interrupted trial, or 0, and the configuration with the winner.

    Args:
      config: the configuration, with all fields chosen.
      workdir: folder of the run.
      train_in: trains a run.

    Raises:
      UserError: as `train_in` and `fill_endpoints` do, several processes train, or the record of
        the search is that of other settings.
    """
    if jax.process_count() > 1:
        raise UserError(
            f"config.train.search_minutes={config.train.search_minutes:g}: several processes "
            "cannot search together; search in one, or set it to 0"
        )
    data = TrainingData(config)
    groups = stored_groups(data.folder.path)
    count = min(FOLDS, count_groups((v for v in data.videos if len(v.labels)), groups))
    if count < 2:
        log.info("no settings are searched: one video or group alone has actions")
        return 0, config
    steps = max(planned_steps(config, data) // SHARE, LEAST_STEPS)
    budget_s = 60 * config.train.search_minutes
    candidates = {candidate.name: candidate for candidate in list_candidates(config)}
    record = _continued(workdir / RECORD, config, steps, count)
    if not record.winner and config.data.feature_cache:
        views = dict.fromkeys([evaluated_view(data), *data.views])
        all_of_them = [_changed(config, x) for x in candidates.values()]
        fill_endpoints(all_of_them, data.class_names, data.videos, views)
    while not record.winner:
        trial = next_trial(list(candidates), record.scores, count)
        spent_s = sum(entry.seconds for entry in record.trials)
        if trial is None or spent_s >= budget_s:
            winner, reason = choose_winner(list(candidates), record.scores)
            record = record._replace(winner=winner, reason=reason)
        else:
            fold = Fold(config.data.train_split, trial[1], count)
            candidate = candidates[trial[0]]
            short = fold_config(_changed(config, candidate), fold, record.steps, data)
            code, tried = _try(candidate, fold, short, workdir, train_in)
            if tried is None:
                return code, config
            record = record._replace(trials=(*record.trials, tried))
            said = f"{tried.candidate}, fold {tried.fold}: {100 * tried.score:.1f} % average mAP"
            log.info(f"search: {said}, {tried.seconds:.0f} s")
            if len(record.trials) == 1:
                log.info(f"search: {outlook(list(candidates), record, budget_s)}")
        write_record(workdir / RECORD, record)
    for line in table(record):
        log.info(line)
    if record.winner not in candidates:
        raise UserError(f"{workdir / RECORD}: its winner is of other settings; remove the file")
    return 0, _changed(config, candidates[record.winner])


def outlook(names: list[str], record: SearchRecord, budget_s: float) -> str:
    """Returns in words what a budget in seconds allows for, after the first trial."""
    needed, most = count_trials(names, record.folds)
    trial_s = record.trials[0].seconds
    affordable = min(math.ceil(budget_s / max(trial_s, 1e-3)), most)
    return (
        f"a trial takes {trial_s:.0f} s, so there is time for about {max(affordable, 1)} of "
        f"{most} trials; other settings can win after {needed}, which take "
        f"{needed * trial_s / 60:.1f} minutes"
    )


def table(record: SearchRecord) -> list[str]:
    """Returns the lines of what was tried, with means over folds, and the winner."""
    width = max(map(len, record.scores), default=0)
    lines = [
        f"  {name:<{width}}  {100 * fmean(by_fold.values()):5.1f} % average mAP, "
        f"{len(by_fold)} fold{'s' * (len(by_fold) > 1)}"
        for name, by_fold in record.scores.items()
    ]
    return ["tried:", *lines, f"chosen: {record.winner}; {record.reason}"]


def _try(
    candidate: Candidate,
    fold: Fold,
    config: ml_collections.ConfigDict,
    workdir: Path,
    train_in: TrainIn,
) -> tuple[int, Trial | None]:
    """Trains a candidate on the other folds and evaluates it on this one.

    Args:
      candidate: the settings.
      fold: the fold.
      config: configuration of this short run.
      workdir: folder of the run.
      train_in: trains a run.

    Returns:
      The exit code, and the trial, unless it was interrupted.
    """
    folder, steps = workdir / TRIALS / _folder_name(candidate, fold), config.train.steps
    log.info(f"search: {candidate.name}, fold {fold.number} of {fold.parts}, {steps} steps")
    began = time.monotonic()
    code = train_in(config, folder)
    if code:
        return code, None
    by_step = scores(read_records(folder))
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    score, seconds = by_step[max(by_step)], time.monotonic() - began
    return 0, Trial(candidate.name, candidate.fields, fold.number, steps, score, seconds)


def _folder_name(candidate: Candidate, fold: Fold) -> str:
    return f"{candidate.name.replace(' ', '_')}-{fold.number}"


def _changed(config: ml_collections.ConfigDict, candidate: Candidate) -> ml_collections.ConfigDict:
    config = config.copy_and_resolve_references()
    config.update_from_flattened_dict(candidate.fields)
    return config


def _continued(
    path: Path, config: ml_collections.ConfigDict, steps: int, folds: int
) -> SearchRecord:
    """Returns the record of the search, or that of a new one.

    Raises:
      UserError: it is of another split, of trials of other lengths, or malformed.
    """
    new = SearchRecord(config.seed, config.data.train_split, steps, folds)
    if not path.exists():
        return new
    record = read_record(path)
    if record._replace(trials=(), winner="", reason="") != new:
        raise UserError(
            f"{path}: is of a search with another seed, split or number of steps; remove it, or "
            "train in another folder"
        )
    return record
