"""Finds the actions in many videos and writes them down: the command `afsd detect`."""

import argparse
import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from afsd_jax.cli.detect import options
from afsd_jax.cli.detect.pipe import Ending, Lines, StandardInput
from afsd_jax.cli.detect.progress import Watch
from afsd_jax.cli.detect.results_folder import OutputFolder
from afsd_jax.cli.detect.video_list import GivenVideos, PreparedVideos, Stream, VideoFiles, share
from afsd_jax.data.decode.container import ByteSource
from afsd_jax.detection.detector import Detector, Found
from afsd_jax.detection.load import load_detector
from afsd_jax.detection.online import detect_live
from afsd_jax.errors import UserError
from afsd_jax.evaluation import SCORE
from afsd_jax.inputs.video import Source
from afsd_jax.io import fingerprint
from afsd_jax.io.video_scores import find_label, read_video_scores
from afsd_jax.report.page import VideoReport
from afsd_jax.results.writers import Choice, list_damaged, list_failed, write_outputs
from afsd_jax.runtime.signals import Interruption
from afsd_jax.types import Detection, VideoLabel
from afsd_jax.version import VERSION


@dataclasses.dataclass
class Work:
    """All that detecting takes.

    Attributes:
      detector: what finds actions.
      find: how it does.
      scores: of a video-level classifier, by video.
      given: the videos.
      names: of those to look at.
      choice: what people are shown.
      folder: of the results, if there is one.
      keep_frames: whether frames of the videos are shown.
      failed: why videos failed.
      quiet: whether no progress is shown.
    """

    detector: Detector
    find: Callable[[Iterable[Source]], Iterator[Found]]
    scores: Mapping[str, VideoLabel] | None
    given: GivenVideos
    names: Sequence[str]
    choice: Choice
    folder: OutputFolder | None
    keep_frames: bool
    failed: list[str] = dataclasses.field(default_factory=list)
    quiet: bool = False

    def reports(self, names: Sequence[str]) -> Iterator[VideoReport]:
        """Yields what is found in each of these videos, as it is done."""
        if not names:
            return
        with Watch(self.given, names, self.scores, self.keep_frames, self.quiet) as watch:
            for found in self.find(watch.sources()):
                if found.error or found.video is None:  # one of many must not cost the others
                    self.failed.append(str(found.error))
                else:
                    yield watch.report(found.video, found.detections)


def detect(args: argparse.Namespace) -> int:
    """Detects in every video that the command line names (`cli`), and writes what is found.

    Returns:
      0, or 1 if there are detections, but not of the videos listed as failed; of a stream that a
      signal ended 128 and its number.

    Raises:
      UserError: what is given does not go together, or no video could be read.
    """
    options.check_arguments(args)
    if args.stream:
        return detect_stream(args)
    work = open_work(args)
    if work.folder:
        return detect_into(work.folder, work, args)
    return write_outputs(args, list(work.reports(work.names)), work.failed, choice=work.choice)


def open_work(args: argparse.Namespace, stream: ByteSource | None = None) -> Work:
    """Loads the networks and finds the videos.

    Args:
      args: the command line, which `detect_options` has checked.
      stream: the bytes of the video, if it comes as a stream.

    Raises:
      UserError: what is given does not go together.
    """
    choice = options.choice_of(args)
    folder = options.open_folder(args, choice)
    if args.videos:
        options.check_outputs(args, [path.stem for path in args.videos], folder)
    detector = load_detector(args.checkpoint, args.flow_checkpoint, args.backend)
    chosen = {name: getattr(args, name) for name in ("nms", "nms_tiou", "voting_tiou")}
    with detector.config.unlocked():
        detector.config.inference.update({k: v for k, v in chosen.items() if v is not None})
    for checkpoint in detector.checkpoints:
        if checkpoint.metrics:
            score = 100 * checkpoint.metrics[SCORE]
            print(f"step {checkpoint.step}, average mAP {score:.2f} on the validation split")
    scores = read_video_scores(args.video_scores) if args.video_scores else None
    if scores is None and detector.config.inference.video_labels:
        raise UserError("this checkpoint finds actions of unknown class; give --video-scores")
    classes = detector.class_names
    if scores:
        classes = sorted({label.label for label in scores.values()})
    options.check_labels(args.labels, sorted(classes))
    choice = choice._replace(classes=classes)
    if folder:
        folder.choice = choice

    given: GivenVideos
    if stream is not None:
        given = Stream(args, detector.configs, stream)
    else:
        given = (PreparedVideos if args.data_dir else VideoFiles)(args, detector.configs)
    names = share(given.names, args.shard) if args.shard else given.names
    if args.data_dir:
        options.check_outputs(args, names, folder)
    keep_frames = folder.shows_frames if folder else bool(args.report)
    find = detector.detect_sources
    return Work(detector, find, scores, given, names, choice, folder, keep_frames)


