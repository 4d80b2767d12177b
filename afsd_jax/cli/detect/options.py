"""The options of `afsd detect`, checked before anything is loaded."""

import argparse
import dataclasses
import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from afsd_jax.cli.arguments import beam_options, least_scores
from afsd_jax.cli.detect.results_folder import ResultsFolder
from afsd_jax.cli.process import COMPILATION_CACHE
from afsd_jax.cli.video_files import video_files
from afsd_jax.cli.video_outputs import VideoOutputs
from afsd_jax.data.decode.crops import NO_CROPS, VideoCrops, read_crops
from afsd_jax.errors import UserError
from afsd_jax.io import files
from afsd_jax.io.names import video_name
from afsd_jax.results.writers import Selection

PIPE = Path("-")  # stands for standard input
PIPE_NAME = "stdin"  # name of its video
_NOT_OF_PIPE = (
    *("flow_dir", "data_dir", "split", "fps", "durations", "shard", "ground_truth"),
    *("video_scores", "beam_options"),
)


@dataclasses.dataclass(frozen=True)
class DetectOptions:
    """The videos, the networks and the outputs. None where a flag is not given.

    Attributes:
      checkpoint: file or folder of the network.
      videos: video files and arrays, by name; none with `piped` or `data_dir`.
      unreadable: lines about videos in the given folders that cannot be opened.
      piped: whether the video comes on standard input.
      flow_checkpoint: file or folder of a second network, on optical flow.
      backend: software that computes the trunk.
      trunk_context: input of the trunk, one of `model.trunk_context`.
      crops: the parts of the pictures that are used.
      nms: kind of suppression.
      nms_tiou: overlap from which plain suppression drops.
      voting_tiou: overlap of the candidates over which ends are averaged.
      flow_dir: folder of the flow that belongs to arrays.
      flow_method: how flow is computed.
      data_dir: folder of prepared data sets.
      split: split of the prepared data set.
      shard: (i, n): detect only in every n-th video, beginning with the i-th.
      fps: frame rate of arrays.
      durations: file with durations of arrays.
      video_scores: file with the classes of a video-level classifier.
      ground_truth: file of annotations to show.
      output: file to write; with `formats` the folder.
      formats: files to write for each video.
      report: page to write.
      subtitles: folder to write subtitles to.
      selection: which detections people are shown.
      own_thresholds: whether its minimum scores are those kept with the checkpoint; None: they
        are if the checkpoint keeps any.
      beam_options: pipeline options of Apache Beam.
      compilation_cache: folder for compiled programs, for Beam's workers.
    """

    checkpoint: str
    videos: Mapping[str, Path] = dataclasses.field(default_factory=dict)
    unreadable: Sequence[str] = ()
    piped: bool = False
    flow_checkpoint: Path | None = None
    backend: str | None = None
    trunk_context: str | None = None
    crops: VideoCrops = NO_CROPS
    nms: str | None = None
    nms_tiou: float | None = None
    voting_tiou: float | None = None
    flow_dir: Path | None = None
    flow_method: str | None = None
    data_dir: Path | None = None
    split: str | None = None
    shard: tuple[int, int] | None = None
    fps: float | None = None
    durations: Path | None = None
    video_scores: Path | None = None
    ground_truth: Path | None = None
    output: Path | None = None
    formats: Sequence[str] | None = None
    report: Path | None = None
    subtitles: Path | None = None
    selection: Selection = dataclasses.field(default_factory=Selection)
    own_thresholds: bool | None = False
    beam_options: Any = None
    compilation_cache: str | None = None

    @property
    def outputs(self) -> VideoOutputs:
        """The files for all videos, without `formats`."""
        return VideoOutputs(self.output, self.report, self.subtitles)


def read_options(args: argparse.Namespace) -> DetectOptions:
    """Returns the options that a command line states; a folder stands for the videos in it.

    Raises:
      UserError: flags do not go together, or a video is missing.
    """
    check_flags(args)
    values = {name: value for name, value in vars(args).items() if name in _FIELDS}
    piped = PIPE in args.videos
    least, own_thresholds = least_scores(args.min_score)
    if own_thresholds is None and (piped or args.flow_checkpoint):
        own_thresholds = False  # measured for each video of its own network alone
    found = video_files([] if piped else args.videos)
    crops = read_crops(args.crop)
    crops.check_any(found.paths)
    options = DetectOptions(
        **values
        | {
            "videos": found.paths,
            "unreadable": found.unreadable,
            "piped": piped,
            "crops": crops,
            "selection": Selection(least, args.top_k, args.labels),
            "own_thresholds": own_thresholds,
            "beam_options": beam_options(args.beam_options),
            "compilation_cache": os.environ.get(COMPILATION_CACHE),
        }
    )
    check_arrays(options)
    return options


