"""Labelling in a real browser with a real server: by keyboard, by mouse, by touch."""

import msgspec
import pytest
from msgspec.structs import replace

from afsd_jax.labelling.label_store import folder_of
from afsd_jax.labelling.rounds import Round
from tests.barcodes import write
from tests.labelling.label_window import labelling, suggest
from tests.labelling.served import rows, serving, until

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

COUNT, RATE = 100, 25  # frames of each video, and frames per second


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("footage")
    for first, name in enumerate(("one", "two")):
        write(folder / f"{name}.mp4", range(300 * first, 300 * first + COUNT), rate=RATE)
    return folder


@pytest.fixture
def started(footage, labels):
    """A server of a labels file that has two classes and one label, of the second video."""
    labels.write_text(
        "video,label,start,end\none.mp4,,,\ntwo.mp4,run,0.4,0.8\ntwo.mp4,walk,1.2,2\n"
    )
    with serving(footage, "--labels", labels) as running:
        yield running


@pytest.fixture
def suggested(footage, labels):
    """A server with suggestions for the first video."""
    found = [
        ("a", "run", 0.4, 0.8, 0.9),
        ("b", "run", 1.193, 1.611, 0.55),
        ("c", "walk", 2, 2.8, 0.2),
    ]
    found.append(("d", "walk", 3, 3.6, 0.7))
    videos = {name: footage / f"{name}.mp4" for name in ("one", "two")}
    suggest(labels, videos, {"one": found})
    with serving(footage, "--labels", labels) as running:
        yield running


def file_becomes(labels, expected):
    """Waits until the labels file has these rows: video, class, start, end."""

    def found():
        listed = [(v, name, *(s and float(s) for s in times)) for v, name, *times in rows(labels)]
        return sorted(listed)

    until(lambda: labels.exists() and found() == sorted(expected))


def add_class(page, name):
    page.press("Escape", "c")
    page.write(name)
    page.press("Enter")


# The keyboard


def test_a_video_is_labelled_by_keyboard_alone(browser, served, labels):
    with labelling(browser, served) as page:
        page.press("PageDown")
        page.wait_for_video()
        add_class(page, "run")
        page.press(*"..........", "i", *"...............", "o")
        add_class(page, "walk")
        page.press("i", *".....", "o")
        assert page.labels() == [("run", 0.4, 1.0, ""), ("walk", 1.0, 1.2, "")]
        page.press("ArrowUp", ",", ",", ",", "s")  # of the walk: the run is split at 0.4 - 3 frames
        assert page.status() == "To split a label, go to a frame within it."
        page.press(*".....", "s", "e")
        page.write("left hand")
        page.press("Enter", "2")
        first = ("walk", 0.4, 0.48, "left hand")
        assert page.labels()[0] == first
        page.press("r")
        page.saved()
        assert served.video()["reviewed"] is True
        page.press("ArrowDown", "m")
        assert page.labels() == [first, ("run", 0.48, 1.0, ""), ("walk", 1.0, 1.2, "")]
        page.press("Shift+ArrowRight", "Shift+ArrowRight", "Shift+ArrowLeft")
        page.press("ArrowDown", "Delete")
        page.saved()
    file_becomes(labels, [("one.mp4", "walk", 0.4, 0.48), ("one.mp4", "run", 0.52, 1.04)])


def test_edges_of_the_selected_label_are_set_where_the_video_is(browser, started):
    with labelling(browser, started) as page:
        page.show(2)
        page.press("ArrowDown", ".", "[", "ArrowRight", "]")
        assert page.labels(2)[0] == ("run", 0.44, 1.44, "")
        page.press("m")
        assert page.status().startswith("No later label of this class")
        page.press("2", "m")
        assert page.labels(2) == [("walk", 0.44, 2.0, "")]


