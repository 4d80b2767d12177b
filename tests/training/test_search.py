"""The search for settings: which are tried next, which wins, and that none is tried twice."""

import json
import logging
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afsd_jax.cli.config_flags import load_config
from afsd_jax.config import check, resolve
from afsd_jax.data.folds import Fold
from afsd_jax.data.training_data import TrainingData
from afsd_jax.errors import UserError
from afsd_jax.inputs.prepared import PreparedSplit
from afsd_jax.io.files import read_json
from afsd_jax.io.search_record import SearchRecord, Trial
from afsd_jax.models import parameters
from afsd_jax.training import feature_cache
from afsd_jax.training.auto_config import choose_fields
from afsd_jax.training.fold_runs import fold_config
from afsd_jax.training.search import outlook, search
from afsd_jax.training.search_plan import (
    LEAST_GAIN,
    choose_winner,
    count_trials,
    list_candidates,
    next_trial,
)
from afsd_jax.training.state import initial_network
from tests.prepared_videos import FPS, SIZE, prepare

NAMES = ["own", "a", "b", "c", "d"]


def whole_search(quality: dict[str, list[float]], folds: int) -> dict[str, dict[int, float]]:
    """Returns the scores of a search without a limit of time; `quality` is by fold."""
    scores: dict[str, dict[int, float]] = {}
    while (trial := next_trial(list(quality), scores, folds)) is not None:
        name, fold = trial
        assert fold not in scores.get(name, {})
        scores.setdefault(name, {})[fold] = quality[name][fold - 1]
    return scores


def test_the_better_half_goes_on_to_the_next_fold():
    quality = {"own": [0.1] * 3, "a": [0.5] * 3, "b": [0.4] * 3, "c": [0.6] * 3, "d": [0.3] * 3}
    scores = whole_search(quality, 3)
    assert {name: len(found) for name, found in scores.items()} == {
        "own": 3, "a": 2, "b": 1, "c": 3, "d": 1
    }  # fmt: skip
    assert choose_winner(NAMES, scores)[0] == "c"


@settings(deadline=None)
@given(
    st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=6),
    st.integers(2, 3),
    st.integers(0, 20),
)
def test_the_winner_is_the_runs_own_or_better_however_short_the_search(quality, folds, most):
    names = ["own", *(f"c{n}" for n in range(len(quality) - 1))]
    scores: dict[str, dict[int, float]] = {}
    for _ in range(most):
        trial = next_trial(names, scores, folds)
        if trial is None:
            break
        scores.setdefault(trial[0], {})[trial[1]] = quality[names.index(trial[0])][trial[1] - 1]
    winner, reason = choose_winner(names, scores)
    assert reason
    if winner != "own":
        common = scores["own"].keys() & scores[winner].keys()
        assert len(common) >= 2
        gains = [scores[winner][fold] - scores["own"][fold] for fold in common]
        assert sum(gains) / len(gains) >= LEAST_GAIN
        assert min(gains) > 0


def test_ties_and_differences_below_a_point_leave_the_runs_own_settings():
    scores = {"own": {1: 0.8, 2: 0.8}, "a": {1: 0.805, 2: 0.805}}
    assert choose_winner(["own", "a"], scores)[0] == "own"
    assert "against 80.0 % on 2 folds" in choose_winner(["own", "a"], scores)[1]
    assert choose_winner(["own", "a"], {"own": {1: 0.1}, "a": {1: 0.9}})[0] == "own"
    one_fold_better = {"own": {1: 0.5, 2: 0.5}, "a": {1: 0.9, 2: 0.4}}
    assert "not better on every fold" in choose_winner(["own", "a"], one_fold_better)[1]


@pytest.mark.parametrize(("names", "folds"), [(NAMES, 2), (NAMES, 3), (NAMES[:2], 3), (["own"], 2)])
def test_trials_are_counted_as_a_search_runs_them(names, folds):
    needed, most = count_trials(names, folds)
    scores = whole_search({name: [0.5] * folds for name in names}, folds)
    assert most == sum(map(len, scores.values()))
    if len(names) == 1:
        assert needed == most
        return
    tried: dict[str, dict[int, float]] = {}
    others_can_win = []
    for count in range(1, most + 1):
        name, fold = next_trial(names, tried, folds)
        tried.setdefault(name, {})[fold] = float(name != "own")
        if choose_winner(names, tried)[0] != "own":
            others_can_win.append(count)
    assert others_can_win[0] == needed


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """The configuration for own videos, with four videos of 10 to 2.5 seconds."""
    config = load_config("videos")
    config.data.data_dir = str(prepare(tmp_path_factory.mktemp("data")))
    config.train.search_minutes, config.train.probe = 1000.0, False
    config.data.clip_length, config.data.fps, config.data.frame_size = 32, FPS, SIZE
    config.data.crop_size = SIZE
    return choose_fields(config)[0]


@pytest.fixture
def config(frozen):
    """The same without a frozen trunk, so that a search computes no features."""
    config = frozen.copy_and_resolve_references()
    config.data.feature_cache, config.model.trunk_context = "", "clip"
    return config


