"""Errors, gains and false negatives have the numbers of DETAD's own code."""

import json

import numpy as np
import pytest

from afsd_jax import evaluation
from afsd_jax.diagnosis.characteristics import BINS, characteristics_of, group_actions
from afsd_jax.diagnosis.false_negatives import analyse_false_negatives
from afsd_jax.diagnosis.false_positives import KINDS, analyse_false_positives
from afsd_jax.diagnosis.normalised import area, false_before, typical_count
from afsd_jax.io import activitynet_json
from afsd_jax.types import Action, AnnotatedVideo
from tests.evaluated import read_gzip, shared

THEIR_KINDS = (
    "True Positive",
    "Double Detection Err",
    "Wrong Label Err",
    "Localization Err",
    "Confusion Err",
    "Background Err",
)


@pytest.fixture(scope="module")
def numbers():
    return json.loads(shared("detad/reference_numbers.json").read_text())["turn_unique"]


@pytest.fixture(scope="module")
def annotations():
    text = shared("detad/thumos14_test_extra_characteristics.json").read_text()
    return json.loads(text)["database"]


@pytest.fixture(scope="module")
def tables(annotations):
    truth = {
        name: AnnotatedVideo(
            "test",
            float(np.median([a["length"] / a["coverage"] for a in video["annotations"]])),
            tuple(Action(a["label"], *a["segment"]) for a in video["annotations"]),
        )
        for name, video in annotations.items()
    }
    path = shared("detad/turn_unique.json.gz")
    return evaluation.tabulate(truth, activitynet_json.predictions_of(read_gzip(path), path))


@pytest.mark.parametrize("kind", ["plain", "normalised"])
def test_kinds_of_errors_and_gains(tables, numbers, kind):
    expected = numbers[kind]
    errors = analyse_false_positives(tables, (0.5,), normalised=kind == "normalised")
    assert len(tables.actions) == expected["instances"]
    assert len(errors.rows) == expected["predictions_used"]
    assert errors.counts[0].tolist() == [expected["counts"][name] for name in THEIR_KINDS]
    assert errors.mean_ap[0] == pytest.approx(expected["mAP@0.5"], abs=1e-9)
    gains = [expected["gain"][name] for name in THEIR_KINDS[1:]]
    np.testing.assert_allclose(errors.gains[0], gains, rtol=0, atol=1e-9)
    assert errors.by_rank.shape == (10, 1, len(KINDS))
    assert (errors.by_rank.sum(axis=0) == errors.counts).all()


def test_plain_and_normalised_map_of_all_detections(tables, numbers):
    assert evaluation.score(tables, (0.5,)).average_map == pytest.approx(
        0.2594014737485093, abs=1e-9
    )
    hits = evaluation.match(tables, (0.5,))[0] >= 0
    values = [
        area(false_before(hits[rows]), number, typical_count(tables))
        for rows, number in zip(evaluation.by_class(tables), tables.num_actions, strict=True)
    ]
    expected = numbers["unlimited_normalised_mAP@0.5"]
    assert np.mean(values) == pytest.approx(expected, abs=1e-9)


def test_characteristics(tables, annotations):
    listed = [a for video in annotations.values() for a in video["annotations"]]
    ours = characteristics_of(tables)
    for name, theirs in (("length", "length"), ("coverage", "coverage")):
        np.testing.assert_allclose(ours[name], [a[theirs] for a in listed], rtol=1e-12)
    assert ours["instances"].tolist() == [a["num-instances"] for a in listed]


def test_false_negatives_by_characteristic(tables, numbers):
    matched = evaluation.match(tables, (0.5,))
    misses = analyse_false_negatives(tables, analyse_false_positives(tables, (0.5,)))
    groups = group_actions(tables, BINS["thumos14"], misses.found, matched)
    expected = numbers["false_negatives (number, share not matched at 0.5)"]
    for name, theirs in (("length", "length"), ("coverage", "coverage"), ("instances", None)):
        for group in groups[name]:
            number, share = expected[theirs or "num-instances"].pop(group.name)
            assert len(group.actions) == number
            assert group.missed[0] == pytest.approx(share, abs=1e-9)
        assert not expected[theirs or "num-instances"]
