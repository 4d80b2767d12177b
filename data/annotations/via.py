"""Projects of VIA 3, the VGG Image Annotator for videos (JSON)."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from afsd_jax.data.annotations.collector import Annotations, Collector
from afsd_jax.data.annotations.marks import file_name, labels_of
from afsd_jax.errors import UserError
from afsd_jax.io.json_fields import field, number, read_list, require_dict, shown, text
from afsd_jax.types import MarkedVideo

_SEGMENT_ANCHOR = "FILE1_Z2_XY0"  # the anchor of attributes of temporal segments
_CHECKBOX, _SELECT = 2, 4  # types of attributes
_VIDEO = 4  # type of files
_LOCAL, _FILE_URL = 1, 3  # where a file is: to be chosen by the user, or at a file:// URL


def is_via(content: Any) -> bool:
    """Returns whether the content of a JSON file is a project."""
    return isinstance(content, dict) and {"metadata", "file", "view"} <= content.keys()


def read_via(path: Path, content: dict[str, Any]) -> Annotations:
    """Reads the temporal segments; videos without any are left out, as they may be unannotated.

    The label is the value of the segment's first attribute of temporal segments.

    Raises:
      UserError: a segment has no label, does not belong to a single video, or is malformed.
    """
    attributes, views, media, metadata = (
        require_dict(content.get(key, {}), f"{path}: {key}")
        for key in ("attribute", "view", "file", "metadata")
    )
    collector, order = Collector(), {key: index for index, key in enumerate(attributes)}
    for key, entry in metadata.items():
        place = f"{path}: metadata[{key!r}]"
        span = read_list(field(require_dict(entry, place), "z", place), f"{place}.z", number)
        if len(span) != 2 or entry.get("xy"):
            continue  # an attribute of the whole file, or a shape in one frame
        view = _entry(views, entry.get("vid"), f"{path}: view", place)
        files = field(view, "fid_list", place)
        if not isinstance(files, list) or len(files) != 1:
            raise UserError(f"{place}: its view must show one video, not {shown(files)}")
        file = _entry(media, files[0], f"{path}: file", place)
        stated = collector.add_video(text(file, "fname", f"{path}: file[{str(files[0])!r}]"), place)
        start_s, end_s = span
        values = require_dict(entry.get("av"), f"{place}.av")
        for label in _labels(values, attributes, order, place):
            collector.add_action(stated, label, start_s, end_s, place)
    return collector.annotations()


def _entry(table: dict[str, Any], key: Any, where: str, place: str) -> dict[str, Any]:
    if str(key) not in table:
        raise UserError(f"{place}: {where.rpartition(' ')[2]} {str(key)!r} is not in the project")
    return require_dict(table[str(key)], f"{where}[{str(key)!r}]")


def _labels(
    values: dict[str, Any], attributes: dict[str, Any], order: dict[str, int], place: str
) -> list[str]:
    """Returns the labels of a segment; a chosen option is stored by its key."""
    for key in sorted(attributes.keys() & values.keys(), key=order.__getitem__):
        attribute = require_dict(attributes[key], f"{place}: attribute[{key!r}]")
        value = values[key]
        if attribute.get("anchor_id") != _SEGMENT_ANCHOR or not isinstance(value, str):
            continue
        options = attribute.get("options")
        options = options if isinstance(options, dict) else {}
        chosen = value.split(",") if attribute.get("type") == _CHECKBOX else [value]
        labels = [str(options.get(choice) or choice).strip() for choice in chosen]
        if all(labels):
            return labels
    raise UserError(f"{place}.av: has no label; give the segment a value in VIA")


def via_text(videos: Sequence[MarkedVideo], path: Path) -> str:
    """Returns a VIA 3 project with a view for each video; scores are left out.

    A video whose file is unknown is to be chosen in VIA.

    Args:
      videos: the videos.
      path: the file that will be written, whose name is that of the project.
    """
    labels = {label: str(index) for index, label in enumerate(labels_of(videos))}
    views = {str(number): video for number, video in enumerate(videos, start=1)}
    segments = {
        f"{view}_{index}": {
            "vid": view,
            "flg": 0,
            "z": [mark.start_s, mark.end_s],
            "xy": [],
            "av": {"1": labels[mark.label]},
        }
        for view, video in views.items()
        for index, mark in enumerate(video.marks)
    }
    project = {
        "project": {
            "pid": "__VIA_PROJECT_ID__",
            "rev": "__VIA_PROJECT_REV_ID__",
            "rev_timestamp": "__VIA_PROJECT_REV_TIMESTAMP__",
            "pname": path.stem,
            "creator": "VGG Image Annotator (http://www.robots.ox.ac.uk/~vgg/software/via)",
            "data_format_version": "3.1.1",
            "vid_list": list(views),
        },
        "config": {
            "file": {"loc_prefix": {"1": "", "2": "", "3": "", "4": ""}},
            "ui": {
                "file_content_align": "center",
                "file_metadata_editor_visible": True,
                "spatial_metadata_editor_visible": True,
                "temporal_segment_metadata_editor_visible": True,
                "spatial_region_label_attribute_id": "",
                "gtimeline_visible_row_count": str(min(max(len(labels), 4), 10)),
            },
        },
        "attribute": {
            "1": {
                "aname": "TEMPORAL-SEGMENTS",
                "anchor_id": _SEGMENT_ANCHOR,
                "type": _SELECT,
                "desc": "class of a temporal segment",
                "options": {key: label for label, key in labels.items()},
                "default_option_id": "",
            }
        },
        "file": {view: _file(view, video) for view, video in views.items()},
        "view": {view: {"fid_list": [view]} for view in views},
        "metadata": segments,
    }
    return json.dumps(project, indent=1) + "\n"


def _file(view: str, video: MarkedVideo) -> dict[str, Any]:
    place = (_LOCAL, "") if video.path is None else (_FILE_URL, video.path.absolute().as_uri())
    return {
        "fid": view,
        "fname": file_name(video),
        "type": _VIDEO,
        **dict(zip(("loc", "src"), place, strict=True)),
    }