def detect_stream(args: argparse.Namespace) -> int:
    """Detects in standard input, and writes each detection to standard output as it is certain.

    What is written of files is written at the end, where that is asked for. A signal, or a reader
    of standard output who goes away, is the end of the stream.
    """
    choice = options.choice_of(args)

    def wanted(detection: Detection) -> bool:
        chosen = choice.labels is None or detection.label in choice.labels
        return chosen and detection.score >= choice.min_score

    interruption = Interruption("ending with what has come")
    ending = Ending(interruption, Lines(sys.stdout, wanted))
    with contextlib.redirect_stdout(sys.stderr):
        work = open_work(args, StandardInput(ending))

        def find(sources: Iterable[Source]) -> Iterator[Found]:
            for source in sources:
                yield detect_live(work.detector, source, ending.lines, bool(args.output))

        work.find = find
        try:
            with interruption:
                code = _write_stream(args, work)
        except UserError as error:
            if not ending():
                raise
            print(f"error: {error}", file=sys.stderr)
    return 128 + ending.signum if ending() else code


def _write_stream(args: argparse.Namespace, work: Work) -> int:
    if work.folder:
        return detect_into(work.folder, work, args)
    reports = list(work.reports(work.names))
    if args.output or not reports:
        return write_outputs(args, reports, work.failed, choice=work.choice)
    list_damaged({report.track.name: report.damaged for report in reports if report.damaged})
    return 0


def detect_into(folder: OutputFolder, work: Work, args: argparse.Namespace) -> int:
    """Detects in the videos that a folder holds no results of, and writes each as it is done.

    Args:
      folder: of the work.
      work: to do here, or on Beam's workers.
      args: the command line, which says where.

    Returns:
      The exit code, as `detect`.

    Raises:
      UserError: no video could be read, or a file cannot be written.
    """
    made_by = made_from(work)
    given, names = work.given, work.names
    done = {name for name in names if folder.holds(name, made_by[name], given.actions(name))}
    if done:
        print(
            f"{folder.folder}: holds {len(done)} of {len(names)} videos, of this checkpoint, these "
            "options and unchanged files; they are not computed anew"
        )
    damaged = {}
    left = [name for name in names if name not in done]
    if args.beam_options is None:
        written = write_videos(folder, work, left, made_by)
    else:
        from afsd_jax.cli.detect import beam

        written = beam.write_videos(args, left, made_by, work.failed)
    for name, lost in written:
        if lost:
            damaged[name] = lost
        done.add(name)
    if not done:
        raise UserError(work.failed[0])
    count = folder.finish([name for name in names if name in done])
    print(f"{folder.combined}: {count} detections in {len(done)} videos")
    list_damaged(damaged)
    return list_failed(work.failed)


def write_videos(
    folder: OutputFolder, work: Work, names: Sequence[str], made_by: Mapping[str, str]
) -> Iterator[tuple[str, int]]:
    """Detects in videos and writes each one's files; yields its name, and what it has of damage."""
    for video in work.reports(names):
        folder.write(video, made_by[video.track.name])
        yield video.track.name, video.damaged


def made_from(work: Work) -> dict[str, str]:
    """Returns digests of what each video's detections are made from, by its name."""
    networks = work.detector.fingerprint()
    made_by = {}
    for name in work.names:
        label = work.scores and find_label(name, work.scores)
        state = work.given.state(name)
        made_by[name] = fingerprint.of_values(VERSION, networks, state, label)
    return made_by
