"""The command `afsd`: light to parse, the same by every name, and strict before any work."""

import os
from pathlib import Path

import pytest

from afsd_jax import cli
from afsd_jax.cli import demo, parser
from afsd_jax.cli.config_flags import load_config
from afsd_jax.cli.process import REFUSED
from afsd_jax.config import FLOW_METHODS, default_config, resolve
from afsd_jax.data import datasets
from afsd_jax.data.storage import frame_codec
from afsd_jax.errors import UserError
from afsd_jax.evaluation import BENCHMARKS, RULES
from afsd_jax.export.network_folder import FILES as EXPORTED
from afsd_jax.runtime import memory
from afsd_jax.types import KEEP_ASPECT
from tests.support import python

HEAVY = ("numpy", "jax", "absl", "ml_collections", "tqdm", "tensorflow")
OTHER_NAMES = {
    "prepare": "scripts/prepare_data.py",
    "inspect": "scripts/inspect_data.py",
    "evaluate": "scripts/evaluate.py",
    "convert": "scripts/convert_weights.py",
    "export": "-m afsd_jax.cli export",
    "package": "-m afsd_jax.cli package",
    "demo": "scripts/demo.py",
    "ablate": "scripts/ablate.py",
    "runs": "-m afsd_jax.cli runs",
    "train": "-m afsd_jax.train",
    "detect": "-m afsd_jax.detect",
    "look": "-m afsd_jax.cli look",
    "annotations": "-m afsd_jax.cli annotations",
    "summarize": "-m afsd_jax.cli summarize",
    "agreement": "-m afsd_jax.cli agreement",
    "label": "-m afsd_jax.cli label",
    "features": "-m afsd_jax.cli features",
}
# The least that each command needs besides its output; none of these inputs exists.
NEEDED = {
    "prepare": "videos",
    "inspect": "folder",
    "runs": "folder",
    "train": "--config=none.py",
    "ablate": "--config=none.py",
    "detect": "video.mp4 --checkpoint=none",
    "look": "video.mp4",
    "evaluate": "--predictions=none.json --ground-truth=none.json",
    "annotations": "none.csv --format=via",
    "summarize": "none.csv",
    "agreement": "none.csv others.csv",
    "label": "none.mp4 --labels=none.csv",
    "features": "none video.mp4",
    "convert": "--input=none.pt",
    "export": "none --format=onnx",
    "package": "none",
    "demo": "",
}
WORKDIRS = ("train", "ablate")  # which make the folders above theirs
FILES = [
    ("inspect", "--output"),
    ("package", "--output"),
    ("runs", "--output"),
    ("detect", "--output"),
    ("detect", "--output=found.json --report"),
    ("look", "--output"),
    ("look", "--output=found.json --report"),
    ("look", "--output=found.json --write-video-scores"),
    ("evaluate", "--output"),
    ("evaluate", "--report"),
    ("label", "--labels"),
    ("convert", "--to-pytorch --output"),
]
FOLDERS = [
    ("annotations", "--output"),
    ("features", "--output"),
    ("summarize", "--output"),
    ("prepare", "--output"),
    ("train", "--workdir"),
    ("ablate", "--workdir"),
    ("detect", "--output=found.json --subtitles"),
    ("detect", "--format=json --output"),
    ("look", "--output=found.json --subtitles"),
    ("convert", "--output"),
    ("export", "--output"),
    ("demo", "--output"),
    ("evaluate", "--format=json --output"),
]


def refusal(capsys, *arguments: str) -> str:
    """Runs a command that must be refused, and returns the line that says why."""
    assert cli.main(arguments) == REFUSED
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    return message


@pytest.mark.parametrize("command", ["", *parser.COMMANDS])
def test_help_imports_nothing_heavy(command):
    code = (
        "import atexit, sys; from afsd_jax import cli\n"
        f"atexit.register(lambda: print({HEAVY} & sys.modules.keys()))\n"
        f"cli.main({command.split()} + ['--help'])"
    ).replace(str(HEAVY), str(set(HEAVY)))
    result = python("-c", code)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"usage: afsd {command}".strip())
    assert result.stdout.endswith("\nset()\n")


@pytest.mark.parametrize("command", parser.COMMANDS)
def test_scripts_and_modules_are_other_names_of_the_commands(command):
    expected = python("-m", "afsd_jax.cli", command, "--help")
    found = python(*OTHER_NAMES[command].split(), "--help")
    assert (found.returncode, found.stdout) == (0, expected.stdout)


