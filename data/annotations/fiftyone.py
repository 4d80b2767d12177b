"""FiftyOne's labels of temporal detections (labels.json of FiftyOneTemporalDetectionDataset).

{"classes": [name, …] or null, "labels": {video: [{"label": …, "timestamps": [start_s, end_s]}]}};
with classes, a label is a number.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from afsd_jax.data.annotations.collector import Annotations, Collector
from afsd_jax.data.annotations.marks import score_of
from afsd_jax.errors import UserError
from afsd_jax.io.files import json_text
from afsd_jax.io.json_fields import field, number, read_list, require_dict, shown
from afsd_jax.types import MarkedVideo


def is_fiftyone(content: Any) -> bool:
    """Returns whether the content of a JSON file is FiftyOne's."""
    return isinstance(content, dict) and "labels" in content and "database" not in content


def read_fiftyone(path: Path, content: dict[str, Any]) -> Annotations:
    """Reads the labels of each video.

    Raises:
      UserError: the file counts frames, or a value is malformed.
    """
    classes = content.get("classes")
    if classes is not None and not (
        isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    ):
        raise UserError(f"{path}: classes must be a list of names, not {shown(classes)}")
    collector = Collector()
    for video, entries in require_dict(content["labels"], f"{path}: labels").items():
        place = f"{path}: labels[{video!r}]"
        name = collector.add_video(video, place)
        for entry, at in read_list(entries or [], place, lambda value, at: (value, at)):
            label, start_s, end_s = _detection(require_dict(entry, at), classes, at)
            collector.add_action(name, label, start_s, end_s, at)
    return collector.annotations()


def _detection(
    entry: dict[str, Any], classes: Sequence[str] | None, place: str
) -> tuple[str, float, float]:
    label = field(entry, "label", place)
    if classes is not None and isinstance(label, int) and 0 <= label < len(classes):
        label = classes[label]
    if not isinstance(label, str):
        raise UserError(f"{place}.label must be a class, not {shown(label)}")
    if "timestamps" not in entry:
        raise UserError(f"{place}: counts frames; export it with use_timestamps=True")
    times = read_list(entry["timestamps"], f"{place}.timestamps", number)
    if len(times) != 2:
        raise UserError(f"{place}.timestamps must be [start, end] in seconds, not {shown(times)}")
    return label, times[0], times[1]


def fiftyone_text(videos: Sequence[MarkedVideo], path: Path) -> str:
    """Returns labels with times in seconds; detections have their score as confidence."""
    labels = {}
    for video in videos:
        labels[video.name] = [
            {"label": mark.label, "timestamps": [float(mark.start_s), float(mark.end_s)]}
            | ({} if score_of(mark) is None else {"confidence": score_of(mark)})
            for mark in video.marks
        ]
    return json_text({"classes": None, "labels": labels})
