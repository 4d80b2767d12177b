"""Choosing endpoints of the trunk, and mirroring, by a linear probe of real features."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afsd_jax.cli.config_flags import load_config
from afsd_jax.config import check
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.datasets import prepare_dataset
from afsd_jax.errors import UserError
from afsd_jax.io.probe_record import read_probe
from afsd_jax.training.auto_config import choose_fields
from afsd_jax.training.probe import choose_by_probe
from afsd_jax.training.probe_rules import LEAST_GAIN, choose_endpoints, find_mirrored

FPS, SIZE, LENGTH, COUNT = 10, 56, 12, 14  # frames and pixels; actions in a video
OWN, LATE = ("Mixed_4b",), ("Mixed_4f",)


def sliding(frames: np.ndarray, start: int, to_the_right: bool) -> None:
    """Draws a bright bar that crosses the picture once."""
    for i in range(LENGTH):
        x = int((i if to_the_right else LENGTH - 1 - i) * (SIZE - 12) / (LENGTH - 1))
        frames[start + i, :, x : x + 12] = 255


def prepare(folder: Path, classes: tuple[str, str], count: int = COUNT) -> Path:
    """Prepares three videos in which a bar goes to the left and to the right in turn."""
    source, database = folder / "source", {}
    source.mkdir(parents=True)
    for number in range(3):
        frames = np.random.default_rng(number).integers(0, 60, (26 * count, SIZE, SIZE, 3))
        annotations = []
        for i in range(count):
            start = 26 * i + 6
            sliding(frames, start, i % 2 == 1)
            segment = [start / FPS, (start + LENGTH) / FPS]
            annotations.append({"label": classes[i % 2], "segment": segment})
        np.save(source / f"{number}.npy", frames.astype(np.uint8))
        seconds = len(frames) / FPS
        database[str(number)] = {
            "subset": "train", "duration": seconds, "annotations": annotations
        }  # fmt: skip
    (source / "truth.json").write_text(json.dumps({"database": database}))
    options = PrepareOptions(source, encoding="raw", size=SIZE, fps=float(FPS), workers=1)
    prepare_dataset("videos", folder / "data", options=options)
    return folder / "data"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two classes that are each other's mirror image, whose names do not say so."""
    return prepare(tmp_path_factory.mktemp("probe"), ("opens", "closes"))


def chosen(data: Path, *overrides: str):
    """Returns the configuration before the probe, and the fields that were open."""
    config = load_config("videos", [f"--config.data.data_dir={data}", *overrides])
    config, choices, _ = choose_fields(config)
    check(config)
    return config, {choice.field for choice in choices}


def test_classes_that_mirror_each_other_are_found_and_clips_are_then_not_mirrored(
    data, tmp_path, caplog
):
    caplog.set_level(logging.INFO, logger="afsd_jax")
    config, open_fields = chosen(data)
    assert (config.data.flip, config.model.pyramid_inputs) == (0.5, OWN)
    found = choose_by_probe(config, open_fields, tmp_path / "run")
    assert found.data.flip == 0
    found.data.flip = 0.5
    assert found.to_json() == config.to_json()
    record = read_probe(tmp_path / "run" / "probe.json")
    assert record.actions == 3 * COUNT
    assert [one.endpoints for one in record.probed][:2] == [OWN, LATE]
    assert np.mean(record.probed[0].accuracy) > 0.8, "the probe learned nothing"
    assert "config.data.flip = 0: 'closes', mirrored, looks like 'opens'" in caplog.text
    assert "Mixed_4b stays" in caplog.text


def test_a_run_that_continues_does_not_probe_again(data, tmp_path):
    config, open_fields = chosen(data)
    first = choose_by_probe(config, open_fields, tmp_path / "run")
    before = (tmp_path / "run" / "probe.json").stat().st_mtime_ns
    config.data.data_dir = str(tmp_path / "removed")
    second = choose_by_probe(config, open_fields, tmp_path / "run")
    assert second.data.flip == first.data.flip == 0
    assert (tmp_path / "run" / "probe.json").stat().st_mtime_ns == before
    stated = chosen(data, "--config.data.flip=0.25")
    assert choose_by_probe(*stated, tmp_path / "run").data.flip == 0.25
    config.data.train_split = "train[1/2]"
    with pytest.raises(UserError, match=r"probe\.json: is of a run on split train; remove it"):
        choose_by_probe(config, open_fields, tmp_path / "run")
    content = json.loads((tmp_path / "run" / "probe.json").read_text())
    (tmp_path / "run" / "probe.json").write_text(json.dumps(content | {"endpoints": ["logits"]}))
    with pytest.raises(UserError, match=r"probe\.json\.endpoints: must be some that a probe"):
        choose_by_probe(config, open_fields, tmp_path / "run")
    (tmp_path / "run" / "probe.json").write_text("{}")
    with pytest.raises(UserError, match=r"probe\.json"):
        choose_by_probe(config, open_fields, tmp_path / "run")