def test_undo_leads_to_the_beginning_and_redo_to_the_end(browser, started, labels):
    before = [("one.mp4", "", "", ""), ("two.mp4", "run", 0.4, 0.8), ("two.mp4", "walk", 1.2, 2)]
    with labelling(browser, started) as page:
        page.show(2)
        page.press("ArrowDown", "]", "Shift+ArrowRight", "ArrowDown", "Delete", "r")
        add_class(page, "jump")
        page.press("PageUp")
        page.wait_for_video(1)
        page.press("3", "i", *"...", "o", "s", ",", "s")
        page.locator(".edit").nth(2).click(force=True)
        page.write("leap")
        page.press("Enter")
        after = {number: page.labels(number) for number in (1, 2)}
        assert [row[0] for row in after[1]] == ["leap", "leap"]
        for _ in range(9):
            page.press("Control+z")
        page.wait_for_function("() => page.history.done.length === 0")
        page.saved()
        assert page.locator(".video h2").inner_text() == "two"  # where the first change was
        file_becomes(labels, before)
        assert [one["name"] for one in started.get("/api/project").json["classes"]] == [
            "run",
            "walk",
        ]
        for _ in range(9):
            page.press("Control+Shift+z")
        page.wait_for_function("() => page.history.undone.length === 0")
        page.saved()
        assert {number: page.labels(number) for number in (1, 2)} == after


def test_the_page_goes_on_after_it_is_loaded_again(browser, started):
    with labelling(browser, started) as page:
        page.show(1)
        page.press(*"..", "i", *".....", "o")
        labelled = page.labels()
        page.reload()
        page.wait_for_video()
        assert page.locator(".video h2").inner_text() == "one"
        page.press("ArrowDown")
        assert page.status() == "run, 0:00.08 to 0:00.28"
        page.press("Delete")
        assert page.labels() == []
        page.press("Control+z")
        assert page.labels() == labelled


def test_keys_are_shown_and_each_of_them_does_something(browser, started):
    with labelling(browser, started) as page:
        page.press("?")
        overlay = page.locator("dialog.keys")
        assert "one frame forth" in overlay.inner_text()
        page.press("?")
        assert not overlay.is_visible()
        page.press("?")
        overlay.get_by_role("button", name="close").click()
        assert not overlay.is_visible()
        unknown = "[...ACTION_OF.values()].filter((name) => name && !ACTIONS[name])"
        assert page.evaluate(unknown) == []
        buttons = (
            "[...document.querySelectorAll('[data-do]')].filter((b) => !ACTIONS[b.dataset.do])"
        )
        assert page.evaluate(buttons) == []


# The mouse


def test_a_video_is_labelled_by_mouse_alone(browser, started, labels):
    with labelling(browser, started) as page:
        page.locator(".videos a").first.click()
        page.wait_for_video()
        page.drag(page.place(0.41, 0), page.place(1.19, 0))  # a new label; times snap to frames
        assert page.labels() == [("run", 0.4, 1.2, "")]
        page.drag(page.place(1.2, 0), page.place(2, 0))  # its end
        page.drag(page.place(1.2, 0), page.place(2.2, 1))  # the whole, into the other lane
        assert page.labels() == [("walk", 1.4, 3.0, "")]
        page.drag(page.place(0.2, 0), page.place(0.6, 0))
        page.get_by_role("button", name="Start", exact=True).click()
        for _ in range(4):
            page.get_by_role("button", name="one frame forth").click()
        page.get_by_role("button", name="End", exact=True).click()
        page.mouse.click(*page.place(2, 1))
        assert page.status() == "walk, 0:01.40 to 0:03.00"
        page.get_by_role("button", name="undo").click()
        page.saved()
        file_becomes(
            labels,
            [
                ("one.mp4", "run", 0.2, 0.6),
                ("one.mp4", "walk", 1.4, 3),
                ("two.mp4", "run", 0.4, 0.8),
                ("two.mp4", "walk", 1.2, 2),
            ],
        )


def test_the_video_shows_the_frame_under_an_edge_that_is_dragged(browser, started):
    with labelling(browser, started) as page:
        page.show(2)
        page.mouse.move(*page.place(0.8, 0))
        page.mouse.down()
        page.mouse.move(*page.place(1.1, 0))
        page.mouse.move(*page.place(1.281, 0))
        assert page.number_on_screen() == 300 + 32
        assert page.told() == (1.28, 32)
        page.mouse.up()
        assert page.labels(2)[0] == ("run", 0.4, 1.28, "")


def test_labels_of_one_class_may_overlap(browser, started):
    with labelling(browser, started) as page:
        page.show(1)
        page.press(*"..", "i", *"..........", "o", *",,,,,", "i", *"..........", "o")
        assert page.labels() == [("run", 0.08, 0.48, ""), ("run", 0.28, 0.68, "")]


# Suggestions


