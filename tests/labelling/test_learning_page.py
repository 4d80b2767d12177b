"""A whole round of learning in the page: begun, stopped, continued, and what it brought."""

import pytest

from tests.labelling.label_window import labelling
from tests.labelling.served import serving, until
from tests.labelling.small_learning import arguments, label, write_small

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.usefixtures("fast_compiling")

ROUND_MS = 600_000
# Keeps what the panel of learning shows: each text, and each value of the bar.
_WATCH = """() => {
  const panel = document.querySelector(".learn"), bar = panel.querySelector("progress");
  window.shown = { texts: [], bars: [] };
  const note = () => {
    const text = panel.querySelector("[role=status]").textContent;
    if (text !== shown.texts.at(-1)) shown.texts.push(text);
    if (!bar.hidden) shown.bars.push(bar.value);
  };
  new MutationObserver(note).observe(panel, { subtree: true, childList: true, attributes: true });
}"""
# How often the colour changes in a pixel along the upper edge of each bar in view that is at least
# 50 pixels long, of suggestions or of labels.
_STRIPES = """(hatched) => {
  const { timeline } = page, canvas = document.querySelector(".timeline canvas");
  const { width, height, clientWidth, clientHeight } = canvas, scale = width / clientWidth;
  const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const inView = ([x, y, width, height]) =>
    x >= timeline.left && width >= 50 && y >= AXIS && y + height <= clientHeight;
  return [...timeline.barOf.values()].filter((bar) => bar.hatched === hatched)
    .map((bar) => timeline.place(bar)).filter(inView).map(([x, y, width]) => {
      const row = [x + 8, y + 3, width - 16, 1].map((value) => Math.round(value * scale));
      const { data } = copy.getImageData(...row);
      let changes = 0;
      for (let i = 4; i < data.length; i += 4)
        changes += [0, 1, 2].some((part) => Math.abs(data[i + part] - data[i + part - 4]) > 8);
      return changes / (width - 16);
    });
}"""


@pytest.fixture
def served(tmp_path):
    """A server of four videos, of which three are reviewed."""
    write_small(tmp_path)
    with serving(*arguments(tmp_path, tmp_path / "labels.csv")) as running:
        label(running)
        yield running


def wait_for_state(page, *words):
    """Waits until the panel of learning begins with one of these words."""
    page.wait_for_function(
        "(words) => words.some((word) =>"
        " document.querySelector('.learn [role=status]').textContent.startsWith(word))",
        arg=words,
        timeout=ROUND_MS,
    )


def test_a_round_is_begun_stopped_continued_and_used_in_the_page(browser, served):
    with labelling(browser, served) as page:
        button = page.locator(".learn").get_by_role("button")
        assert button.inner_text() == "Learn"
        assert not page.locator(".rounds").is_visible()
        page.evaluate(_WATCH)
        button.click()
        wait_for_state(page, "computing features", "learning")
        assert page.locator(".learn progress").is_visible()
        assert button.inner_text() == "Stop"
        button.click()
        wait_for_state(page, "stopped")
        assert button.inner_text() == "Go on"
        assert not page.locator(".learn progress").is_visible()
        assert served.get("/api/project").json["learn"]["state"] == "stopped"
        assert not page.locator(".rounds").is_visible()
        button.click()
        wait_for_state(page, "done", "failed")
        check_progress(page)
        assert button.inner_text() == "Learn"
        check_round(page, served)
        check_report(page)
        check_suggestions(page, served)


def check_progress(page):
    """Each step was shown in its order, with a bar that moved."""
    texts = page.evaluate("shown.texts")
    assert texts[-1] == "done · round 1 is done"
    steps = ("preparing", "learning", "stopped", "learning", "looking for actions", "done")
    rest = iter(texts)
    assert all(any(text.startswith(step) for text in rest) for step in steps), texts
    assert any("round 1: learning from 3 videos" in text for text in texts)
    bars = page.evaluate("shown.bars")
    assert any(0 < value < 1 for value in bars), bars


def check_round(page, served):
    [one] = served.get("/api/project").json["learn"]["rounds"]
    [cells] = [row.split() for row in page.locator(".rounds tbody tr").all_inner_texts()]
    expected = [1, 3, 6, 100 * one["map"], 100 * one["f1"], 6, one["minutes"]]
    assert cells.pop(5) == "–"  # no suggestion was there to be accepted
    assert list(map(float, cells)) == pytest.approx(expected, abs=0.0501)
    assert page.locator(".curve circle").count() == 2


def check_report(page):
    """The link leads to the report of the training."""
    complaints = []
    page.context.on("console", lambda message: complaints.append(message.text))
    page.context.on("weberror", lambda error: complaints.append(str(error.error)))
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="report of the last round").click()
    report = opened.value
    report.wait_for_load_state()
    assert report.locator("h1").inner_text() == "Training run run"
    assert "mAP on the validation videos is" in report.locator("body").inner_text()
    assert report.locator("svg").count() > 0
    assert complaints == []
    report.close()


def check_suggestions(page, served):
    """The video that nobody has reviewed has new suggestions, hatched; labels are full."""
    count = len(served.video(4)["suggestions"])
    assert count > 0
    until(lambda: page.locator(".videos .suggested").all_inner_texts()[-1] == str(count))
    page.locator(".videos a").last.click()
    page.wait_for_video(4)
    assert page.locator(".suggesting .count").inner_text() == f"{count} suggestions"
    page.press("n", "Enter")
    assert len(page.labels(4)) == 1
    hatched = page.evaluate(_STRIPES, True)
    assert hatched
    assert min(hatched) > 0.3
    page.show(1)
    assert page.evaluate(_STRIPES, True) == []
    full = page.evaluate(_STRIPES, False)
    assert len(full) == 2
    assert max(full) < 0.05
