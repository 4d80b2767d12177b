"""Detection on Apache Beam writes the files that one process writes."""

import json
import os

import numpy as np
import pytest

from afsd_jax import cli
from tests.small_run import run
from tests.untrained_checkpoints import write_untrained
from tests.video_files import numbered_frames, write_video


def test_workers_write_what_one_process_writes_and_bad_videos_are_named(tmp_path, capfd):
    write_untrained(tmp_path / "checkpoint", "rgb")
    (tmp_path / "in").mkdir()
    for number, place in enumerate(("0.mp4", "day1/take.mp4", "day2/take.mp4")):
        frames = np.roll(numbered_frames(80, 38, 38), number, axis=0)
        (tmp_path / "in" / place).parent.mkdir(exist_ok=True)
        write_video(tmp_path / "in" / place, frames, rate=10)
    (tmp_path / "in" / "bad.mp4").write_text("no video")
    given = tmp_path / "in", f"--checkpoint={tmp_path / 'checkpoint'}", "--format=json,csv,html"
    here, there = tmp_path / "here", tmp_path / "there"
    (there / ".beam.abcdefgh.afsd-partial").mkdir(parents=True)  # a killed process left it
    assert cli.main(["detect", *map(str, given), f"--output={here}"]) == 1
    capfd.readouterr()
    beam = "runner=DirectRunner,direct_num_workers=2,direct_running_mode=multi_processing"
    result = run("afsd_jax.detect", *given, f"--output={there}", f"--beam-options={beam}")
    assert result.returncode == 1, result.stderr
    assert f"failed: {tmp_path / 'in' / 'bad.mp4'}: " in result.stderr
    assert sorted(os.listdir(there)) == sorted(os.listdir(here))
    for name in ("0", "day1__take", "day2__take"):  # videos of one name, told apart
        one, other = (json.loads((folder / f"{name}.json").read_text()) for folder in (here, there))
        assert other["external_data"] == one["external_data"]  # either goes on with the other's
        pairs = zip(one["results"][name][:20], other["results"][name][:20], strict=True)
        for ours, theirs in pairs:
            assert ours["score"] == pytest.approx(theirs["score"], rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x.mp4", "--output=x.json"], "--beam-options: needs --format"),
        (["-"], "--beam-options: not with -"),
    ],
)
def test_options_that_beam_cannot_have_are_refused(
    tmp_path, arguments, message, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.mp4").write_text("no video")
    options = "--checkpoint=none", "--beam-options=runner=DirectRunner"
    assert cli.main(["detect", *options, *arguments]) == 2
    assert message in capsys.readouterr().err
