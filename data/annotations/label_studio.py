"""Label Studio's tasks of videos: JSON and JSON_MIN exports, and JSON to import.

`<TimelineLabels>` counts frames from 1, both ends included, at the frameRate of the `<Video>` tag.
That rate may differ from the file's own rate, and the export does not state it. `<Labels>` of a
media player are in seconds.
"""

import itertools
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from afsd_jax.data.annotations.collector import Annotations, Collector, shown_name
from afsd_jax.data.annotations.marks import Span, spans_of
from afsd_jax.data.decode.media import is_video
from afsd_jax.errors import UserError
from afsd_jax.io.json_fields import field, number, read_list, require_dict, shown
from afsd_jax.types import MarkedVideo

Placed = list[tuple[dict[str, Any], str]]  # objects, each with its place in the file

_MOST_ACTIONS = 10_000  # of one result
_RATES = ("fps", "framerate", "frame_rate")


def read_label_studio(path: Path, tasks: list[Any]) -> Annotations:
    """Reads exported tasks; tasks without an annotation are left out.

    Raises:
      UserError: a task names no video, has several annotations or counts frames at an unknown rate,
        or a value is malformed.
    """
    collector = Collector()
    videos: dict[str, str] = {}
    for index, task in enumerate(tasks):
        place = f"{path}: [{index}]"
        results = _results(require_dict(task, place), place)
        if results is None:
            continue
        file = collector.add_video(_video(_data(task, place), place), place)
        if file in videos:
            raise UserError(
                f"{place}: video {shown_name(file)!r} is also in {videos[file]}; keep one "
                "annotation per video"
            )
        videos[file] = place
        for value, where in results:
            if _is_copy_of_box(value):
                collector.leave_out(file, "a copy of a box, without times", where)
                continue
            for label, start_s, end_s in _actions(value, where, task, results):
                collector.add_action(file, label, start_s, end_s, where)
    return collector.annotations()


def _data(task: dict[str, Any], place: str) -> dict[str, Any]:
    """Returns the data to annotate, which JSON_MIN stores in the task itself."""
    return require_dict(task.get("data", task), f"{place}.data")


def _results(task: dict[str, Any], place: str) -> Placed | None:
    """Returns the values of a task's results; None if it has no annotation."""
    if "data" in task:
        annotations = [
            (annotation, where)
            for annotation, where in _objects(task.get("annotations", []), f"{place}.annotations")
            if not annotation.get("was_cancelled")
        ]
        truth = [pair for pair in annotations if pair[0].get("ground_truth")] or annotations
        if len(truth) > 1:
            raise UserError(
                f"{place}: has {len(truth)} annotations; keep one, or mark one as ground truth"
            )
        if not truth:
            return None
        ((annotation, where),) = truth
        results = _objects(annotation.get("result", []), f"{where}.result")
        return [
            (require_dict(result["value"], f"{at}.value"), f"{at}.value")
            for result, at in results
            if "value" in result
        ]
    if "annotation_id" not in task:
        raise UserError(f"{place}: is not a task of Label Studio; export as JSON or JSON_MIN")
    # Each control has a list of values under its name, beside the data and the task's other fields.
    lists = {key: value for key, value in task.items() if isinstance(value, list)}
    return [
        (value, f"{place}[{key!r}][{index}]")
        for key, values in lists.items()
        for index, value in enumerate(values)
        if isinstance(value, dict)
    ]


def _objects(values: Any, place: str) -> Placed:
    return read_list(values, place, lambda value, at: (require_dict(value, at), at))


def _actions(
    value: dict[str, Any], place: str, task: dict[str, Any], results: Placed
) -> Iterator[tuple[str, float, float]]:
    """Yields (label, start, end) of a result in seconds; nothing for boxes, choices and texts."""
    if "timelinelabels" in value:
        labels = read_list(value["timelinelabels"], f"{place}.timelinelabels", _label)
        spans = read_list(field(value, "ranges", place), f"{place}.ranges", _span)
        rate = _rate(task, results, place)
        if len(labels) * len(spans) > _MOST_ACTIONS:
            raise UserError(f"{place}: {len(labels)} labels of {len(spans)} ranges are too many")
        for label, (start, end) in itertools.product(labels, spans):
            yield label, max(start - 1, 0) / rate, end / rate
    elif {"labels", "start", "end"} <= value.keys() and "text" not in value:
        for label in read_list(value["labels"], f"{place}.labels", _label):
            yield label, *_span(value, place)


