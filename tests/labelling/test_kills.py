"""A server that is killed loses nothing that it has answered, and leaves no file half-written."""

from tests.labelling.killed import check_kills


def test_twenty_kills_lose_no_answered_change(footage, labels):
    assert check_kills(footage, labels, kills=20, seed=31) > 100
    assert {path.name for path in labels.parent.iterdir()} == {"labels.csv", ".labels.csv.afsd"}
