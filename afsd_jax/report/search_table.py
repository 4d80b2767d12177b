"""The table of what a search for settings has tried, as the page of a run shows it."""

from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from afsd_jax.io.search_record import RECORD, SearchRecord, Trial, read_record
from afsd_jax.report.compared_row import ComparedRow

_MISSING = "–"


class SearchTable(NamedTuple):
    """What a search has tried.

    Attributes:
      columns: headers after that of the candidates.
      rows: in the order in which the candidates were first tried.
      steps: steps of each trial.
      winner, reason: the chosen settings and why; "": the search has not ended.
    """

    columns: list[str]
    rows: list[ComparedRow]
    steps: int
    winner: str
    reason: str


def read_search_table(workdir: Path) -> SearchTable | None:
    """Returns the table of a run's search; None: the run has none.

    Raises:
      UserError: the record in the folder is malformed.
    """
    path = workdir / RECORD
    return make_table(read_record(path)) if path.exists() else None


def make_table(record: SearchRecord) -> SearchTable:
    """Returns the table of a record: average mAP in percent, steps, and minutes."""
    folds = sorted({trial.fold for trial in record.trials})
    columns = ["Mean", *(f"Fold {fold}" for fold in folds), "Steps", "Minutes"]
    by_candidate: dict[str, list[Trial]] = {}
    for trial in record.trials:
        by_candidate.setdefault(trial.candidate, []).append(trial)
    rows = [
        ComparedRow(name, name == record.winner, _values(trials, folds))
        for name, trials in by_candidate.items()
    ]
    return SearchTable(columns, rows, record.steps, record.winner, record.reason)


def _values(trials: list[Trial], folds: list[int]) -> list[str]:
    by_fold = {trial.fold: f"{100 * trial.score:.1f}" for trial in trials}
    return [
        f"{100 * fmean(trial.score for trial in trials):.1f}",
        *(by_fold.get(fold, _MISSING) for fold in folds),
        f"{sum(trial.steps for trial in trials):,}",
        f"{sum(trial.seconds for trial in trials) / 60:.1f}",
    ]
