"""Child processes that end with their parent, however it ends (also after kill -9).

Linux kills them itself (`PR_SET_PDEATHSIG`); elsewhere a thread of the child watches its parent.
"""

import ctypes
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

_PR_SET_PDEATHSIG = 1  # of linux/prctl.h
_POLL_S = 0.5


def worker_pool(workers: int, begin: Callable[[], object] = int) -> ProcessPoolExecutor:
    """Returns a pool of processes that are killed when this process ends.

    Args:
      workers: number of processes.
      begin: is called in each process when it starts.
    """
    # "spawn" starts new processes: forking one that runs TensorFlow or JAX can hang.
    context, arguments = get_context("spawn"), (os.getpid(), pickle.dumps(begin))
    return ProcessPoolExecutor(workers, context, _begin_worker, arguments)


def _begin_worker(parent: int, begin: bytes) -> None:
    end_with_parent(parent, signal.SIGKILL)
    pickle.loads(begin)()  # only now: unpickling it may import for seconds


def end_with_parent(parent: int, signum: int) -> None:
    """Sends this process a signal when its parent ends, or now if that has happened already.

    Args:
      parent: id of the parent's process.
      signum: number of the signal.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signum)
    else:
        threading.Thread(target=_watch, args=(parent, signum), daemon=True).start()
    if os.getppid() != parent:
        os.kill(os.getpid(), signum)


def _watch(parent: int, signum: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_S)
    os.kill(os.getpid(), signum)
