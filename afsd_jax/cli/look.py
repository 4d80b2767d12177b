"""A first look at videos without training: the command `afsd look`."""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afsd_jax.cli.detect.video_list import video_files
from afsd_jax.cli.progress_bar import SecondsBar
from afsd_jax.data.decode.video_reader import VideoReader, stated_duration
from afsd_jax.detection import recognition
from afsd_jax.errors import UserError
from afsd_jax.io.video_scores import write_video_scores
from afsd_jax.report.page import VideoReport
from afsd_jax.report.thumbnails import Thumbnails
from afsd_jax.report.tracks import Track
from afsd_jax.results.writers import Choice, write_outputs

TITLE = "Kinetics-400 by sliding window: a baseline without learnt boundaries, not AFSD"

DEFAULTS = {"fps": 25.0, "size": 224, "threshold": 0.2, "write_video_scores": None}  # as in `cli`


def check_arguments(args: argparse.Namespace) -> None:
    """Raises UserError before anything is loaded, if an option is out of range.

    A folder among the videos is replaced by the videos in it.
    """
    if not 0 < args.fps < float("inf"):
        raise UserError(f"--fps {args.fps:g}: must be a positive number")
    if args.size < 32:
        raise UserError(f"--size {args.size}: must be at least 32")
    if not 0 < args.threshold < 1:
        raise UserError(f"--threshold {args.threshold:g}: must lie between 0 and 1")
    args.videos = video_files(args.videos)
    if not args.videos:
        raise UserError("give videos, or folders of them; see --help")
    names = [path.stem.removeprefix("v_") for path in args.videos]
    twice = {name for name in names if names.count(name) > 1}
    if args.write_video_scores and twice:
        raise UserError(
            f"{min(twice)} and v_{min(twice)} are one video among video scores; rename one of them"
        )


def look(args: argparse.Namespace) -> int:
    """Looks at every video that the command line names (`cli`), and writes what is recognised.

    Returns:
      0, or 1 if some videos failed, which are listed.

    Raises:
      UserError: an option is out of range, the weights are not installed, or all videos failed.
    """
    check_arguments(args)
    recognizer = recognition.Recognizer(args.size)
    print(TITLE)
    found: list[VideoReport] = []
    scores: dict[str, NDArray[np.floating]] = {}
    failed: list[str] = []
    stated = [stated_duration(path) for path in args.videos]
    with SecondsBar(sum(stated)) as bar:
        for path, seconds in zip(args.videos, stated, strict=True):
            bar.set_description_str(path.stem, refresh=False)
            try:
                video, scores[path.stem] = look_at(path, seconds, recognizer, args, bar)
            except UserError as error:  # one video of many must not cost the others
                failed.append(str(error))
                continue
            found.append(video)
    code = write_outputs(args, found, failed, TITLE, Choice(classes=recognizer.class_names))
    if args.write_video_scores:
        write_video_scores(args.write_video_scores, recognizer.class_names, scores)
    return code


def look_at(
    path: Path,
    stated_s: float,
    recognizer: recognition.Recognizer,
    args: argparse.Namespace,
    bar: SecondsBar,
) -> tuple[VideoReport, NDArray[np.floating]]:
    """Returns what is recognised in one video, and the scores of the classes in all of it.

    Raises:
      UserError: it cannot be read.
    """
    reader = VideoReader(path, args.fps, (args.size, args.size), square=True)
    bar.correct(reader.duration_s - stated_s)
    thumbnails = Thumbnails(reader.num_frames if args.report else 0)
    frames = thumbnails.passing(bar.passing(reader, reader.fps))
    moment_s = recognition.MOMENT / reader.fps
    likely = recognition.probabilities(recognizer.logits(frames, reader.num_frames), moment_s)
    detections = recognition.segments(
        likely, recognizer.class_names, moment_s, reader.duration_s, args.threshold
    )
    track = Track(path.stem, reader.duration_s, detections)
    video = VideoReport(track, *thumbnails.shown(reader.fps), path)
    return video, recognition.video_scores(likely)
