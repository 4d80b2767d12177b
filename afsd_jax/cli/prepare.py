"""The command `afsd prepare`: videos and annotations become a prepared data set."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from afsd_jax.cli.arguments import (
    AUTO,
    BEAM,
    CROP,
    FLOW_METHODS,
    beam_options,
    non_negative_number,
    or_auto,
    whole_number,
)
from afsd_jax.cli.printing import counted, print_list, print_next, print_text
from afsd_jax.errors import UserError
from afsd_jax.io.files import check_output_folder
from afsd_jax.types import KEEP_ASPECT

SUMMARY = "Prepare a data set for training and testing."
DETAILS = """Exit codes: 0 all went well; 1 the data set is prepared, but without the videos that
cannot be read (they are listed); 2 the input was refused and nothing was written."""


def add_flags(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("dataset", choices=("activitynet", "synthetic", "thumos14", "videos"))
    source = "folder of videos, .npy arrays or flow images, or a prepared rgb stream"
    add("--source", type=Path, help=source)
    add("--output", type=Path, required=True, help="folder of prepared data sets")
    add("--stream", choices=("rgb", "flow", "features"), default="rgb", help="default: %(default)s")
    add("--annotations", type=Path, help="file or folder; default: those in the source folder")
    add("--classes", type=Path, help="text file of the allowed labels, one per line")
    encoding = "how frames are stored (default: %(default)s)"
    add("--encoding", choices=("jpeg", "png", "raw"), default="jpeg", help=encoding)
    fps = "frames per second to sample; 0: the rate of each video; auto: chosen by the shortest "
    fps += "and longest actions; default: that of the data set"
    add("--fps", type=or_auto(non_negative_number), help=fps)
    most = "sample longer videos at a lower rate, to this many frames"
    add("--max-frames", type=whole_number(0), help=most)
    size = "height and width of frames; auto: chosen by the size of the pictures "
    add("--size", type=or_auto(whole_number(1)), default=112, help=f"{size}(default: %(default)s)")
    add("--crop", metavar="CROP", help=f"{CROP}; a column crop of the annotations comes first")
    aspect = "how pictures become square: stretched, cut to their centre, or between two bars "
    aspect += "(default: %(default)s)"
    add("--keep-aspect", choices=KEEP_ASPECT, default=KEEP_ASPECT[0], help=aspect)
    flow = "how optical flow is computed (default: %(default)s)"
    add("--flow-method", choices=FLOW_METHODS, default="tvl1", help=flow)
    add("--allow-missing", action="store_true", help="list missing videos instead of refusing")
    add("--workers", type=whole_number(0), default=0, help="number of processes; 0: one per core")
    add("--beam-options", metavar="LIST", help=BEAM)


def run(args: Namespace) -> int:
    check_output_folder(args.output)
    if args.source is None and args.dataset != "synthetic":
        raise UserError(f"{args.dataset}: state the folder of the videos (--source)")
    from afsd_jax.data import datasets
    from afsd_jax.data.builders.prepare_options import PrepareOptions
    from afsd_jax.data.decode.crops import read_crops
    from afsd_jax.data.summary import length_in_words

    options = PrepareOptions(
        source=args.source or args.output / "synthetic" / "source",
        annotations=args.annotations,
        classes=args.classes,
        encoding=args.encoding,
        fps=None if args.fps == AUTO else args.fps,
        max_frames=args.max_frames,
        **({} if args.size == AUTO else {"size": args.size}),
        crops=read_crops(args.crop),
        keep_aspect=args.keep_aspect,
        auto=[name for name in ("fps", "size") if getattr(args, name) == AUTO],
        flow_method=args.flow_method,
        allow_missing=args.allow_missing or None,
        workers=args.workers,
        beam_options=beam_options(args.beam_options),
    )
    folder = datasets.prepared_folder(args.dataset, args.output, args.stream)
    before = datasets.read_report(folder) if (folder / datasets.REPORT).exists() else None
    datasets.prepare_dataset(args.dataset, args.output, args.stream, options)
    report = datasets.read_report(folder)
    videos = report["videos"]
    shown = folder.parent  # of one version; the commands find it
    length = length_in_words(sum(video["duration_s"] for video in videos))
    what = f"{counted(len(videos), 'video')}, {length}"
    print_text(f"{shown}: {what}, {counted(len(report['classes']), 'class', 'es')}")
    if before is not None:
        print(f"since it was last prepared: {datasets.describe_changes(before, report)}")
    damaged = [f"{v['name']}: {v['damaged']}" for v in videos if v["damaged"]]
    more = f" in {datasets.REPORT}"
    print_list("video", damaged, " with damaged packets, which were skipped", more)
    print_list("note", report["notes"], more=more)
    print_list("video", list(report["missing"].values()), " without a file", more)
    print_list("unreadable video", list(report["unreadable"].values()), more=more)
    print_list("warning", report["warnings"], ", to look at before you train", more=more)
    print_next("see what it holds", "afsd", "inspect", shown, "--output", "data.html")
    return 1 if report["unreadable"] else 0
