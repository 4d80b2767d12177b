"""One detector in several threads gives what it gives in one."""

import functools
import itertools
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from afsd_jax.detection.recognizer import Recognizer
from afsd_jax.runtime.prefetch import in_short_turns
from tests.thread_calls import detector_by, many, noise, online
from tests.video_files import write_video

THREADS = 8


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("videos")
    return [write_video(folder / f"{n}.mkv", noise(n), rate=10) for n in range(4)]


def in_threads(calls: list[Callable[[], object]]) -> list[object]:
    """Results of the calls, of which eight always run at once."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda call: call(), calls))


@pytest.mark.parametrize("backend", ["openvino", "xla"])
def test_threads_get_what_one_thread_gets(files, backend):
    detector = detector_by(backend)
    calls: list[Callable[[], object]] = []
    for n, file in enumerate(files):
        calls.append(functools.partial(detector.detect, file))
        calls.append(functools.partial(detector.detect, noise(n), 10.0))
        calls.append(functools.partial(many, detector, files[n:]))
        calls.append(functools.partial(online, detector, file))
    together = in_threads(calls * 2)  # first, so that compiling is among what threads do at once
    alone = [call() for call in calls]
    assert all(alone)  # each call finds something
    for found, expected in zip(together, itertools.cycle(alone)):
        assert found == expected


def test_threads_classify_as_one_does():
    recognizer = Recognizer(32)
    videos = [noise(n)[: 8 + 8 * n] for n in range(4)]
    calls = [
        functools.partial(recognizer.logits, iter(video), len(video))
        for video in videos * 2  # as many as there are threads
    ]
    alone = [recognizer.logits(iter(video), len(video)) for video in videos]
    for found, expected in zip(in_threads(calls), itertools.cycle(alone)):
        np.testing.assert_array_equal(found, expected)


def test_the_last_of_several_threads_restores_the_usual_turns():
    usual = sys.getswitchinterval()
    first_in, second_in = threading.Event(), threading.Event()
    first_out = threading.Event()

    def first() -> None:
        with in_short_turns():
            first_in.set()
            second_in.wait(10)
        first_out.set()

    thread = threading.Thread(target=first)
    thread.start()
    first_in.wait(10)
    with in_short_turns():
        second_in.set()
        first_out.wait(10)
        assert sys.getswitchinterval() < usual
    thread.join()
    assert sys.getswitchinterval() == usual
