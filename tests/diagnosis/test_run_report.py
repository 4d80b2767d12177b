"""The story of a run: what its page says of runs of each kind, and how it looks in a browser."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from afsd_jax import evaluation
from afsd_jax.config import default_config
from afsd_jax.diagnosis import run_report
from afsd_jax.diagnosis.validation_files import write_validation
from afsd_jax.errors import UserError
from afsd_jax.report.colors import class_colors
from afsd_jax.types import Action, AnnotatedVideo, Detection
from tests.report.opened import opened

CLASSES = ("jump", "run", "throw")
SECONDS = 60.0
VIDEOS = 5
TIOUS = (0.3, 0.5, 0.7)
ENOUGH = {label: [4.0] * 30 for label in CLASSES}

Found = dict[str, list[Detection]]


def truth() -> dict[str, AnnotatedVideo]:
    """Five videos, each with two actions of each of three classes."""
    actions = tuple(
        Action(label, 10.0 * i + 30 * again, 10.0 * i + 30 * again + 4)
        for again in range(2)
        for i, label in enumerate(CLASSES)
    )
    return {f"video {n}": AnnotatedVideo("validation", SECONDS, actions) for n in range(VIDEOS)}


def perfect(renamed: Mapping[str, str | None] = {}) -> Found:
    """Returns the true actions as detections; `renamed` gives classes other labels, or None."""
    return {
        name: [
            Detection(renamed.get(a.label, a.label) or "", 0.9, a.start_s, a.end_s)
            for a in video.actions
            if renamed.get(a.label, a.label) is not None
        ]
        for name, video in truth().items()
    }


def nothing_right() -> Found:
    """Detections between the actions."""
    times = (5.0, 15.0, 25.0, 35.0)
    return {name: [Detection("jump", 0.5, t, t + 3) for t in times] for name in truth()}


def write_run(
    folder: Path,
    losses: Sequence[float],
    maps: Mapping[int, float],
    found: Found | None = None,
    training: Mapping[str, list[float]] = ENOUGH,
    validation_losses: Mapping[int, float] = {},
) -> Path:
    """Writes what a run writes: its log with a loss each 10 steps, and its best evaluation."""
    folder.mkdir(parents=True)
    config = default_config()
    config.data.dataset = "videos"
    (folder / "config.json").write_text(config.to_json())
    lines = [{"step": 10 * (i + 1), "total": loss} for i, loss in enumerate(losses)]
    for step, value in maps.items():
        metrics = {"average_mAP": value, "ap": ap(found)}
        if step in validation_losses:
            metrics["loss/total"] = validation_losses[step]
        lines.append({"step": step, "validation": metrics})
    lines.sort(key=lambda line: line["step"])
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run_report.write_training_classes(folder, training)
    if found is not None:
        best = max(maps, key=lambda step: maps[step])
        write_validation(folder, truth(), found, TIOUS, best, "videos")
    return folder


def ap(found: Found | None) -> dict[str, list[float]]:
    metrics = evaluation.evaluate(truth(), found or {}, TIOUS)
    return {label: values.tolist() for label, values in metrics.ap.items()}


def verdicts(folder: Path) -> str:
    return " ".join(said(folder))


def said(folder: Path) -> list[str]:
    """Returns the verdicts with usual spaces."""
    return [
        text.replace("\N{NO-BREAK SPACE}", " ") for text in run_report.tell_story(folder).verdicts
    ]


def test_a_run_that_has_learned_is_compared_with_its_beginning_and_with_chance(tmp_path):
    losses = [9 / (1 + i) for i in range(20)]
    run = write_run(tmp_path / "run", losses, {100: 0.5, 200: 1.0}, perfect())
    story = run_report.tell_story(run)
    first, second, figure = said(run)
    assert first.startswith("It has learned: mAP on the validation videos rose from 50.0 % at step")
    assert "to 100.0 % at step 200." in first
    chance = float(first.rpartition("would reach ")[2].removesuffix(" %."))
    assert chance < 20
    assert second == "It did not over-fit: mAP was still rising at the end."
    assert figure.startswith(
        "mAP@0.5 is 100.0 % (95 % interval 100.0 to 100.0 %), average mAP 100.0"
    )
    assert figure.endswith("on 5 validation videos with 30 actions.")
    assert story.weak == ()
    assert any(text.startswith("Train longer") for text in story.advice)


def test_a_run_that_is_no_better_than_chance_has_not_learned(tmp_path):
    run = write_run(tmp_path / "run", [9.0] * 20, {100: 0.0, 200: 0.01}, nothing_right())
    story = run_report.tell_story(run)
    assert story.verdicts[0].startswith("It has not learned: ")
    assert any("afsd inspect" in text for text in story.advice)
    assert not any(text.startswith("Train longer: ") for text in story.advice)


def test_a_run_is_over_fitted_if_its_loss_falls_while_map_falls(tmp_path):
    falling = [9 / (1 + i) for i in range(40)]
    maps = {100: 1.0, 200: 0.9, 300: 0.8, 400: 0.6}
    rising = {100: 2.0, 400: 3.5}
    run = write_run(tmp_path / "a", falling, maps, perfect(), validation_losses=rising)
    text = verdicts(run)
    assert "It over-fitted after step 100: the training loss fell further" in text
    assert "but mAP fell to 60.0 %" in text
    assert "the loss on the validation videos rose from 2 to 3.5" in text
    assert "Detection uses the weights of step 100." in text
    assert "over-fitting" in " ".join(run_report.tell_story(run).advice)
    for name, losses, found in (
        ("the loss does not fall", [3.0] * 40, maps),
        ("mAP stays", falling, {100: 1.0, 200: 0.97, 300: 0.95, 400: 0.98}),
        ("one evaluation later", falling, {300: 1.0, 400: 0.5}),
    ):
        text = verdicts(write_run(tmp_path / name, losses, found, perfect()))
        assert "did not over-fit" in text, name


def test_a_result_of_few_actions_is_said_to_be_one(tmp_path):
    found = perfect()
    many = run_report.tell_story(write_run(tmp_path / "many", [9.0, 1.0], {1: 0.4, 2: 1.0}, found))
    assert "too few" not in " ".join(many.verdicts)
    one = {name: found[name] for name in list(found)[:1]}
    videos = {name: truth()[name] for name in one}
    folder = write_run(tmp_path / "few", [9.0, 1.0], {1: 0.4, 2: 1.0}, found)
    write_validation(folder, videos, one, TIOUS, 2, "videos")
    text = " ".join(run_report.tell_story(folder).verdicts)
    assert "from only 6 actions in 1 video: too few" in text


def test_a_class_has_the_colour_that_it_has_on_other_pages(browser, tmp_path):
    training = {"hop": [4.0], **ENOUGH}
    run = write_run(tmp_path / "run", [9.0, 1.0], {1: 0.4, 2: 1.0}, perfect(), training)
    run_report.write_run_report(run)
    expected = class_colors(["hop", *CLASSES])
    with opened(browser, run / "report.html") as view:
        keys = view.locator("#examples .keys span").all()
        found = {key.inner_text(): key.locator("i").get_attribute("style") for key in keys}
    assert found == {label: f"background:{expected[label]}" for label in CLASSES}


@pytest.mark.parametrize(
    ("losses", "sentence"),
    [
        ([9.0 - 0.4 * i for i in range(20)], "The training loss fell from 8.8 to 1.6"),
        ([9.0] * 20, "The training loss did not fall"),
        ([9.0], "Too few steps"),
    ],
)
def test_without_validation_it_says_so_and_how_to_have_one(tmp_path, losses, sentence):
    story = run_report.tell_story(write_run(tmp_path / "run", losses, {}))
    text = " ".join(story.verdicts)
    assert sentence in text
    assert "There is no validation split" in text
    assert "learned" not in text
    (advice,) = story.advice
    assert "a column subset to the annotations, with validation for every fifth video" in advice
    assert "config.data.validation_split" in advice
    assert (story.weak, story.examples) == ((), ())


@pytest.mark.parametrize(
    ("found", "expected"), [(perfect({"run": None}), "learned"), (nothing_right(), "not learned")]
)
def test_a_run_that_was_measured_elsewhere_says_how(tmp_path, found, expected):
    folder = write_run(tmp_path / "run", [9.0 - 0.4 * i for i in range(20)], {})
    how = "cross-validation of train, 3 folds of 200 steps each"
    write_validation(folder, truth(), found, TIOUS, 200, "videos", how)
    story = run_report.tell_story(folder)
    learned, loss, over_fitted, figure = said(folder)
    assert learned.startswith(f"It has {expected}. Random detections would reach ")
    assert loss.startswith("The training loss fell from 8.8 to 1.6")
    assert "not known whether it over-fitted" in over_fitted
    assert figure.startswith("mAP@0.5 is ")
    assert figure.endswith(f"on 5 videos with 30 actions: {how}.")
    assert "run (0 %)" in [label for label, _ in story.weak]
    assert len(story.examples) == 3


@pytest.mark.parametrize(
    ("renamed", "training", "reason", "advice"),
    [
        ({"run": None}, ENOUGH | {"run": [4.0] * 4}, "few training examples, 4", "more examples"),
        ({"run": None}, ENOUGH | {"run": [0.8] * 30}, "are short, 0.8 s where others", "--fps"),
        ({"run": "jump"}, ENOUGH, "taken for 'jump' in 10 of 10", "'run' and 'jump' beside"),
        ({"run": None}, ENOUGH, "nothing is detected near 10 of its 10 actions", ""),
    ],
)
def test_a_weak_class_is_named_with_its_reason(tmp_path, renamed, training, reason, advice):
    found = perfect(renamed)
    run = write_run(tmp_path / "run", [1.0] * 20, {100: 0.4, 200: 0.6}, found, training)
    story = run_report.tell_story(run)
    ((label, text),) = story.weak
    assert label == "run (0 %)"
    assert reason in text
    assert text.count(";") == 0  # no other reason
    assert any("'run'" in line and advice in line for line in story.advice) or not advice


def test_the_examples_go_from_the_best_to_the_worst_video(tmp_path):
    found = perfect()
    found["video 3"] = []
    found["video 4"] = found["video 4"][:3]
    run = write_run(tmp_path / "run", [1.0] * 20, {200: 0.8}, found)
    examples = run_report.tell_story(run).examples
    assert [x.found for x in examples] == [6, 6, 0]
    assert [x.name for x in examples] == ["video 0", "video 2", "video 3"]
    assert [len(x.truth) for x in examples] == [6, 6, 6]
    assert [len(x.detected) for x in examples] == [6, 6, 0]
    assert examples[0].truth[0] == ("jump", 0.0, 4.0, 1.0)
    assert examples[0].detected[0][:3] == ("jump", 0.0, 4.0)
    assert examples[0].duration_s == SECONDS


def test_an_action_that_is_taken_for_another_class_is_not_found(tmp_path):
    """Although its own class is detected there, too, with a lower score, which is not drawn."""
    found = perfect()
    others = {"jump": "run", "run": "jump"}
    found["video 0"] = [
        *(x._replace(score=0.2) for x in found["video 0"]),
        *(x._replace(label=others.get(x.label, "jump"), score=0.9) for x in found["video 0"]),
    ]
    run = write_run(tmp_path / "run", [1.0] * 20, {200: 0.8}, found)
    last = run_report.tell_story(run).examples[-1]
    assert (last.name, last.found, len(last.truth), len(last.detected)) == ("video 0", 0, 6, 6)


def test_a_run_of_an_earlier_version_or_with_a_broken_file_is_read_or_refused(tmp_path):
    run = write_run(tmp_path / "run", [1.0] * 20, {200: 0.6}, perfect({"run": None}))
    (run / run_report.TRAINING_CLASSES).unlink()
    assert "nothing is detected" in run_report.tell_story(run).weak[0][1]
    (run / run_report.TRAINING_CLASSES).write_text('{"run": {"actions": "many"}}')
    with pytest.raises(UserError, match=r"training_classes.json: 'run'.actions must be a finite"):
        run_report.tell_story(run)


@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_begins_with_words_and_bars_and_fits_the_window(browser, tmp_path, width):
    losses = [9 / (1 + i) for i in range(20)]
    found = perfect({"run": "jump"})
    training = ENOUGH | {"run": [4.0] * 4}
    run = write_run(tmp_path / "run", losses, {100: 0.4, 200: 0.6}, found, training)
    run_report.write_run_report(run)
    size = {"width": width, "height": 900}
    with opened(browser, run / "report.html", viewport=size) as view:
        assert view.evaluate("document.documentElement.scrollWidth") <= width
        ids = ["verdicts", "weak", "examples", "advice"]
        tops = [view.locator(f"#{name}").bounding_box()["y"] for name in ids]
        charts = [chart.bounding_box()["y"] for chart in view.locator(".chart:visible").all()]
        assert [*tops, *charts[:1]] == sorted([*tops, *charts[:1]])
        assert "It has learned" in view.locator("#verdicts").inner_text()
        details = view.locator("#details")
        assert not details.locator(".changes").is_visible()
        details.locator("summary").click()
        assert details.locator(".changes").is_visible()
        assert view.evaluate("document.documentElement.scrollWidth") <= width
        assert "few training examples" in view.locator("#weak").inner_text()
        axis = view.locator(".axis").first.bounding_box()
        assert view.locator(".axis").first.locator(".lane").count() == 1
        assert view.locator("#examples .keys").inner_text().split() == list(CLASSES)
        bars = view.locator(".axis").first.locator(".bar").all()
        assert len(bars) == 6
        for bar, start_s in zip(bars, (0, 10, 20, 30, 40, 50), strict=True):
            box = bar.bounding_box()
            assert box["x"] == pytest.approx(axis["x"] + axis["width"] * start_s / SECONDS, abs=1)
            assert box["width"] == pytest.approx(axis["width"] * 4 / SECONDS, abs=1)
