"""Detections as a table: comma-separated values, and pandas where it is installed."""

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from afsd_jax.errors import UserError
from afsd_jax.types import Detection

if TYPE_CHECKING:
    import pandas as pd


def csv_text(detections: Sequence[Detection]) -> str:
    """Returns a line for each detection, in their order, below a line of the columns' names."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(Detection._fields)
    for label, score, start_s, end_s in detections:
        table.writerow((label, f"{score:.6f}", f"{start_s:.3f}", f"{end_s:.3f}"))
    return text.getvalue()


def data_frame(detections: Sequence[Detection]) -> "pd.DataFrame":
    """Returns a row for each detection, in their order: label, score, start_s, end_s.

    Raises:
      UserError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise UserError("tables need pandas: pip install pandas") from error
    types = {"score": float, "start_s": float, "end_s": float}
    return pd.DataFrame(list(detections), columns=list(Detection._fields)).astype(types)
