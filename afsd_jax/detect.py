"""Finds the actions in many videos and writes them down: the command `afsd detect`."""

import argparse
import difflib
import sys
from collections.abc import Iterator, Mapping, Sequence

from afsd_jax import __version__, files, fingerprint, inputs
from afsd_jax.detector import Detector, load_detector
from afsd_jax.errors import UserError
from afsd_jax.evaluation import SCORE
from afsd_jax.given_videos import GivenVideos, PreparedVideos, VideoFiles, share
from afsd_jax.output_folder import OutputFolder
from afsd_jax.outputs import FORMATS, Choice, list_damaged, list_failed, write_outputs
from afsd_jax.postprocess import VideoLabel
from afsd_jax.report.page import VideoReport
from afsd_jax.video_scores import find_label, read_video_scores
from afsd_jax.watch import Watch


def check_arguments(args: argparse.Namespace) -> None:
    """Raises UserError before anything is loaded, if what is given does not go together.

    A folder among the videos is replaced by the videos in it, and texts by what they say.
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
    if args.min_score is not None and not 0 <= args.min_score <= 1:
        raise UserError(f"--min-score {args.min_score:g}: must lie between 0 and 1")
    if args.top_k is not None and args.top_k < 1:
        raise UserError(f"--top-k {args.top_k}: must be at least 1")
    args.labels = None if args.labels is None else _listed("--labels", args.labels)
    args.shard = None if args.shard is None else _shard(args.shard)
    if args.format is not None:
        args.format = _listed("--format", args.format)
        for unknown in (name for name in args.format if name not in FORMATS):
            raise UserError(f"--format {unknown}: must be some of {','.join(FORMATS)}")
        for option, name in (("report", "html"), ("subtitles", "srt")):
            if getattr(args, option):
                raise UserError(f"--{option}: not with --format, which writes {name} files, too")


def _listed(option: str, text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UserError(f"{option}: give names, separated by commas")
    return list(dict.fromkeys(names))


def _shard(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise UserError(f"--shard {text}: must be such as 1/4, 2/4, 3/4 or 4/4")
    return int(number), int(count)


def check_outputs(
    args: argparse.Namespace, names: Sequence[str], folder: OutputFolder | None
) -> None:
    """Raises UserError if an output is an input, is written twice or cannot be a file."""
    if folder:
        outputs = list(folder.files(names))
    else:
        outputs = [args.output, args.report]
        if args.subtitles:
            outputs += [args.subtitles / f"{name}.srt" for name in names]
    flow = [args.flow_dir / path.name for path in args.videos] if args.flow_dir else []
    given = [args.checkpoint, args.flow_checkpoint, args.durations, args.video_scores]
    files.check_apart(outputs, [*args.videos, *flow, *given, args.ground_truth])
    for path in outputs:
        if path is not None and path.parent.is_dir():
            files.check_output_file(path)


def choice_of(args: argparse.Namespace) -> Choice:
    """Returns what people are to be shown."""
    least = Choice().min_score if args.min_score is None else args.min_score
    return Choice(least, args.top_k, args.labels)


def check_labels(labels: Sequence[str] | None, known: Sequence[str]) -> None:
    """Raises UserError if a label is none of those known."""
    for label in labels or ():
        if label not in known:
            near = difflib.get_close_matches(label, known, 1) or list(known)
            raise UserError(f"--labels {label}: no such class; there is {', '.join(near[:8])}")


def open_folder(args: argparse.Namespace, choice: Choice) -> OutputFolder | None:
    """Returns the folder of results, if there is to be one."""
    if args.format is None:
        return None
    part = "-{}-of-{}".format(*args.shard) if args.shard else ""
    return OutputFolder(args.output, args.format, choice, part)


def detect(args: argparse.Namespace) -> int:
    """Detects in every video that the command line names (`cli`), and writes what is found.

    Returns:
      0, or 1 if there are detections, but not of the videos listed as failed.

    Raises:
      UserError: what is given does not go together, or no video could be read.
    """
    check_arguments(args)
    choice = choice_of(args)
    if args.videos:
        names = [path.stem for path in args.videos]
        check_outputs(args, names, open_folder(args, choice))
    detector = load_detector(args.checkpoint, args.flow_checkpoint, args.backend)
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
    check_labels(args.labels, sorted(classes))
    choice = choice._replace(classes=classes)
    folder = open_folder(args, choice)

    kind = PreparedVideos if args.data_dir else VideoFiles
    given: GivenVideos = kind(args, detector.configs)
    names = share(given.names, args.shard) if args.shard else given.names
    if args.data_dir:
        check_outputs(args, names, folder)
    if folder:
        return detect_into(folder, given, names, detector, scores)
    failed: list[str] = []
    reports = list(reports_of(given, names, detector, scores, bool(args.report), failed))
    return write_outputs(args, reports, failed, choice=choice)


def detect_into(
    folder: OutputFolder,
    given: GivenVideos,
    names: Sequence[str],
    detector: Detector,
    scores: Mapping[str, VideoLabel] | None,
) -> int:
    """Detects in the videos that a folder holds no results of, and writes each as it is done.

    Returns:
      The exit code, as `detect`.

    Raises:
      UserError: no video could be read, or a file cannot be written.
    """
    networks = fingerprint.of_detector(detector)
    made_by = {}
    for name in names:
        label = scores and find_label(name, scores)
        made_by[name] = fingerprint.of_values(__version__, networks, given.state(name), label)
    done = {name for name in names if folder.holds(name, made_by[name], given.actions(name))}
    if done:
        print(
            f"{folder.folder}: holds {len(done)} of {len(names)} videos, of this checkpoint, these "
            "options and unchanged files; they are not computed anew"
        )
    failed: list[str] = []
    damaged = {}
    left = [name for name in names if name not in done]
    for video in reports_of(given, left, detector, scores, folder.shows_frames, failed):
        folder.write(video, made_by[video.track.name])
        if video.damaged:
            damaged[video.track.name] = video.damaged
        done.add(video.track.name)
    if not done:
        raise UserError(failed[0])
    count = folder.finish([name for name in names if name in done])
    print(f"{folder.combined}: {count} detections in {len(done)} videos")
    list_damaged(damaged)
    return list_failed(failed)


def reports_of(
    given: GivenVideos,
    names: Sequence[str],
    detector: Detector,
    scores: Mapping[str, VideoLabel] | None,
    keep_frames: bool,
    failed: list[str],
) -> Iterator[VideoReport]:
    """Yields what is found in each video, as it is done; why others failed goes to `failed`."""
    if not names:
        return
    with Watch(given, names, scores, keep_frames) as watch:
        for found in detector.detect_sources(watch.sources()):
            if found.error or found.video is None:  # one video of many must not cost the others
                failed.append(str(found.error))
            else:
                yield watch.report(found.video, found.detections)


if __name__ == "__main__":
    from afsd_jax.cli import main

    sys.exit(main(["detect", *sys.argv[1:]]))
