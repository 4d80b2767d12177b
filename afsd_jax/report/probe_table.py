"""The table of what a linear probe has compared, as the page of a run shows it."""

from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from afsd_jax.io.probe_record import RECORD, ProbeRecord, read_probe
from afsd_jax.report.compared_row import ComparedRow


class ProbeTable(NamedTuple):
    """What a probe has found.

    Attributes:
      columns: headers after that of the endpoints; none if nothing was compared.
      rows: the endpoints, the run's own first.
      actions: number of actions that were compared.
      reasons: sentences about the choices.
    """

    columns: list[str]
    rows: list[ComparedRow]
    actions: int
    reasons: list[str]


def read_probe_table(workdir: Path) -> ProbeTable | None:
    """Returns the table of a run's probe; None: the run has none.

    Raises:
      UserError: the record in the folder is malformed.
    """
    path = workdir / RECORD
    return make_table(read_probe(path)) if path.exists() else None


def make_table(record: ProbeRecord) -> ProbeTable:
    """Returns the table of a record: accuracy in percent, its mean and that of each fold."""
    folds = max((len(one.accuracy) for one in record.probed), default=0)
    columns = ["Mean", *(f"Fold {fold}" for fold in range(1, folds + 1))] if folds else []
    chosen = record.endpoints or (record.probed[0].endpoints if record.probed else ())
    rows = [
        ComparedRow(
            one.name,
            one.endpoints == chosen,
            [f"{100 * x:.1f}" for x in (fmean(one.accuracy), *one.accuracy)],
        )
        for one in record.probed
    ]
    return ProbeTable(columns, rows, record.actions, list(record.reasons))
