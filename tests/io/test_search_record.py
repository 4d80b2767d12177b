"""The record of a search: written and read again, and refused where it is none."""

import json

import pytest

from afsd_jax.errors import UserError
from afsd_jax.io.search_record import SearchRecord, Trial, read_record, write_record

TRIAL = Trial("heads of 8 channels", {"model.channels": 8}, 1, 50, 0.25, 3.5)
RECORD = SearchRecord(7, "train", 50, 3, (TRIAL, TRIAL._replace(fold=2, score=0.5)))


@pytest.mark.parametrize("ends", [{}, {"winner": "as configured", "reason": "nothing is better"}])
def test_a_record_is_read_as_it_was_written(tmp_path, ends):
    record = RECORD._replace(**ends)
    write_record(tmp_path / "search.json", record)
    assert read_record(tmp_path / "search.json") == record
    assert record.scores == {"heads of 8 channels": {1: 0.25, 2: 0.5}}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("trials", None),
        ("trials", {}),
        ("trials", [3]),
        ("trials", [{"candidate": "a"}]),
        ("seed", "7"),
        ("seed", True),
        ("steps", -1),
        ("steps", 1e400),
        ("folds", 2.5),
        ("split", ""),
        ("split", "x" * 501),
        ("winner", ["a"]),
        ("winner", "without a reason"),
        ("candidate", ""),
        ("candidate", 3),
        ("candidate", "\ud800"),
        ("candidate", "x" * 501),
        ("fields", []),
        ("fold", "1"),
        ("average_mAP", 1.5),
        ("average_mAP", None),
        ("average_mAP", "nan"),
        ("seconds", -1),
        ("seconds", 1e300),
    ],
)
def test_what_is_no_record_is_refused_in_one_line(tmp_path, field, value):
    path = tmp_path / "search.json"
    write_record(path, RECORD)
    content = json.loads(path.read_text())
    of_trial = field in content["trials"][0] and field != "steps"
    (content["trials"][0] if of_trial else content)[field] = value
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"search\.json") as error:
        read_record(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("content", ["", "[]", "[" * 10_000, '{"trials": 1, "trials": 2}'])
def test_files_without_a_record_are_refused(tmp_path, content):
    (tmp_path / "search.json").write_text(content)
    with pytest.raises(UserError, match=r"search\.json"):
        read_record(tmp_path / "search.json")


def test_a_record_of_very_many_trials_is_refused(tmp_path):
    write_record(tmp_path / "search.json", RECORD._replace(trials=(TRIAL,) * 1001))
    with pytest.raises(UserError, match=r"has 1,001 trials"):
        read_record(tmp_path / "search.json")
