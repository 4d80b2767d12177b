"""The labelling page of a running server in a real browser, with what tests do and ask."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from playwright import sync_api

from afsd_jax.labelling.changes import Suggested
from afsd_jax.labelling.label_store import LabelStore
from afsd_jax.labelling.records import Suggestion
from tests.barcodes import BITS
from tests.labelling.served import Served
from tests.report.opened import Opened, window

# The number that the picture on the screen shows as bars, as tests/barcodes.py draws it.
_NUMBER = """(bits) => {
  const video = document.querySelector("video"), pen = new OffscreenCanvas(bits, 1)
    .getContext("2d", { willReadFrequently: true });
  pen.drawImage(video, 0, video.videoHeight / 2, video.videoWidth, 1, 0, 0, bits, 1);
  const { data } = pen.getImageData(0, 0, bits, 1);
  let number = 0;
  for (let bit = 0; bit < bits; bit++) number += (data[4 * bit] > 128) << bit;
  return number;
}"""
# Whether a video is open, and the player shows the frame that it was sent to.
_STILL = """(number) => {
  const video = document.querySelector("video"), { player, open } = page;
  return open && (number ?? open.number) === open.number && video?.readyState > 1
    && player.shift !== null && player.goal === null && !video.seeking;
}"""


class LabelWindow(Opened):
    """The page; other attributes are those of Playwright's page."""

    def __init__(self, page: sync_api.Page, served: Served):
        super().__init__(page)
        self.first = page.locator("section.video")
        self.served = served

    def show(self, number: int) -> None:
        """Opens a video by its address."""
        self.page.goto(f"{self.served.origin}/#video={number}")
        self.wait_for_video(number)

    def wait_for_video(self, number: int | None = None) -> None:
        """Waits until a video is open, this one if it is given, and shows a picture."""
        self.page.wait_for_function(_STILL, arg=number)
        self.settle()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def write(self, text: str) -> None:
        self.page.keyboard.type(text)

    def saved(self) -> None:
        """Waits until the server has all changes."""
        self.settle()
        self.page.wait_for_function(
            "() => document.querySelector('.saved').textContent === 'saved'"
        )

    def status(self) -> str:
        return self.page.locator(".lanes-card .status").inner_text()

    def told(self) -> tuple[float, int]:
        """Returns the time and the number of the frame that the page states."""
        minutes, seconds = self.page.locator(".transport .time").inner_text().split(":")
        frame = self.page.locator(".transport .frame").inner_text()
        return 60 * int(minutes) + float(seconds), int(frame.removeprefix("frame "))

    def number_on_screen(self) -> int:
        """Waits until the player is still; returns the number in its picture."""
        self.wait_for_video()
        return self.page.evaluate(_NUMBER, BITS)

    def place(self, time: float, lane: int) -> tuple[float, float]:
        """Returns where a time is in a lane, of lanes of one row each, in pixels of the window."""
        canvas = self.first.locator(".timeline canvas")
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        lanes = self.first.locator(".classes li").count()
        x = box["x"] + self.page.evaluate("(time) => page.timeline.x(time)", time)
        height = (box["height"] - 26) / lanes
        return x, box["y"] + 26 + (lane + 0.5) * height

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drags with the mouse."""
        mouse = self.page.mouse
        mouse.move(*start)
        mouse.down()
        mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        mouse.move(*end)
        mouse.up()

    def labels(self, number: int = 1) -> list[tuple[str, float, float, str]]:
        """Returns the segments that the server has: class, start, end and note, in time."""
        self.saved()
        listed = self.served.video(number)["segments"]
        rows = [(s["label"], s["start"], s["end"], s["note"]) for s in listed]
        return sorted(rows, key=lambda row: row[1:3])


@contextlib.contextmanager
def labelling(
    browser: sync_api.Browser, served: Served, *expected: str, **options: object
) -> Iterator[LabelWindow]:
    """Opens the page by the printed address; what its console says is a failure.

    Args:
      browser: the browser.
      served: the server.
      *expected: parts of complaints that are none.
      **options: of Playwright's contexts.
    """
    complaints: list[str] = []
    with window(browser, **options) as page:
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{served.origin}/?token={served.token}")
        page.wait_for_selector(".videos li", state="attached")
        yield LabelWindow(page, served)
    assert [c for c in complaints if not any(part in c for part in expected)] == []


Row = tuple[str, str, float, float, float]


def suggest(labels: Path, videos: dict[str, Path], found: dict[str, Sequence[Row]]) -> None:
    """Keeps suggestions beside a labels file before a server opens it.

    Args:
      labels: the labels file.
      videos: files by name.
      found: for each video, id, class, start, end and score of each suggestion.
    """
    store = LabelStore(labels, videos, dict.fromkeys(videos, 1e6))
    for name, listed in found.items():
        store.change(Suggested(name, [Suggestion(*row) for row in listed]))
    store.close()
