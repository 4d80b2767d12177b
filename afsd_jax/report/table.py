"""Detections as a table: comma-separated values, or pandas if it is installed."""

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from afsd_jax.errors import UserError
from afsd_jax.io.spreadsheets import plain_text
from afsd_jax.types import Detection

if TYPE_CHECKING:
    import pandas as pd


def csv_text(detections: Sequence[Detection]) -> str:
    """Returns comma-separated values: column names, then one line per detection in order."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(Detection._fields)
    for label, score, start_s, end_s in detections:
        table.writerow((plain_text(label), f"{score:.6f}", f"{start_s:.3f}", f"{end_s:.3f}"))
    return text.getvalue()


def data_frame(detections: Sequence[Detection]) -> "pd.DataFrame":
    """Returns a data frame with one row per detection in order: label, score, start_s, end_s.

    Raises:
      UserError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise UserError("tables need pandas: pip install pandas") from error
    types = {"score": float, "start_s": float, "end_s": float}
    return pd.DataFrame(list(detections), columns=list(Detection._fields)).astype(types)
