"""A page of detections opened in a real browser, with the queries and actions that tests need."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from playwright import sync_api

CHROMIUM = Path("/usr/bin/chromium")
VIEWPORT = {"width": 1200, "height": 1000}
# The box, in pixels of the canvas' place, of the columns to the right of the names that hold a
# colour in more than the few pixels in which edges are blended.
_BOX = """(canvas, [color, from]) => {
  const scale = canvas.width / canvas.clientWidth, { width, height } = canvas;
  const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, width, height);
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (let x = Math.ceil(from * scale); x < width; x++) {
    const rows = [];
    for (let y = 0; y < height; y++)
      if (color.every((value, i) => Math.abs(data[4 * (y * width + x) + i] - value) <= 8))
        rows.push(y);
    if (rows.length < 5) continue;
    [box[0], box[1]] = [Math.min(box[0], x), Math.min(box[1], rows[0])];
    [box[2], box[3]] = [x + 1, Math.max(box[3], rows.at(-1) + 1)];
  }
  return box[0] < Infinity ? box.map((value) => value / scale) : null;
}"""

# Records what is written in the latest picture of the first timeline.
_RECORD = """() => {
  const first = document.querySelector("article canvas");
  window.drawn = [];
  const copy = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const prototype = CanvasRenderingContext2D.prototype;
  const real = (prototype.real ??= { scale: prototype.scale, fillText: prototype.fillText });
  prototype.scale = function (x, y) { // begins each picture
    if (this.canvas === first) window.drawn = [];
    real.scale.call(this, x, y);
  };
  prototype.fillText = function (text, x, y) {
    if (this.canvas !== first) return real.fillText.call(this, text, x, y);
    const half = this.textAlign === "center" ? this.measureText(text).width / 2 : 0;
    const scale = this.getTransform().a;
    const place = [x - half - 2, y].map((at) => Math.round(at * scale));
    copy.drawImage(this.canvas, ...place, 1, 1, 0, 0, 1, 1);
    const ground = [...copy.getImageData(0, 0, 1, 1).data.slice(0, 3)];
    window.drawn.push({ text, x, y, ink: this.fillStyle, ground });
    real.fillText.call(this, text, x, y);
  };
}"""


class Opened:
    """A page; other attributes are those of Playwright's page."""

    def __init__(self, page: sync_api.Page):
        self.page = page
        self.first = page.locator("article").first

    def __getattr__(self, name):
        return getattr(self.page, name)

    def resize(self, width: int) -> None:
        """Changes the width of the window, and waits until the page has been drawn again."""
        self.page.set_viewport_size({**VIEWPORT, "width": width})
        self.settle()

    def settle(self) -> None:
        """Waits until what is to be drawn is drawn."""
        self.page.evaluate(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )

    def set_threshold(self, value: float) -> None:
        self.page.locator("#threshold").evaluate(
            "(slider, value) => {"
            " slider.value = value; slider.dispatchEvent(new Event('input')); }",
            value,
        )

    def wait_until(self, condition: str) -> None:
        """Waits for something to be true of the first `video`."""
        self.page.wait_for_function(
            f"() => {{ const video = document.querySelector('video'); return {condition}; }}"
        )

    def time(self) -> float:
        return self.page.evaluate("document.querySelector('video').currentTime")

    def status(self) -> str:
        return self.first.locator(".status").inner_text()

    def playhead(self) -> float:
        """Returns where it is, in pixels of the window."""
        self.settle()
        box = self.first.locator(".playhead").bounding_box()
        return box["x"] + box["width"] / 2

    def playhead_at(self, time: float) -> float:
        """Returns where it is after seeking."""
        self.page.locator("video").first.evaluate(
            "(video, time) => new Promise(done => {"
            " video.addEventListener('seeked', done, { once: true }); video.currentTime = time; })",
            time,
        )
        return self.playhead()

    def shown_s(self) -> tuple[float, float]:
        """Returns the first and last second in view, as those are told who cannot see."""
        self.settle()
        label = self.first.locator("canvas").get_attribute("aria-label")
        found = re.search(r"from (\d+):([\d.]+) to (\d+):([\d.]+)", label).groups()
        minutes, seconds = map(float, found[::2]), map(float, found[1::2])
        return tuple(60 * m + s for m, s in zip(minutes, seconds, strict=True))

    def seconds_across(self) -> float:
        start_s, end_s = self.shown_s()
        return end_s - start_s

    def span_of(self, color: str) -> tuple[float, float] | None:
        """Returns where a colour, #rrggbb, is on the time axis, in seconds."""
        start_s, end_s = self.shown_s()
        canvas = self.first.locator("canvas").bounding_box()["x"]
        left, right = (self.playhead_at(time) - canvas for time in (start_s, end_s))
        box = self._box_of(color, left)
        return box and tuple(np.interp((box[0], box[2]), (left, right), (start_s, end_s)))

    def texts_drawn(self) -> list[dict[str, object]]:
        """Draws the first timeline again; returns its texts: text, x, y, colours of ink and ground.

        x is the centre of a text or the left end of a name, pixels of the canvas. The ground is the
        pixel two pixels beside the text.
        """
        self.page.evaluate(_RECORD)
        self.page.keyboard.press("0")
        self.settle()
        return self.page.evaluate("drawn")

    def click_on(self, color: str) -> None:
        """Clicks the centre of a colour's area in the timeline."""
        left = self.playhead_at(0) - self.first.locator("canvas").bounding_box()["x"]
        x0, y0, x1, y1 = self._box_of(color, left)
        self.first.locator("canvas").click(position={"x": (x0 + x1) / 2, "y": (y0 + y1) / 2})

    def _box_of(self, color: str, left: float) -> list[float] | None:
        given = [list(bytes.fromhex(color[1:])), left]
        return self.first.locator("canvas").evaluate(_BOX, given)


@contextlib.contextmanager
def window(browser: sync_api.Browser, **options: object) -> Iterator[sync_api.Page]:
    """Opens a window; `options` are those of Playwright's contexts."""
    context = browser.new_context(**{"viewport": VIEWPORT, **options})
    yield context.new_page()
    context.close()


@contextlib.contextmanager
def visited(page: sync_api.Page, path: Path, expected: str = "") -> Iterator[Opened]:
    """Opens a page in a window; console errors and network requests are failures.

    Args:
      page: the window.
      path: of the page.
      expected: part of complaints that are none.
    """
    complaints: list[str] = []
    asked: list[str] = []
    listeners = {
        "console": lambda message: complaints.append(message.text),
        "pageerror": lambda error: complaints.append(str(error)),
        "request": lambda request: asked.append(request.url),
    }
    for event, listener in listeners.items():
        page.on(event, listener)
    page.goto(path.as_uri())
    view = Opened(page)
    view.settle()
    yield view
    for event, listener in listeners.items():
        page.remove_listener(event, listener)
    assert [text for text in complaints if not expected or expected not in text] == []
    assert asked[0] == path.as_uri()
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []


@contextlib.contextmanager
def opened(
    browser: sync_api.Browser, path: Path, expected: str = "", **options: object
) -> Iterator[Opened]:
    """Opens a page in a new window; see `window` and `visited`."""
    with window(browser, **options) as page, visited(page, path, expected) as view:
        yield view
