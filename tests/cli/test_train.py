"""The flags of `afsd train`: several processes, and renamed classes."""

import pytest

from afsd_jax import cli


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--coordinator=a:1"], "error: --num-processes, --process-id: missing"),
        (["--num-processes=2", "--process-id=0"], "error: --coordinator: missing"),
        (["--process-id=0"], "error: --coordinator, --num-processes: missing"),
        (["--coordinator=a", "--num-processes=2", "--process-id=0"], "must be HOST:PORT"),
        (["--coordinator=a:1", "--num-processes=2", "--process-id=2"], "must be from 0 to 1"),
        (["--coordinator=a:1", "--num-processes=2", "--process-id=-1"], "must be from 0 to 1"),
        (["--coordinator=a:1", "--num-processes=0", "--process-id=0"], "must be at least 1"),
        (["--rename=run"], "--rename: must be OLD=NEW, two names of a class, not run"),
        (["--rename=run="], "must be OLD=NEW, two names of a class, not run="),
        (["--rename=run=a", "--rename=run=b"], "--rename: run is named twice"),
        (["--rename=run=a", "--rename=jump=a"], "--rename: a is named twice"),
    ],
)
def test_flags_that_do_not_fit_together_are_one_line(tmp_path, capsys, flags, message):
    arguments = ["train", "--config=synthetic", f"--workdir={tmp_path / 'run'}", *flags]
    assert cli.main(arguments) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert not (tmp_path / "run").exists()
