"""Finds the actions in many videos and writes them down: the command `afsd detect`."""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from tqdm import tqdm

from afsd_jax import files, inputs
from afsd_jax.detector import Detector, load_detector
from afsd_jax.errors import UserError
from afsd_jax.evaluation import SCORE
from afsd_jax.inputs import Input
from afsd_jax.outputs import THUMBNAILS, write_outputs
from afsd_jax.postprocess import VideoLabel
from afsd_jax.report.page import VideoReport
from afsd_jax.report.tracks import Track
from afsd_jax.types import Detection
from afsd_jax.video_scores import label_of, read_video_scores


def check_arguments(args: argparse.Namespace) -> None:
    """Raises UserError before anything is loaded, if what is given does not go together.

    A folder among the videos is replaced by the videos in it.
    """
    args.videos = inputs.video_files(args.videos)
    arrays = [path for path in args.videos if path.suffix == ".npy"]
    if bool(args.videos) == bool(args.data_dir):
        raise UserError("give either videos or --data-dir; see --help")
    if args.flow_checkpoint and arrays and not args.flow_dir:
        raise UserError(f"{arrays[0]}: fusing arrays with flow needs --flow-dir, with flow arrays")
    if args.flow_dir and not (args.flow_checkpoint and arrays):
        raise UserError("--flow-dir holds flow arrays, for --flow-checkpoint and .npy files only")
    if args.fps is not None and not 0 < args.fps < float("inf"):
        raise UserError(f"--fps {args.fps:g}: must be a positive number")


def readers(
    args: argparse.Namespace, detector: Detector
) -> tuple[int, Iterator[Callable[[], Input]]]:
    """Returns the number of videos, and one after another what reads each of them."""
    if args.data_dir:
        count, prepared = inputs.from_prepared(detector.configs, args.data_dir, args.split or "")
        return count, (lambda item=item: item for item in prepared)
    durations = files.read_json(args.durations) if args.durations else {}
    if not isinstance(durations, dict):
        raise UserError(f"{args.durations}: must map video names to seconds")

    def read(path: Path) -> Input:
        if path.suffix != ".npy":
            return inputs.from_video(path, detector.configs, args.flow_method)
        paths = [path, args.flow_dir / path.name] if args.flow_dir else [path]
        return inputs.from_arrays(paths, args.fps, durations)

    return len(args.videos), (lambda path=path: read(path) for path in args.videos)


def thumbnails(item: Input) -> tuple[np.ndarray | None, list[float]]:
    """Returns RGB frames spread over the video, if it has any, and their times in seconds."""
    rgb = next((frames for frames in item.streams if frames.shape[-1] == 3), None)
    if rgb is None:
        return None, []
    index = np.linspace(0, len(rgb) - 1, min(THUMBNAILS, len(rgb))).astype(int)
    return np.asarray(rgb[index]), [float(i) / item.fps for i in index]


def detect_in(
    item: Input, detector: Detector, scores: Mapping[str, VideoLabel] | None
) -> list[Detection]:
    """Returns the actions in one video.

    Raises:
      UserError: naming the video, its frames do not fit the networks or it has no scores.
    """
    label = None if scores is None else label_of(item.name, scores)
    try:
        return detector.detect_frames(item.streams, item.fps, item.duration_s, label, item.name)
    except UserError as error:
        raise UserError(f"{item.name}: {error}") from error


def detect(args: argparse.Namespace) -> int:
    """Detects in every video that the command line names (`cli`), and writes what is found.

    Returns:
      0, or 1 if there are detections, but not of the videos listed as failed.

    Raises:
      UserError: what is given does not go together, or no video could be read.
    """
    check_arguments(args)
    detector = load_detector(args.checkpoint, args.flow_checkpoint)
    for checkpoint in detector.checkpoints:
        if checkpoint.metrics:
            score = 100 * checkpoint.metrics[SCORE]
            print(f"step {checkpoint.step}, average mAP {score:.2f} on the validation split")
    scores = read_video_scores(args.video_scores) if args.video_scores else None
    if scores is None and detector.config.inference.video_labels:
        raise UserError("this checkpoint finds actions of unknown class; give --video-scores")

    found: list[VideoReport] = []
    failed: list[str] = []
    count, videos = readers(args, detector)
    for read in tqdm(videos, desc="detecting", unit="video", total=count):
        try:
            item = read()
            track = Track(item.name, item.duration_s, detect_in(item, detector, scores))
        except UserError as error:  # one video of many must not cost the others
            failed.append(str(error))
            continue
        found.append(VideoReport(track, *thumbnails(item)) if args.report else VideoReport(track))
    return write_outputs(args, found, failed)


if __name__ == "__main__":
    from afsd_jax.cli import main

    sys.exit(main(["detect", *sys.argv[1:]]))
