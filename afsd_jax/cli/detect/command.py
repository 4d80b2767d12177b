"""The command `afsd detect`: finds the actions in many videos, or in one from a pipe."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from afsd_jax.cli.arguments import (
    BEAM,
    CHECKPOINT,
    CROP,
    FLOW_METHODS,
    MEMORY,
    ArgumentTypeError,
    names,
    positive_number,
    share,
    share_or_auto,
    some_of,
    whole_number,
)
from afsd_jax.cli.process import set_up_process
from afsd_jax.errors import UserError
from afsd_jax.io.files import check_output_file, check_output_folder
from afsd_jax.results.formats import FORMATS, TOOLS

SUMMARY = "Find the actions in videos."
DETAILS = f"""Besides video files, this command takes frames prepared as arrays (.npy, uint8
[frames, height, width, channels], with --fps), or a whole split of a prepared data set
(--data-dir). A second network on optical flow (--flow-checkpoint) is fused with the first; its
flow is computed from videos, or read from files beside arrays (--flow-dir, same names) or from the
prepared data.

With --format, --output is a folder. It receives the files of each video as soon as the video is
done, and at the end detections.json with all videos. If a run was stopped, run the same command
again to continue it. JSON files always hold all detections; --min-score, --top-k and --labels
select the detections in all other formats. Files for tools in which people label are written at the
end, such as detections.boris; afsd annotations writes them from detections.json, too.

A single - is a video on standard input, as MPEG-TS or Matroska. It is processed as it arrives; each
action is printed on standard output as one line of JSON once it is final. --output is needed only
to write the same files as for other videos.

On CPUs the trunk is computed by OpenVINO if it is installed (pip install "afsd-jax[openvino]"),
which is faster and rounds differently; openvino-bfloat16 is faster still, and its scores differ.

Exit codes: 0 all went well; 1 some videos failed (they are listed) and the others are written;
2 the input was refused and nothing was written; 130 and 143 a signal ended a video on standard
input; 141 the program that read the printed lines has ended.{MEMORY}"""

NO_CHECKPOINT = (
    f"--checkpoint is missing: a {CHECKPOINT}. Without any, "
    "afsd look VIDEO recognises 400 everyday actions, and afsd train learns your own "
    "(docs/own_videos.md)"
)


def add_flags(parser: ArgumentParser) -> None:
    add = parser.add_argument
    videos = "videos, folders of videos, .npy files; -: a video on standard input"
    add("videos", nargs="*", type=Path, metavar="VIDEO", help=videos)
    add("--checkpoint", help=CHECKPOINT)
    output = (
        "file to write: .json (all detections), or .csv, .html, .srt, .vtt, .png (those shown); "
    )
    output += "with --format: folder to write to; without it a table is printed"
    add("--output", type=Path, help=output)
    formats = f"write files for each video: some of {','.join(FORMATS)}; and for tools in which "
    formats += f"people label: {','.join(TOOLS)}"
    known = some_of((*FORMATS, *TOOLS))
    add("--format", dest="formats", type=known, metavar="LIST", help=formats)
    least = (
        "least score to show, or auto: for each class the threshold of the best F1, as measured by "
        "afsd evaluate --calibrate (default: auto if it was measured, else 0.3); JSON files hold "
        "all detections"
    )
    add("--min-score", type=share_or_auto, metavar="SCORE", help=least)
    top_k = "show only the K best detections of a video; JSON files hold all detections"
    add("--top-k", type=whole_number(1), metavar="K", help=top_k)
    labels = "show only these classes, such as jump,run; JSON files hold all detections"
    add("--labels", type=names, metavar="LIST", help=labels)
    shard = "detect only in every N-th video by name, beginning with the I-th"
    add("--shard", type=_shard, metavar="I/N", help=shard)
    nms = "how overlapping detections of a class are suppressed; default: as in the checkpoint"
    add("--nms", choices=("soft", "plain"), help=nms)
    nms_tiou = "with --nms plain: overlap from which the weaker detection is dropped"
    add("--nms-tiou", type=share, metavar="TIOU", help=nms_tiou)
    voting = "average start and end over candidates of any class with this overlap; 0: never"
    add("--voting-tiou", type=share, metavar="TIOU", help=voting)
    add("--backend", help="software that computes the trunk: xla, openvino or openvino-bfloat16")
    context = "input of the trunk: each window alone (clip), or the whole video once, which is "
    context += "faster; default: as the checkpoint was trained"
    add("--trunk-context", choices=("clip", "video"), help=context)
    crop = f"{CROP}; default: as the training data"
    add("--crop", metavar="CROP", help=crop)
    add("--beam-options", metavar="LIST", help=f"{BEAM}; needs --format")
    add("--flow-checkpoint", type=Path, help="checkpoint of a network on optical flow, to fuse")
    add("--flow-dir", type=Path, help="folder of flow arrays, for .npy files")
    flow = "how optical flow is computed; default: as in the checkpoint"
    add("--flow-method", choices=FLOW_METHODS, help=flow)
    data_dir = "folder of prepared data sets; detect in the data set of the checkpoint"
    add("--data-dir", type=Path, help=data_dir)
    add("--split", help="split of the prepared data set; default: its test split")
    add("--fps", type=positive_number, help="frame rate of .npy files")
    add("--durations", type=Path, help="JSON file: video name → seconds, for .npy files")
    add("--video-scores", type=Path, help="JSON file with the classes of a video-level classifier")
    truth = "annotations, or a prepared data set, with actions to show beside the detections"
    add("--ground-truth", type=Path, help=truth)
    add("--report", type=Path, help="HTML page to write")
    add("--subtitles", type=Path, help="folder in which to write one .srt per video")


def _shard(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise ArgumentTypeError(f"must be such as 1/4, 2/4, 3/4 or 4/4, not {text}")
    return int(number), int(count)


def run(args: Namespace) -> int:
    (check_output_file if args.formats is None else check_output_folder)(args.output)
    check_output_file(args.report)
    check_output_folder(args.subtitles)
    if args.checkpoint is None:
        raise UserError(NO_CHECKPOINT)
    if args.checkpoint == "kinetics":
        raise UserError(
            "--checkpoint kinetics: these weights are no detector; use afsd look, or give a folder "
            "of this name as ./kinetics"
        )
    set_up_process()
    from afsd_jax.cli.detect.job import open_job, print_checkpoints, write_detections
    from afsd_jax.cli.detect.options import read_options
    from afsd_jax.cli.detect.pipe import detect_in_pipe

    options = read_options(args)
    if options.piped:
        return detect_in_pipe(options)
    job = open_job(options)
    print_checkpoints(job.detector, options)
    return write_detections(job, options)
