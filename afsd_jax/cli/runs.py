"""The command `afsd runs`: compares training runs."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from afsd_jax.cli.printing import print_text
from afsd_jax.io.files import check_output_file

SUMMARY = "Compare training runs."
DETAILS = """Runs that keep the detections of their best evaluation, on the same videos, are
compared with the first of them. A verdict with its 95 % interval over videos says whether a
difference is more than chance."""


def add_flags(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("folders", type=Path, nargs="+", metavar="DIR", help="folders of runs (train --workdir)")
    add("--output", type=Path, help="HTML page to write, with the curves of the runs")


def run(args: Namespace) -> None:
    check_output_file(args.output)
    from afsd_jax.report import run_page

    found = [run_page.read_run(folder) for folder in args.folders]
    print_text(run_page.as_text(run_page.compare(found)))
    verdicts = compare_validations(args.folders)
    if verdicts:
        print_text("\n" + "\n".join(verdicts))
    if args.output:
        run_page.write_comparison(args.output, found, verdicts)
        print(f"\n{args.output}: open it in a browser")


def compare_validations(folders: Sequence[Path]) -> list[str]:
    """Returns a verdict on each run against the first, if they keep detections in the same videos.

    Raises:
      UserError: a file of a run is malformed.
    """
    from afsd_jax.diagnosis.comparison import compare
    from afsd_jax.diagnosis.validation_files import read_validation

    kept = {folder: read_validation(folder) for folder in folders}
    known = [(folder, entry) for folder, entry in kept.items() if entry]
    if not known:
        return []
    (first, reference), *others = known
    verdicts = []
    for folder, entry in others:
        if entry.truth == reference.truth and entry.tious == reference.tious:
            names = (folder.absolute().name, first.absolute().name)
            verdicts.append(compare(entry.tables, reference.tables, entry.tious, names).verdict)
        else:
            verdicts.append(f"{folder}: was evaluated on other videos than {first}")
    return verdicts
