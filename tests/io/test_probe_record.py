"""The record of a linear probe: written and read again, and refused where it is none."""

import json

import pytest

from afsd_jax.errors import UserError
from afsd_jax.io.probe_record import Probed, ProbeRecord, read_probe, write_probe

PROBED = Probed(("Mixed_4b",), [0.5, 0.75]), Probed(("Mixed_4f", "Mixed_5c"), [0.25, 1.0])
RECORD = ProbeRecord("train", 50, PROBED, ("Mixed_4f", "Mixed_5c"), 0.0, ("one", "other"))


@pytest.mark.parametrize(
    "changes", [{}, {"flip": None, "endpoints": ()}, {"probed": (), "reasons": ()}]
)
def test_a_record_is_read_as_it_was_written(tmp_path, changes):
    record = RECORD._replace(**changes)
    write_probe(tmp_path / "probe.json", record)
    assert read_probe(tmp_path / "probe.json") == record


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("split", ""),
        ("split", 3),
        ("actions", "many"),
        ("probed", {}),
        ("probed", [3]),
        ("probed", [{"endpoints": ["Mixed_4b"]}]),
        ("probed", [{"endpoints": ["Mixed_4b"], "accuracy": []}]),
        ("probed", [{"endpoints": ["Mixed_4b"], "accuracy": [1.5]}]),
        ("probed", [{"endpoints": ["Mixed_4b"], "accuracy": [None]}]),
        ("probed", [{"endpoints": ["Mixed_4b"], "accuracy": [0.5] * 101}]),
        ("endpoints", "Mixed_4b"),
        ("endpoints", [3]),
        ("endpoints", ["\ud800"]),
        ("flip", 2),
        ("flip", "nan"),
        ("flip", True),
        ("reasons", ["x" * 501]),
        ("reasons", None),
    ],
)
def test_what_is_no_record_is_refused_in_one_line(tmp_path, field, value):
    path = tmp_path / "probe.json"
    write_probe(path, RECORD)
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(UserError, match=r"probe\.json") as error:
        read_probe(path)
    assert "\n" not in str(error.value)
