"""`afsd evaluate`: what it prints, notes and writes."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from afsd_jax import cli
from afsd_jax.cli.evaluation_inputs import Evaluated, absent_classes
from afsd_jax.cli.evaluation_outputs import analyse, calibrate_checkpoint
from afsd_jax.cli.process import REFUSED
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.datasets import prepare_dataset
from afsd_jax.errors import UserError
from afsd_jax.types import Action, AnnotatedVideo, Detection, DetectionColumns
from afsd_jax.weights.score_calibration import read_calibration
from tests.video_files import numbered_frames, write_video


def video(*actions, subset="test", **fields):
    """A video of a ground truth file, with actions (label, start, end)."""
    annotations = [{"label": label, "segment": [start, end]} for label, start, end in actions]
    return {"subset": subset, "annotations": annotations, **fields}


def detections(*items):
    """Detections (label, start, end) of a predictions file."""
    return [{"label": label, "score": 0.5, "segment": [start, end]} for label, start, end in items]


def mean_ap(printed):
    """The words of the row of mAP in what `afsd evaluate` prints."""
    (line,) = [line for line in printed.splitlines() if line.startswith("mAP ")]
    return line.split()


@pytest.fixture
def evaluated(tmp_path, capsys):
    """Evaluates results by video against videos; returns the metrics and the notes."""

    def evaluate(videos, results, *flags):
        paths = [tmp_path / name for name in ("truth.json", "found.json", "metrics.json")]
        paths[0].write_text(json.dumps({"database": videos}))
        paths[1].write_text(json.dumps({"results": results}))
        names = ("--ground-truth", "--predictions", "--output")
        given = [f"{name}={path}" for name, path in zip(names, paths, strict=True)]
        assert cli.main(["evaluate", "--benchmark=videos", *given, *flags]) == 0
        printed = capsys.readouterr()
        *_, metrics, _, few, output, following = printed.out.splitlines()
        assert metrics.startswith("mAP ")
        assert re.match(r"This is from only \d+ actions? in \d videos?: too few", few)
        assert output == f"{paths[2]}: written"
        assert "--report evaluation.html" in following
        notes = [line.replace(str(tmp_path), "…") for line in printed.err.splitlines()]
        assert all(note.startswith("note: ") for note in notes)
        return json.loads(paths[2].read_text()), [note.removeprefix("note: ") for note in notes]

    return evaluate


def test_files_that_agree_have_no_notes(evaluated):
    metrics, notes = evaluated({"a": video(("x", 0, 1))}, {"a": detections(("x", 0, 1))})
    assert (metrics["average_mAP"], notes) == (1.0, [])


def test_labels_that_the_truth_does_not_have_are_named_with_the_nearest(evaluated):
    results = {"a": detections(("shrink", 0, 1), ("Grow", 2, 3), ("Grow", 3, 4), ("q", 0, 1))}
    _, notes = evaluated({"a": video(("shrink", 0, 1), ("grow", 2, 3))}, results)
    assert notes == [
        "3 predictions with labels that the ground truth does not have do not count: "
        "'Grow' (2, nearest: 'grow'), 'q' (1)"
    ]


def test_videos_that_only_one_file_has_are_named(evaluated):
    videos = {
        "pen_1": video(("x", 0, 1), ("x", 2, 3)),
        "pen_2": video(("x", 0, 1)),
        "pen_3": video(),
        "yard": video(("x", 0, 1), subset="train"),
    }
    results = {"pen_1.mp4": detections(("x", 0, 1)), "yard": detections(("x", 0, 1)) * 2}
    _, notes = evaluated(videos, results | {"pen_2": detections(("x", 0, 1)), "pen_3": []})
    assert notes == [
        "2 of 4 videos with predictions are not in the ground truth's subset; their 3 predictions "
        "do not count (1 of these videos are in its other subsets): "
        "'pen_1.mp4' (nearest: 'pen_1')",
        "there are no predictions for 1 of 3 videos: their 2 actions count as missed: 'pen_1'",
    ]


def test_videos_of_one_name_are_evaluated_by_their_paths(tmp_path, capsys):
    truth, found, page = (tmp_path / name for name in ("truth.csv", "found.json", "page.html"))
    rows = [f"films/cam{i}/take.mp4,x,{i},{i + 1}\n" for i in (1, 2)]
    results = {f"cam{i}__take": detections(("x", i, i + 1)) for i in (1, 2)}
    found.write_text(json.dumps({"results": results}))
    given = [f"--ground-truth={truth}", f"--predictions={found}", f"--report={page}"]
    for camera in ("cam1", "cam2"):
        (tmp_path / camera).mkdir()
        write_video(tmp_path / camera / "take.mp4", numbered_frames(10, 16, 16), 10)
    (tmp_path / "cam2" / "gone.mp4").symlink_to("nowhere.mp4")
    given += ["--videos", str(tmp_path / "cam2")]
    for chosen in (rows, rows[1:]):  # one annotated video needs its folder, too
        truth.write_text("video,label,start,end\n" + "".join(chosen))
        assert cli.main(["evaluate", *given]) == 1  # all is evaluated, but a file cannot be read
        printed = capsys.readouterr()
        assert re.search(r"^mAP .* 100.00$", printed.out, re.MULTILINE)
        assert "gone.mp4: is a link to nothing" in printed.err
        assert "cam2/take.mp4" in page.read_text()
        assert "cam1/take.mp4" not in page.read_text()
    truth.write_text("video,label,start,end\ntake.mp4,x,1,2\n")
    assert cli.main(["evaluate", *given]) == REFUSED
    assert "'take.mp4' may be cam1__take, cam2__take; write its" in capsys.readouterr().err


def test_a_result_of_many_actions_stands_alone(tmp_path, capsys):
    truth, found = tmp_path / "truth.json", tmp_path / "found.json"
    actions = [("x", 2 * i, 2 * i + 1) for i in range(30)]
    truth.write_text(json.dumps({"database": {"a": video(*actions)}}))
    found.write_text(json.dumps({"results": {"a": detections(*actions)}}))
    assert cli.main(["evaluate", f"--ground-truth={truth}", f"--predictions={found}"]) == 0
    assert "too few" not in capsys.readouterr().out


def test_classes_that_no_test_video_has_are_named():
    truth = {"a": AnnotatedVideo("test", 9.0, (Action("x", 0, 1),))}
    (line,) = absent_classes(truth, ["x", "stir", "pour"], "test split")
    assert line == (
        "the test split has no action of 2 of 3 classes: nothing is known about 'stir', 'pour'"
    )
    assert absent_classes(truth, ["x"], "test split") == []


@pytest.mark.parametrize("spelt", ["Test", "testing", "TESTING"])
def test_a_subset_may_be_spelt_otherwise(evaluated, spelt):
    videos = {"a": video(("x", 0, 1), subset=spelt), "b": video(("x", 0, 1), subset="train")}
    metrics, notes = evaluated(videos, {"a": detections(("x", 0, 1))})
    assert metrics["average_mAP"] == 1.0
    assert notes == [f"…/truth.json spells the subset 'test' as {spelt!r}"]


def test_a_subset_spelt_in_two_ways_is_the_exact_one(evaluated):
    videos = {"a": video(("x", 0, 1)), "b": video(("x", 0, 1), subset="Test")}
    metrics, notes = evaluated(videos, {"a": detections(("x", 0, 1))})
    assert metrics["average_mAP"] == 1.0
    note = "…/truth.json has the subset 'test' and, for 1 video, 'Test'; only 'test' counts"
    assert notes == [note]


def test_actions_that_nothing_can_find_are_left_out_or_cut_with_a_note(evaluated):
    actions = [("x", 0, 1), ("x", 4, 9), ("x", 7, 8), ("x", 3, 2), ("y", 6, 7)]
    videos = {"a": video(*actions, duration=6)}
    metrics, notes = evaluated(videos, {"a": detections(("x", 0, 1), ("x", 4, 6))})
    assert (metrics["average_mAP"], list(metrics["ap"])) == (1.0, ["x"])
    assert notes == [
        "1 true action without length: left out",
        "2 true actions after the end of the video: left out",
        "1 true action beyond the end of the video: cut there",
    ]


def test_a_truth_without_subsets_counts_as_a_whole(evaluated):
    videos = {"a": video(("x", 0, 1), subset="")} | {"b": video(subset="")}
    for entry in videos.values():
        del entry["subset"]
    _, notes = evaluated(videos, {"a": detections(("x", 0, 1)), "b": detections(("x", 0, 1))})
    assert notes == ["…/truth.json states no subsets: all 2 videos count"]


def test_the_kits_folder_is_evaluated_by_both_rules(tmp_path, capsys):
    truth, found = tmp_path / "annotation", tmp_path / "found.json"
    truth.mkdir()
    (truth / "Jump_test.txt").write_text("a 0 10\na 20 30\n")
    (truth / "Ambiguous_test.txt").write_text("a 40 50\n")
    results = {"a": detections(("Jump", 40, 45), ("Jump", 0, 10), ("Jump", 20, 31))}
    for index, detection in enumerate(results["a"]):
        detection["score"] = 0.9 - index / 10
    found.write_text(json.dumps({"results": results}))
    flags = ["evaluate", f"--predictions={found}", f"--ground-truth={truth}", "--tiou=0.5"]
    assert cli.main(flags) == 0
    printed = capsys.readouterr()
    assert mean_ap(printed.out) == ["mAP", "66.67", "66.67"]
    assert "1 Ambiguous action left out" in printed.err
    assert cli.main([*flags, "--rule=thumos14-kit"]) == 0
    printed = capsys.readouterr()
    assert mean_ap(printed.out) == ["mAP", "100.00", "100.00"]
    assert printed.err == ""


def test_a_prepared_folder_or_one_above_is_a_ground_truth(tmp_path, capsys):
    source, data, found = tmp_path / "source", tmp_path / "data", tmp_path / "found.json"
    source.mkdir()
    for name in ("a", "b"):
        write_video(source / f"{name}.mp4", numbered_frames(40, 16, 16), 10)
    rows = ["video,label,start,end,subset", "a,x,0,1,test", "b,x,1,2,train"]
    (source / "labels.csv").write_text("\n".join(rows))
    prepared = prepare_dataset("videos", data, options=PrepareOptions(source, size=16, workers=1))
    found.write_text(json.dumps({"results": {"a": detections(("x", 0, 1))}}))
    capsys.readouterr()
    flags = [f"--predictions={found}", "--tiou=0.5", f"--ground-truth={prepared}"]
    for folder in (prepared, prepared.parent, data / "videos", data):
        flags[-1] = f"--ground-truth={folder}"
        assert cli.main(["evaluate", *flags]) == 0
        printed = capsys.readouterr()
        assert mean_ap(printed.out) == ["mAP", "100.00", "100.00"]
        assert printed.err == ""
    shutil.copytree(data / "videos", data / "others")
    assert cli.main(["evaluate", *flags]) == REFUSED
    assert f"{data}: holds 2 prepared data sets; give one, such as" in capsys.readouterr().err


def test_a_subset_that_is_not_there_is_refused(tmp_path, capsys):
    paths = tmp_path / "truth.json", tmp_path / "found.json"
    paths[0].write_text(json.dumps({"database": {"a": video(("x", 0, 1), subset="train")}}))
    paths[1].write_text(json.dumps({"results": {}}))
    flags = [f"--ground-truth={paths[0]}", f"--predictions={paths[1]}"]
    assert cli.main(["evaluate", *flags]) == REFUSED
    assert "no video has subset 'test'" in capsys.readouterr().err


def files_for(folder):
    """A ground truth of two videos, and predictions for one of them, beside its file."""
    truth, found, clip = (folder / name for name in ("truth.json", "found.json", "a.mp4"))
    videos = {"a": video(("x", 0, 2), ("y", 3, 5), duration=8), "b": video(("x", 0, 1))}
    truth.write_text(json.dumps({"database": videos}))
    found.write_text(json.dumps({"results": {"a": detections(("x", 0, 2), ("x", 3, 5))}}))
    write_video(clip, numbered_frames(40), rate=5)
    return [f"--ground-truth={truth}", f"--predictions={found}"]


def test_a_page_says_why_and_the_json_file_too(tmp_path, capsys):
    page, metrics = tmp_path / "page.html", tmp_path / "metrics.json"
    outputs = [f"--report={page}", f"--output={metrics}"]
    flags = [*files_for(tmp_path), *outputs, f"--videos={tmp_path}"]
    assert cli.main(["evaluate", *flags]) == 0
    said = capsys.readouterr().out
    assert f"{page}: open it in a browser" in said
    *_, best, following = said.splitlines()
    assert "F1 is best at a score of 0.50" in best
    assert "with --min-score 0.5; afsd evaluate --calibrate keeps" in best
    assert following.endswith(f"afsd summarize {tmp_path / 'found.json'} --min-score 0.5")
    assert cli.main(following.partition(": afsd ")[2].split()) == 0
    text = page.read_text()
    assert '"url":"a.mp4"' in text
    assert "no predictions for 1 of 2 videos" in text
    content = json.loads(metrics.read_text())
    assert content["mAP@0.5"] == 0.25
    assert content["intervals"]["average_mAP"]["low"] <= 0.25
    assert content["notes"][0].startswith("there are no predictions for 1 of 2 videos")


def test_formats_are_files_in_a_folder(tmp_path):
    folder = tmp_path / "out"
    flags = [*files_for(tmp_path), f"--output={folder}", "--format=json,csv,html,png"]
    assert cli.main(["evaluate", *flags]) == 0
    names = [f"evaluation.{suffix}" for suffix in ("csv", "html", "json", "png")]
    assert sorted(path.name for path in folder.iterdir()) == names
    lines = list(csv.DictReader((folder / "evaluation.csv").read_text().splitlines()))
    assert [(line["class"], line["actions"], line["AP@0.5"]) for line in lines] == [
        ("x", "2", "0.500000"),
        ("y", "1", "0.000000"),
        ("(all classes)", "3", "0.250000"),
    ]
    assert [line["lost_to_wrong_label"] for line in lines] == ["0", "1", "1"]
    with Image.open(folder / "evaluation.png") as picture:
        assert picture.size == (1650, 1200)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ("", "--predictions and --ground-truth"),
        ("--predictions={found}", "--ground-truth"),
        ("--checkpoint=x", "--data-dir"),
        ("--checkpoint=x --data-dir=y --predictions={found}", "not with --predictions"),
        ("{both} --data-dir=y", "--checkpoint"),
        ("{both} --report=page.html --rule=thumos14-kit", "--rule activitynet"),
        ("{both} --format=csv", "--output"),
        ("{both} --format=csv --output=out --report=page.html", "not with --format"),
        ("{both} --videos=x", "--report"),
        ("{both} --calibrate", "--calibrate: needs --checkpoint"),
        ("{both} --report=no/page.html", "no such folder"),
        ("{both} --report={found}", "is one of the inputs"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(tmp_path, capsys, monkeypatch, flags, named):
    monkeypatch.chdir(tmp_path)
    both = files_for(tmp_path)
    found = both[1].partition("=")[2]
    text = flags.format(found=found, both=" ".join(both))
    assert cli.main(["evaluate", *text.split()]) == REFUSED
    message = capsys.readouterr().err
    assert named in message
    assert message.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "found.json", "truth.json"]


def test_a_checkpoint_keeps_thresholds_and_what_its_scores_mean(tmp_path, capsys):
    """Of classes with ten actions or more; one with fewer has the threshold of all together."""
    times = [(10 * i, 10 * i + 4) for i in range(10)]
    actions = [*(Action("x", *pair) for pair in times), Action("y", 110, 114)]
    truth = {"a": AnnotatedVideo("", 200.0, tuple(actions))}
    found = [
        *(Detection("x", 0.8, *pair) for pair in times),
        Detection("x", 0.3, 130, 134),
        Detection("y", 0.4, 110, 114),
        Detection("z", 0.9, 0, 4),
    ]
    columns = DetectionColumns.of({"a": found})
    evaluated = Evaluated("run", truth, columns, (0.5,), [], folder=tmp_path)
    calibrate_checkpoint(evaluated, "validation")
    printed = capsys.readouterr().out
    assert str(tmp_path / "calibration.json") in printed
    assert "classes with a threshold of their own: 1 of 2" in printed
    kept = read_calibration(tmp_path, ["x", "y", "z"])
    assert kept is not None
    assert (kept.split, kept.tiou, kept.threshold) == ("validation", 0.5, 0.4)
    assert kept.thresholds == {"x": 0.8}
    # The right ones, at 0.4 and ten times 0.8, are one step of the map, at their mean of 0.76.
    np.testing.assert_allclose(kept.precision_at(np.array([0.3, 0.77, 0.8])), [0, 1, 1])
    calibrate_checkpoint(evaluated, "validation", analyse(evaluated, ""))
    assert read_calibration(tmp_path, ["x", "y", "z"]) == kept
    # The page's analysis at another tIoU does not change at which one the checkpoint is measured.
    strict = evaluated._replace(tious=(0.9,))
    calibrate_checkpoint(strict, "validation", analyse(strict, ""))
    assert read_calibration(tmp_path, ["x", "y", "z"]) == kept


def test_too_few_actions_are_not_calibrated(tmp_path):
    truth = {"a": AnnotatedVideo("", 60.0, (Action("x", 0, 4), Action("x", 10, 14)))}
    columns = DetectionColumns.of({"a": [Detection("x", 0.8, 0, 4)]})
    evaluated = Evaluated("run", truth, columns, (0.5,), [], folder=tmp_path)
    with pytest.raises(UserError, match="the split test has 2 actions, too few for a threshold"):
        calibrate_checkpoint(evaluated, "test")
    assert not list(tmp_path.iterdir())


def test_only_what_is_right_somewhere_can_be_calibrated(tmp_path):
    truth = {"a": AnnotatedVideo("", 60.0, (Action("x", 0, 4),))}
    columns = DetectionColumns.of({"a": [Detection("x", 0.8, 30, 34)]})
    evaluated = Evaluated("run", truth, columns, (0.5,), [], folder=tmp_path)
    with pytest.raises(UserError, match="nothing to calibrate"):
        calibrate_checkpoint(evaluated, "validation")
    with pytest.raises(UserError, match="needs a checkpoint folder"):
        calibrate_checkpoint(evaluated._replace(folder=None), "validation")
    assert list(tmp_path.iterdir()) == []


def test_several_predictions_are_compared_with_the_first(tmp_path, capsys):
    truth, first = files_for(tmp_path)
    better, page, output = (tmp_path / name for name in ("better.json", "page.html", "both.json"))
    results = {"a": detections(("x", 0, 2), ("y", 3, 5)), "b": detections(("x", 0, 1))}
    better.write_text(json.dumps({"results": results}))
    flags = [truth, first, f"--predictions={better}", f"--report={page}", f"--output={output}"]
    assert cli.main(["evaluate", *flags, "--tiou=0.5"]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert [line.split()[:3] for line in lines[1:3]] == [
        ["found.json", "25.00", "25.00"],
        ["better.json", "100.00", "100.00"],
    ]
    assert printed.err.startswith("note: found.json: there are no predictions for 1 of 2 videos")
    (comparison,) = json.loads(output.read_text())["comparisons"]
    assert comparison["systems"] == ["better.json", "found.json"]
    assert comparison["difference"]["average_mAP"]["value"] == 0.75
    assert comparison["verdict"] in lines
    assert "Comparison of found.json, better.json" in page.read_text()


def test_comparisons_have_no_formats(tmp_path, capsys):
    truth, first = files_for(tmp_path)
    flags = [truth, first, first, "--format=csv", f"--output={tmp_path / 'out'}"]
    assert cli.main(["evaluate", *flags]) == REFUSED
    assert "--format" in capsys.readouterr().err
