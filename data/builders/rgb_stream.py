"""A prepared rgb stream from which flow is computed, or beside which flow is prepared."""

from pathlib import Path
from typing import NamedTuple

from afsd_jax.data.builders import prepared_report
from afsd_jax.data.decode.sources import Timeline
from afsd_jax.errors import UserError
from afsd_jax.io.names import composed


class RgbStream(NamedTuple):
    """The videos of a prepared rgb stream, by name.

    Attributes:
      paths: their shards.
      timelines: their rates and lengths.
      fingerprints: those of everything that determines their frames.
      crops: the parts of their pictures that were used.
    """

    paths: dict[str, Path]
    timelines: dict[str, Timeline]
    fingerprints: dict[str, str]
    crops: dict[str, str]


def read_rgb(report: Path, fps: float, max_frames: int, keep_aspect: str) -> RgbStream:
    """Reads the report on a prepared rgb stream, which must be sampled and shaped alike.

    Raises:
      UserError: it is another stream, was sampled at another rate, or shaped in another way.
    """
    content = prepared_report.read_report(report)
    if content["stream"] != "rgb":
        raise UserError(f"{report.parent}: holds {content['stream']}; give a prepared rgb stream")
    rgb = (content["fps"], content["max_frames"])
    if rgb != (fps, max_frames):
        raise UserError(
            f"{report.parent}: its rgb frames were sampled with fps {rgb[0]:g} and max_frames "
            f"{rgb[1]}; sample flow with the same values: rates must not be mixed"
        )
    shaped = content["keep_aspect"]
    if shaped != keep_aspect:
        raise UserError(
            f"{report.parent}: its rgb frames were prepared with keep_aspect {shaped}; prepare "
            "flow alike"
        )
    paths, timelines, crops = {}, {}, {}
    for video in content["videos"]:
        name = composed(video["name"])
        paths[name] = report.parent / video["shard"]
        crops[name] = video.get("crop", "")
        timelines[name] = Timeline(
            video["fps"], video["num_frames"], video["duration_s"], video["source_frames"]
        )
    keys = content.get("fingerprints", {})
    fingerprints = {composed(name): key for name, (key, *_) in keys.items()}
    return RgbStream(paths, timelines, fingerprints, crops)
