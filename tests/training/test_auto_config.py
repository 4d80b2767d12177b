"""A configuration's open fields follow from the data set, each with its reason."""

import json
from pathlib import Path

import numpy as np
import pytest

from afsd_jax.cli.config_flags import load_config
from afsd_jax.config import OPEN, check, default_config
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.datasets import prepare_dataset
from afsd_jax.data.storage.prepared_video import PreparedVideo
from afsd_jax.errors import UserError
from afsd_jax.training.auto_config import PATIENCE, choice_lines, choose_fields
from afsd_jax.training.auto_splits import choose_splits


def prepare(
    folder,
    actions: dict[str, list[tuple[str, float, float]]],
    seconds: float = 30.0,
    subsets: dict[str, str] | None = None,
):
    """Prepares grey videos with (label, start, end) in seconds; returns an open configuration."""
    source = folder / "source"
    source.mkdir()
    database = {}
    for name, segments in actions.items():
        np.save(source / f"{name}.npy", np.zeros((int(seconds * 10), 38, 38, 3), np.uint8))
        annotations = [{"label": label, "segment": [a, b]} for label, a, b in segments]
        subset = (subsets or {}).get(name, "train")
        database[name] = {"subset": subset, "duration": seconds, "annotations": annotations}
    (source / "truth.json").write_text(json.dumps({"database": database}))
    options = PrepareOptions(source, encoding="raw", size=38, fps=10.0, workers=1)
    prepare_dataset("videos", folder / "data", options=options)
    config = load_config("videos")
    config.data.data_dir = str(folder / "data")
    return config


def jumps(count: int, length: float) -> list[tuple[str, float, float]]:
    return [("jump", 1.0 + i, 1.0 + i + length) for i in range(count)]


def test_every_open_field_is_chosen_and_said(tmp_path):
    config = prepare(tmp_path, {"a": jumps(12, 3.0), "b": jumps(3, 3.0)})
    adapted, choices, warnings = choose_fields(config)
    check(adapted)
    assert {choice.field for choice in choices} == OPEN.keys()
    assert all(adapted.data.to_dict()[k] != v for k, v in config.data.to_dict().items() if v == -1)
    data = adapted.data
    assert (data.fps, data.frame_size, data.crop_size) == (10.0, 38, 32)
    # Actions of 30 frames want clips of at least 60; 300 frames hold clips at 0, 16, … 160, 172.
    assert (data.clip_length, data.clip_stride) == (128, 16)
    assert adapted.inference.window_stride == 64
    assert (data.max_actions, data.flip) == (16, 0.5)  # room for 12
    assert (data.train_split, data.validation_split, adapted.train.early_stop) == ("train", "", 0)
    assert (adapted.train.cross_validation, adapted.train.evaluate_every) == (2, "15 epochs")
    assert adapted.train.batch_size == 4
    assert warnings == []
    said = "\n".join(choice_lines(choices))
    for choice in choices:
        assert f"config.{choice.field}" in said
        assert choice.reason in said


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, ("train", "", 0)),
        (2, ("train", "", 2)),
        (9, ("train", "", 3)),
        (10, ("train[not 1/5]", "train[1/5]", 0)),
        (99, ("train[not 1/5]", "train[1/5]", 0)),
        (100, ("train[not 1/10]", "train[1/10]", 0)),
    ],
)
def test_a_part_of_the_videos_validates_and_few_are_cross_validated(count, expected):
    segments, labels = np.array([[5.0, 9.0]]), np.array([1], np.int32)
    videos = [
        PreparedVideo(str(n), 10.0, 5.0, "raw", (8, 8, 3), segments, labels, Path(), np.arange(51))
        for n in range(count)
    ]
    found = choose_splits(videos, {}, ["train", "test"])
    assert found[:3] == expected
    assert choose_splits(videos, {}, ["train", "validation"])[:3] == ("train", "validation", 0)
    stated = choose_splits(videos, {}, ["train"], "train[:80%]")
    assert (stated.train, stated.validation) == ("train[:80%]", "")
    alone = choose_splits(videos, dict.fromkeys(map(str, range(count)), "anna"), ["train"])
    assert alone[:3] == ("train", "", 0)


def test_what_validates_is_said_and_can_be_stated(tmp_path):
    config = prepare(tmp_path, {f"v{n:02}": jumps(1, 2.0) for n in range(10)}, seconds=13.0)
    adapted, choices, _ = choose_fields(config)
    check(adapted)
    assert (adapted.data.validation_split, adapted.train.early_stop) == ("train[1/5]", PATIENCE)
    reasons = {choice.field: choice.reason for choice in choices}
    assert "all 10" in reasons["data.train_split"]
    assert "a fifth of the videos" in reasons["data.validation_split"]
    whole = choose_fields(with_splits(config, "train", ""))[0]
    assert (whole.data.train_split, whole.train.cross_validation) == ("train", 0)


def with_splits(config, train: str, validation: str):
    config = config.copy_and_resolve_references()
    config.data.train_split, config.data.validation_split = train, validation
    return config


