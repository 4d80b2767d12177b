"""Joining the processes of one training run, and noticing that one of them is gone."""

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Mapping

import jax

from afsd_jax.errors import UserError

LOST = 75  # exit code (EX_TEMPFAIL): another process is gone; start again
SILENCE_S = 60  # after so long without a sign of life a process counts as gone

_FLAGS = ("--coordinator", "--num-processes", "--process-id")
_REMEDY = f"give {', '.join(_FLAGS[:2])} and {_FLAGS[2]} to each process, see afsd train --help"
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[^\s:\[\]]+):[1-9]\d{0,4}")
# How JAX, Gloo and NCCL speak of a process that does not answer.
_GONE = re.compile(
    r"gloo|nccl|heartbeat|coordination service|connection|unavailable", re.IGNORECASE
)


def join(
    coordinator: str | None,
    num_processes: int | None,
    process_id: int | None,
    environment: Mapping[str, str],
) -> str:
    """Joins the other processes of this run; to be called before JAX is first used.

    Without arguments the launcher that the environment speaks of is asked: SLURM, Open MPI or an
    indexed Job of Kubernetes. `num_processes` 1 alone joins nothing.

    Args:
      coordinator: HOST:PORT of the first process.
      num_processes: of the run.
      process_id: of this one, from 0.
      environment: of the process.

    Returns:
      What was joined in how, or "" if this process trains alone.

    Raises:
      UserError: the arguments do not fit together, or the other processes cannot be reached.
    """
    _check(coordinator, num_processes, process_id)
    launcher = "" if num_processes else launched_by(environment)
    if num_processes == 1 or not (coordinator or launcher):
        return ""
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            heartbeat_timeout_seconds=SILENCE_S,
            shutdown_timeout_seconds=SILENCE_S,
        )
    except (RuntimeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        who = launcher or coordinator
        raise UserError(f"{who}: the processes cannot be joined ({reason}); {_REMEDY}") from error
    place = f"process {jax.process_index()} of {jax.process_count()}"
    return f"{place}, {jax.local_device_count()} of {jax.device_count()} devices"


def _check(coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    given = dict(zip(_FLAGS, (coordinator, num_processes, process_id), strict=True))
    missing = [flag for flag, value in given.items() if value is None]
    alone = num_processes == 1 and len(missing) == 2
    if missing and len(missing) < len(_FLAGS) and not alone:
        raise UserError(f"{', '.join(missing)}: missing; {_REMEDY}")
    if coordinator is not None and not _ADDRESS.fullmatch(coordinator):
        raise UserError(f"--coordinator={coordinator}: must be HOST:PORT of the first process")
    if num_processes is not None and num_processes < 1:
        raise UserError(f"--num-processes={num_processes}: must be at least 1")
    if process_id is not None and num_processes and not 0 <= process_id < num_processes:
        raise UserError(f"--process-id={process_id}: must be from 0 to {num_processes - 1}")


def launched_by(environment: Mapping[str, str]) -> str:
    """Returns the launcher that has started several processes, or ""."""

    def several(name: str) -> bool:
        return environment.get(name, "").isdigit() and int(environment[name]) > 1

    if "SLURM_STEP_NODELIST" in environment and several("SLURM_NTASKS"):
        return "SLURM"
    if several("OMPI_COMM_WORLD_SIZE"):
        return "Open MPI"
    if "KUBERNETES_SERVICE_HOST" in environment and "JOB_COMPLETION_INDEX" in environment:
        return "Kubernetes"
    return ""


@contextlib.contextmanager
def noticing_loss() -> Iterator[None]:
    """Ends the process with one line and the exit code `LOST` once another one does not answer."""
    try:
        yield
    except UserError:
        raise
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        if jax.process_count() == 1 or not _GONE.search(reason):
            raise
        print(
            f"\nerror: another process of this run is gone ({reason[:200]}); start all of them "
            "again with the same command: they go on from the last checkpoint",
            file=sys.stderr,
            flush=True,
        )
        os._exit(LOST)  # leaving in order would wait for the one that is gone