def test_choices_are_those_of_the_library(capsys):
    choices = {
        ("prepare", "--encoding"): frame_codec.ENCODINGS,
        ("prepare", "--flow-method"): FLOW_METHODS,
        ("detect", "--flow-method"): FLOW_METHODS,
        ("prepare", "--keep-aspect"): KEEP_ASPECT,
        ("evaluate", "--benchmark"): BENCHMARKS,
        ("evaluate", "--rule"): RULES,
        ("prepare", ""): datasets.BUILDERS,
        ("export", "--format"): EXPORTED,
    }
    for (command, option), names in choices.items():
        line = refusal(capsys, command, *option.split(), "spam")
        listed = line.rpartition("must be one of")[2].rpartition(", not spam")[0]
        assert sorted(listed.strip().split(", ")) == sorted(names)


@pytest.mark.parametrize("command", parser.COMMANDS)
def test_unknown_arguments_are_refused_with_code_2(capsys, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    needed = NEEDED[command].replace("none.py", "thumos14").split()
    output = "--workdir" if command in WORKDIRS else "--output"
    assert "spam" in refusal(capsys, command, *needed, f"{output}=x", "--spam=1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("command", "option"), FILES + FOLDERS)
def test_outputs_of_a_wrong_kind_are_refused_before_any_work(
    capsys, tmp_path, monkeypatch, command, option
):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").write_text("precious")
    os.mkfifo("pipe")
    before = sorted(tmp_path.rglob("*"))
    is_file = (command, option) in FILES
    cases = {
        ("folder" if is_file else "file"): "folder: is a" if is_file else "file: is a file",
        "pipe": "pipe: is ",
        "file/x": "file: is a file" if command not in WORKDIRS else "file",
    }
    if command not in WORKDIRS:
        cases["nowhere/x"] = "nowhere: no such folder; make it with: mkdir -p nowhere"
    for path, message in cases.items():
        arguments = [command, *NEEDED[command].split(), *option.split(), path]
        assert message in refusal(capsys, *arguments)
    if os.geteuid():  # root may write anywhere
        Path("folder").chmod(0o500)
        arguments = [command, *NEEDED[command].split(), *option.split(), "folder/x"]
        assert "cannot be written" in refusal(capsys, *arguments)
    assert sorted(tmp_path.rglob("*")) == before
    assert Path("file").read_text() == "precious"


@pytest.mark.parametrize(
    "name", ["thumos14:flow", "thumos14.py:flow", "configs/thumos14.py:flow", "own/file.py:flow"]
)
def test_configurations_are_found_from_any_folder(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path("own").mkdir()
    Path("own/file.py").write_text("from afsd_jax.configs.thumos14 import get_config\n")
    Path("thumos14").mkdir()  # a folder is not meant
    config = load_config(name, ["--config.train.epochs=8", "--config.model.head_init", "normal"])
    assert (config.data.dataset, config.data.stream) == ("thumos14", "flow")
    assert (config.train.epochs, config.model.head_init) == (8, "normal")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("detct v.mp4", "not detct, the nearest is 'detect'; see afsd --help"),
        ("prepare video --output=x", "not video, the nearest is 'videos'; see"),
        (
            "prepare --output=x",
            "missing: dataset (one of activitynet, synthetic, thumos14, videos)",
        ),
        ("", "missing: COMMAND (one of "),
        ("detect --chekpoint=x v.mp4", "--chekpoint: no such flag, the nearest is '--checkpoint'"),
        ("train --config=videos --work_dir x", "--work_dir: no such flag, the nearest is '--work"),
        ("evaluate --config.data.data_dir=x", "no such flag, the nearest is '--data-dir'"),
        ("evaluate --predictions=x --gound-truth y", "the nearest is '--ground-truth'"),
        ("detect --format=jsn --output=x v.mp4", "not jsn, the nearest is 'json'"),
        ("prepare videos --encoding=jpg --output=x", "not jpg, the nearest is 'jpeg'"),
    ],
)
def test_what_was_meant_is_named(tmp_path, monkeypatch, capsys, line, message):
    monkeypatch.chdir(tmp_path)
    assert message in refusal(capsys, *line.split())
    assert list(tmp_path.iterdir()) == []


def test_a_flag_may_be_shortened_and_a_value_may_look_like_one(capsys):
    assert "v.mp4: no such file" in refusal(capsys, "detect", "--check=none", "v.mp4")
    assert "--chekpoint: no such" not in refusal(capsys, "detect", "--check=none", "--", "--chek")


def test_the_data_folder_of_training_is_one_field_by_two_names():
    given = parser.parse(["train", "--config=videos", "--workdir=x", "--data-dir=d"]).overrides
    assert load_config("videos", given).data.data_dir == "d"


OWN = "from afsd_jax.config import default_config\ndef get_config():\n    c = default_config()\n"


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("thumos", [], "thumos: no such configuration file; choose from anet, features, synthetic"),
        ("synthetic:depth", [], "config.data.stream='depth': must be one of rgb, flow"),
        ("thumos14", ["--config.trian.epochs=3"], "no such field; the nearest is --config.train."),
        ("thumos14", ["--config.model.trunk_widht=1"], "nearest is --config.model.trunk_width"),
        ("thumos14", ["--config.model=1"], "--config.model: no such field"),
        ("thumos14", ["--config.train.steps=ten"], "--config.train.steps=ten: must be a whole num"),
        ("thumos14", ["--config.train.steps", "1.5"], "--config.train.steps=1.5: must be a whole "),
        ("thumos14", ["--config.loss.margin=x"], "--config.loss.margin=x: must be a number"),
        ("thumos14", ["--config.model.quality=maybe"], "quality=maybe: must be true or false"),
        ("thumos14", ["--config.train.epochs"], "error: Missing value for flag --config.train.ep"),
        ("thumos14", ["--config.train.log_every=0"], "error: --config.train.log_every=0: must be "),
        ("thumos14", ["--config.data.data_dir=no"], "error: --config.data.data_dir='no': holds no"),
        ("thumos14", ["--config.train.epochs=1", "spam"], "unknown arguments: spam"),
        (
            "thumos14",
            ["--confg=1"],
            "error: --confg: no such flag, the nearest is '--config'; see ",
        ),
        ("thumos14", ["--data-dir=no"], "error: --data-dir='no': holds no"),
        ("thumos14", ["--data-dir=x", "--config.data.data_dir=y"], "both name the same folder"),
        (
            "thumos14",
            ["--batch-size", "4"],
            "is --config.inference.batch_size and --config.train.b",
        ),
        (OWN + "    c.data.clip_lenght = 64\n    return c\n", [], "clip_length"),
        (OWN + "    return 1 / 0\n", [], "ZeroDivisionError"),
        (OWN + "    return c.data\n", [], "own.py: lacks the field data.balanced; start"),
        ("def get_config(:\n", [], "SyntaxError"),
        ("x = 1\n", [], "get_config"),
    ],
)
def test_what_is_wrong_with_a_configuration_is_said_in_one_line(
    tmp_path, monkeypatch, capsys, name, overrides, message
):
    monkeypatch.chdir(tmp_path)
    if "\n" in name:
        Path("own.py").write_text(name)
        name = "own.py"
    line = refusal(capsys, "train", "--config", name, "--workdir=run", *overrides)
    assert message in line
    assert len(line) < 300
    assert not Path("run").exists()


