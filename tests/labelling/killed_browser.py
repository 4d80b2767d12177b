"""Labelling by keyboard in a browser that is killed at random moments: what is kept afterwards."""

import contextlib
import os
import random
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from playwright import sync_api

from afsd_jax.data.annotations import read_annotations
from tests.labelling.label_window import LabelWindow
from tests.labelling.served import Served, serving, until
from tests.report.opened import CHROMIUM

CLASSES = ("run", "walk")
# What the page shows: its word about saving, the labels, the selected one, frame, and class.
_SHOWN = """() => {
  const row = ({ label, start, end }) => [label, start, end];
  const { items, selected, player, current } = page;
  const word = document.querySelector(".saved").textContent;
  return [word, items.map(row), selected && row(selected), player.index, current];
}"""

Row = tuple[str, float, float]  # class, start and end of a label


class Shown(NamedTuple):
    """What the page shows at one time."""

    saved: bool
    rows: list[Row]
    selected: Row | None
    frame: int
    current: int


class Typist:
    """Labels by keyboard, and knows which states of the labels may be found after a kill.

    Attributes:
      possible: the labels that were last shown as saved, and as each later change leaves them.
      changes: number of changes.
      saved: how often changes were shown as saved.
      open: number of kills while a change was being made or saved.
    """

    def __init__(self, seed: int):
        """Has changed nothing; `seed` chooses the changes."""
        self.possible: list[list[Row]] = [[]]
        self.changes = self.saved = self.open = 0
        self._random = random.Random(seed)

    def type(self, page: LabelWindow, times: list[float]) -> None:
        """Changes labels until the browser is gone; `times` are those of the frames, seconds."""
        shown = self._look(page)
        assert shown.saved
        assert shown.rows in self.possible
        self.possible = [shown.rows]
        while True:
            keys, rows = self._chosen(shown, times)
            changes = sorted(rows) != shown.rows
            if len(set(rows)) < len(rows):
                continue  # two labels that are the same are one in a table
            if changes:
                self.possible.append(sorted(rows))
                self.changes += 1
            page.press(*keys)
            if self._random.random() < 0.4:
                page.saved()
            shown = self._look(page)
            assert shown.rows == self.possible[-1]
            if shown.saved:
                self.saved += len(self.possible) > 1
                self.possible = self.possible[-1:]

    def _look(self, page: LabelWindow) -> Shown:
        word, rows, selected, frame, current = page.evaluate(_SHOWN)
        rows = sorted(map(tuple, rows))
        return Shown(word == "saved", rows, selected and tuple(selected), frame, current)

    def _chosen(self, shown: Shown, times: list[float]) -> tuple[list[str], list[Row]]:
        """Returns keys to press, of which the last one may make a change, and the labels then."""
        others = [row for row in shown.rows if row != shown.selected]
        kind = self._random.choice(("mark", "mark", "class", "delete", "pick"))
        if kind == "class" and shown.selected:
            index = self._random.randrange(len(CLASSES))
            return [str(index + 1)], [*others, (CLASSES[index], *shown.selected[1:])]
        if kind == "delete" and shown.selected and others:
            return ["Delete"], others
        if kind == "pick":
            return [self._random.choice(("ArrowUp", "ArrowDown"))], shown.rows
        count = self._random.randint(1, 6)
        first = shown.frame if shown.frame + count < len(times) else 0
        new = (CLASSES[shown.current], times[first], times[first + count])
        keys = [*["Home"] * (first == 0), "i", *["."] * count, "o"]
        return keys, [*shown.rows, new]


@contextlib.contextmanager
def chromium(
    kind: sync_api.BrowserType,
) -> Iterator[tuple[sync_api.Page, subprocess.Popen[bytes]]]:
    """Starts a browser as a process group of its own; returns a page and the process."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        flags = ["--headless=new", "--no-sandbox", "--remote-debugging-port=0", "--no-first-run"]
        process = subprocess.Popen(
            [CHROMIUM, *flags, f"--user-data-dir={folder}", "about:blank"],
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            told = Path(folder) / "DevToolsActivePort"
            port = until(lambda: told.exists() and told.read_text().partition("\n")[0])
            browser = kind.connect_over_cdp(f"http://127.0.0.1:{port}")
            yield browser.contexts[0].new_page(), process
        finally:
            kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kills a browser with all its processes."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def check_browser_kills(
    kind: sync_api.BrowserType, footage: Path, labels: Path, kills: int, seed: int
) -> Typist:
    """Kills a browser again and again, every other time the server at once after it.

    After each kill all that the page had shown as saved is in the labels file.

    Args:
      kind: Playwright's Chromium.
      footage: folder of videos, of which the first one is labelled.
      labels: labels file.
      kills: how often.
      seed: of moments and changes.
    """
    typist, moments = Typist(seed), random.Random(seed + 1)
    for number in range(kills):
        with serving(footage, "--labels", labels) as served:
            if not number:
                put = [{"name": name, "color": "#aa3355"} for name in CLASSES]
                assert served.post("/api/classes", {"put": put}).status == 200
            check_labels(served, labels, typist)
            label_until_killed(kind, served, typist, moments.uniform(0, 1.5))
            typist.open += len(typist.possible) > 1
            if number % 2:
                served.kill()
            else:
                check_labels(served, labels, typist)
        if labels.exists():
            read_annotations(labels)
    with serving(footage, "--labels", labels) as served:
        check_labels(served, labels, typist)
    return typist


def label_until_killed(
    kind: sync_api.BrowserType, served: Served, typist: Typist, after_s: float
) -> None:
    """Labels in a new browser, which is killed some seconds after it shows the video."""
    with chromium(kind) as (page, process):
        page.goto(f"{served.origin}/?token={served.token}")
        page.wait_for_selector(".videos li", state="attached")
        window = LabelWindow(page, served)
        window.show(1)
        timer = threading.Timer(after_s, kill, [process])
        timer.start()
        with contextlib.suppress(sync_api.Error):
            typist.type(window, served.video()["times"])
        timer.join()


def check_labels(served: Served, labels: Path, typist: Typist) -> None:
    """Checks that a server has what was shown as saved, and writes the same to the labels file."""

    def same() -> bool:
        found = sorted((s["label"], s["start"], s["end"]) for s in served.video()["segments"])
        assert found in typist.possible
        return in_file(labels) == found

    until(same)


def in_file(labels: Path) -> list[Row]:
    videos = read_annotations(labels) if labels.exists() else {}
    return sorted((a.label, a.start_s, a.end_s) for video in videos.values() for a in video.actions)
