"""A row of a table that compares settings, as the page of a run shows it."""

from typing import NamedTuple


class ComparedRow(NamedTuple):
    """Settings: their name, whether the run has them, and the texts of the other columns."""

    name: str
    chosen: bool
    values: list[str]
