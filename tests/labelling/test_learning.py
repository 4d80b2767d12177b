"""A round of learning with the real commands and a small network: interrupted, finished, used."""

import json

import pytest

from tests.labelling.served import serving, until
from tests.labelling.small_learning import arguments, label, write_small

pytestmark = pytest.mark.usefixtures("fast_compiling")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("learning")
    write_small(folder)
    return folder


def learn(served):
    return served.get("/api/project").json["learn"]


def finished(served):
    def state():
        found = learn(served)
        assert found["state"] != "failed", found["message"]
        return found["state"] == "done"

    until(state, 600)
    return learn(served)


def test_a_round_goes_on_after_a_kill_and_gives_suggestions(folder, tmp_path):
    labels = tmp_path / "labels.csv"
    with serving(*arguments(folder, labels)) as served:
        label(served)
        assert served.post("/api/learn", {"action": "start"}).json["state"] == "preparing"
        assert served.post("/api/learn", {"action": "start"}).status == 400
        until(lambda: learn(served)["state"] in ("features", "learning"), 300)
        served.kill()
    with serving(*arguments(folder, labels)) as served, served.events() as events:
        states = []
        while not states or states[-1] != "done":
            event = events.next("learn", 300)
            assert event["state"] != "failed", event["message"]
            states.append(event["state"])
        assert [s for s in dict.fromkeys(states) if s in ("detecting", "done")] == [
            "detecting",
            "done",
        ]
        (one,) = learn(served)["rounds"]
        assert (one["round"], one["videos"], one["segments"]) == (1, 3, 6)
        assert len(one["validation"]) == 1
        assert 0 <= one["map"] <= 1
        assert (one["accepted_unchanged"], one["corrections"]) == (None, 6)
        assert one["minutes"] > 0
        assert served.get("/api/statistics").json["rounds"] == [one]
        video = served.video(4)
        assert video["suggestions"]
        assert {s["label"] for s in video["suggestions"]} <= {"run", "hop"}
        assert served.video(1)["suggestions"] == []
        assert list((run_of(labels).parent.parent / "features").iterdir())  # for the next round
        report = served.get(learn(served)["report"])
        assert report.status == 200
        assert report.headers["content-security-policy"].startswith("sandbox allow-scripts")
        check_rejected(served, video["suggestions"][0])
        check_suggest(folder, tmp_path / "others.csv", run_of(labels))


def run_of(labels):
    return labels.parent / f".{labels.name}.afsd" / "learn" / "round-1" / "run"


def check_rejected(served, suggestion):
    """Rejects a suggestion, which the page can take back."""
    version = served.video(4)["version"]
    served.post("/api/videos/4", {"version": version, "reject": [suggestion["id"]]})
    video = served.video(4)
    assert suggestion["id"] in [s["id"] for s in video["rejected"]]
    assert suggestion["id"] not in [s["id"] for s in video["suggestions"]]


def check_suggest(folder, labels, run):
    """A run suggests in all videos that are not reviewed, in another project, too."""
    with serving(*arguments(folder, labels), "--suggest", run) as served:
        finished(served)
        counts = [v["suggestions"] for v in served.get("/api/project").json["videos"]]
        assert min(counts) > 0
        uncertain = [v["uncertainty"] for v in served.get("/api/project").json["videos"]]
        assert all(0 <= value <= 1 for value in uncertain)
        assert served.stop() in (0, 130)
    with serving(*arguments(folder, labels), "--suggest", run) as again:
        assert learn(again)["state"] == "idle"  # nothing is left to suggest
        assert [v["suggestions"] for v in again.get("/api/project").json["videos"]] == counts


def test_a_round_is_stopped(folder, tmp_path):
    labels = tmp_path / "labels.csv"
    with serving(*arguments(folder, labels)) as served:
        label(served)
        served.post("/api/learn", {"action": "start"})
        until(lambda: learn(served)["progress"] > 0, 300)
        served.post("/api/learn", {"action": "stop"})
        until(lambda: learn(served)["state"] == "stopped", 300)
        assert served.stop() in (0, 130)
    with serving(*arguments(folder, labels)) as again:
        assert learn(again)["state"] == "stopped"
        plan = run_of(labels).parent.parent / "plan.json"
        assert json.loads(plan.read_text())["stopped"]


def test_what_a_command_says_when_it_fails_is_told(folder, tmp_path):
    text = (folder / "small.py").read_text().replace(str(folder / "trunk"), str(folder / "none"))
    (folder / "broken.py").write_text(text)
    flags = ("--labels", tmp_path / "labels.csv", "--config", folder / "broken.py")
    with serving(folder / "videos", *flags) as served:
        label(served)
        served.post("/api/learn", {"action": "start"})
        until(lambda: learn(served)["state"] == "failed", 300)
        assert "none" in learn(served)["message"]
        assert served.video()["segments"]


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (("--suggest", "nowhere"), "--suggest nowhere: no such run or checkpoint"),
        (("--config", "nowhere.py"), "nowhere.py: no such configuration file"),
    ],
)
def test_what_is_not_there_is_refused(footage, tmp_path, flags, reason):
    with (
        pytest.raises(AssertionError, match=reason),
        serving(footage, "--labels", tmp_path / "labels.csv", *flags),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
