"""The command `afsd evaluate`: average precision of detections."""

import math
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from afsd_jax.cli.arguments import TIOU, some_of, thresholds
from afsd_jax.cli.printing import print_failed, print_list, print_next, print_text
from afsd_jax.cli.process import set_up_process
from afsd_jax.errors import UserError
from afsd_jax.io.files import check_apart, check_output_file, check_output_folder, write_json

if TYPE_CHECKING:
    from afsd_jax.diagnosis.analysis import Diagnosis

SUMMARY = "Compute mean average precision, and find the reasons for it."
DETAILS = """Notes on stderr name everything in the two files that lowers the result without an
error: labels that the ground truth does not have, videos without predictions, predictions in other
videos, and true actions without length or beyond the end of their video.

--report writes a page with the reasons: how much each kind of error costs, which actions are not
found, which classes are confused, which threshold is best, and what to label next. A click on a bar
shows its cases, and plays them if --videos names the folder of the video files. With --format,
--output is a folder, which receives evaluation.json, .csv, .html and .png. docs/evaluation.md
explains the page.

Several --predictions are compared with the first: differences by class with 95 % intervals over
videos, and the actions that only one of them finds (in --report).

--checkpoint and --data-dir detect in a split of a prepared data set and evaluate at once.

--rule thumos14-kit scores like the official kit of THUMOS'14, which results published before about
2018 used; --ground-truth also takes the kit's folder of text files.

Exit codes: 0 all went well; 1 some videos failed, or files of --videos cannot be read (they are
listed), and all others are evaluated; 2 the input was refused and nothing was written."""

FORMATS = ("json", "csv", "html", "png")


def add_flags(parser: ArgumentParser) -> None:
    add = parser.add_argument
    predictions = "detections, ActivityNet JSON; several files are compared"
    add("--predictions", type=Path, metavar="FILE", action="append", help=predictions)
    truth = "annotations in any supported format, or a prepared data set"
    add("--ground-truth", type=Path, metavar="PATH", help=truth)
    checkpoint = "checkpoint or folder of a run, to detect with instead of reading predictions"
    add("--checkpoint", type=Path, help=checkpoint)
    data_dir = "folder of prepared data sets; detect in the data set of the checkpoint"
    add("--data-dir", type=Path, help=data_dir)
    add("--split", help="split of the prepared data set; default: its test split")
    names = ("thumos14", "activitynet", "videos")
    benchmark = f"benchmark that sets the subset and the tIoU thresholds (default: {names[0]})"
    add("--benchmark", choices=names, help=benchmark)
    rules = ("activitynet", "thumos14-kit")
    rule = "rule of matching and of average precision (default: %(default)s)"
    add("--rule", choices=rules, default=rules[0], help=rule)
    add("--subset", help="evaluate on this subset instead of the benchmark's")
    add("--tiou", type=thresholds, metavar="LIST", help=TIOU)
    output = "also write the metrics to this JSON file; with --format: folder to write to"
    add("--output", type=Path, help=output)
    add("--report", type=Path, help="HTML page to write, with the reasons for the result")
    formats = "write the analysis as some of json,csv,html,png"
    add("--format", dest="formats", type=some_of(FORMATS), metavar="LIST", help=formats)
    calibrate = (
        "store with the checkpoint the threshold of the best F1 of each class, and the precision "
        "of each score, for detect --min-score auto; choose another split than the test split"
    )
    add("--calibrate", action="store_true", help=calibrate)
    add("--videos", type=Path, nargs="+", metavar="PATH", help="video files, for the page to play")


