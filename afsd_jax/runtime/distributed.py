"""Joining the processes of one training run, and detecting that one of them has ended."""

import contextlib
import logging
import os
import re
from collections.abc import Iterator, Mapping

import jax

from afsd_jax.errors import UserError

LOST = 75  # exit code (EX_TEMPFAIL): another process is gone; start again
SILENCE_S = 60  # after so long without a sign of life a process counts as gone

log = logging.getLogger(__name__)

# Words of JAX, Gloo and NCCL about a process that does not answer.
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

    Without arguments, the launcher that the environment names is asked: SLURM, Open MPI or an
    indexed Job of Kubernetes. `num_processes` 1 joins nothing.

    Args:
      coordinator: HOST:PORT of the first process.
      num_processes: number of processes of the run.
      process_id: number of this process, from 0.
      environment: environment variables of the process.

    Returns:
      The place of this process and its devices among all, or "" if it trains alone.

    Raises:
      UserError: the other processes cannot be reached.
    """
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
        raise UserError(
            f"{launcher or coordinator}: the processes cannot be joined ({reason}); give each "
            "process the coordinator's address, the number of processes and its own number"
        ) from error
    place = f"process {jax.process_index()} of {jax.process_count()}"
    return f"{place}, {jax.local_device_count()} of {jax.device_count()} devices"


def launched_by(environment: Mapping[str, str]) -> str:
    """Returns the name of the launcher that started several processes, or ""."""

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
        log.error(
            "another process of this run is gone (%s); start all of them again with the same "
            "command: they continue from the last checkpoint",
            reason[:200],
        )
        os._exit(LOST)  # an orderly exit would wait for the process that is gone
