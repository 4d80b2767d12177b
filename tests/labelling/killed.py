"""Labelling by a server that is killed at random moments: what must be there afterwards."""

import contextlib
import http.client
import random
import threading
import time
from pathlib import Path

from afsd_jax.data.annotations import read_annotations
from tests.labelling.served import Served, segment, serving, until


class Labelling:
    """Changes one video as fast as it is answered, and remembers what was answered.

    Attributes:
      answered: start and end of each segment by its id, after the last answered change.
      count: number of changes that were sent.
      doubtful: id of the segment of a change that was not answered; it may be as before or after.
    """

    def __init__(self, seed: int):
        """Has changed nothing; `seed` chooses the changes."""
        self.answered: dict[str, tuple[float, float]] = {}
        self.doubtful: str | None = None
        self._random, self.count, self._version = random.Random(seed), 0, 0

    def run(self, served: Served) -> None:
        """Changes until there is no answer."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            self._change(served)

    def _change(self, served: Served) -> None:
        self.doubtful, self._version = None, served.video()["version"]
        while True:
            self.count += 1
            known = sorted(self.answered)
            new = len(known) < 3 or self._random.random() < 0.5
            key = f"k{self.count}" if new else self._random.choice(known)
            removes = not new and self._random.random() < 0.3
            start = round(self._random.uniform(0, 1), 3)
            end = round(start + 0.5, 3)
            change = {"remove": [key]} if removes else {"put": [segment(key, start, end)]}
            self.doubtful = key
            answer = served.post("/api/videos/1", {"version": self._version, **change})
            assert answer.status == 200, answer
            self._version = answer.json["version"]
            if removes:
                del self.answered[key]
            else:
                self.answered[key] = (start, end)
            self.doubtful = None

    def take_doubtful(self, segments: dict[str, tuple[float, float]]) -> None:
        """Takes the change without answer as it turned out to be."""
        if self.doubtful is not None:
            self.answered.pop(self.doubtful, None)
            if self.doubtful in segments:
                self.answered[self.doubtful] = segments[self.doubtful]


def check_kills(footage: Path, labels: Path, kills: int, seed: int) -> int:
    """Kills a server again and again; returns the number of answered changes.

    After each kill the labels file is whole, and the next server has each answered change.
    """
    labelling, moments = Labelling(seed), random.Random(seed + 1)
    for _ in range(kills):
        with serving(footage, "--labels", labels) as served:
            check_labels(served, labels, labelling)
            worker = threading.Thread(target=labelling.run, args=[served])
            worker.start()
            time.sleep(moments.uniform(0, 1))
            served.kill()
            worker.join()
        if labels.exists():
            read_annotations(labels)
    with serving(footage, "--labels", labels) as served:
        check_labels(served, labels, labelling)
    return labelling.count


def check_labels(served: Served, labels: Path, labelling: Labelling) -> None:
    """Checks that a server has what was answered, and writes the same to the labels file."""
    found = {s["id"]: (s["start"], s["end"]) for s in served.video()["segments"]}
    labelling.take_doubtful(found)
    assert found == labelling.answered
    if found:
        until(lambda: labels.exists() and in_file(labels) == sorted(found.values()))


def in_file(labels: Path) -> list[tuple[float, float]]:
    videos = read_annotations(labels)
    return sorted((a.start_s, a.end_s) for video in videos.values() for a in video.actions)
