"""What the command line of `afsd detect` may say, checked before anything is loaded."""

import argparse
import difflib
from collections.abc import Sequence
from pathlib import Path

from afsd_jax.cli.detect import pipe
from afsd_jax.cli.detect.results_folder import OutputFolder
from afsd_jax.cli.detect.video_list import video_files
from afsd_jax.errors import UserError
from afsd_jax.io import files
from afsd_jax.results.writers import FORMATS, Choice

STREAM = Path("-")  # stands for standard input
_NOT_OF_STREAM = (
    *("flow_dir", "data_dir", "split", "fps", "durations", "shard", "ground_truth"),
    *("video_scores", "beam_options"),
)


def check_arguments(args: argparse.Namespace) -> None:
    """Raises UserError before anything is loaded, if what is given does not go together.

    A folder among the videos is replaced by the videos in it, and texts by what they say.
    """
    args.stream = STREAM in args.videos
    if args.stream:
        _check_stream(args)
    elif args.output is None:
        raise UserError("give --output, the file or folder to write to; see --help")
    else:
        args.videos = video_files(args.videos)
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
    for option in ("nms_tiou", "voting_tiou"):
        value = getattr(args, option)
        if value is not None and not 0 <= value <= 1:
            name = option.replace("_", "-")
            raise UserError(f"--{name} {value:g}: must lie between 0 and 1")
    args.labels = None if args.labels is None else _listed("--labels", args.labels)
    args.shard = None if args.shard is None else _shard(args.shard)
    if args.beam_options is not None and args.format is None:
        raise UserError("--beam-options: only with --format, where each video has files of its own")
    if args.format is not None:
        args.format = _listed("--format", args.format)
        for unknown in (name for name in args.format if name not in FORMATS):
            raise UserError(f"--format {unknown}: must be some of {','.join(FORMATS)}")
        for option, name in (("report", "html"), ("subtitles", "srt")):
            if getattr(args, option):
                raise UserError(f"--{option}: not with --format, which writes {name} files, too")


def refuse(args: argparse.Namespace, names: Sequence[str], why: str) -> None:
    """Raises UserError, with the reason, if an option of these names is given."""
    for name in names:
        if getattr(args, name) is not None:
            raise UserError(f"--{name.replace('_', '-')}: {why}")


def _check_stream(args: argparse.Namespace) -> None:
    if len(args.videos) > 1:
        raise UserError("-: standard input is looked at alone; give other videos to another run")
    refuse(args, _NOT_OF_STREAM, "not with -, a stream")
    if args.format is not None and args.output is None:
        raise UserError("--format: give --output, too, the folder to write to")
    args.videos = [Path(pipe.NAME)]


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
    videos = [] if args.stream else args.videos
    files.check_apart(outputs, [*videos, *flow, *given, args.ground_truth])
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
