"""The command `afsd agreement`: how well two annotators of the same videos agree."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from afsd_jax.cli.printing import SHOWN, counted, print_next, print_text
from afsd_jax.errors import UserError
from afsd_jax.io.files import check_apart, check_output_file, write_json, write_text
from afsd_jax.io.spreadsheets import table_text
from afsd_jax.types import AnnotatedVideo, MarkedVideo

if TYPE_CHECKING:
    from afsd_jax.diagnosis.annotator_agreement import Agreement

SUMMARY = "Compare two annotators of the same videos: kappa, F1, disagreements."
DETAILS = """Both inputs are annotations in any format that afsd prepare reads. Only videos that are
in both are compared. docs/annotations.md defines the measures."""


def add_flags(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("first", type=Path, metavar="FIRST", help="annotations of one annotator")
    add("second", type=Path, metavar="SECOND", help="annotations of the other, of the same videos")
    output = "file to write: .json with all measures, or .csv with the disagreements"
    add("--output", type=Path, metavar="FILE", help=output)
    videos = "the video files, or folders of them: their lengths, which kappa depends on"
    add("--videos", type=Path, nargs="+", default=[], metavar="PATH", help=videos)


def run(args: Namespace) -> None:
    if args.output and args.output.suffix not in (".json", ".csv"):
        raise UserError(f"--output {args.output}: the name must end in .json or .csv")
    check_output_file(args.output)
    check_apart([args.output], [args.first, args.second])
    from afsd_jax.cli.marked_inputs import read_sets
    from afsd_jax.diagnosis.annotator_agreement import measure_agreement
    from afsd_jax.io.names import first_names
    from afsd_jax.results.writers import Selection

    inputs = [args.first, args.second]
    sets = [{v.name: v for v in videos} for videos in read_sets(inputs, Selection(), args.videos)]
    for path, videos in zip(inputs, sets, strict=True):
        if any(video.detected for video in videos.values()):
            raise UserError(f"{path}: holds detections; afsd evaluate compares them with labels")
    common = [name for name in sets[0] if name in sets[1]]
    if not common:
        raise UserError(f"{args.first} and {args.second}: no video is in both")
    alone = [name for name in sets[0].keys() | sets[1].keys() if name not in common]
    if alone:
        print_text(f"not in both, so not compared: {first_names(sorted(alone), 5)}")
    first, second = ({name: _annotated(videos[name]) for name in common} for videos in sets)
    agreement = measure_agreement(first, second)
    _print(agreement, args.first, args.second, len(common))
    if args.output:
        _write(agreement, args.output)
        print_text(f"{args.output}: written")
    print_next("see both side by side", "afsd", "summarize", *inputs, "--output=summary")


def _annotated(video: MarkedVideo) -> AnnotatedVideo:
    actions = tuple(mark for mark in video.marks if not isinstance(mark, tuple))
    return AnnotatedVideo(video.subset, video.duration_s, actions)


def _print(agreement: "Agreement", first: Path, second: Path, num_videos: int) -> None:
    from afsd_jax.report.run_page import as_text

    rows: list[Sequence[str]] = [("class", "first", "second", "in both", "F1", "kappa")]
    columns = zip(
        agreement.classes,
        agreement.first.tolist(),
        agreement.second.tolist(),
        agreement.pairs.tolist(),
        agreement.f1.tolist(),
        agreement.kappa.tolist(),
        strict=True,
    )
    for label, one, other, pairs, f1, kappa in columns:
        rows.append((label, str(one), str(other), str(pairs), _percent(f1), _kappa(kappa)))
    totals = [str(int(c.sum())) for c in (agreement.first, agreement.second, agreement.pairs)]
    overall = _percent(agreement.overall_f1), _kappa(agreement.overall_kappa)
    rows.append(("all classes", *totals, *overall))
    print_text(f"first: {first}, second: {second}, {counted(num_videos, 'video')}")
    print_text(as_text(rows))
    if agreement.pairs.sum():
        print(
            f"actions in both: starts {agreement.start_s:.2f} s apart, ends {agreement.end_s:.2f} "
            "s apart, in the mean"
        )
    lines = [
        f"  {d.video}, {d.start_s:.2f} to {d.end_s:.2f} s: {d.first_label or 'nothing'} / "
        f"{d.second_label or 'nothing'}"
        for d in agreement.disagreements
    ]
    print_text(
        "\n".join([f"{counted(len(lines), 'disagreement')} (first / second)", *lines[:SHOWN]])
    )
    if len(lines) > SHOWN:
        print(f"… and {len(lines) - SHOWN} more; --output FILE.csv writes all")


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _kappa(value: float) -> str:
    return "–" if value != value else f"{value:.3f}"


def _write(agreement: "Agreement", path: Path) -> None:
    """Writes all measures as JSON, or the disagreements as CSV.

    Raises:
      UserError: the file cannot be written.
    """
    if path.suffix == ".json":
        write_json(path, agreement.as_dict())
        return
    rows = [("video", "start_s", "end_s", "first", "second"), *agreement.disagreements]
    write_text(path, table_text(rows))