_FIELDS = {field.name for field in dataclasses.fields(DetectOptions)}


def check_flags(args: argparse.Namespace) -> None:
    """Raises UserError if flags do not go together."""
    if PIPE in args.videos:
        _check_pipe(args)
    else:
        if bool(args.videos) == bool(args.data_dir):
            raise UserError("give either videos or --data-dir; see --help")
    if args.crop is not None and args.data_dir:
        raise UserError("--crop: not with --data-dir; prepared frames are cropped already")
    if isinstance(args.min_score, str) and args.flow_checkpoint:
        raise UserError("--min-score auto: not with --flow-checkpoint, as scores are fused")
    if args.beam_options is not None and args.formats is None:
        raise UserError("--beam-options: needs --format, which writes files for each video")
    if args.formats is not None:
        if args.output is None:
            raise UserError("--format: also give --output, the folder to write to")
        for option, name in (("report", "html"), ("subtitles", "srt")):
            if getattr(args, option):
                raise UserError(f"--{option}: not with --format, which also writes {name} files")


def _check_pipe(args: argparse.Namespace) -> None:
    if isinstance(args.min_score, str):
        raise UserError("-: a video on standard input needs a number for --min-score")
    if len(args.videos) > 1:
        raise UserError("-: standard input must be the only video; use another run for the others")
    for name in _NOT_OF_PIPE:
        if getattr(args, name) is not None:
            raise UserError(f"--{name.replace('_', '-')}: not with -, a video on standard input")


def check_arrays(options: DetectOptions) -> None:
    """Raises UserError if arrays lack what videos state themselves, or flow lacks arrays."""
    from afsd_jax.data.decode.media import FACTS

    arrays = [path for path in options.videos.values() if path.suffix == ".npy"]
    if arrays and options.crops != NO_CROPS:
        raise UserError(
            f"--crop: not with {arrays[0]}; arrays hold frames as the network sees them"
        )
    if options.flow_checkpoint and arrays and not options.flow_dir:
        raise UserError(f"{arrays[0]}: fusing arrays with flow needs --flow-dir, a folder of them")
    if options.flow_dir and not (options.flow_checkpoint and arrays):
        raise UserError("--flow-dir holds flow arrays, for --flow-checkpoint and .npy files only")
    unrated = [path for path in arrays if not (path.parent / FACTS).exists()]
    if unrated and options.fps is None and options.durations is None:
        raise UserError(f"{unrated[0]}: an array has no frame rate; give --fps or --durations")


def flow_file(options: DetectOptions, name: str) -> Path | None:
    """Returns the file of the flow that belongs to the array of a video; None: there is none.

    It has the name of the array's file, or of the video if that says more.
    """
    path = options.videos[name]
    if options.flow_dir is None or path.suffix != ".npy":
        return None
    return options.flow_dir / (path.name if video_name(path) == name else f"{name}.npy")


def check_outputs(options: DetectOptions, names: Sequence[str]) -> None:
    """Raises UserError if an output is an input, is written twice or cannot be a file.

    Args:
      options: the options.
      names: names of the videos to detect in.
    """
    folder = results_folder(options, options.selection)
    outputs = list((folder or options.outputs).files(names))
    flow = [path for name in options.videos if (path := flow_file(options, name))]
    read = [options.checkpoint, options.flow_checkpoint, options.durations, options.video_scores]
    files.check_apart(outputs, [*options.videos.values(), *flow, *read, options.ground_truth])
    if not folder and options.output:
        suffix = options.output.suffix[1:]
        remedy = f"for a file of each give --format {suffix} and a folder as --output"
        options.outputs.check_format(len(names), remedy)
    for path in outputs:
        if path.parent.is_dir():
            files.check_output_file(path)


def check_labels(labels: Sequence[str] | None, known: Sequence[str]) -> None:
    """Raises UserError if a label is not a known class."""
    for label in labels or ():
        if label not in known:
            near = difflib.get_close_matches(label, known, 1) or list(known)
            raise UserError(f"--labels {label}: no such class; choose from {', '.join(near[:8])}")


def results_folder(options: DetectOptions, selection: Selection) -> ResultsFolder | None:
    """Returns the folder for the files of each video; None: one file for all videos is written."""
    if options.formats is None or options.output is None:
        return None
    part = "-{}-of-{}".format(*options.shard) if options.shard else ""
    return ResultsFolder(options.output, options.formats, selection, part)
