"""The command `afsd`: finds the command among the arguments, parses its flags and runs it.

Parsing imports nothing heavy: the modules of the commands import what they need when they run.
`python -m afsd_jax.cli`, `… .train`, `… .detect` and the scripts of the repository call `main`.
"""

import argparse
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from afsd_jax.cli import (
    ablate,
    agreement,
    annotations,
    convert,
    demo,
    evaluate,
    export,
    features,
    inspect,
    label,
    look,
    prepare,
    process,
    runs,
    summarize,
    train,
)
from afsd_jax.cli.detect import command as detect
from afsd_jax.cli.flag_names import with_flags
from afsd_jax.errors import UserError
from afsd_jax.version import VERSION

# Each has SUMMARY and DETAILS (texts of the help), add_flags(parser) and run(args).
COMMANDS: dict[str, ModuleType] = {
    "label": label,
    "prepare": prepare,
    "inspect": inspect,
    "train": train,
    "ablate": ablate,
    "runs": runs,
    "detect": detect,
    "look": look,
    "evaluate": evaluate,
    "annotations": annotations,
    "summarize": summarize,
    "agreement": agreement,
    "features": features,
    "convert": convert,
    "export": export,
    "demo": demo,
}


class Parser(argparse.ArgumentParser):
    """Reports a wrong argument as one line; argparse would print the usage first."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message.removeprefix('argument ')}; see {self.prog} --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line, by default that of the process, and returns the exit code."""
    return process.run(_run, arguments)


def _run(arguments: Sequence[str] | None) -> int | None:
    args = parse(arguments)
    if arguments is None and args.command == "train":
        from afsd_jax.runtime import memory

        memory.start_with_huge_pages()
    process.quieten_libraries()
    try:
        code: int | None = COMMANDS[args.command].run(args)
    except UserError as error:
        raise UserError(with_flags(str(error), args)) from error
    return code


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Returns the values of the flags, with `command`, and `overrides` of the configuration.

    Raises:
      UserError: an argument is wrong or missing.
    """
    parser = Parser(prog="afsd", description="Temporal action detection.")
    parser.add_argument("--version", action="version", version=f"afsd-jax {VERSION}")
    choices = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        command = choices.add_parser(
            name,
            help=module.SUMMARY,
            description=module.SUMMARY,
            epilog=module.DETAILS,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_flags(command)
    args, rest = parser.parse_known_args(arguments)
    if rest and "config" not in args:
        choices.choices[args.command].error(f"unrecognized arguments: {' '.join(rest)}")
    args.overrides = rest
    return args
