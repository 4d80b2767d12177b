"""Names of files and tables that a stranger made: shown as text, or refused with one line."""

import pytest

from afsd_jax import cli
from afsd_jax.data.annotations import read_annotations
from tests.labelling.served import segment, serving, until
from tests.video_files import numbered_frames, write_video

UNNAMED = ["a\nb", "a\rb", "a\tb", "\x1b[31mred", "\N{RIGHT-TO-LEFT OVERRIDE}gpj", " leading",
           "\N{ZERO WIDTH SPACE}"]  # fmt: skip
NAMES = [
    "<img src=x onerror=alert(1)>", "<script>alert(1)<", "=cmd|' 'A0", "+1+1", "@SUM(A1)", "-rf",
    "'; DROP TABLE videos; --", '"quoted", and comma', "{{7*7}}", "{% raw %}", "${HOME}", "`id`",
    "$(id)", "%2e%2e%2fetc", "a%5c..", "&amp;",
    "é", "e\u0301\u0301", "漢字", "🎬",
    "a..b", "a..", "trailing ", "__proto__", "constructor", "null", "NaN", "x" * 180,
]  # fmt: skip
HEADER = "video,label,start,end\n"
TABLES = [
    "", "\x00", "nonsense", "a,b\n1,2\n", "<script>alert(1)</script>", HEADER + "one,run,1\n",
    HEADER + "one,run,2,1\n", HEADER + "one,run,-1,1\n", HEADER + "one,run,nan,1\n",
    HEADER + "one,run,0,inf\n", HEADER + "one,run,0,1e300\n", HEADER + "one,a/b,0,1\n",
    HEADER + "one,..,0,1\n", HEADER + "one,\x1b[31m,0,1\n", HEADER + "one,a\\b,0,1\n",
    HEADER + f"one,{'x' * 200},0,1\n", HEADER + ",run,0,1\n",
    HEADER + "one,run,0,=1+1\n", HEADER + '"one,run,0,1\n', "video,label,start,end,start\n",
]  # fmt: skip
DOCUMENTS = [
    "", "[]", "{}", "null", "NaN", '{"database": []}', '{"database": {"one": 1}}', "[" * 100_000,
    '{"database": {"one": {"annotations": [{"segment": [0], "label": "x"}]}}}',
    '{"database": {"one": {"annotations": [{"segment": [1, 0], "label": "x"}]}}}',
    '{"database": {"one": {"annotations": [{"segment": [0, 1], "label": 1}]}}}',
    '{"database": {"one": {"annotations": []}, "one": {"annotations": []}}}',
]  # fmt: skip


def test_names_of_files_are_text_everywhere(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    first = write_video(tmp_path / "first.mp4", numbered_frames(10), rate=10)
    for name in (*NAMES, *UNNAMED):
        (folder / f"{name}.mp4").write_bytes(first.read_bytes())
    labels = tmp_path / "labels.csv"
    with serving(folder, "--labels", labels) as served:
        videos = served.get("/api/project").json["videos"]
        assert len(videos) == len(NAMES)
        for video in videos:
            post = {"version": 0, "put": [segment("a", 0, 0.5)]}
            assert served.post(f"/api/videos/{video['number']}", post).status == 200
            assert served.get(f"/media/{video['number']}").body == first.read_bytes()
        until(lambda: labels.exists() and len(read_annotations(labels)) == len(NAMES))
        assert served.stop() in (0, 130)
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {"videos", "first.mp4", "labels.csv", ".labels.csv.afsd"}
    with serving(folder, "--labels", labels) as again:
        for video in again.get("/api/project").json["videos"]:
            found = again.video(video["number"])["segments"]
            assert [(s["start"], s["end"]) for s in found] == [(0.0, 0.5)], video["name"]
        labels.write_bytes(labels.read_bytes().replace(b"0.5", b"0.6"))
        until(lambda: again.video(1)["segments"][0]["end"] == 0.6)
        ends = [
            again.video(v["number"])["segments"] for v in again.get("/api/project").json["videos"]
        ]
        assert [[s["end"] for s in one] for one in ends] == [[0.6]] * len(NAMES)


@pytest.mark.parametrize(
    ("name", "content"),
    [*(("labels.csv", text) for text in TABLES), *(("labels.json", text) for text in DOCUMENTS)],
    ids=str,
)
@pytest.mark.parametrize("flag", ["--labels", "--start"])
def test_a_hostile_file_is_refused_with_one_line(footage, tmp_path, capsys, name, content, flag):
    path = tmp_path / name
    path.write_text(content)
    flags = ["--labels", str(tmp_path / "mine.csv")] if flag == "--start" else []
    arguments = ["label", str(footage), *flags, flag, str(path), "--no-browser"]
    assert cli.main(arguments) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    assert "\x1b" not in message
    assert [one.name for one in tmp_path.iterdir()] == [name]
    assert path.read_text() == content
