"""The command `afsd annotations`: converts annotations and detections between tools."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from afsd_jax.cli.arguments import least_scores, names, share_or_auto, whole_number
from afsd_jax.cli.printing import counted, print_next, print_text
from afsd_jax.data.annotations.annotation_formats import FORMATS
from afsd_jax.errors import UserError
from afsd_jax.io.files import check_apart, check_output_file, check_output_folder

SUMMARY = "Convert annotations, or detections, into files of other tools."
DETAILS = """Inputs are annotations in any format that afsd prepare reads, and detections as afsd
detect writes them (JSON). Formats: csv (this project's table), activitynet (JSON, this project's
and others'), boris (a project), elan (a file for each video), label-studio (tasks to import), via
(a VIA 3 project), fiftyone (labels of temporal detections), actionformer and opentad (ground truth
or detections of these detectors, JSON). Without --format, the ending of --output decides: .csv,
.json (ActivityNet), .boris or .eaf.

boris, label-studio, actionformer and opentad need the video files (--videos), whose frame rates and
lengths they store. docs/annotations.md says for each tool how to open the files."""

# Several formats end in .json; this project's is ActivityNet's.
_BY_SUFFIX = {kind.suffix: name for name, kind in FORMATS.items()} | {".json": "activitynet"}


def add_flags(parser: ArgumentParser) -> None:
    add = parser.add_argument
    inputs = "annotation files or folders, and detections (JSON)"
    add("inputs", nargs="+", type=Path, metavar="INPUT", help=inputs)
    output = "file to write, or folder, which receives a file for each video if the format needs it"
    add("--output", type=Path, required=True, metavar="PATH", help=output)
    formats = f"format to write: {', '.join(FORMATS)}"
    add("--format", choices=tuple(FORMATS), metavar="NAME", help=formats)
    videos = "the video files, or folders of them: to link to, and for lengths and frame rates"
    add("--videos", type=Path, nargs="+", default=[], metavar="PATH", help=videos)
    classes = "all classes in the order of their numbers, for actionformer (default: those of the "
    classes += "labels, sorted)"
    add("--classes", type=names, default=[], metavar="LIST", help=classes)
    add_selection(parser)


def add_selection(parser: ArgumentParser) -> None:
    """Adds the flags that choose detections."""
    add = parser.add_argument
    least = (
        "least score of detections, or auto: of each class as measured by afsd evaluate "
        "--calibrate, which files of afsd detect then state (default: auto if stated, else 0.3)"
    )
    add("--min-score", type=share_or_auto, metavar="SCORE", help=least)
    top_k = "only the K best detections of a video"
    add("--top-k", type=whole_number(1), metavar="K", help=top_k)
    add("--labels", type=names, metavar="LIST", help="only these classes, such as jump,run")


def run(args: Namespace) -> None:
    name = args.format or _BY_SUFFIX.get(args.output.suffix.lower())
    if name is None:
        raise UserError(f"--output {args.output}: give --format, one of {', '.join(FORMATS)}")
    is_file = bool(args.output.suffix) and not args.output.is_dir()
    (check_output_file if is_file else check_output_folder)(args.output)
    from afsd_jax.cli.marked_inputs import read_all_marked, with_files
    from afsd_jax.data.annotations.annotation_formats import output_files, write_annotations
    from afsd_jax.results.writers import Selection

    least, measured = least_scores(args.min_score)
    selection = Selection(least, args.top_k, args.labels)
    videos = read_all_marked(args.inputs, selection, measured)
    videos = [v._replace(classes=args.classes) for v in with_files(videos, args.videos)]
    check_apart(output_files(name, videos, args.output), args.inputs)
    files = write_annotations(name, videos, args.output)
    marks = sum(len(video.marks) for video in videos)
    where = next(iter(files)) if len(files) == 1 else args.output
    print_text(f"{where}: {counted(marks, 'action')} in {counted(len(videos), 'video')}, {name}")
    if len(files) > 1:
        print_text(f"{counted(len(files), 'file')}, such as {next(iter(files))}")
    print_next("count and time the actions", "afsd", "summarize", where)
