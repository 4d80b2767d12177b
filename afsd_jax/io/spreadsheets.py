"""Texts in tables that spreadsheets open."""

import csv
import io
import re
from collections.abc import Iterable

_FORMULA = re.compile(r"[\s']*[=+\-@＝＋－＠|]")


def plain_text(text: str) -> str:
    """Returns a text that a spreadsheet shows as text: a formula gets a leading apostrophe.

    So does a text that has such an apostrophe itself, so that `original_text` undoes it.
    """
    return f"'{text}" if _is_formula(text) else text


def original_text(text: str) -> str:
    """Returns a text without the apostrophe of `plain_text`.

    Example:
      >>> plain_text("=1+1"), original_text("'=1+1"), original_text("'tis")
      ("'=1+1", '=1+1', "'tis")
    """
    return text[1:] if text.startswith("'") and _is_formula(text[1:]) else text


def _is_formula(text: str) -> bool:
    return _FORMULA.match(text) is not None


def table_text(rows: Iterable[Iterable[object]]) -> str:
    """Returns rows as comma-separated values; texts that would be formulas are escaped."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    for row in rows:
        table.writerow(plain_text(cell) if isinstance(cell, str) else cell for cell in row)
    return text.getvalue()
