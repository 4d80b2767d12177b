"""What the page asks the server, over HTTP with a process of its own."""

import pytest

from tests.labelling.served import rows, segment, serving, until


def test_the_project_lists_the_videos(served, labels):
    project = served.get("/api/project").json
    assert [(v["number"], v["name"]) for v in project["videos"]] == [(1, "one"), (2, "two")]
    first = project["videos"][0]
    assert (first["duration"], first["width"], first["height"]) == (2.0, 96, 64)
    assert (first["segments"], first["reviewed"], first["proxy"]) == (0, False, "none")
    assert (project["labels_file"], project["classes"]) == (labels.name, [])


def test_a_video_has_the_times_of_its_frames(served):
    video = served.video()
    assert video["times"] == pytest.approx([k / 25 for k in range(50)])
    assert (video["segments"], video["media"]) == ([], "/media/1")


def test_the_page_and_its_scripts_are_served(served):
    page = served.get("/")
    assert page.status == 200
    assert b'src="/assets/label_page.js"' in page.body
    script = served.get("/assets/label_page.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert served.get("/assets/label_page.py").status == 404


def test_a_change_is_in_the_file_and_in_the_next_answer(served, labels):
    answer = served.post("/api/videos/1", {"version": 0, "put": [segment("a", 0.5, 1.25)]})
    assert (answer.status, answer.json) == (200, {"version": 1})
    until(lambda: labels.exists() and rows(labels) == [["one.mp4", "run", "0.5", "1.25"]])
    assert served.video()["segments"] == [segment("a", 0.5, 1.25)]
    assert [c["name"] for c in served.get("/api/project").json["classes"]] == ["run"]
    served.post("/api/videos/1", {"version": 1, "remove": ["a"], "reviewed": True})
    until(lambda: rows(labels) == [["one.mp4", "", "", ""]])


def test_part_of_a_video_is_served(served, footage):
    content = (footage / "one.mp4").read_bytes()
    whole = served.get("/media/1")
    assert (whole.status, whole.headers["content-type"]) == (200, "video/mp4")
    assert whole.body == content
    part = served.get("/media/1", Range="bytes=100-199")
    assert (part.status, part.body) == (206, content[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(content)}"
    assert served.get("/media/1", Range=f"bytes={len(content)}-").status == 416


def test_other_pages_are_told(served):
    with served.events() as events:
        served.post("/api/videos/2", {"version": 0, "put": [segment("a", 0.5, 1.25)]})
        assert events.next("classes")
        assert events.next("video") == {"kind": "video", "number": 2, "version": 1}


def test_it_ends_as_interrupted_and_goes_on(served, footage, labels):
    with served.events() as events:
        served.post("/api/videos/1", {"version": 0, "put": [segment("a", 0.5, 1.25, note="é")]})
        events.next("video")
        assert f"2 videos; labels are saved in {labels}\nCtrl-C ends the page" in served.said
        assert served.stop() in (0, 130)
        assert served.process.stdout.read().endswith(f"\n{labels}: all labels are saved\n")
    assert rows(labels) == [["one.mp4", "run", "0.5", "1.25"]]
    with serving(footage, "--labels", labels) as again:
        video = again.video()
        assert video["segments"] == [segment("a", 0.5, 1.25, note="é")]
        assert video["version"] == 1


def test_without_a_label_it_ends_without_a_file(served, labels):
    assert served.stop() in (0, 130)
    assert served.process.stdout.read().endswith(f"\n{labels}: nothing was labelled\n")
    assert not labels.exists()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"put": [segment("a", 1, 1)]}, "ends at 1 s, not after its start at 1 s"),
        ({"put": [segment("a", -1, 1)]}, "Expected `float` >= 0.0"),
        ({"put": [{"id": "a"}]}, "missing required field `label`"),
        ({"put": [segment("", 0, 1)]}, "Expected `str` of length >= 1"),
        ({"put": [segment("a", 0, 1, label="a/b")]}, "must not contain slashes"),
        ({"put": [segment("a", 0, 1, label=" a")]}, "remove the blanks around it"),
        ({"remove": "a"}, "Expected `array`"),
        ({"reviewed": 1}, "Expected `bool | null`"),
        ([], "Expected `object`"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(served, labels, body, reason):
    answer = served.post("/api/videos/1", body)
    assert answer.status == 400
    assert reason in answer.json["error"]
    assert served.video()["version"] == 0
    assert not labels.exists()


def test_there_is_no_other_video(served):
    for number in (0, 3, 10**30):
        assert served.get(f"/api/videos/{number}").status == 404
        assert served.get(f"/media/{number}").status == 404


def test_changes_of_two_tabs_merge_or_conflict(served, labels):
    served.post("/api/videos/1", {"version": 0, "put": [segment("a", 0, 1), segment("b", 1, 2)]})
    first = served.post("/api/videos/1", {"version": 1, "put": [segment("a", 0, 0.5)]})
    assert first.json == {"version": 2}
    second = served.post("/api/videos/1", {"version": 1, "put": [segment("b", 1.5, 2)]})
    assert second.status == 200  # of another segment, and told what else has changed
    kept = [segment("a", 0, 0.5), segment("b", 1.5, 2)]
    assert second.json["video"]["segments"] == kept
    refused = served.post("/api/videos/1", {"version": 1, "remove": ["a"]})
    assert refused.status == 409
    assert refused.json["video"]["segments"] == kept
    assert refused.json["video"]["version"] == served.video()["version"] == 3
    assert served.post("/api/videos/1", {"version": 3, "remove": ["a"]}).json == {"version": 4}


def test_classes_are_renamed_coloured_and_removed(served, labels):
    served.post("/api/videos/1", {"version": 0, "put": [segment("a", 0, 1)]})
    put = [
        {"name": "sprint", "color": "#102030", "was": "run"},
        {"name": "rest", "color": "#aabbcc"},
    ]
    answer = served.post("/api/classes", {"put": put})
    assert answer.json["classes"] == [{"name": one["name"], "color": one["color"]} for one in put]
    assert served.video()["segments"][0]["label"] == "sprint"
    until(lambda: labels.exists() and rows(labels)[0][1] == "sprint")
    assert served.post("/api/classes", {"remove": ["sprint"]}).status == 400
    left = served.post("/api/classes", {"remove": ["rest"]}).json["classes"]
    assert [one["name"] for one in left] == ["sprint"]
    for bad in ({"name": "x", "color": "red"}, {"name": "", "color": "#aabbcc"}, {"name": "x"}):
        assert served.post("/api/classes", {"put": [bad]}).status == 400


def test_a_change_of_the_file_by_another_program_is_told(served, labels):
    served.post("/api/videos/1", {"version": 0, "put": [segment("a", 0, 1)]})
    until(lambda: labels.exists())
    with served.events() as events:
        labels.write_text("video,label,start,end\none.mp4,run,0,1\none.mp4,hop,1,2\n")
        assert "merged: 1 added, 0 removed" in events.next("file")["message"]
        labels.write_text("nonsense\n")
        assert "cannot be read" in events.next("file")["message"]
        assert "cannot be read" in served.get("/api/project").json["message"]
        assert served.post("/api/videos/1", {"version": 9, "remove": ["a"]}).status == 200
        labels.unlink()
        events.next("file")
    until(lambda: labels.exists() and rows(labels) == [["one.mp4", "hop", "1.0", "2.0"]])
    assert served.get("/api/project").json["message"] is None


def test_learning_needs_reviewed_videos(served):
    answer = served.post("/api/learn", {"action": "start"})
    assert answer.status == 400
    assert "at least two reviewed videos" in answer.json["error"]
    assert served.post("/api/learn", {"action": "rest"}).status == 400
    assert served.get("/api/statistics").json == {
        "classes": [], "reviewed": 0, "videos": 2, "rounds": []
    }  # fmt: skip
    assert served.get("/report/1").status == 404


def test_one_server_at_a_time_writes_labels(served, footage, labels):
    served.post("/api/videos/1", {"version": 0, "put": [segment("a", 0, 1)]})
    with (
        pytest.raises(AssertionError, match="has been labelling there"),
        serving(footage, "--labels", labels),
    ):
        pass
