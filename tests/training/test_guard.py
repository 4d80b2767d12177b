"""What is not finite is counted, named and, beyond the limit, ends training."""

import numpy as np
import pytest

from afsd_jax.errors import UserError
from afsd_jax.training.guard import Guard
from afsd_jax.training.meter import Meter

FINE = {"loc": np.float32(0.5), "conf": np.float32(2), "total": np.float32(3)}
WRONG = {"loc": np.float32(np.inf), "conf": np.float32(2), "total": np.float32(np.inf)}


def clips_of(batch: int) -> list[tuple[str, int]]:
    return [(f"video{batch}", 30 * clip) for clip in range(2)]


def test_a_step_is_judged_one_later_and_named_with_its_clips():
    guard = Guard(0, clips_of)
    guard.look(1, FINE, np.True_)
    guard.look(2, WRONG, np.False_)
    message = "the loss loc is not finite at step 2, on video1 from frame 0, video1 from frame 30;"
    with pytest.raises(UserError, match=message):
        guard.look(3, FINE, np.True_)


def test_a_gradient_that_is_not_finite_is_named_as_such():
    guard = Guard(0, clips_of)
    guard.look(1, FINE, np.False_)
    with pytest.raises(UserError, match="the gradient is not finite at step 1"):
        guard.settle()


def test_as_many_steps_as_allowed_are_skipped(capsys):
    guard = Guard(2, clips_of)
    for step in range(1, 3):
        guard.look(step, WRONG, np.False_)
    guard.settle()
    guard.settle()
    assert guard.skipped == 2
    assert "skipped (1 of 2)" in capsys.readouterr().err
    guard.look(3, WRONG, np.False_)
    with pytest.raises(UserError):
        guard.settle()


def test_segments_that_shrank_to_nothing_are_said_once(capsys):
    guard = Guard(0, clips_of)
    shrunk = FINE | {"loc": np.float32(1)}
    for step in range(1, 40):
        guard.look(step, FINE if step == 9 else shrunk, np.True_)
    said = capsys.readouterr().err
    assert said.count("shrunk to nothing") == 1
    assert "by step 19," in said


def test_speed_leaves_pauses_out(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    meter = Meter(batch_size=4)
    for _ in range(2):
        with meter.waiting():
            now[0] += 1
        now[0] += 3
    with meter.paused():
        now[0] += 100
    assert meter.read() == {"clips_per_s": 1.0, "input_wait": 0.25}
    now[0] += 1
    assert meter.read() == {"clips_per_s": 0.0, "input_wait": 0.0}
