"""Prepares a data set for training and testing: python scripts/prepare_data.py DATASET …

Exit codes: 0 all went well; 1 the data set is prepared, but without videos that cannot be read
(they are listed); 2 the input was refused and nothing was written.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from afsd_jax import errors
from afsd_jax.data import datasets
from afsd_jax.data.builders.base import Options
from afsd_jax.data.decode import flow
from afsd_jax.data.storage import frame_codec
from afsd_jax.errors import UserError

SHOWN = 20  # lines of each list


def main(arguments: list[str]) -> int:
    args = _parser().parse_args(arguments)
    if args.source is None and args.dataset != "synthetic":
        raise UserError(f"{args.dataset}: state the folder of the videos (--source)")
    options = Options(
        source=args.source or args.output / "synthetic" / "source",
        annotations=args.annotations,
        classes=args.classes,
        encoding=args.encoding,
        fps=args.fps,
        max_frames=args.max_frames,
        size=args.size,
        flow_method=args.flow_method,
        allow_missing=args.allow_missing or None,
        workers=args.workers,
        beam_options=_beam_options(args.beam_options),
    )
    folder = datasets.prepare_dataset(args.dataset, args.output, args.stream, options)
    report = datasets.read_report(folder)
    videos = report["videos"]
    hours = sum(video["duration_s"] for video in videos) / 3600
    print(f"{folder}: {len(videos)} videos, {hours:.2f} h, {len(report['classes'])} classes")
    damaged = [f"{v['name']}: {v['damaged']}" for v in videos if v["damaged"]]
    _list("videos with damaged packets, which were skipped", damaged)
    _list("changed annotations", report["notes"])
    _list("videos that do not exist", report["missing"])
    _list("videos that cannot be read", list(report["unreadable"].values()))
    return 1 if report["unreadable"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dataset", choices=sorted(datasets.BUILDERS))
    parser.add_argument(
        "--source",
        type=Path,
        help="folder of videos, .npy arrays, denseflow "
        "images, or a prepared rgb stream to compute flow from",
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of prepared data sets")
    parser.add_argument("--stream", choices=("rgb", "flow"), default="rgb")
    parser.add_argument(
        "--annotations",
        type=Path,
        help="file, for thumos14 the folder of files; default: in the source folder",
    )
    parser.add_argument("--classes", type=Path, help="text file of the labels allowed, one a line")
    parser.add_argument("--encoding", choices=frame_codec.ENCODINGS, default="jpeg")
    parser.add_argument("--fps", type=float, help="frames per second to sample, 0: each video's")
    parser.add_argument("--max-frames", type=int, help="lower a video's rate to at most as many")
    parser.add_argument("--size", type=int, default=112, help="height and width of the frames")
    parser.add_argument("--flow-method", choices=flow.METHODS, default="tvl1")
    parser.add_argument("--allow-missing", action="store_true", help="list missing videos only")
    parser.add_argument("--workers", type=int, default=0, help="processes, 0: one a core")
    parser.add_argument(
        "--beam-options",
        help="run on Apache Beam with these pipeline options, "
        "separated by commas, e.g. 'runner=FlinkRunner,parallelism=64'",
    )
    return parser


def _beam_options(text: str | None) -> Any:
    """Returns Beam's pipeline options, or None for no Beam."""
    if text is None:
        return None
    try:
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise UserError("Apache Beam is not installed: pip install 'afsd-jax[beam]'") from error
    return PipelineOptions(flags=[f"--{option}" for option in text.split(",") if option])


def _list(title: str, lines: list[str]) -> None:
    if lines:
        print(f"{len(lines)} {title}:", file=sys.stderr)
        for line in lines[:SHOWN]:
            print(f"  {line}", file=sys.stderr)
        if len(lines) > SHOWN:
            print(f"  … and {len(lines) - SHOWN} more in preparation.json", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(errors.run(main, sys.argv[1:]))
