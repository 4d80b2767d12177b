"""The command `afsd runs`: compares training runs."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from afsd_jax.cli.printing import print_text
from afsd_jax.io.files import check_output_file

SUMMARY = "Compare training runs."
DETAILS = ""


def add_flags(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("folders", type=Path, nargs="+", metavar="DIR", help="folders of runs (train --workdir)")
    add("--output", type=Path, help="HTML page to write, with the curves of the runs")


def run(args: Namespace) -> None:
    check_output_file(args.output)
    from afsd_jax.report import run_page

    found = [run_page.read_run(folder) for folder in args.folders]
    print_text(run_page.as_text(run_page.compare(found)))
    if args.output:
        run_page.write_comparison(args.output, found)
        print(f"\n{args.output}: open it in a browser")