def test_suggestions_are_accepted_rejected_and_adjusted_by_keyboard(browser, suggested, labels):
    with labelling(browser, suggested) as page:
        page.show(1)
        page.press("n")
        assert page.status() == "run, 0:01.19 to 0:01.61, suggested with score 0.55"
        assert page.told()[0] == 1.16  # the frame that is shown where it starts
        page.press("Enter")  # and the next by uncertainty is selected
        assert page.status() == "walk, 0:03.00 to 0:03.60, suggested with score 0.70"
        page.press("x")
        assert page.status() == "walk, 0:02.00 to 0:02.80, suggested with score 0.20"
        page.press(".", ".", "[", "1")
        assert page.labels() == [("run", 1.2, 1.6, ""), ("run", 2.08, 2.8, "")]
        video = suggested.video()
        assert [one["id"] for one in video["suggestions"]] == ["a"]
        assert [one["id"] for one in video["rejected"]] == ["d"]
        page.press(*["Control+z"] * 4)
        assert page.labels() == []
        assert len(suggested.video()["suggestions"]) == 4
        page.press(*["Control+Shift+z"] * 4)
        page.saved()
    file_becomes(labels, [("one.mp4", "run", 1.2, 1.6), ("one.mp4", "run", 2.08, 2.8)])


def test_what_the_mouse_pressed_leaves_enter_and_space_to_the_video(browser, suggested):
    with labelling(browser, suggested) as page:
        page.locator(".videos a").first.click()
        page.wait_for_video(1)
        page.press("n", "Enter")
        assert page.labels() == [("run", 1.2, 1.6, "")]
        page.get_by_role("button", name="next uncertain").click()
        page.press("Enter")
        assert len(page.labels()) == 2
        page.get_by_role("button", name="zoom in").click()
        page.press("Space")
        page.wait_for_function("() => page.player.playing")
        page.press("Space")
        page.get_by_role("button", name="next uncertain").focus()
        page.press("Enter")  # by keyboard the button is pressed, and keeps the focus
        assert len(page.labels()) == 2
        assert page.evaluate("document.activeElement.dataset.do") == "next-uncertain"


def test_all_suggestions_from_a_score_on_are_accepted_at_once(browser, suggested):
    with labelling(browser, suggested) as page:
        page.show(1)
        page.locator(".suggesting input").fill("0.6")
        page.get_by_role("button", name="accept 2").click()
        assert page.labels() == [("run", 0.4, 0.8, ""), ("walk", 3.0, 3.6, "")]
        assert page.locator(".suggesting .count").inner_text() == "2 suggestions"
        page.press("u")
        assert page.labels() == []


def test_what_was_rejected_is_not_proposed_again(browser, suggested):
    with labelling(browser, suggested) as page:
        page.show(1)
        page.press("n", "x", "x")
        page.saved()
        page.reload()
        page.wait_for_video()
        assert page.locator(".suggesting .count").inner_text() == "2 suggestions"
        assert page.locator(".videos .suggested").first.inner_text() == "2"


# The list of videos


def test_videos_are_searched_and_sorted(browser, suggested):
    with labelling(browser, suggested) as page:
        names = page.locator(".videos .name")
        assert names.all_text_contents() == ["one", "two"]
        page.press("/")
        page.write("TW")
        assert names.all_text_contents() == ["two"]
        page.press("Control+a", "Backspace", "Escape")
        page.locator(".videos select").select_option("long")
        page.locator(".videos select").select_option("uncertain")
        assert names.all_text_contents() == ["one", "two"]
        page.show(1)
        page.press("r")
        page.locator(".videos select").select_option("open")
        assert names.all_text_contents() == ["two", "one"]
        page.locator(".videos a").first.click()
        page.wait_for_video(2)
        assert page.locator(".videos [aria-current] .name").inner_text() == "two"


# Classes


