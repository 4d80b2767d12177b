"""JSON files that other temporal action detectors read: ActionFormer's and OpenTAD's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from afsd_jax.data.annotations.marks import labels_of
from afsd_jax.errors import UserError
from afsd_jax.io.activitynet_json import predictions
from afsd_jax.io.files import json_text
from afsd_jax.types import Action, Detection, MarkedVideo


def actionformer_text(videos: Sequence[MarkedVideo], path: Path) -> str:
    """Returns ground truth or detections as ActionFormer's data sets and evaluation read them.

    Source: `_load_json_db` and `load_pred_seg_from_json` of ActionFormer (Zhang et al., ECCV 2022).
    Each class has a number, its place among the classes of the first video that states them, or
    else among the sorted labels.

    Raises:
      UserError: a frame rate is unknown, or the classes of detections are.
    """
    stated = next((video.classes for video in videos if video.classes), ())
    if not stated and any(video.detected for video in videos):
        raise UserError(
            f"{path}: ActionFormer numbers the classes, and detections may lack some; name all "
            "classes in the order of the ground truth: --classes jump,run"
        )
    classes = list(stated) or labels_of(videos)
    unknown = set(labels_of(videos)) - set(classes)
    if unknown:
        raise UserError(f"{path}: --classes lacks the class {min(unknown)!r}")
    numbers = {label: number for number, label in enumerate(classes)}
    return json_text({"database": {video.name: _entry(video, numbers) for video in videos}})


def _entry(video: MarkedVideo, numbers: dict[str, int]) -> Any:
    rows = [{**_row(mark), "label_id": numbers[mark.label]} for mark in video.marks]
    if video.detected:
        scores = [mark.score for mark in video.marks if isinstance(mark, Detection)]
        return [row | {"scores": float(score)} for row, score in zip(rows, scores, strict=True)]
    return {**_length(video), "fps": video.fps, "annotations": rows}


def opentad_text(videos: Sequence[MarkedVideo], path: Path) -> str:
    """Returns ground truth, or detections, as OpenTAD's data sets and evaluation read them.

    Source: `SlidingWindowDataset` and `ThumosPaddingDataset` of OpenTAD (Liu et al., 2025).
    Detections are ActivityNet's predictions.

    Raises:
      UserError: the length of a video is unknown, or labels are mixed with detections.
    """
    detected = {video.detected for video in videos}
    if detected == {True}:
        return json_text(
            predictions({v.name: [m for m in v.marks if isinstance(m, Detection)] for v in videos})
        )
    if len(detected) > 1:
        raise UserError(f"{path}: labels and detections are different files; write two")
    database = {}
    for video in videos:
        length = _length(video)
        frames = round(length["duration"] * length.pop("fps"))
        database[video.name] = {
            **length,
            "frame": frames,
            "annotations": [_row(mark) for mark in video.marks],
        }
    return json_text({"database": database})


def _row(mark: Action | Detection) -> dict[str, Any]:
    return {"segment": [float(mark.start_s), float(mark.end_s)], "label": mark.label}


def _length(video: MarkedVideo) -> dict[str, Any]:
    if video.duration_s is None or not video.fps:
        raise UserError(
            f"{video.name}: its length and frame rate are unknown; also give the video file"
        )
    subset = video.subset or "test"
    return {"subset": subset, "duration": float(video.duration_s), "fps": float(video.fps)}