def run(args: Namespace) -> int:
    _check(args)
    if args.checkpoint:
        set_up_process()
    from afsd_jax import evaluation
    from afsd_jax.cli.evaluation_inputs import files_by_name, read_evaluated
    from afsd_jax.diagnosis.advice import few_in_words

    paths, unreadable = _files(args.videos) if args.videos else ({}, [])
    evaluated, *others = read_evaluated(args)
    files = files_by_name(paths, evaluated.truth)
    num_actions = sum(len(video.actions) for video in evaluated.truth.values())
    num_videos = len(evaluated.truth)  # of one there is no interval
    few = few_in_words(num_actions, num_videos, bool(others) and num_videos > 1)
    if others:
        from afsd_jax.cli.evaluation_comparison import compare_systems

        compare_systems([evaluated, *others], args.report, args.output, files)
        _print_few(few)
        return 1 if unreadable else 0
    analysed = None
    if args.report or args.formats:
        from afsd_jax.cli.evaluation_outputs import analyse

        analysed = analyse(evaluated, args.benchmark or "")
        metrics = analysed.metrics
    else:
        metrics = evaluation.evaluate(evaluated.truth, evaluated.found, evaluated.tious, args.rule)
    print(metrics.as_table())
    _print_few(few)
    if args.calibrate:
        from afsd_jax.cli.evaluation_outputs import calibrate_checkpoint

        calibrate_checkpoint(evaluated, args.split or "test", analysed)
    if analysed:
        from afsd_jax.cli.evaluation_outputs import outputs_of, write

        write(evaluated, analysed, outputs_of(args.report, args.formats, args.output), files)
    elif args.output:
        write_json(args.output, metrics.as_dict())
        print_text(f"{args.output}: written")
    _print_next(args, analysed)
    return max(print_failed(evaluated.failed), 1 if unreadable else 0)


def _print_next(args: Namespace, analysed: "Diagnosis | None") -> None:
    """Prints the best threshold, if it is known, and the next command, which uses it."""
    if analysed is None:
        print("next, what costs how much and what to try: the same with --report evaluation.html")
        return
    from afsd_jax.diagnosis.advice import as_min_score, threshold_in_words

    threshold = analysed.operating.overall.threshold
    print(threshold_in_words(analysed.operating))
    least = () if math.isnan(threshold) else ("--min-score", as_min_score(threshold))
    if args.calibrate:
        least = ()  # of each class, as they are kept now
    if args.checkpoint:
        command = ("afsd", "detect", "--checkpoint", args.checkpoint, *least, "VIDEO")
        print_next("detect in other videos", *command)
    else:
        print_next("count and time what was found", "afsd", "summarize", *args.predictions, *least)


def _files(paths: Sequence[Path]) -> tuple[dict[str, Path], list[str]]:
    """Returns video files by name of the video, and lines about unreadable ones; prints these."""
    from afsd_jax.cli.video_files import video_files

    found = video_files(paths)
    print_list("file", found.unreadable, " to play cannot be read")
    return found.paths, found.unreadable


def _print_few(sentence: str) -> None:
    if sentence:
        print(f"\n{sentence}")


def _check(args: Namespace) -> None:
    """Raises UserError if flags do not go together, or an output cannot be written."""
    if args.checkpoint:
        if args.predictions or args.ground_truth or args.subset:
            raise UserError(
                "--checkpoint: detects in the split of --data-dir; not with --predictions, "
                "--ground-truth or --subset"
            )
        if args.data_dir is None:
            raise UserError("--checkpoint: needs --data-dir, the folder of prepared data sets")
    elif args.calibrate:
        raise UserError("--calibrate: needs --checkpoint, whose scores are measured")
    elif args.data_dir or args.split:
        raise UserError("--data-dir and --split: only with --checkpoint, which detects there")
    elif args.predictions is None or args.ground_truth is None:
        raise UserError(
            "give --predictions and --ground-truth, or --checkpoint and --data-dir; see --help"
        )
    several = len(args.predictions or ()) > 1
    if (args.report or args.formats or several) and args.rule != "activitynet":
        raise UserError("--report, --format and comparisons: for --rule activitynet only")
    if several and args.formats:
        raise UserError("--format: for one --predictions; a comparison has --report and --output")
    if args.videos and not (args.report or "html" in (args.formats or ())):
        raise UserError("--videos: for the page of --report or --format html only")
    if args.formats and args.output is None:
        raise UserError("--format: also give --output, the folder to write to")
    if args.formats and args.report:
        raise UserError("--report: not with --format, which also writes html files")
    (check_output_folder if args.formats else check_output_file)(args.output)
    check_output_file(args.report)
    check_apart([args.output, args.report], [*(args.predictions or ()), args.ground_truth])
