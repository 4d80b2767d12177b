"""Searches for settings by short runs on folds of the training videos, within a budget of time.

`RUN/search.json` records each trial, so a search that was interrupted repeats none. Which trial is
next follows from the scores before it (`search_plan`), so the same number of trials chooses the
same settings; the budget is checked before each trial.
"""

import json
import logging
import shutil
import time
from pathlib import Path
from typing import Any

import jax
import ml_collections

from afsd_jax.data.builders.prepared_report import stored_groups
from afsd_jax.data.folds import Fold, count_groups
from afsd_jax.data.splits import open_data_set
from afsd_jax.data.training_data import TrainingData
from afsd_jax.errors import UserError
from afsd_jax.evaluation import SCORE
from afsd_jax.io.files import read_json, write_json
from afsd_jax.io.json_fields import field, number, read_list, require_dict, text
from afsd_jax.io.run_log import read_records
from afsd_jax.training.fold_runs import TrainIn, fold_config, planned_steps
from afsd_jax.training.monitoring import scores
from afsd_jax.training.search_plan import Candidate, choose_winner, list_candidates, next_trial

RECORD, TRIALS = "search.json", "search"
FOLDS = 3
SHARE = 6  # a trial has one part in so many of the run's steps
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
      UserError: as `train_in` does, several processes train, or the record of the search is that
        of other settings.
    """
    if jax.process_count() > 1:
        raise UserError(
            f"config.train.search_minutes={config.train.search_minutes:g}: several processes "
            "cannot search together; search in one, or set it to 0"
        )
    data = TrainingData(config)
    groups = stored_groups(open_data_set(config.data).path)
    count = min(FOLDS, count_groups((v for v in data.videos if len(v.labels)), groups))
    if count < 2:
        log.info("no settings are searched: one video or group alone has actions")
        return 0, config
    steps = max(planned_steps(config, data) // SHARE, LEAST_STEPS)
    candidates = {candidate.name: candidate for candidate in list_candidates(config)}
    record = _read_record(workdir / RECORD, config, steps, count)
    while "winner" not in record:
        trial = next_trial(list(candidates), _scores(record), count)
        spent_s = sum(entry["seconds"] for entry in record["trials"])
        if trial is None or spent_s >= 60 * config.train.search_minutes:
            record["winner"], record["reason"] = choose_winner(list(candidates), _scores(record))
            write_json(workdir / RECORD, record)
            break
        fold = Fold(config.data.train_split, trial[1], count)
        code, entry = _try(candidates[trial[0]], fold, steps, config, workdir, train_in)
        if code:
            return code, config
        record["trials"].append(entry)
        write_json(workdir / RECORD, record)
        said = f"{entry['candidate']}, fold {entry['fold']}: {100 * entry[SCORE]:.1f} % average mAP"
        log.info(f"search: {said}, {entry['seconds']:.0f} s")
    for line in table(record):
        log.info(line)
    winner = candidates.get(record["winner"])
    if winner is None:
        raise UserError(f"{workdir / RECORD}: its winner is of other settings; remove the file")
    return 0, _changed(config, winner)


def table(record: dict[str, Any]) -> list[str]:
    """Returns the lines of what was tried, with means over folds, and the winner."""
    scores = _scores(record)
    width = max(map(len, scores), default=0)
    lines = [
        f"  {name:<{width}}  {100 * sum(x.values()) / len(x):5.1f} % average mAP, "
        f"{len(x)} fold{'s' * (len(x) > 1)}"
        for name, x in scores.items()
    ]
    return ["tried:", *lines, f"chosen: {record['winner']}; {record['reason']}"]


def _try(
    candidate: Candidate,
    fold: Fold,
    steps: int,
    config: ml_collections.ConfigDict,
    workdir: Path,
    train_in: TrainIn,
) -> tuple[int, dict[str, Any]]:
    """Trains a candidate on the other folds and evaluates it on this one.

    Returns:
      The exit code, and the entry of the record.
    """
    folder = workdir / TRIALS / f"{candidate.name.replace(' ', '_')}-{fold.number}"
    log.info(f"search: {candidate.name}, fold {fold.number} of {fold.parts}, {steps} steps")
    began = time.monotonic()
    code = train_in(fold_config(_changed(config, candidate), fold, steps), folder)
    if code:
        return code, {}
    by_step = scores(read_records(folder))
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return 0, {
        "candidate": candidate.name,
        "fields": json.loads(json.dumps(candidate.fields)),
        "fold": fold.number,
        "steps": steps,
        SCORE: by_step[max(by_step)],
        "seconds": time.monotonic() - began,
    }


def _changed(config: ml_collections.ConfigDict, candidate: Candidate) -> ml_collections.ConfigDict:
    config = config.copy_and_resolve_references()
    config.update_from_flattened_dict(candidate.fields)
    return config


def _read_record(
    path: Path, config: ml_collections.ConfigDict, steps: int, folds: int
) -> dict[str, Any]:
    """Returns the record of the search, or that of a new one.

    Raises:
      UserError: it is of another split, of trials of other lengths, or malformed.
    """
    made_of = {"seed": config.seed, "split": config.data.train_split, "steps": steps}
    made_of["folds"] = folds
    if not path.exists():
        return {**made_of, "trials": []}
    record = require_dict(read_json(path), str(path))
    if {name: record.get(name) for name in made_of} != made_of:
        raise UserError(
            f"{path}: is of a search with another seed, split or number of steps; remove it, or "
            "train in another folder"
        )
    read_list(field(record, "trials", str(path)), f"{path}: trials", _check_trial)
    for name in ("winner", "reason") if "winner" in record else ():
        text(record, name, str(path))
    return record


def _check_trial(entry: Any, place: str) -> None:
    trial = require_dict(entry, place)
    text(trial, "candidate", place)
    for name in ("fold", SCORE, "seconds"):
        number(field(trial, name, place), f"{place}.{name}")


def _scores(record: dict[str, Any]) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for entry in record["trials"]:
        found.setdefault(entry["candidate"], {})[entry["fold"]] = entry[SCORE]
    return found