def test_classes_are_added_renamed_coloured_and_removed(browser, started, labels):
    with labelling(browser, started) as page:
        page.show(2)
        add_class(page, "jump")
        page.locator(".edit").nth(0).click(force=True)
        page.write("sprint")
        page.press("Enter")
        page.locator(".classes input[type=color]").nth(1).evaluate(
            "(input) => { input.value = '#123456'; input.dispatchEvent(new Event('change')); }"
        )
        page.locator(".edit").nth(2).click(force=True)
        page.press("Delete", "Enter")  # without a name it is removed
        page.saved()
        classes = started.get("/api/project").json["classes"]
        assert [one["name"] for one in classes] == ["sprint", "walk"]
        assert classes[1]["color"] == "#123456"
        assert page.locator(".classes .name").all_inner_texts() == ["sprint", "walk"]
        page.press("ArrowDown", "Shift+ArrowRight")  # what was renamed can be changed
        assert page.labels(2)[0] == ("sprint", 0.44, 0.84, "")
    file_becomes(
        labels,
        [
            ("one.mp4", "", "", ""),
            ("two.mp4", "sprint", 0.44, 0.84),
            ("two.mp4", "walk", 1.2, 2),
        ],
    )


def test_a_class_is_not_renamed_to_another_one(browser, started):
    with labelling(browser, started) as page:
        page.show(2)
        page.locator(".edit").nth(0).click(force=True)
        page.write("walk")
        page.press("Enter")
        assert page.locator(".notice").inner_text().startswith("There is already a class walk.")
        assert [row[0] for row in page.labels(2)] == ["run", "walk"]


# A phone


def test_a_phone_shows_the_page_without_scrolling_sideways(browser, suggested):
    size = {"width": 390, "height": 844}
    with labelling(browser, suggested, viewport=size, has_touch=True, is_mobile=True) as page:
        wide = "['html', 'main'].every((name) => document.querySelector(name).scrollWidth <= 390)"
        assert page.evaluate(wide)
        page.locator(".videos a").first.tap()
        page.wait_for_video()
        assert page.evaluate(wide)
        assert not page.locator(".videos").is_visible()
        page.get_by_role("button", name="next uncertain").tap()
        page.get_by_role("button", name="✓ accept").tap()
        page.get_by_role("button", name="Start", exact=True).tap()
        for _ in range(3):
            page.get_by_role("button", name="one frame forth").tap()
        page.get_by_role("button", name="End", exact=True).tap()
        assert len(page.labels()) == 2
        page.get_by_role("link", name="list of videos").tap()
        page.locator(".videos").wait_for()
        page.goto(f"{suggested.origin}/#overview")
        page.wait_for_selector(".overview")
        assert page.evaluate(wide)


def test_a_finger_drags_an_edge_of_the_selected_label_and_else_the_view(browser, started):
    size = {"width": 390, "height": 844}
    with labelling(browser, started, viewport=size, has_touch=True, is_mobile=True) as page:
        page.show(2)
        session = page.context.new_cdp_session(page.page)

        def swipe(start, end):
            for kind, points in (
                ("touchStart", [start]),
                ("touchMove", [((start[0] + end[0]) / 2, start[1])]),
                ("touchMove", [end]),
                ("touchEnd", []),
            ):
                given = [{"x": x, "y": y} for x, y in points]
                session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": given})
            page.settle()

        page.touchscreen.tap(*page.place(1.6, 1))
        assert page.status() == "walk, 0:01.20 to 0:02.00"
        swipe(page.place(2, 1), page.place(2.8, 1))
        assert page.labels(2)[1] == ("walk", 1.2, 2.8, "")
        page.get_by_role("button", name="zoom in").tap()
        before = page.evaluate("page.timeline.from")
        x, y = page.place(before + 0.5, 0)
        swipe((x, y), (x + 80, y))
        assert page.evaluate("page.timeline.from") < before
        assert len(page.labels(2)) == 2


# Copies of videos, sound, and learning


@pytest.fixture
def copied(tmp_path):
    """A server of a video of which a copy has to be made."""
    write(tmp_path / "v.avi", range(50), rate=RATE, codec="mpeg4")
    with serving(tmp_path, "--labels", tmp_path / "labels.csv") as running:
        yield running


def is_copied(served):
    return served.get("/api/project").json["videos"][0]["proxy"] == "ready"


def test_a_copy_that_is_ready_before_the_video_is_known_is_shown(browser, copied):
    def late(route):
        answer = route.fetch()
        assert answer.json()["proxy"] != "ready"
        until(lambda: is_copied(copied))
        route.fulfill(response=answer)

    with labelling(browser, copied) as page:
        page.route("**/api/videos/1", late, times=1)
        page.locator(".videos a").first.click()
        page.wait_for_video(1)


