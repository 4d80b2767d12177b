"""Child processes end with their parent, also after kill -9."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.untrained_checkpoints import write_untrained
from tests.video_files import numbered_frames, write_video

LIMIT_S = 300.0  # far above the time that it takes

# A parent whose children state their ids in files of the folder, and would outlive it.
POOL = """
import os, pathlib, sys, time
from afsd_jax.runtime.child_processes import worker_pool

def work(folder):
    pathlib.Path(folder, str(os.getpid())).touch()
    time.sleep(600)

if __name__ == "__main__":
    with worker_pool(2) as pool:
        list(pool.map(work, [sys.argv[1]] * 2))
"""
WATCHED = """
import os, pathlib, signal, subprocess, sys, time
CHILD = '''
import os, pathlib, signal, sys, time
from afsd_jax.runtime import child_processes
sys.platform = "darwin"  # which has no prctl
child_processes.end_with_parent(int(sys.argv[1]), signal.SIGTERM)
pathlib.Path(sys.argv[2], str(os.getpid())).touch()
time.sleep(600)
'''
subprocess.run([sys.executable, "-c", CHILD, str(os.getpid()), sys.argv[1]])
"""


def is_running(pid: int) -> bool:
    """Returns whether a process is there, and no zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def descendants(pid: int) -> list[int]:
    """Returns the processes that a process has started, and those that they have started."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for path in lists for child in path.read_text().split()]
    return children + [x for child in children for x in descendants(child)]


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize(("program", "count"), [(POOL, 2), (WATCHED, 1)])
def test_children_end_when_their_parent_is_killed(tmp_path, program, count):
    script, folder = tmp_path / "script.py", tmp_path / "children"
    script.write_text(program)
    folder.mkdir()
    with subprocess.Popen([sys.executable, script, folder]) as parent:
        wait_until(lambda: len(list(folder.iterdir())) == count)
        children = [int(path.name) for path in folder.iterdir()]
        assert all(map(is_running, children))
        parent.kill()
    wait_until(lambda: not any(map(is_running, children)))


def test_a_child_whose_parent_is_gone_already_ends_at_once():
    code = (
        "import os, signal, sys\n"
        "from afsd_jax.runtime.child_processes import end_with_parent\n"
        "end_with_parent(os.getpid(), signal.SIGTERM)  # not its parent\n"
        "print('went on')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (-signal.SIGTERM, b"")


def test_workers_begin_with_what_is_asked_and_give_results(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import os\n"
        "from afsd_jax.runtime.child_processes import worker_pool\n"
        "def begin():\n"
        "    os.environ['BEGUN'] = 'yes'\n"
        "if __name__ == '__main__':\n"
        "    with worker_pool(1, begin) as pool:\n"
        "        print(pool.submit(os.getenv, 'BEGUN').result())\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout == "yes\n"


def test_a_command_in_a_process_of_its_own_ends_with_its_parent(tmp_path):
    """As `afsd ablate` runs `afsd train`; this one waits for a video on standard input."""
    write_untrained(tmp_path / "checkpoint", "rgb")
    code = (
        "import sys\n"
        "from afsd_jax.cli.process import run_command\n"
        "run_command('detect', '-', *sys.argv[1:])\n"
    )
    command = [sys.executable, "-c", code, f"--checkpoint={tmp_path / 'checkpoint'}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as parent:
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        wait_until(lambda: children.read_text().split())
        (child,) = map(int, children.read_text().split())
        time.sleep(1)
        assert is_running(child)
        parent.kill()
        wait_until(lambda: not is_running(child))


def test_workers_of_beam_end_with_their_parent_in_the_middle_of_a_video(tmp_path):
    """Beam starts them through a shell; they end when their connection to the parent does."""
    source, output = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    for name in "ab":  # TV-L1 takes a minute for each
        write_video(source / f"{name}.mp4", numbered_frames(600, 64, 64), rate=10)
    rows = "".join(f"{name}.mp4,run,1,2,train\n" for name in "ab")
    (tmp_path / "labels.csv").write_text(f"video,label,start,end,subset\n{rows}")
    beam = "runner=DirectRunner,direct_num_workers=2,direct_running_mode=multi_processing"
    command = [
        *(sys.executable, "-m", "afsd_jax.cli", "prepare", "videos", f"--source={source}"),
        *(f"--annotations={tmp_path / 'labels.csv'}", f"--output={output}"),
        *("--stream=flow", "--flow-method=tvl1", f"--beam-options={beam}"),
    ]
    with (tmp_path / "log").open("w") as log:
        parent = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until(lambda: parent.poll() is not None or list(output.rglob("*.afsd-partial")))
        workers = descendants(parent.pid)
        running = [pid for pid in workers if is_running(pid)]
        assert len(running) >= 2, (tmp_path / "log").read_text()
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not any(map(is_running, workers)))
