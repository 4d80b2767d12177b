"""The table of a linear probe on the page of a run."""

from afsd_jax.io.probe_record import Probed, ProbeRecord, write_probe
from afsd_jax.report import run_page
from afsd_jax.report.probe_table import make_table, read_probe_table
from tests.run_folders import write_run

PROBED = Probed(("Mixed_4b",), [0.5, 0.75]), Probed(("Mixed_4f", "Mixed_5c"), [0.25, 1.0])
RECORD = ProbeRecord("train", 50, PROBED, (), None, ("Mixed_4b stays",))


def test_endpoints_are_rows_and_folds_are_columns():
    table = make_table(RECORD)
    assert table.columns == ["Mean", "Fold 1", "Fold 2"]
    assert [(row.name, row.chosen, *row.values) for row in table.rows] == [
        ("Mixed_4b", True, "62.5", "50.0", "75.0"),
        ("Mixed_4f and Mixed_5c", False, "62.5", "25.0", "100.0"),
    ]
    chosen = make_table(RECORD._replace(endpoints=PROBED[1].endpoints))
    assert [row.chosen for row in chosen.rows] == [False, True]


def test_the_page_says_what_was_chosen(tmp_path):
    run = write_run(tmp_path / "run", [])
    assert read_probe_table(run) is None
    run_page.write_page(run)
    assert 'id="probe"' not in (run / "report.html").read_text()
    write_probe(run / "probe.json", RECORD)
    run_page.write_page(run)
    page = (run / "report.html").read_text()
    assert "<p>Mixed_4b stays.</p>" in page
    assert "<td><b>Mixed_4b</b></td><td>62.5</td>" in page
    write_probe(run / "probe.json", RECORD._replace(probed=(), reasons=("too few actions",)))
    run_page.write_page(run)
    page = (run / "report.html").read_text()
    assert "<p>too few actions.</p>" in page
    assert "<th>Endpoints</th>" not in page


def test_names_and_reasons_are_text_not_html(tmp_path):
    run = write_run(tmp_path / "run", [])
    evil = "<script>alert(1)</script>"
    write_probe(
        run / "probe.json", RECORD._replace(probed=(Probed((evil,), [0.5]),), reasons=(evil,))
    )
    run_page.write_page(run)
    page = (run / "report.html").read_text()
    assert evil not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 2