def test_fields_left_unset_are_derived_from_the_stream_and_the_classes():
    config = default_config()
    config.data.stream = "flow"
    model = resolve(config, 5).model
    assert (model.in_channels, model.num_classes) == (2, 6)
    assert (config.model.in_channels, config.model.num_classes) == (0, 0)
    config.data.class_agnostic = True
    assert resolve(config, 200).model.num_classes == 2
    assert load_config("anet:rgb", ["--config.model.num_classes=2"]).model.num_classes == 2


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("num_classes", 5, "config.model.num_classes=5, but the data has 5 classes; set it to 6"),
        ("num_classes", 1, "config.model.num_classes=1: must be at least 2"),
        ("in_channels", 2, "config.model.in_channels=2: config.data.stream=rgb has 3"),
    ],
)
def test_fields_that_contradict_the_data_are_refused(field, value, message):
    config = default_config()
    config.model[field] = value
    with pytest.raises(UserError, match=message):
        resolve(config, 5)


@pytest.mark.parametrize(("value", "calls"), [(None, 4), ("1", 4), ("0", 0)])
def test_keeping_freed_memory_can_be_switched_off(monkeypatch, capsys, tmp_path, value, calls):
    called = []
    monkeypatch.setattr(memory, "accelerator_is_installed", lambda: False)
    monkeypatch.setattr(memory, "_glibc", lambda _: lambda *given: called.append(given))
    monkeypatch.delenv("AFSD_KEEP_FREED_MEMORY", raising=False)
    if value is not None:
        monkeypatch.setenv("AFSD_KEEP_FREED_MEMORY", value)
    refusal(capsys, "detect", "none.mp4", "--checkpoint=none", f"--output={tmp_path / 'x.json'}")
    assert len(called) == calls  # arenas, mapping, trimming, growth


@pytest.mark.parametrize(
    ("trained", "shuffled", "untrained", "failed"),
    [
        (0.71, 0.35, 0.05, ""),
        (0.69, 0.10, 0.01, "after training is 69.0 %, below 70 %"),
        (0.80, 0.41, 0.01, "on shuffled frames is 41.0 %, above 40.0 %"),
        (0.80, 0.20, 0.06, "without training is 6.0 %, above 5 %"),
        (float("nan"), 0.2, 0.01, "after training is nan"),
    ],
)
def test_the_demo_fails_unless_motion_was_learnt(trained, shuffled, untrained, failed):
    line = demo.broken_bound(trained, shuffled, untrained)
    assert failed in line
    assert bool(line) == bool(failed)