def test_a_split_named_validation_validates(tmp_path):
    actions = {f"v{n}": jumps(1, 2.0) for n in range(12)}
    config = prepare(tmp_path, actions, subsets={"v3": "validation"})
    adapted, _, _ = choose_fields(config)
    assert (adapted.data.train_split, adapted.data.validation_split) == ("train", "validation")
    assert adapted.train.cross_validation == 0


def test_clips_hold_as_many_actions_as_any_video_that_may_be_trained_on(tmp_path):
    busy = {f"v{n}": jumps(10 if n % 5 == 0 else 1, 0.9) for n in range(12)}
    config = prepare(tmp_path, busy, seconds=13.0)
    assert choose_fields(config)[0].data.max_actions == 16  # room for 10


def test_what_is_set_stays(tmp_path):
    config = prepare(tmp_path, {"a": jumps(10, 3.0)})
    config.data.clip_length, config.data.flip, config.train.batch_size = 64, 0.0, 1
    adapted, choices, _ = choose_fields(config)
    assert (adapted.data.clip_length, adapted.data.flip, adapted.train.batch_size) == (64, 0.0, 1)
    assert not {"data.clip_length", "data.flip"} & {choice.field for choice in choices}
    closed = default_config()
    assert choose_fields(closed) == (closed, [], [])


@pytest.mark.parametrize(
    ("length", "seconds", "expected"),
    [(2.0, 60.0, 128), (6.4, 60.0, 128), (6.6, 60.0, 256), (20.0, 60.0, 512), (20.0, 25.0, 256)],
)
def test_clips_hold_twice_the_usual_action_or_the_whole_video(tmp_path, length, seconds, expected):
    config = prepare(tmp_path, {"a": jumps(4, length)}, seconds)
    assert choose_fields(config)[0].data.clip_length == expected


def test_clips_hold_a_long_class_that_is_rare(tmp_path):
    rest = [("rest", 10.0 * i, 10.0 * i + 20.0) for i in range(10)]
    actions = {"a": rest, "b": [("jump", i / 9, i / 9 + 2.0) for i in range(300)]}
    adapted, _, warnings = choose_fields(prepare(tmp_path, actions, 130.0))
    assert adapted.data.clip_length == 512
    assert not any("half a clip" in line for line in warnings)


def test_classes_that_a_mirror_would_change_are_not_mirrored(tmp_path):
    actions = [("turn Left", 1.0, 3.0), ("wave", 4.0, 6.0)]
    adapted, choices, _ = choose_fields(prepare(tmp_path, {"a": actions}))
    assert adapted.data.flip == 0.0
    assert "'turn Left'" in next(c.reason for c in choices if c.field == "data.flip")


def test_a_batch_is_spread_over_the_devices_and_no_larger_than_the_data(tmp_path):
    config = prepare(tmp_path, {"a": jumps(1, 2.0)}, seconds=10.0)
    assert choose_fields(config)[0].train.batch_size == 1
    assert choose_fields(config, devices=8)[0].train.batch_size == 8


def test_rare_classes_and_lengths_that_do_not_fit_are_noted(tmp_path):
    long = [("rest", 1.0, 80.0)] * 3
    _, _, notes = choose_fields(prepare(tmp_path, {"a": jumps(12, 0.4) + long}, seconds=90.0))
    assert notes[0] == (
        "fewer than 10 actions in the training videos: 'rest' (3); such classes are hardly found"
    )
    long, short = notes[2], notes[1]
    assert "3 of 15 actions last longer than 384 frames, half a clip" in long
    assert "'rest' (3 of 3); prepare the videos again with fewer frames per second" in long
    assert "12 of 15 actions last fewer than 5 frames" in short
    assert "'jump' (12 of 12); prepare the videos again with more frames per second" in short


def test_all_rare_classes_are_in_one_line_the_rarest_first(tmp_path):
    rare = [(f"move {n}", 10.0 * n + i, 10.0 * n + i + 0.9) for n in range(10) for i in range(n)]
    _, _, notes = choose_fields(prepare(tmp_path, {"a": rare}, seconds=100.0))
    (line,) = [note for note in notes if "move" in note]
    assert "videos: 'move 1' (1), 'move 2' (2), 'move 3' (3), " in line
    assert "'move 8' (8) and 1 more; such classes are hardly found" in line


def test_videos_without_any_action_are_refused(tmp_path):
    config = prepare(tmp_path, {"a": []})
    with pytest.raises(UserError, match="no video of split train has an action; annotate"):
        choose_fields(config)


def test_the_variants_of_the_configuration_for_own_videos():
    frozen, finetuned = load_config("videos"), load_config("videos:finetune")
    assert frozen.model.pyramid_inputs == OPEN["model.pyramid_inputs"]
    assert finetuned.model.pyramid_inputs == default_config().model.pyramid_inputs
    assert (frozen.train.probe, finetuned.train.probe) == (True, False)
    assert finetuned.model.frozen_until == ""
    with pytest.raises(UserError, match="must be frozen or finetune"):
        load_config("videos:frosen")
