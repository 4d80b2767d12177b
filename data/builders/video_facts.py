"""What the choice of a rate and a size needs to know of the videos, from their files."""

import collections
import contextlib
import dataclasses
import logging
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from afsd_jax.data.annotations import Annotations
from afsd_jax.data.builders.prepare_options import PrepareOptions
from afsd_jax.data.builders.prepared_report import read_report
from afsd_jax.data.builders.sampling_choice import (
    USUAL_FPS,
    Choice,
    Lengths,
    choose_fps,
    choose_size,
    largest_side,
)
from afsd_jax.data.builders.source_files import SourceFiles
from afsd_jax.data.decode import media
from afsd_jax.data.decode.frame_geometry import FrameGeometry
from afsd_jax.data.decode.picture_shape import read_shape
from afsd_jax.data.decode.video_reader import stated_duration
from afsd_jax.errors import UserError

log = logging.getLogger(__name__)

_MOST_OPENED = 200  # videos whose frames are decoded; of more videos, these are a sample


class VideoFacts(NamedTuple):
    """Facts about annotated video files.

    Attributes:
      lengths: for each class [N, 2], lengths of its actions and of their videos, seconds.
      own_rates: frames per second of some videos.
      sides: largest sides of what their frames would show, pixels.
      duration_s: length of all videos.
    """

    lengths: Lengths
    own_rates: list[float]
    sides: list[float]
    duration_s: float


def read_facts(
    videos: Annotations, paths: Mapping[str, Path], geometries: Mapping[str, FrameGeometry]
) -> VideoFacts:
    """Reads the headers of all video files and the first frames of some; damaged ones are left out.

    Args:
      videos: the annotations by name.
      paths: the files of the annotated videos by name.
      geometries: by name, how their pictures become frames.

    Raises:
      UserError: there is no video file, or a crop is outside of its picture.
    """
    names = [name for name, path in paths.items() if media.is_video(path)]
    if not names:
        raise UserError("fps and size can only be chosen from video files; state their values")
    lengths, duration_s = collections.defaultdict(list), 0.0
    for name in names:
        stated_s = stated_duration(paths[name])
        duration_s += stated_s
        for action in videos[name].actions:
            lengths[action.label].append((action.end_s - action.start_s, stated_s))
    facts = VideoFacts(lengths, [], [], duration_s)
    for name in names[:: max(math.ceil(len(names) / _MOST_OPENED), 1)]:
        with contextlib.suppress(UserError):
            shape = read_shape(paths[name])
            facts.sides.append(largest_side(shape, geometries[name]))
            facts.own_rates.append(shape.fps)
    return facts


def with_sampling(
    options: PrepareOptions,
    reports: Sequence[Path],
    found: SourceFiles,
    geometries: Mapping[str, FrameGeometry],
    fps: float,
) -> PrepareOptions:
    """Returns the options with those of fps and size that are to be chosen; logs the reasons.

    Args:
      options: options of the preparation.
      reports: paths of reports on streams; the first one that exists decides.
      found: the annotated videos and their files, from which they are chosen if no report exists.
      geometries: by name, how their pictures become frames.
      fps: the rate if it is not chosen; 0: that of each video.

    Raises:
      UserError: there is no video file, or a crop is outside of its picture.
    """
    if not options.auto:
        return options
    report = next((path for path in reports if path.exists()), None)
    if report is not None:
        content, reason = read_report(report), f"as in {report.parent}"
        chosen = {field: Choice(content[field], reason) for field in options.auto}
    else:
        facts = read_facts(found.videos, found.paths, geometries)
        chosen = choose_sampling(facts, options.auto, fps)
    for field, (value, reason) in chosen.items():
        log.info("%s %g: %s", field, value, reason)
    values: dict[str, Any] = {field: choice.value for field, choice in chosen.items()}
    return dataclasses.replace(options, **values)


def choose_sampling(facts: VideoFacts, fields: Collection[str], fps: float) -> dict[str, Choice]:
    """Chooses those of fps and size that are among the fields.

    Args:
      facts: facts about the videos.
      fields: names of fields.
      fps: the rate if it is not chosen; 0: that of each video.
    """
    own_rates = [rate for rate in facts.own_rates if rate]
    choices = {}
    if "fps" in fields:
        choices["fps"] = choose_fps(facts.lengths, own_rates)
        fps = choices["fps"].value
    if "size" in fields:
        rate = fps or (sum(own_rates) / len(own_rates) if own_rates else USUAL_FPS)
        choices["size"] = choose_size(facts.sides, facts.duration_s * rate)
    return choices
