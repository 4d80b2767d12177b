"""Reading `preparation.json`, which says what became of each video, strictly."""

import math
import re
from pathlib import Path
from typing import Any

from afsd_jax.config import STREAM_CHANNELS
from afsd_jax.data.annotations.checks import check_name
from afsd_jax.data.decode.crops import crop_text
from afsd_jax.data.decode.frame_geometry import WHOLE, FrameGeometry
from afsd_jax.errors import UserError
from afsd_jax.io import files
from afsd_jax.io.json_fields import field, read_list, require_dict, shown
from afsd_jax.types import KEEP_ASPECT, OWN_CROPS, SQUEEZE

REPORT = "preparation.json"
WIDEST = 4.0  # width over height of a picture in a page
_SHARD = re.compile(r"\w[\w.-]*", re.ASCII)  # a file in the folder itself
_NUMBERS = ("fps", "num_frames", "duration_s", "source_frames", "num_bytes", "damaged")


def read_report(path: Path) -> dict[str, Any]:
    """Returns the content of a report whose names and values are possible.

    Raises:
      UserError: the file is missing or no report.
    """
    report = require_dict(files.read_json(path), str(path))
    if report.get("stream") not in STREAM_CHANNELS:
        raise UserError(f"{path}: stream must be rgb or flow, not {shown(report.get('stream'))}")
    for name in ("fps", "max_frames"):
        _check_number(field(report, name, str(path)), f"{path}.{name}")
    names = read_list(field(report, "videos", str(path)), f"{path}: videos", _check_video)
    if len(set(names)) < len(names):
        raise UserError(f"{path}: names a video twice")
    # Folders of earlier versions do not state it.
    if report.setdefault("keep_aspect", SQUEEZE) not in KEEP_ASPECT:
        known = ", ".join(KEEP_ASPECT)
        found = shown(report["keep_aspect"])
        raise UserError(f"{path}: keep_aspect must be one of {known}, not {found}")
    for name in ("unreadable", "fingerprints"):
        require_dict(report.setdefault(name, {}), f"{path}: {name}")
    read_list(report.setdefault("warnings", []), f"{path}: warnings", _check_text)
    for name, keys in report["fingerprints"].items():
        if not isinstance(keys, list) or [type(key) for key in keys] != [str] * 3:
            raise UserError(f"{path}: fingerprints[{name!r}] must be three texts")
    return report


def stored_aspects(folder: Path) -> dict[str, float]:
    """Returns width over height of the pictures of a prepared folder's videos, where known.

    They lie between 1 / `WIDEST` and `WIDEST`, as pages show them.

    Raises:
      UserError: the folder's report cannot be read.
    """
    if not (folder / REPORT).exists():
        return {}
    videos = read_report(folder / REPORT)["videos"]
    known = {video["name"]: video.get("aspect", 0) for video in videos}
    return {name: min(max(x, 1 / WIDEST), WIDEST) for name, x in known.items() if x}


def stored_groups(folder: Path) -> dict[str, str]:
    """Returns the group of each video of a prepared folder that has one, by name.

    Raises:
      UserError: the folder's report cannot be read.
    """
    if not (folder / REPORT).exists():
        return {}
    videos = read_report(folder / REPORT)["videos"]
    return {video["name"]: video["group"] for video in videos if video.get("group")}


def stored_geometry(folder: Path) -> FrameGeometry:
    """Returns how the pictures of a prepared folder's videos became frames.

    The crop is `OWN_CROPS` if the videos had different ones.

    Raises:
      UserError: the folder's report cannot be read.
    """
    if not (folder / REPORT).exists():
        return WHOLE
    report = read_report(folder / REPORT)
    crops = {video.get("crop", "") for video in report["videos"]}
    crop = crops.pop() if len(crops) == 1 else OWN_CROPS
    return FrameGeometry(crop if report["videos"] else "", report["keep_aspect"])


def _check_video(entry: Any, place: str) -> str:
    """Checks what is said of a video, and returns its name."""
    name = field(require_dict(entry, place), "name", place)
    if not isinstance(name, str):
        raise UserError(f"{place}.name must be a text, not {shown(name)}")
    check_name(name, "video name", place)
    shard = field(entry, "shard", place)
    if not isinstance(shard, str) or not _SHARD.fullmatch(shard):
        raise UserError(f"{place}.shard must be the name of a file, not {shown(shard)}")
    if entry.get("error") is not None or not isinstance(entry.get("split"), str):
        raise UserError(f"{place}: must have a split and no error")
    for number in _NUMBERS:
        _check_number(field(entry, number, place), f"{place}.{number}")
    _check_number(entry.get("aspect", 0), f"{place}.aspect")
    _check_text(entry.get("group", ""), f"{place}.group")
    crop = entry.get("crop", "")
    if not isinstance(crop, str) or crop_text(crop, f"{place}.crop") != crop:
        raise UserError(f"{place}.crop must be x,y,width,height, not {shown(crop)}")
    return name


def _check_text(value: Any, place: str) -> None:
    if not isinstance(value, str):
        raise UserError(f"{place} must be a text, not {shown(value)}")


def _check_number(value: Any, place: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise UserError(f"{place} must be a number from 0 on, not {shown(value)}")
