"""A killed server loses nothing that it has answered, a killed browser nothing shown as saved."""

from tests.labelling.killed import check_kills
from tests.labelling.killed_browser import check_browser_kills


def test_twenty_kills_lose_no_answered_change(footage, labels):
    assert check_kills(footage, labels, kills=20, seed=31) > 100
    assert {path.name for path in labels.parent.iterdir()} == {"labels.csv", ".labels.csv.afsd"}


def test_four_kills_of_the_browser_lose_nothing_that_was_shown_as_saved(browser, footage, labels):
    typist = check_browser_kills(browser.browser_type, footage, labels, kills=4, seed=7)
    assert typist.changes > 10
    assert typist.saved > 2
