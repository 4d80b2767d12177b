"""`afsd package`: what is given away detects as the run does, and says what it is."""

import json
import shutil
from pathlib import Path

import pytest

from afsd_jax import cli
from afsd_jax.config import default_config
from afsd_jax.diagnosis.validation_files import write_validation
from afsd_jax.types import Action, AnnotatedVideo, Detection
from tests.untrained_checkpoints import write_untrained
from tests.video_files import numbered_frames, write_video


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    write_untrained(folder / "network", "rgb")
    write_video(folder / "clip.mp4", numbered_frames(100), rate=25)
    (folder / "about.md").write_text("Made for the kitchen camera.\n")
    return folder


def run(*arguments: object) -> int:
    return cli.main(list(map(str, arguments)))


def test_a_package_detects_as_its_checkpoint(folder, tmp_path, capsys):
    model = tmp_path / "model.afsd"
    assert run("package", folder / "network", "--output", model) == 0
    assert "afsd inspect" in capsys.readouterr().out
    found = {}
    for name, checkpoint in {"checkpoint": folder / "network", "package": model}.items():
        output = tmp_path / f"{name}.json"
        assert (
            run("detect", "--checkpoint", checkpoint, "--output", output, folder / "clip.mp4") == 0
        )
        found[name] = json.loads(output.read_text())["results"]
    assert found["package"] == found["checkpoint"]
    assert found["package"]["clip"]


def test_the_card_begins_with_what_the_maker_says(folder, tmp_path, capsys):
    model = tmp_path / "kitchen.afsd"
    about = f"--about={folder / 'about.md'}"
    assert run("package", folder / "network", f"--output={model}", about) == 0
    capsys.readouterr()
    assert run("inspect", model) == 0
    card = capsys.readouterr().out
    assert card.startswith("# kitchen\n\nMade for the kitchen camera.\n\n## Use\n")
    assert "- go left" in card
    assert "The training data was not at hand" in card
    assert run("inspect", model, f"--output={tmp_path / 'card.md'}") == 0
    assert (tmp_path / "card.md").read_text() == card


def test_the_card_says_how_a_detector_was_measured_that_learnt_from_all_videos(
    folder, tmp_path, capsys
):
    workdir, model = tmp_path / "run", tmp_path / "model.afsd"
    shutil.copytree(folder / "network", workdir / "checkpoints")
    (workdir / "config.json").write_text(default_config().to_json())
    truth = {"v": AnnotatedVideo("train", 9.0, (Action("go left", 1.0, 3.0),))}
    how = "cross-validation of train, 3 folds of 200 steps each"
    write_validation(
        workdir, truth, {"v": [Detection("go left", 0.9, 1.0, 3.0)]}, (0.5,), 0, "", how
    )
    assert run("package", workdir, f"--output={model}") == 0
    assert run("inspect", model) == 0
    figure = f"mAP@0.5 is 100.0 %, average mAP 100.0 %, on 1 video with 1 action: {how}."
    assert f"## Figures\n{figure}\n" in capsys.readouterr().out


def test_a_file_is_overwritten_by_force_only(folder, tmp_path, capsys):
    other, model = tmp_path / "other.afsd", tmp_path / "model.afsd"
    other.write_text("mine")
    assert run("package", folder / "network", f"--output={other}") == 2
    assert other.read_text() == "mine"
    assert run("package", folder / "network", f"--output={model}") == 0
    before = model.read_bytes()
    assert run("package", folder / "network", f"--output={model}") == 2
    assert "--force" in capsys.readouterr().err
    assert run("package", folder / "network", f"--output={model}", "--force") == 0
    assert model.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["package", "NETWORK", "--output", "OUT/model.zip"], "must end in .afsd"),
        (["package", "NETWORK", "--output", "OUT/m.afsd", "--about", "OUT/none.md"], "none.md"),
        (["package", "NETWORK", "--output", "OUT/m.afsd", "--data-dir", "OUT"], "--data-dir="),
        (["package", "OUT/none", "--output", "OUT/m.afsd"], "none"),
        (["inspect", "OUT/text.txt"], "neither a prepared data set nor a packaged detector"),
        (["inspect", "OUT/empty.afsd"], "not a packaged detector"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(folder, tmp_path, capsys, arguments, said):
    (tmp_path / "text.txt").write_text("text")
    (tmp_path / "empty.afsd").write_bytes(b"")
    places = {"NETWORK": str(folder / "network"), "OUT": str(tmp_path)}
    filled = [
        a.replace("NETWORK", places["NETWORK"]).replace("OUT", places["OUT"]) for a in arguments
    ]
    assert run(*filled) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert {p.name for p in tmp_path.iterdir()} == {"text.txt", "empty.afsd"}
