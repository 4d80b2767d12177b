"""The command `afsd`: finds the command among the arguments, parses its flags and runs it.

Parsing imports nothing heavy: the modules of the commands import what they need when they run.
`python -m afsd_jax.cli`, `… .train`, `… .detect` and the scripts of the repository call `main`.
"""

import argparse
import itertools
import re
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NoReturn

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
    package,
    prepare,
    process,
    runs,
    summarize,
    train,
)
from afsd_jax.cli.detect import command as detect
from afsd_jax.cli.flag_names import DATA_DIR, with_flags
from afsd_jax.errors import UserError
from afsd_jax.io.names import nearest
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
    "package": package,
    "export": export,
    "demo": demo,
}

_FIELD_FLAGS = ("--config.", "--noconfig.")
_MISSING = "the following arguments are required: "  # argparse's words
_WRONG_CHOICE = re.compile(r"invalid choice: '(.*?)' \(choose from (.*)\)", re.DOTALL)


class Parser(argparse.ArgumentParser):
    """Reports a wrong argument as one line, with the one that was meant.

    argparse would print the usage first, and does not look for what was meant.

    Attributes:
      choices: the values of each argument that has some, by its name in messages.
      flags: all flags.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        self.choices: dict[str, Sequence[str]] = {}
        self.flags: list[str] = []
        super().__init__(*args, **kwargs)

    def add_argument(self, *names: Any, **kwargs: Any) -> argparse.Action:
        """Adds an argument as argparse does."""
        if names and kwargs.get("choices"):
            self.choices[names[0]] = list(kwargs["choices"])
        self.flags += [name for name in names if name.startswith("--")]
        return super().add_argument(*names, **kwargs)

    def check_flags(self, arguments: Sequence[str]) -> None:
        """Raises UserError for a flag that does not exist and resembles one that does.

        Flags of the configuration are only looked at if the command has no configuration.
        """
        own_fields = "--config" in self.flags
        for argument in itertools.takewhile(lambda text: text != "--", arguments):
            name = argument.partition("=")[0]
            is_field = name.startswith(_FIELD_FLAGS)
            if not name.startswith("--") or (is_field and own_fields):
                continue
            if any(flag.startswith(name) for flag in self.flags):
                continue
            meant = "--" + name.rpartition(".")[2].lstrip("-").replace("_", "-")
            if near := nearest(meant, self.flags):
                self.error(f"{name}: no such flag{near}")

    def error(self, message: str) -> NoReturn:
        """Raises UserError with argparse's message, and with the values that may be given."""
        missing = message.removeprefix(_MISSING)
        if missing != message:
            message = "missing: " + ", ".join(map(self._described, missing.split(", ")))
        wrong = _WRONG_CHOICE.search(message)
        if wrong:
            known = wrong[2].replace("'", "")
            said = f"must be one of {known}, not {wrong[1]}{nearest(wrong[1], known.split(', '))}"
            message = message.replace(wrong[0], said)
        raise UserError(f"{message.removeprefix('argument ')}; see {self.prog} --help")

    def _described(self, name: str) -> str:
        choices = self.choices.get(name.partition("/")[0])
        return f"{name} (one of {', '.join(choices)})" if choices else name


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
    parser.choices["COMMAND"] = list(COMMANDS)
    for name, module in COMMANDS.items():
        command = choices.add_parser(
            name,
            help=module.SUMMARY,
            description=module.SUMMARY,
            epilog=module.DETAILS,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_flags(command)
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given and given[0] in choices.choices:
        choices.choices[given[0]].check_flags(given[1:])
    args, rest = parser.parse_known_args(arguments)
    if rest and "config" not in args:
        choices.choices[args.command].error(f"unrecognized arguments: {' '.join(rest)}")
    args.overrides = [*_data_dir(args, rest), *rest]
    return args


def _data_dir(args: argparse.Namespace, overrides: Sequence[str]) -> list[str]:
    """Returns the field that --data-dir sets, in commands with a configuration.

    Raises:
      UserError: the field is set twice.
    """
    given = getattr(args, "data_dir", None)
    if given is None or "config" not in args:
        return []
    field = f"--{DATA_DIR}"
    if any(override.partition("=")[0] == field for override in overrides):
        raise UserError(f"--data-dir and {field}: both name the same folder; give one of the two")
    return [f"{field}={given}"]
