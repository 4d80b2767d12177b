"""What each command of `afsd` does, given its parsed arguments.

Returns are exit codes, None is 0. Outputs are checked before any work, and what is heavy is
imported last.
"""

import dataclasses
import os
import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from afsd_jax.cli.process import COMPILATION_CACHE, set_up_process
from afsd_jax.errors import UserError
from afsd_jax.io.files import check_output_file, check_output_folder, write_json

if TYPE_CHECKING:
    from afsd_jax.weights.pytorch import Weights

SHOWN_VIDEOS = 20  # of each list
# Options of detect that say nothing about a look.
_NOT_OF_LOOK = (
    *("flow_checkpoint", "flow_dir", "data_dir", "split", "fps", "durations"),
    *("video_scores", "format", "min_score", "top_k", "labels", "shard", "ground_truth", "backend"),
    *("nms", "nms_tiou", "voting_tiou", "beam_options"),
)
SHOWN_TENSORS = 3  # ignored ones per reason


def prepare(args: Namespace) -> int:
    check_output_folder(args.output)
    if args.source is None and args.dataset != "synthetic":
        raise UserError(f"{args.dataset}: state the folder of the videos (--source)")
    from afsd_jax.data import datasets
    from afsd_jax.data.builders.prepare_options import PrepareOptions

    given = {field.name: getattr(args, field.name) for field in dataclasses.fields(PrepareOptions)}
    given["source"] = args.source or args.output / "synthetic" / "source"
    given["allow_missing"] = args.allow_missing or None
    given["beam_options"] = _beam_options(args.beam_options)
    options = PrepareOptions(**given)
    folder = datasets.prepared_folder(args.dataset, args.output, args.stream)
    before = datasets.read_report(folder) if (folder / datasets.REPORT).exists() else None
    datasets.prepare_dataset(args.dataset, args.output, args.stream, options)
    report = datasets.read_report(folder)
    videos = report["videos"]
    hours = sum(video["duration_s"] for video in videos) / 3600
    print(f"{folder}: {len(videos)} videos, {hours:.2f} h, {len(report['classes'])} classes")
    if before is not None:
        print(f"since it was last prepared: {datasets.describe_changes(before, report)}")
    damaged = [f"{v['name']}: {v['damaged']}" for v in videos if v["damaged"]]
    _list("videos with damaged packets, which were skipped", damaged)
    _list("notes", report["notes"])
    _list("videos that do not exist", report["missing"])
    _list("videos that cannot be read", list(report["unreadable"].values()))
    return 1 if report["unreadable"] else 0


def inspect(args: Namespace) -> None:
    check_output_file(args.output)
    from afsd_jax.data import summary
    from afsd_jax.report import data_page

    data = data_page.open_data_set(args.folder)
    print("\n".join(summary.describe(data.title, data.class_names, data_page.summarize(data))))
    if args.output:
        data_page.write_page(args.output, data, args.videos)
        print(f"\n{args.output}: open it in a browser")
    else:
        print("\n--output FILE.html writes a page that also shows frames, timelines and histograms")


def train(args: Namespace) -> int:
    check_output_folder(args.workdir, parents=True)
    if args.profile < 0:
        raise UserError(f"--profile={args.profile}: must be a number of steps")
    from afsd_jax.cli.config_flags import load_config

    config = load_config(args.config, args.overrides)
    set_up_process()
    from afsd_jax.runtime import distributed

    joined = distributed.join(args.coordinator, args.num_processes, args.process_id, os.environ)
    if joined:
        print(joined, file=sys.stderr)
    from afsd_jax.training.loop import train

    with distributed.noticing_loss():
        return train(config, args.workdir, args.profile)


def ablate(args: Namespace) -> None:
    check_output_folder(args.workdir, parents=True)
    seeds, tious = _seeds(args.seeds), _thresholds(args.tiou)
    from afsd_jax.cli import ablate
    from afsd_jax.cli.config_flags import load_config
    from afsd_jax.config import check

    rows = ablate.chosen_rows(args.rows)
    config = load_config(args.config, args.overrides)
    check(config)
    print(ablate.ablate(args.config, args.overrides, config, args.workdir, seeds, rows, tious))
    print(args.workdir / ablate.TABLE)


def runs(args: Namespace) -> None:
    check_output_file(args.output)
    from afsd_jax.report import run_page

    found = [run_page.read_run(folder) for folder in args.folders]
    print(run_page.as_text(run_page.compare(found)))
    if args.output:
        run_page.write_comparison(args.output, found)
        print(f"\n{args.output}: open it in a browser")


def detect(args: Namespace) -> int:
    (check_output_file if args.format is None else check_output_folder)(args.output)
    check_output_file(args.report)
    check_output_folder(args.subtitles)
    if args.checkpoint == "kinetics":
        return _look_in_place_of_detecting(args)
    args.beam_options = _beam_options(args.beam_options)
    args.compilation_cache = os.environ.get(COMPILATION_CACHE)
    set_up_process()
    from afsd_jax.cli.detect.command import detect

    return detect(args)


