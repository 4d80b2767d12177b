"""Non-finite steps are counted, named and, beyond the limit, end training; speed is measured."""

import numpy as np
import pytest

from afsd_jax.errors import UserError
from afsd_jax.training.monitoring import NonFiniteGuard, Throughput

FINE = {"loc": np.float32(0.5), "conf": np.float32(2), "total": np.float32(3)}
WRONG = {"loc": np.float32(np.inf), "conf": np.float32(2), "total": np.float32(np.inf)}


def clips_of(batch: int) -> list[tuple[str, int]]:
    return [(f"video{batch}", 30 * clip) for clip in range(2)]


def test_a_step_is_checked_at_the_next_and_named_with_its_clips():
    guard = NonFiniteGuard(0, clips_of)
    guard.add(1, FINE, np.True_)
    guard.add(2, WRONG, np.False_)
    message = "the loss loc is not finite at step 2, on video1 from frame 0, video1 from frame 30;"
    with pytest.raises(UserError, match=message):
        guard.add(3, FINE, np.True_)


def test_a_gradient_that_is_not_finite_is_named_as_such():
    guard = NonFiniteGuard(0, clips_of)
    guard.add(1, FINE, np.False_)
    with pytest.raises(UserError, match="the gradient is not finite at step 1"):
        guard.flush()


def test_as_many_steps_as_allowed_are_skipped(caplog):
    guard = NonFiniteGuard(2, clips_of)
    for step in range(1, 3):
        guard.add(step, WRONG, np.False_)
    guard.flush()
    guard.flush()
    assert guard.skipped == 2
    assert "skipped (1 of 2)" in caplog.text
    guard.add(3, WRONG, np.False_)
    with pytest.raises(UserError):
        guard.flush()


def test_segments_that_shrank_to_nothing_are_reported_once(caplog):
    guard = NonFiniteGuard(0, clips_of)
    shrunk = FINE | {"loc": np.float32(1)}
    for step in range(1, 40):
        guard.add(step, FINE if step == 9 else shrunk, np.True_)
    text = caplog.text
    assert text.count("shrunk to length zero") == 1
    assert "by step 19," in text


def test_throughput_excludes_pauses(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    throughput = Throughput(batch_size=4)
    for _ in range(2):
        with throughput.waiting():
            now[0] += 1
        now[0] += 3
    with throughput.paused():
        now[0] += 100
    assert throughput.read() == {"clips_per_s": 1.0, "input_wait": 0.25}
    now[0] += 1
    assert throughput.read() == {"clips_per_s": 0.0, "input_wait": 0.0}