def test_a_run_that_began_without_a_probe_goes_on_without(data, tmp_path):
    config, open_fields = chosen(data)
    (tmp_path / "config.json").write_text("{}")
    assert choose_by_probe(config, open_fields, tmp_path) is config
    assert not (tmp_path / "probe.json").exists()


def test_what_a_person_has_stated_stays(data, tmp_path):
    config, open_fields = chosen(data, "--config.data.flip=0.25")
    assert choose_by_probe(config, open_fields, tmp_path / "a").data.flip == 0.25
    record = read_probe(tmp_path / "a" / "probe.json")
    assert (record.flip, len(record.reasons), len(record.probed)) == (None, 1, 4)

    config, open_fields = chosen(data, "--config.model.pyramid_inputs=('Mixed_4f',)")
    assert config.model.frozen_until == "Mixed_4f"
    found = choose_by_probe(config, open_fields, tmp_path / "b")
    assert found.model.pyramid_inputs == LATE
    assert [one.endpoints for one in read_probe(tmp_path / "b" / "probe.json").probed] == [LATE]

    config, open_fields = chosen(data, "--config.model.frozen_until=Mixed_5c")
    choose_by_probe(config, open_fields, tmp_path / "d")
    assert [one.endpoints for one in read_probe(tmp_path / "d" / "probe.json").probed] == [OWN]

    config, open_fields = chosen(data, "--config.train.probe=False")
    assert choose_by_probe(config, open_fields, tmp_path / "c") is config
    assert not (tmp_path / "c").exists()


def test_too_few_actions_are_not_compared(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="afsd_jax")
    config, open_fields = chosen(prepare(tmp_path, ("opens", "closes"), 4))
    found = choose_by_probe(config, open_fields, tmp_path / "run")
    assert found.train.probe is False, "a search would compare no endpoints either"
    assert found.model.to_json() == config.model.to_json()
    assert found.data.to_json() == config.data.to_json()
    assert "linear probe: none, for it needs 40 actions" in caplog.text
    assert not (tmp_path / "data" / "features").exists(), "features were computed for nothing"


def test_other_endpoints_must_be_clearly_better_and_worse_on_no_fold():
    assert choose_endpoints({OWN: [0.8, 0.7], LATE: [0.9, 0.8]})[0] == LATE
    assert choose_endpoints({OWN: [0.8, 0.7], LATE: [0.82, 0.72]})[0] == OWN
    assert choose_endpoints({OWN: [0.8, 0.5], LATE: [0.79, 0.9]})[0] == OWN
    best, reason = choose_endpoints({OWN: [0.5], LATE: [0.6], ("Mixed_5c",): [0.7]})
    assert (best, "better than Mixed_4b by 20.0 points" in reason) == (("Mixed_5c",), True)


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=5))
def test_the_chosen_endpoints_are_the_runs_own_or_better(accuracies):
    named = {(str(n),): values for n, values in enumerate(accuracies)}
    best, reason = choose_endpoints(named)
    assert reason
    if best != ("0",):
        gains = np.subtract(named[best], named[("0",)])
        assert gains.min() >= 0
        assert gains.mean() >= LEAST_GAIN - 1e-9


def test_mirrored_classes_are_those_taken_for_each_other_only_when_mirrored():
    labels = np.array([0] * 4 + [1] * 4 + [2] * 4)
    mirrored = np.array([0] * 4 + [2, 2, 2, 1] + [1] * 4)
    assert find_mirrored(labels, mirrored, labels) == (1, 2)
    assert find_mirrored(mirrored, mirrored, labels) is None, "confused as they are, too"
    assert find_mirrored(labels, labels, labels) is None
    unknown = np.where(labels == 1, 2, labels)
    unknown[4] = 1
    assert find_mirrored(np.where(labels == 1, 0, labels), unknown, labels) is None, "never seen"
    background = np.where(labels == 1, 0, labels)
    assert find_mirrored(labels, background, labels) is None, "background is no action"