def test_a_copy_that_is_ready_before_events_are_heard_is_shown(browser, copied):
    held = []
    with labelling(browser, copied) as page:
        page.route("**/api/events", lambda route: held.append(route))
        page.goto("about:blank")
        page.goto(f"{copied.origin}/#video=1")
        page.locator(".copying").wait_for()
        until(lambda: is_copied(copied))
        held[0].continue_()
        page.wait_for_video(1)


def test_a_video_with_sound_has_a_waveform(browser, tmp_path):
    write(tmp_path / "loud.mp4", range(50), rate=RATE, sound_s=(0.5, 1.5))
    write(tmp_path / "mute.mp4", range(50), rate=RATE)
    labels = tmp_path / "labels.csv"
    with serving(tmp_path, "--labels", labels) as served, labelling(browser, served) as page:
        page.show(1)
        page.locator(".waveform").wait_for()
        heights = page.evaluate("page.waveform.wave.peaks")
        assert max(heights[: len(heights) // 8]) < max(heights) / 10
        page.get_by_role("button", name="sound").click()
        assert page.evaluate("document.querySelector('video').muted") is False
        page.show(2)
        assert not page.locator(".waveform").is_visible()
        assert not page.get_by_role("button", name="sound").is_visible()


def test_learning_says_what_it_needs(browser, served):
    with labelling(browser, served, "status of 400") as page:
        page.locator(".top").get_by_role("button", name="Learn").click()
        page.locator(".notice").wait_for()
        assert "Learning cannot start: learning needs" in page.locator(".notice").inner_text()


def test_what_rounds_of_learning_brought_is_a_table_and_a_curve(browser, footage, labels):
    first = Round(
        round=1,
        videos=4,
        segments=18,
        validation=["one"],
        map=0.41,
        f1=None,
        min_score=0.3,
        accepted_unchanged=None,
        corrections=0,
        labelled=18,
        minutes=4.25,
    )
    second = replace(first, round=2, videos=8, segments=37, map=0.655, f1=0.5, minutes=4.6)
    second = replace(second, accepted_unchanged=0.25, corrections=11)
    folder = folder_of(labels) / "learn"
    folder.mkdir(parents=True)
    (folder / "rounds.json").write_bytes(msgspec.json.encode([first, second]))
    with serving(footage, "--labels", labels) as served, labelling(browser, served) as page:
        page.wait_for_selector(".rounds tbody tr")
        cells = [row.split() for row in page.locator(".rounds tbody tr").all_inner_texts()]
        assert cells[0] == ["1", "4", "18", "41.0", "–", "–", "0", "4.3"]
        assert cells[1] == ["2", "8", "37", "65.5", "50.0", "25.0", "11", "4.6"]
        heights = page.locator(".curve circle").evaluate_all(
            "(dots) => dots.map((dot) => Number(dot.getAttribute('cy')))"
        )
        bottom, top = page.locator(".curve line").evaluate_all(
            "(lines) => [lines[0], lines.at(-1)].map((line) => Number(line.getAttribute('y1')))"
        )
        shares = [(bottom - height) / (bottom - top) for height in heights]
        assert shares == pytest.approx([0.41, 0.655, 0.5])  # mAP of both rounds, F1 of the second


def test_statistics_count_labels_by_class(browser, started):
    with labelling(browser, started) as page:
        expected = ["run 1 0:00 0.4 s 1", "walk 1 0:01 0.8 s 1"]
        table = page.locator(".statistics tbody tr")
        until(lambda: [" ".join(r.split()) for r in table.all_inner_texts()] == expected)
        assert page.locator("[data-figure=labels]").inner_text() == "2"


# Several windows, and what goes wrong

OFFLINE = ("ERR_INTERNET_DISCONNECTED", "ERR_FAILED")  # what Chromium says without a network


def test_a_change_in_one_window_is_seen_in_another(browser, started):
    with labelling(browser, started) as first, labelling(browser, started) as second:
        for page in (first, second):
            page.show(2)
        first.press("ArrowDown", "Shift+ArrowRight")
        first.saved()
        second.wait_for_function("() => page.items[0].start === 0.44")
        second.press("ArrowDown", "ArrowDown", "Delete")  # the other label: both changes count
        assert second.labels(2) == [("run", 0.44, 0.84, "")]
        first.wait_for_function("() => page.items.length === 1")


@pytest.mark.parametrize(
    ("button", "kept"), [("Put mine again", "mine"), ("Take theirs", "theirs")]
)
def test_a_label_that_two_windows_change_is_asked_about(browser, started, button, kept):
    with labelling(browser, started, *OFFLINE, "409") as page:
        page.show(2)
        page.press("ArrowDown")
        page.route("**/api/events", lambda route: route.abort())
        label = started.video(2)["segments"][0]
        page.context.set_offline(True)  # the change waits while another one is made
        page.press("e")
        page.write("mine")
        page.press("Enter")
        page.wait_for_function(
            "() => document.querySelector('.saved').textContent.startsWith('not')"
        )
        answer = started.post(
            "/api/videos/2", {"version": 1000, "put": [{**label, "note": "theirs"}]}
        )
        assert answer.status == 200
        page.context.set_offline(False)
        dialog = page.locator("dialog.conflict")
        dialog.wait_for()
        assert "mine" in dialog.inner_text()
        assert "theirs" in dialog.inner_text()
        dialog.get_by_role("button", name=button).click()
        assert page.labels(2)[0] == ("run", 0.4, 0.8, kept)
        page.press("ArrowUp", "ArrowUp")
        assert page.status() == f"run, 0:00.40 to 0:00.80, {kept}"


def test_what_another_program_writes_into_the_labels_file_is_shown(browser, started, labels):
    with labelling(browser, started) as page:
        page.show(2)
        until(lambda: len(rows(labels)) == 3)
        labels.write_text(labels.read_text() + "two.mp4,jump,2.4,2.8\n")
        page.wait_for_function("() => page.items.length === 3")
        assert page.labels(2)[2] == ("jump", 2.4, 2.8, "")
        page.wait_for_function("() => page.classes.length === 3")
        page.locator(".notice").wait_for()
        assert "labels.csv" in page.locator(".notice").inner_text()


def test_changes_are_sent_when_the_server_answers_again(browser, started):
    reviewed = started.video(2)["reviewed"]
    with labelling(browser, started, *OFFLINE) as page:
        page.show(2)
        page.context.set_offline(True)
        page.press("ArrowDown", "Delete", "r")
        page.wait_for_function(
            "() => document.querySelector('.saved').textContent"
            " === 'not saved: the server does not answer'"
        )
        page.context.set_offline(False)
        assert page.labels(2) == [("walk", 1.2, 2.0, "")]
        assert started.video(2)["reviewed"] is not reviewed


def test_what_the_server_refuses_is_said_and_taken_back(browser, started):
    with labelling(browser, started, "status of 400") as page:
        page.show(2)
        page.press("Escape", "c")
        page.write("a\\tb")
        page.evaluate("page.changeClasses({ put: [{ name: 'a\\\\nb', color: '#123456' }] })")
        page.wait_for_function("() => !document.querySelector('.notice').hidden")
        assert "Not saved" in page.locator(".notice").inner_text()
        page.wait_for_function("() => page.classes.length === 2")


NAME = "<img src=x onerror=boom()> &amp; ../'\"`${1}"
LABEL = "<img src=x onerror=boom()>"


def test_names_labels_and_notes_are_shown_as_text(browser, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    write(folder / f"{NAME.replace('/', '_')}.mp4", range(50), rate=RATE)
    labels = tmp_path / "<b>labels.csv"
    with serving(folder, "--labels", labels) as served, labelling(browser, served) as page:
        page.show(1)
        add_class(page, LABEL)
        page.press("i", *".....", "o", "e")
        page.write(NAME)
        page.press("Enter")
        assert page.labels() == [(LABEL, 0.0, 0.2, NAME)]
        assert page.locator(".video h2").inner_text() == NAME.replace("/", "_")
        assert page.locator("h1").inner_text() == "<b>labels.csv"
        assert page.locator(".classes .name").inner_text() == LABEL
        assert page.locator(".selected .title").inner_text() == LABEL
        assert page.status().endswith(NAME)
        page.reload()
        page.wait_for_video()
        page.goto(f"{served.origin}/#overview")
        page.wait_for_selector(".statistics tbody tr")
        assert page.locator(".statistics .name").inner_text() == LABEL
        foreign = "document.querySelectorAll('[onerror], main script, main b img, h1 b').length"
        assert page.evaluate(foreign) == 0
        assert page.evaluate("typeof boom") == "undefined"
