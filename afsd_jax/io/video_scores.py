"""Scores of a video-level classifier, which determine the class of ActivityNet's actions.

The format is {"class": [name, …], "results": {video: [score of each class]}}. Video names have no
leading "v_".
"""

import os
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from afsd_jax.errors import UserError
from afsd_jax.io import files
from afsd_jax.io.names import composed
from afsd_jax.types import VideoLabel


def read_video_scores(path: str | os.PathLike[str]) -> dict[str, VideoLabel]:
    """Reads each video's best class and its score, with composed names; see `io.names`.

    Raises:
      UserError: the file is missing, not JSON or malformed.
    """
    content = files.read_json(path)
    if not isinstance(content, dict):
        content = {}
    names, results = content.get("class"), content.get("results")
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise UserError(f'{path}: "class" must be a list of class names')
    if not all(name.isprintable() for name in names):
        raise UserError(f'{path}: "class" has a name with control characters')
    if not isinstance(results, dict):
        raise UserError(f'{path}: "results" must map videos to lists of scores')
    labels = {}
    for video, values in results.items():
        try:
            scores = np.array(values, np.float64)
        except (TypeError, ValueError, OverflowError):
            scores = np.array(np.nan)
        if scores.shape != (len(names),) or not scores.size or not np.isfinite(scores).all():
            raise UserError(
                f"{path}: results[{video!r}] must be {len(names)} finite numbers, one per class"
            )
        best = int(np.argmax(scores))
        labels[composed(video)] = VideoLabel(names[best], float(scores[best]))
    return labels


def write_video_scores(
    path: str | os.PathLike[str],
    class_names: Sequence[str],
    scores: Mapping[str, NDArray[np.floating]],
) -> None:
    """Writes each video's score of each class, completely or not at all."""
    results = {
        video.removeprefix("v_"): np.round(values, 6).tolist() for video, values in scores.items()
    }
    files.write_json(path, {"class": list(class_names), "results": results})


def find_label(video: str, labels: Mapping[str, VideoLabel]) -> VideoLabel | None:
    """Returns the label of a video by its name with or without "v_", or None."""
    video = composed(video)
    return labels.get(video.removeprefix("v_")) or labels.get(video)


def label_of(video: str, labels: Mapping[str, VideoLabel]) -> VideoLabel:
    """Returns the label of a video; see `find_label`.

    Raises:
      UserError: the video has no scores.
    """
    found = find_label(video, labels)
    if found is None:
        raise UserError(
            f"{video}: has no entry in the video scores: add {video.removeprefix('v_')}"
        )
    return found
