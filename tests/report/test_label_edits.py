"""Changes of labels, undo and redo, and times of frames, as the labelling page computes them."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afsd_jax.report.render import render
from tests.report.opened import window

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

REPORT = Path(render.__code__.co_filename).parent
SCRIPTS = ["label_elements.js", "words_and_colors.js", "label_edits.js", "label_frames.js"]
IDS = ["a", "b", "c", "d"]
MANY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
times = st.floats(0, 100).map(lambda value: round(value, 3))
texts = st.sampled_from(["walk", "<b>run</b>", "stand"])


@st.composite
def segments(draw, ids=IDS):
    start = draw(times)
    end = start + draw(st.floats(0.1, 20).map(lambda value: round(value, 3)))
    return {
        "id": draw(st.sampled_from(ids)),
        "label": draw(texts),
        "start": start,
        "end": end,
        "note": "",
    }


@st.composite
def suggestions(draw):
    segment = draw(segments(["s", "t", "u"]))
    del segment["note"]
    return {**segment, "score": draw(st.floats(0, 1))}


def distinct(items):
    return list({item["id"]: item for item in items}.values())


@st.composite
def stories(draw):
    """A video's labels, and what a person does with them: names of steps and numbers."""
    video = {
        "segments": distinct(draw(st.lists(segments(), max_size=4))),
        "suggestions": distinct(draw(st.lists(suggestions(), max_size=3))),
        "rejected": [],
        "reviewed": draw(st.booleans()),
    }
    kinds = st.sampled_from(
        ["add", "move", "relabel", "split", "merge", "delete", "accept", "reject", "review", "note"]
    )
    steps = draw(st.lists(st.tuples(kinds, st.integers(0, 9), times), min_size=1, max_size=12))
    return video, steps


# Does the steps; returns the labels after each, and after each undo and redo of all of them.
STORY = """([video, steps]) => {
  const plain = ({ segments, suggestions, rejected, reviewed }) => [
    ...[segments, suggestions, rejected].map((items) =>
      [...items.values()].sort((a, b) => (a.id < b.id ? -1 : 1))), reviewed];
  const past = new History();
  let labels = labelsOf(video);
  const states = [plain(labels)], changes = [];
  for (const [kind, number, time] of steps) {
    const pick = (items) => [...items.values()][number % items.size];
    const segment = pick(labels.segments), suggestion = pick(labels.suggestions);
    const change = {
      add: () => addition("walk", time, time + 1),
      move: () => (segment ?? suggestion)
        && edited(suggestion ?? segment, { start: time, end: time + 2 }),
      relabel: () => segment && edited(segment, { label: "stand" }),
      split: () => segment && splitting(segment, (segment.start + segment.end) / 2),
      merge: () => segment && merging(labels, segment),
      delete: () => (suggestion ?? segment) && deletion(suggestion ?? segment),
      accept: () => acceptance(
        [...labels.suggestions.values()].slice(number % 2), { span: (...ends) => ends }),
      reject: () => suggestion && rejection([suggestion]),
      review: () => ({ reviewed: !labels.reviewed }),
      note: () => segment && edited(segment, { note: "left hand" }),
    }[kind]();
    if (!change) continue;
    past.record({ change, inverse: inverse(labels, change) });
    labels = changed(labels, change);
    states.push(plain(labels));
    changes.push(bodyOf(change, 1));
  }
  const undone = [], redone = [];
  for (let entry; (entry = past.undo()); undone.push(plain(labels)))
    labels = changed(labels, entry.inverse);
  for (let entry; (entry = past.redo()); redone.push(plain(labels)))
    labels = changed(labels, entry.change);
  return { states, undone, redone, changes };
}"""


@pytest.fixture(scope="module")
def scripts(browser, tmp_path_factory):
    """A page with the scripts alone."""
    path = tmp_path_factory.mktemp("scripts") / "page.html"
    sources = "".join(f'<script src="{(REPORT / name).as_uri()}"></script>' for name in SCRIPTS)
    path.write_text(f"<!doctype html>{sources}")
    with window(browser) as page:
        page.goto(path.as_uri())
        yield page


@MANY
@given(stories())
def test_undo_leads_back_to_the_beginning_and_redo_to_the_end(scripts, story):
    result = scripts.evaluate(STORY, list(story))
    assert result["undone"] == result["states"][-2::-1]
    assert result["redone"] == result["states"][1:]


@MANY
@given(stories())
def test_a_change_is_sent_with_the_ids_of_suggestions(scripts, story):
    for change in scripts.evaluate(STORY, list(story))["changes"]:
        for field in ("accept", "reject"):
            assert all(isinstance(key, str) for key in change.get(field, []))
        for segment in change.get("put", []):
            assert set(segment) == {"id", "label", "start", "end", "note"}


