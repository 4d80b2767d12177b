"""An evaluation as comma-separated values: a line per class, and one for all."""

import numpy as np

from afsd_jax.io.spreadsheets import table_text
from afsd_jax.report.evaluation_view import KINDS, LOST, EvaluationView


def csv_table(view: EvaluationView) -> str:
    """Returns column names, then a line for each class, then one for all classes.

    Columns: class, number of actions, AP at each tIoU; at the tIoU of the curves: what became of
    the actions, the detections of each kind, and the threshold of best F1 with its precision,
    recall and F1.
    """
    kinds = [name.replace(" ", "_") for name, *_ in KINDS]
    lost = ("found", "lost_to_wrong_label", "lost_to_localisation", "missed")
    best = ("threshold", "precision", "recall", "f1")
    thresholds = (f"AP@{tiou:g}" for tiou in view.tious)
    rows: list[list[object]] = [["class", "actions", *thresholds, *lost, *kinds, *best]]
    tables, at = view.tables, view.chosen
    labels = tables.detection_classes[view.rows]
    for index, label in enumerate((*tables.classes, "")):
        every = not label
        actions = every | (tables.action_classes == index)
        shown = every | (labels == index)
        ap = view.ap.mean(axis=1) if every else view.ap[:, index]
        reasons = np.bincount(view.reasons[at][actions], minlength=len(LOST))
        found = np.bincount(view.kinds[at][shown], minlength=len(KINDS))
        point = view.curves[label].best_point or {}
        row: list[object] = [label or "(all classes)", int(actions.sum())]
        row += [f"{value:.6f}" for value in ap]
        row += [*reasons.tolist(), *found.tolist()]
        rows.append(row + [f"{point[name]:.6f}" if point else "" for name in best])
    return table_text(rows)
