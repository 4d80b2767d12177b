"""Finds the actions in many videos and writes them down: the command `afsd detect`."""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from afsd_jax import files, inputs
from afsd_jax.data.decode.video import stated_duration
from afsd_jax.detector import Detector, load_detector
from afsd_jax.errors import UserError
from afsd_jax.evaluation import SCORE
from afsd_jax.inputs import Frames, Input, Source
from afsd_jax.outputs import write_outputs
from afsd_jax.passing import SecondsBar, Thumbnails
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


class Given(NamedTuple):
    """The videos to detect in.

    durations_s: by name, seconds; roughly, where only opening a video tells them.
    sources: returns what opens the videos of some names.
    """

    durations_s: dict[str, float]
    sources: Callable[[Sequence[str]], Iterator[Source]]


def given_videos(args: argparse.Namespace, detector: Detector) -> Given:
    """Returns the videos that the command line names."""
    configs = detector.configs
    if args.data_dir:
        prepared = inputs.PreparedVideos(configs, args.data_dir, args.split or "")
        return Given(prepared.durations_s, prepared.sources)
    durations = files.read_json(args.durations) if args.durations else {}
    if not isinstance(durations, dict):
        raise UserError(f"{args.durations}: must map video names to seconds")
    paths = {path.stem: path for path in args.videos}

    def read(path: Path) -> Input:
        if path.suffix != ".npy":
            return inputs.from_video(path, configs, args.flow_method)
        arrays = [path, args.flow_dir / path.name] if args.flow_dir else [path]
        return inputs.from_arrays(arrays, configs, args.fps, durations)

    stated = {name: 0.0 if p.suffix == ".npy" else stated_duration(p) for name, p in paths.items()}

    def sources(names: Sequence[str]) -> Iterator[Source]:
        return (Source(name, lambda name=name: read(paths[name])) for name in names)

    return Given(stated, sources)


class Watch:
    """Counts the seconds of the videos that are read, and keeps thumbnails of them."""

    def __init__(
        self,
        given: Given,
        names: Sequence[str],
        scores: Mapping[str, VideoLabel] | None,
        keep: bool,
    ):
        """Takes the videos and those of their names to look at.

        Args:
          given: the videos.
          names: of those to look at.
          scores: of a video-level classifier, by video.
          keep: whether thumbnails are wanted.
        """
        self._given, self._names, self._scores, self._keep = given, names, scores, keep
        self._thumbnails: dict[str, Thumbnails] = {}
        self._bar = SecondsBar(sum(given.durations_s[name] for name in names))

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def sources(self) -> Iterator[Source]:
        """Yields what opens the videos."""
        for source in self._given.sources(self._names):
            yield Source(source.name, lambda source=source: self._open(source))

    def _open(self, source: Source) -> Input:
        self._bar.set_description_str(source.name, refresh=False)
        stated_s, actual_s = self._given.durations_s[source.name], 0.0
        try:
            label = None if self._scores is None else label_of(source.name, self._scores)
            video = source.open()
            actual_s = video.duration_s
        finally:
            self._bar.correct(actual_s - stated_s)
        return video._replace(frames=self._seen(video), label=label)

    def _seen(self, video: Input) -> Iterator[Frames]:
        kept = self._thumbnails[video.name] = Thumbnails(video.num_frames if self._keep else 0)
        for position, frames in enumerate(self._bar.passing(video.frames, video.fps)):
            rgb = next((frame for frame in frames if frame.shape[-1] == 3), None)
            if rgb is not None:
                kept.see(position, rgb)
            yield frames

    def report(self, video: Input, detections: Sequence[Detection]) -> VideoReport:
        """Returns what there is to show of a video whose frames have passed."""
        track = Track(video.name, video.duration_s, detections)
        kept = self._thumbnails.pop(video.name)
        if not kept.frames:
            return VideoReport(track)
        times = (kept.positions / video.fps).tolist()
        return VideoReport(track, np.stack(kept.frames), times)


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

    given = given_videos(args, detector)
    reports: list[VideoReport] = []
    failed: list[str] = []
    with Watch(given, list(given.durations_s), scores, bool(args.report)) as watch:
        for found in detector.detect_sources(watch.sources()):
            if found.error or found.video is None:  # one video of many must not cost the others
                failed.append(str(found.error))
            else:
                reports.append(watch.report(found.video, found.detections))
    return write_outputs(args, reports, failed)


if __name__ == "__main__":
    from afsd_jax.cli import main

    sys.exit(main(["detect", *sys.argv[1:]]))
