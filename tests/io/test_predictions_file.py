"""Predictions files read as columns: equal to the strict reader, field by field."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afsd_jax.errors import UserError
from afsd_jax.io.activitynet_json import read_predictions
from afsd_jax.io.predictions_file import _parsed, read_detections
from afsd_jax.types import DetectionColumns
from tests.support import GOLDEN


def same(table, other):
    assert table.videos == other.videos
    assert table.labels == other.labels
    for column, expected in zip(table[2:], other[2:], strict=True):
        assert column.dtype == expected.dtype
        np.testing.assert_array_equal(column, expected)


def detection(**changes):
    return {"label": "jump", "score": 0.5, "segment": [1, 2.5]} | changes


def document(*entries, **fields):
    results = {"a": list(entries), "none": [], "b: c": [detection(label="x:y")]}
    return {"version": "VERSION 1.3", "results": results, "external_data": {}} | fields


def test_a_file_of_this_program_and_one_of_the_toolkits_are_read_at_once():
    path = GOLDEN / "eval_thumos14_predictions.json"
    same(_parsed(path.read_bytes()), DetectionColumns.of(read_predictions(path)))
    text = json.dumps(document(detection(), external_data={"used": "a:b", "details": [{"c": 1}]}))
    table = _parsed(text.encode())
    assert table.videos == ("a", "none", "b: c")
    assert table.labels == ("jump", "x:y")
    assert (table.video.tolist(), table.label.tolist()) == ([0, 2], [0, 1])
    assert (table.score.tolist(), table.start_s.tolist()) == ([0.5] * 2, [1] * 2)
    assert table.end_s.tolist() == [2.5] * 2


ODD = {
    "numbers as text": json.dumps(document(detection(score="0.5", segment=["1", "2"]))),
    "another field": json.dumps(document(detection(id=3))),
    "another field of the file": json.dumps(document(detection(), ground_truth="file")),
    "an escaped colon": json.dumps(document(detection(label="a:b"))).replace("a:b", "a\\u003ab"),
    "a field twice": json.dumps(document(detection())).replace('"lab', '"label": "x", "lab'),
    "a video twice": '{"results": {"a": [], "a": []}}',
    "results twice": '{"results": {}, "results": {}}',
    "a field twice in what is not used": '{"results": {}, "external_data": {"a": 1, "a": 2}}',
    "a field twice, and an escaped colon": (
        json.dumps(document(detection())).replace('"jump"', '"a\\u003ab", "label": "a\\u003ab"')
    ),
    "NaN": json.dumps(document(detection(score=float("nan")))),
    "infinity": json.dumps(document(detection(segment=[0, float("inf")]))),
    "more than a double holds": json.dumps(document(detection())).replace("2.5", "1e999"),
    "huge": json.dumps(document(detection(score=10**15))),
    "an integer of 400 digits": json.dumps(document(detection(score=10**400))),
    "no label": json.dumps(document(detection(label=""))),
    "a lone surrogate": json.dumps(document(detection(label="\ud800"))),
    "true": json.dumps(document(detection(score=True))),
    "a segment of three": json.dumps(document(detection(segment=[0, 1, 2]))),
    "a label that is a number": json.dumps(document(detection(label=3))),
    "a score missing": '{"results": {"a": [{"label": "x", "segment": [0, 1]}]}}',
    "nested deeply": '{"results": ' + "[" * 200_000,
    "nested deeply where it is not used": '{"results": {}, "version": ' + '{"a":' * 100_000,
    "a list": "[]",
    "empty": "",
    "cut off": json.dumps(document(detection()))[:-2],
    "text after it": json.dumps(document(detection())) + " x",
    "a control character": json.dumps(document(detection())).replace("jump", "ju\nmp"),
    "no JSON number": json.dumps(document(detection())).replace("2.5", "02.5"),
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_what_is_odd_is_read_or_refused_as_by_the_strict_reader(tmp_path, text):
    path = tmp_path / "odd.json"
    path.write_text(text)

    def outcome(read):
        try:
            return read(path)
        except UserError as error:
            return str(error)

    expected, found = outcome(read_predictions), outcome(read_detections)
    if isinstance(expected, str):
        assert found == expected
    else:
        same(found, DetectionColumns.of(expected))


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "bytes.json"
    path.write_bytes(json.dumps(document(detection())).encode().replace(b"jump", b"ju\xffmp"))
    with pytest.raises(UserError, match="not a text in UTF-8"):
        read_detections(path)


NUMBERS = st.one_of(st.floats(), st.integers(), st.integers(-5, 5).map(str), st.booleans())
ENTRIES = st.fixed_dictionaries(
    {"label": st.text(max_size=3), "score": NUMBERS, "segment": st.tuples(NUMBERS, NUMBERS)},
    optional={"more": st.none()},
)


RESULTS = st.dictionaries(st.text(max_size=3), st.lists(ENTRIES, max_size=3), max_size=3)


@given(RESULTS, st.booleans())
@settings(max_examples=300, deadline=None)
def test_what_is_read_at_once_is_what_the_strict_reader_reads(tmp_path_factory, results, ascii):
    path = tmp_path_factory.getbasetemp() / "drawn.json"
    text = json.dumps({"results": results}, ensure_ascii=ascii)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    table = _parsed(path.read_bytes())
    if table is not None:
        same(table, DetectionColumns.of(read_predictions(path)))
