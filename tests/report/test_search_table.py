"""The table of a search on the page of a run."""

from afsd_jax.io.search_record import SearchRecord, Trial, write_record
from afsd_jax.report import run_page
from afsd_jax.report.search_table import make_table, read_search_table
from tests.run_folders import write_run

TRIALS = (
    Trial("as configured", {}, 1, 100, 0.4, 60.0),
    Trial("not mirrored", {"data.flip": 0.0}, 1, 100, 0.5, 30.0),
    Trial("heads of 8 channels", {"model.channels": 8}, 1, 100, 0.1, 30.0),
    Trial("as configured", {}, 2, 100, 0.6, 45.0),
    Trial("not mirrored", {"data.flip": 0.0}, 2, 100, 0.75, 33.0),
)
RECORD = SearchRecord(0, "train", 100, 3, TRIALS, "not mirrored", "better than as configured")


def test_candidates_are_rows_and_folds_are_columns():
    table = make_table(RECORD)
    assert table.columns == ["Mean", "Fold 1", "Fold 2", "Steps", "Minutes"]
    assert [(row.name, row.chosen, *row.values) for row in table.rows] == [
        ("as configured", False, "50.0", "40.0", "60.0", "200", "1.8"),
        ("not mirrored", True, "62.5", "50.0", "75.0", "200", "1.1"),
        ("heads of 8 channels", False, "10.0", "10.0", "–", "100", "0.5"),
    ]


def test_the_page_names_the_winner_and_the_reason(tmp_path):
    run = write_run(tmp_path / "run", [])
    assert read_search_table(run) is None
    run_page.write_page(run)
    assert 'id="search"' not in (run / "report.html").read_text()
    write_record(run / "search.json", RECORD)
    run_page.write_page(run)
    page = (run / "report.html").read_text()
    assert "Chosen: <b>not mirrored</b>; better than as configured." in page
    assert "<td>62.5</td>" in page
    write_record(run / "search.json", RECORD._replace(trials=(), winner="", reason=""))
    run_page.write_page(run)
    assert "The search has not ended." in (run / "report.html").read_text()


def test_names_are_text_not_html(tmp_path):
    run = write_run(tmp_path / "run", [])
    evil = "<script>alert(1)</script>"
    trials = (Trial(evil, {}, 1, 1, 0.5, 1.0),)
    write_record(run / "search.json", RECORD._replace(trials=trials, winner=evil, reason=evil))
    run_page.write_page(run)
    page = (run / "report.html").read_text()
    assert evil not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 3