def test_every_candidate_is_a_possible_configuration(frozen):
    config = frozen
    first, *others = list_candidates(config)
    assert first.fields == {}
    changed = {field for candidate in others for field in candidate.fields}
    assert changed == {
        *("data.flip", "optimizer.weight_decay", "model.channels"),
        *("model.pyramid_inputs", "model.frozen_until"),
    }
    assert len({candidate.name for candidate in others}) == len(others) == 7
    for candidate in others:
        tried = config.copy_and_resolve_references()
        tried.update_from_flattened_dict(candidate.fields)
        check(tried)
        assert tried.to_json() != config.to_json()


def test_endpoints_that_a_probe_has_compared_are_not_tried(frozen):
    config = frozen.copy_and_resolve_references()
    config.train.probe = True
    changed = {field for candidate in list_candidates(config) for field in candidate.fields}
    assert changed == {"data.flip", "optimizer.weight_decay", "model.channels"}


def test_a_detector_to_start_from_leaves_its_endpoints_and_widths(frozen):
    config = frozen.copy_and_resolve_references()
    config.train.init_from = "runs/earlier"
    changed = {field for candidate in list_candidates(config) for field in candidate.fields}
    assert changed == {"data.flip", "optimizer.weight_decay"}


class Trainer:
    """Writes the log of a run whose score depends on the width of its heads alone."""

    def __init__(self, stops_after: int = 1000):
        self.left, self.folders = stops_after, list[Path]()

    def __call__(self, config, folder: Path) -> int:
        if not self.left:
            return 130
        self.left -= 1
        self.folders.append(folder)
        folder.mkdir(parents=True)
        metrics = {"average_mAP": config.model.channels / 1000, "ap": {}}
        line = {"step": config.train.steps, "validation": metrics}
        (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
        return 0


def test_a_search_that_was_stopped_goes_on_and_changes_only_the_winners_fields(config, tmp_path):
    whole = Trainer()
    code, found = search(config, tmp_path / "whole", whole)
    assert code == 0
    assert found.model.channels == 2 * config.model.channels
    found.model.channels = config.model.channels
    assert found.to_json() == config.to_json()
    record = read_json(tmp_path / "whole" / "search.json")
    assert record["winner"] == f"heads of {2 * config.model.channels} channels"
    assert "better than as configured" in record["reason"]
    assert len(record["trials"]) == len(whole.folders)

    parts = [Trainer(3), Trainer(0), Trainer()]
    codes = [search(config, tmp_path / "parts", trainer)[0] for trainer in parts]
    assert codes == [130, 130, 0]
    made = [folder.name for trainer in parts for folder in trainer.folders]
    assert made == [folder.name for folder in whole.folders]
    assert search(config, tmp_path / "parts", Trainer(0))[0] == 0, "a search that had ended ran on"


def test_without_time_the_settings_stay(config, tmp_path):
    short = config.copy_and_resolve_references()
    short.train.search_minutes = 1e-9
    trainer = Trainer()
    code, found = search(short, tmp_path, trainer)
    assert (code, found.to_json()) == (0, short.to_json())
    assert len(trainer.folders) <= 1


def test_the_first_trial_says_what_the_time_allows_for():
    trials = (Trial("own", {}, 1, 100, 0.5, 30.0),)
    said = outlook(NAMES, SearchRecord(0, "train", steps=100, folds=3, trials=trials), 60)
    assert said.startswith("a trial takes 30 s, so there is time for about 2 of 10 trials;")
    assert said.endswith("other settings can win after 7, which take 3.5 minutes")


def test_a_negative_budget_is_refused(config):
    config.train.search_minutes = -1.0
    with pytest.raises(UserError, match=r"search_minutes=-1\S*: must be minutes; 0: no search"):
        check(config)


def test_before_the_trials_one_pass_computes_the_features_of_all_candidates(
    frozen, tmp_path, caplog
):
    caplog.set_level(logging.INFO, logger="afsd_jax")
    config = frozen.copy_and_resolve_references()
    config.data.feature_cache = str(tmp_path / "cache")
    config.train.search_minutes = 1e-9
    folds = []

    def read_features(of_trial, folder: Path) -> int:
        """Opens the features as a run does; they are those that are there."""
        folds.append((of_trial.data.train_split, of_trial.data.validation_split))
        data = TrainingData(of_trial)
        validation = PreparedSplit([of_trial], of_trial.data.validation_split)
        resolved = resolve(of_trial, len(data.class_names), 3)
        weights = parameters.flatten(initial_network(resolved, data.class_names))
        feature_cache.of_training(resolved, weights, data)
        centre = [data.views[0]._replace(flip=False)]
        feature_cache.cached(resolved, weights, validation.videos, centre)
        return 130

    assert search(config, tmp_path / "run", read_features)[0] == 130
    assert caplog.text.count("stores features of 4 videos at Mixed_4b, Mixed_4f, Mixed_5c") == 1
    assert len(list((tmp_path / "cache").iterdir())) == 3
    for candidate in list_candidates(config)[1:]:
        changed = config.copy_and_resolve_references()
        changed.update_from_flattened_dict(candidate.fields)
        read_features(fold_config(changed, Fold("train", 1, 3), 50, TrainingData(config)), tmp_path)
    assert len(folds) == 8
    assert caplog.text.count("stores features") == 1


def test_the_record_of_another_search_is_refused(config, tmp_path):
    search(config, tmp_path, Trainer())
    other = config.copy_and_resolve_references()
    other.seed = 7
    with pytest.raises(UserError, match=r"search\.json: is of a search with another seed"):
        search(other, tmp_path, Trainer())
