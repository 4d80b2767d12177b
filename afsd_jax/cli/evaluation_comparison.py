"""Compares the predictions of several systems, for `afsd evaluate`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from afsd_jax.cli.evaluation_inputs import Evaluated
from afsd_jax.cli.printing import print_text
from afsd_jax.diagnosis.comparison import Comparison, compare
from afsd_jax.diagnosis.evaluation_report import pair_of
from afsd_jax.evaluation import tabulate
from afsd_jax.io.files import write_json
from afsd_jax.report.comparison_page import write_comparison
from afsd_jax.report.run_page import as_text


def compare_systems(
    systems: Sequence[Evaluated],
    report: Path | None,
    output: Path | None,
    files: Mapping[str, Path],
) -> None:
    """Compares each system with the first; prints mAP and verdicts, and writes page and JSON.

    Args:
      systems: predictions of each system, with one ground truth.
      report: page to write.
      output: JSON file to write.
      files: video files for the page, by name of the video.

    Raises:
      UserError: a file cannot be written.
    """
    tables = {system.name: tabulate(system.truth, system.found) for system in systems}
    first, *others = tables
    tious = systems[0].tious
    comparisons = [
        compare(tables[name], tables[first], tious, names=(name, first)) for name in others
    ]
    table = table_of(comparisons)
    print_text(as_text(table))
    print_text("\n" + "\n".join(comparison.verdict for comparison in comparisons))
    if output:
        write_json(output, {"comparisons": [entry.as_dict() for entry in comparisons]})
    if report:
        chosen = int(np.argmin(np.abs(np.array(tious) - 0.5)))
        pairs = [pair_of(comparison) for comparison in comparisons]
        write_comparison(report, tables, tious, chosen, pairs, table, files=files)
        print_text(f"{report}: open it in a browser")


def table_of(comparisons: Sequence[Comparison]) -> list[list[str]]:
    """Returns mAP of each system and the difference from the first: a header, then rows."""
    first = comparisons[0]
    header = ["mAP, %", *(f"tIoU {tiou:g}" for tiou in first.tious), "average", "less the first"]

    def row(name: str, entry: Comparison, system: int, difference: str) -> list[str]:
        metrics = entry.metrics[system]
        values = [f"{100 * value:.2f}" for value in [*metrics.mean_ap, metrics.average_map]]
        return [name, *values, difference]

    rows = [row(first.names[1], first, 1, "")]
    for entry in comparisons:
        value, low, high = (100 * float(part) for part in entry.difference.average)
        bounds = "" if np.isnan(low) else f" ({low:+.2f} to {high:+.2f})"
        rows.append(row(entry.names[0], entry, 0, f"{value:+.2f}{bounds}"))
    return [header, *rows]