@given(segments(), st.floats(0.01, 0.99))
@MANY
def test_a_split_label_covers_the_same_time(scripts, segment, share):
    time = segment["start"] + share * (segment["end"] - segment["start"])
    first, second = scripts.evaluate("([s, t]) => splitting(s, t).put", [segment, time])
    assert first == {**segment, "end": time}
    assert second == {**segment, "id": second["id"], "start": time}
    assert second["id"] != first["id"]


def test_a_label_is_split_only_within_it(scripts):
    segment = {"id": "a", "label": "walk", "start": 1.0, "end": 2.0, "note": ""}
    for time in (0.5, 1.0, 2.0, 3.0):
        assert scripts.evaluate("([s, t]) => splitting(s, t)", [segment, time]) is None


def test_a_label_is_merged_with_the_next_of_its_class(scripts):
    labels = [("a", "walk", 1, 2, "x"), ("b", "run", 2, 3, ""), ("c", "walk", 4, 6, "y")]
    listed = [
        dict(zip(("id", "label", "start", "end", "note"), row, strict=True)) for row in labels
    ]
    video = {"segments": listed, "suggestions": [], "rejected": [], "reviewed": False}
    merge = "([video, i]) => merging(labelsOf(video), video.segments[i])"
    whole = {"id": "a", "label": "walk", "start": 1, "end": 6, "note": "x; y"}
    assert scripts.evaluate(merge, [video, 0]) == {"put": [whole], "remove": ["c"]}
    assert scripts.evaluate(merge, [video, 1]) is None


def test_suggestions_whose_score_is_nearest_to_one_half_come_first(scripts):
    scores = [0.9, 0.45, 0.1, 0.52]
    given_ = [{"id": str(s), "start": 0, "end": 1, "label": "a", "score": s} for s in scores]
    order = scripts.evaluate("(s) => mostUncertainFirst(s).map(({ score }) => score)", given_)
    assert order == [0.52, 0.45, 0.9, 0.1]


def test_a_renamed_class_is_renamed_in_its_labels_and_back(scripts):
    classes = [{"name": "walk", "color": "#111111"}, {"name": "run", "color": "#222222"}]
    change = {"put": [{"name": "stroll", "color": "#111111", "was": "walk"}]}
    after, back = scripts.evaluate(
        "([classes, change]) => { const after = changedClasses(classes, change);"
        " return [after, changedClasses(after, inverseClasses(classes, change))]; }",
        [classes, change],
    )
    assert [one["name"] for one in after] == ["stroll", "run"]
    assert back == classes


# Frames


@st.composite
def frames(draw):
    steps = draw(st.lists(st.floats(0.005, 0.5), min_size=1, max_size=40))
    first, listed = draw(st.floats(0, 2)), []
    for step in steps:
        listed.append(round(first, 6))
        first += step
    return listed, round(first, 6)


@MANY
@given(frames(), st.floats(0, 25))
def test_a_time_snaps_to_the_nearest_frame_or_the_end(scripts, video, time):
    listed, duration = video
    snapped = scripts.evaluate("([t, d, x]) => new Frames(t, d).snap(x)", [listed, duration, time])
    assert abs(snapped - time) <= min(abs(at - time) for at in [*listed, duration]) + 1e-9
    assert snapped in [*listed, duration]


@MANY
@given(frames(), st.floats(0, 25), st.floats(0, 25))
def test_a_segment_has_at_least_one_frame(scripts, video, first, second):
    listed, duration = video
    start, end = scripts.evaluate(
        "([t, d, a, b]) => new Frames(t, d).span(a, b)", [listed, duration, first, second]
    )
    assert start in listed
    assert end in [*listed[1:], duration]
    assert start < end


@MANY
@given(frames(), st.data())
def test_a_player_sent_to_the_middle_of_a_frame_shows_it(scripts, video, data):
    listed, duration = video
    index = data.draw(st.integers(0, len(listed) - 1))
    told = scripts.evaluate(
        "([t, d, i]) => { const frames = new Frames(t, d); const at = frames.middle(i);"
        " return [at, frames.at(at), frames.at(t[i]), frames.nearest(t[i])]; }",
        [listed, duration, index],
    )
    assert listed[index] < told[0] < ([*listed, duration])[index + 1]
    assert told[1:] == [index] * 3


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("62.5", 62.5), ("1:02.5", 62.5), ("1:00:02,5", 3602.5), ("x", None), ("-1", None)],
)
def test_times_can_be_typed_as_seconds_or_clock_times(scripts, text, seconds):
    typed = scripts.evaluate(
        "(text) => { const s = secondsOf(text); return s >= 0 ? s : null; }", text
    )
    assert typed == seconds
