"""The command `afsd train`: trains a detector, alone or with other processes."""

import os
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from pathlib import Path

from afsd_jax.cli.arguments import CONFIG, DATA_DIR, MEMORY, whole_number
from afsd_jax.cli.printing import print_next, print_text
from afsd_jax.cli.process import set_up_process
from afsd_jax.errors import UserError
from afsd_jax.io.files import check_output_folder

SUMMARY = "Train a detector."
DETAILS = f"""Every field of the configuration can be set: --config.train.epochs=8

The folder receives checkpoints, report.html, metrics.jsonl, config.json and TensorBoard's scalars.
If you run the same command again, the run continues after its last checkpoint as if it had never
stopped. If classes, sampling or videos have changed, it is refused; --rename and
--allow-changed-data state what has changed on purpose. SIGTERM and Ctrl-C save a checkpoint first;
a second signal stops at once, without saving.

Several processes train together if SLURM, Open MPI or an indexed Job of Kubernetes started them, or
if each has --coordinator, --num-processes and --process-id. They share the --workdir.

Exit codes: 0 done; 1 the last checkpoint could not be saved; 2 refused, or a loss is not finite; 75
another process has ended; 130 and 143 stopped by Ctrl-C or SIGTERM.{MEMORY}"""

_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[^\s:\[\]]+):[1-9]\d{0,4}")


def add_flags(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--config", required=True, help=CONFIG)
    add("--workdir", type=Path, required=True, help="folder for checkpoints and logs of the run")
    add("--data-dir", type=Path, help=DATA_DIR)
    profile = "trace this many steps with JAX's profiler, into WORKDIR/profile/"
    add("--profile", type=whole_number(0), default=0, metavar="STEPS", help=profile)
    rename = "new name of a class, to continue a run after a renaming; may be given several times"
    add("--rename", type=_rename, action="append", default=[], metavar="OLD=NEW", help=rename)
    changed = "continue a run although videos of its data set, or their actions, have changed"
    add("--allow-changed-data", action="store_true", help=changed)
    coordinator = "address of the first process, if several processes train together"
    add("--coordinator", type=_address, metavar="HOST:PORT", help=coordinator)
    count = "number of processes of the run; 1: train alone, even on a cluster"
    add("--num-processes", type=whole_number(1), metavar="N", help=count)
    add("--process-id", type=int, metavar="I", help="number of this process, from 0")


def run(args: Namespace) -> int:
    check_output_folder(args.workdir, parents=True)
    check_processes(args.coordinator, args.num_processes, args.process_id)
    from afsd_jax.cli.config_flags import load_config

    allowed_names = renames(args.rename)
    config = load_config(args.config, args.overrides)
    set_up_process()
    from afsd_jax.runtime import distributed

    joined = distributed.join(args.coordinator, args.num_processes, args.process_id, os.environ)
    if joined:
        print(joined, file=sys.stderr)
    import jax

    from afsd_jax.training.loop import train
    from afsd_jax.training.run_identity import Allowed

    allowed = Allowed(allowed_names, args.allow_changed_data)
    with distributed.noticing_loss():
        code = train(config, args.workdir, args.profile, allowed)
    if code == 0 and jax.process_index() == 0:
        print_text(f"{args.workdir / 'report.html'}: how the run went; open it in a browser")
        print_next("detect", "afsd", "detect", "--checkpoint", args.workdir, "VIDEO")
    return code


def renames(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Returns new names of classes by their old ones.

    Raises:
      UserError: a class is renamed twice, or two classes get one name.
    """
    found = dict(pairs)
    for names in ([old for old, _ in pairs], list(found.values())):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UserError(f"--rename: {twice} is named twice")
    return found


def check_processes(
    coordinator: str | None, num_processes: int | None, process_id: int | None
) -> None:
    """Raises UserError if one of the flags is missing or the number of the process too high."""
    flags = {
        "--coordinator": coordinator,
        "--num-processes": num_processes,
        "--process-id": process_id,
    }
    missing = [flag for flag, value in flags.items() if value is None]
    alone = num_processes == 1 and len(missing) == 2
    if missing and len(missing) < len(flags) and not alone:
        raise UserError(
            f"{', '.join(missing)}: missing; give {', '.join(flags)} to each process, see afsd "
            "train --help"
        )
    if process_id is not None and num_processes and not 0 <= process_id < num_processes:
        raise UserError(f"--process-id {process_id}: must be from 0 to {num_processes - 1}")


def _rename(text: str) -> tuple[str, str]:
    old, equals, new = (part.strip() for part in text.partition("="))
    if not (old and equals and new):
        raise ArgumentTypeError(f"must be OLD=NEW, two names of a class, not {text}")
    return old, new


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise ArgumentTypeError(f"must be HOST:PORT of the first process, not {text}")
    return text