def look(args: Namespace) -> int:
    check_output_file(args.output)
    check_output_file(args.report)
    check_output_file(args.write_video_scores)
    check_output_folder(args.subtitles)
    set_up_process()
    from afsd_jax.cli.look import look

    return look(args)


def _look_in_place_of_detecting(args: Namespace) -> int:
    from afsd_jax.cli.detect.options import refuse

    refuse(args, _NOT_OF_LOOK, "not with --checkpoint kinetics; see afsd look --help")
    if args.output is None:
        raise UserError("give --output, the file to write to; see --help")
    from afsd_jax.cli.look import DEFAULTS

    return look(Namespace(**vars(args) | DEFAULTS))


def evaluate(args: Namespace) -> None:
    check_output_file(args.output)
    from afsd_jax import evaluation
    from afsd_jax.data import annotations
    from afsd_jax.io import activitynet_json

    benchmark = evaluation.BENCHMARKS[args.benchmark]
    tious = _thresholds(args.tiou) or benchmark.tious
    ground_truth = annotations.read_annotations(args.ground_truth)
    _list("notes on the ground truth", [note for v in ground_truth.values() for note in v.notes])
    if args.subset or any(video.subset for video in ground_truth.values()):
        ground_truth = activitynet_json.choose_subset(
            ground_truth, args.subset or benchmark.subset, args.ground_truth
        )
    else:
        print(
            f"note: {args.ground_truth} states no subsets: all {len(ground_truth)} videos count",
            file=sys.stderr,
        )
    predictions = activitynet_json.read_predictions(args.predictions)
    metrics = evaluation.evaluate(ground_truth, predictions, tious)
    unknown = predictions.keys() - ground_truth.keys()
    if unknown:
        print(
            f"note: {len(unknown)} of {len(predictions)} videos with predictions are not in the "
            "ground truth's subset and are ignored",
            file=sys.stderr,
        )
    print(metrics.as_table())
    if args.output:
        write_json(args.output, metrics.as_dict())


def convert(args: Namespace) -> None:
    (check_output_file if args.to_pytorch else check_output_folder)(args.output)
    from afsd_jax.cli.config_flags import load_config
    from afsd_jax.weights import conversion

    if args.overrides and not args.config:
        raise UserError(f"{args.overrides[0]}: give --config, too, whose field it sets; see --help")
    config = load_config(args.config, args.overrides) if args.config else None
    if args.to_pytorch:
        count = conversion.to_pytorch_file(args.input, args.output, args.force)
        print(f"{args.output}: wrote {count} tensors")
    else:
        weights = conversion.from_pytorch_file(args.input, args.output, config, args.force)
        print("\n".join(_summary(weights)))
        print(f"{args.output}: written")


def demo(args: Namespace) -> int:
    check_output_folder(args.output)
    from afsd_jax.cli.demo import demo

    return demo(args.output)


def _beam_options(text: str | None) -> Any:
    """Returns Beam's pipeline options, or None for no Beam."""
    if text is None:
        return None
    try:
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise UserError("Apache Beam is not installed: pip install apache-beam") from error
    return PipelineOptions(flags=[f"--{option}" for option in text.split(",") if option])


def _list(title: str, lines: list[str]) -> None:
    if lines:
        shown = [f"{len(lines)} {title}:", *(f"  {line}" for line in lines[:SHOWN_VIDEOS])]
        if len(lines) > SHOWN_VIDEOS:
            shown.append(f"  … and {len(lines) - SHOWN_VIDEOS} more in preparation.json")
        print("\n".join(shown), file=sys.stderr)


def _thresholds(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--tiou: must be numbers such as 0.5,0.75, not {text!r}") from None


def _seeds(text: str) -> list[int]:
    seeds = [part.strip() for part in text.split(",")]
    if not all(seed.isdecimal() for seed in seeds) or len(set(seeds)) < len(seeds):
        raise UserError(f"--seeds: must be different whole numbers such as 0,1,2, not {text!r}")
    return [int(seed) for seed in seeds]


def _summary(weights: "Weights") -> list[str]:
    """Returns lines that say what was found in a PyTorch file, used and ignored."""
    data = weights.config.data
    found = {
        "detector": f"a complete AFSD network for {data.dataset}, {data.stream}",
        "trunk": f"an I3D trunk alone, {data.stream}",
    }[weights.kind]
    values = sum(array.size for array in weights.parameters.values())
    lines = [f"found {found}", f"used {weights.used} tensors, {values / 1e6:.1f} M values"]
    for reason in sorted(set(weights.ignored.values())):
        names = [name for name, why in weights.ignored.items() if why == reason]
        hidden = len(names) - SHOWN_TENSORS
        more = f" and {hidden} like these" if hidden > 0 else ""
        lines.append(f"ignored {', '.join(names[:SHOWN_TENSORS])}{more}: {reason}")
    return lines