def _is_copy_of_box(value: dict[str, Any]) -> bool:
    """Returns whether a timeline's result only repeats a box.

    Label Studio exports each box of a video a second time if the project also has a timeline.
    """
    return "timelinelabels" in value and "sequence" in value and "ranges" not in value


def _span(value: Any, place: str) -> tuple[float, float]:
    entry = require_dict(value, place)
    start, end = (number(field(entry, key, place), f"{place}.{key}") for key in ("start", "end"))
    return start, end


def _label(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise UserError(f"{place} must be a label, not {shown(value)}")
    return value


def _rate(task: dict[str, Any], results: Placed, place: str) -> float:
    """Returns the frame rate in which a task's timeline counts."""
    for key, value in _data(task, place).items():
        if key.lower() in _RATES:
            return _positive(value, f"{place}: the task's {key}")
    for value, where in results:  # boxes state it
        if {"framesCount", "duration"} <= value.keys():
            seconds = _positive(value["duration"], f"{where}.duration")
            return _positive(value["framesCount"], f"{where}.framesCount") / seconds
    raise UserError(
        f"{place}: counts frames, but the export does not state the frame rate; add the frameRate "
        "of the project's <Video> tag, or 24 if it has none, to every task: "
        f"jq 'map({'.data' if 'data' in task else ''}.fps = 24)'"
    )


def _positive(value: Any, place: str) -> float:
    result = number(value, place)
    if result <= 0:
        raise UserError(f"{place} must be positive, not {result:g}")
    return result


def _video(data: dict[str, Any], place: str) -> str:
    """Returns the path of a task's video; of an upload its name, without the prefix added then."""
    for key in sorted(data, key=lambda key: (key != "video", key)):
        if isinstance(data[key], str):
            try:
                url = urlsplit(data[key])
            except ValueError:
                continue
            path = unquote(parse_qs(url.query).get("d", [url.path])[0]).replace("\\", "/")
            name = path.rpartition("/")[2]
            if is_video(Path(name)):
                return re.sub(r"^[0-9a-f]{8}-", "", name) if "upload/" in path else path
    raise UserError(
        f"{place}: names no video file; the task's data must name it, as in "
        '"video": "kitchen_1.mp4"'
    )


def label_studio_text(videos: Sequence[MarkedVideo], path: Path) -> str:
    """Returns tasks to import into Label Studio: detections are predictions, labels annotations.

    The timeline counts frames at the rate of each video's file, which the task states as `fps`;
    the project's <Video> tag must have frameRate="$fps". An action lasts at least one frame. The
    root of Label Studio's local files is the folder of the files, or the lowest above all of them.

    Raises:
      UserError: a frame rate is unknown.
    """
    folders = [video.path.absolute().parent for video in videos if video.path is not None]
    root = os.path.commonpath(folders) if folders else ""
    return json.dumps([_task(video, root) for video in videos], indent=1) + "\n"


def _task(video: MarkedVideo, root: str) -> dict[str, Any]:
    if video.path is None or not video.fps:
        raise UserError(
            f"{video.name}: Label Studio counts frames and needs the frame rate of each video; "
            "also give the video file"
        )
    relative = Path(os.path.relpath(video.path.absolute(), root)).as_posix()
    url = f"/data/local-files/?d={quote(os.fsencode(relative))}"
    results = [
        _result(span, f"{video.name}_{index}", video.detected)
        for index, span in enumerate(spans_of(video, video.fps))
    ]
    kind = "predictions" if video.detected else "annotations"
    done = {"result": results} | ({"model_version": "afsd_jax"} if video.detected else {})
    return {"data": {"video": url, "fps": video.fps}, kind: [done]}


def _result(span: Span, name: str, detected: bool) -> dict[str, Any]:
    value = {
        "ranges": [{"start": span.start + 1, "end": span.end}],
        "timelinelabels": [span.label],
    }
    result = {
        "id": name,
        "from_name": "timelineLabels",
        "to_name": "video",
        "type": "timelinelabels",
        "origin": "prediction" if detected else "manual",
        "value": value,
    }
    return result if span.score is None else result | {"score": span.score}
