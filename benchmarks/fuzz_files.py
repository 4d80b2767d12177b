"""Reads mutated checkpoints, prepared data, annotations, runs, results and feature caches.

    python benchmarks/fuzz_files.py --output benchmarks/results/fuzz_files.json

Each case is an honest folder in which one to three things are changed: a value in a JSON file, bits
or the length of any file, a file that becomes a pipe or a link to /dev/zero, or a shard written
anew with forged fields. A worker process reads it as the commands do. Faults are: any exception but
a UserError of one line, more than 20 s of processor time or of waiting, more than 3 GiB, and any
file outside the case's folder. A module beside the working folder, which some mutations name,
writes such a file when it is imported.
Accepted cases whose result is not the honest one are counted: a mutation may be a valid change.
Where there are checksums, they are faults unless these were forged, too.
"""

import argparse
import hashlib
import json
import logging
import multiprocessing
import os
import random
import re
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from common import peak_mib, provenance
from fuzz_kinds import KINDS
from fuzz_mutations import mutate

LIMIT_S, LIMIT_MIB = 20, 3072
START_S = 300  # of a new worker, which imports JAX and TFDS
ADDRESS_SPACE = 8 * 2**30  # bytes; beyond it a worker gets a MemoryError, which is a fault
CASES_PER_WORKER = 1000


def digest(result: Any, folder: Path) -> str:
    """Returns a digest of what was read, without the names of temporary folders."""
    text = repr(result).replace(str(folder), "").replace(folder.parent.name, "")
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def work(connection: Connection, cwd: Path) -> None:
    """Reads the cases that come, and answers what became of each."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sys.path.insert(0, str(cwd))
    os.chdir(cwd)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    from afsd_jax.errors import UserError

    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    while True:
        kind, folder, out = connection.recv()
        _, read = KINDS[kind]
        outcome: dict[str, Any] = {"outcome": "accepted", "said": ""}
        Path("/proc/self/clear_refs").write_text("5")  # the peak of this case begins here
        try:
            result = read(folder, out)
            parts = result if isinstance(result, dict) else {"": result}
            outcome["digests"] = {name: digest(part, folder) for name, part in parts.items()}
        except UserError as error:
            lines = str(error).count("\n")
            outcome = {"outcome": "refused" if not lines else "several lines", "said": str(error)}
        except BaseException:
            outcome = {"outcome": "traceback", "said": traceback.format_exc()[-1500:]}
        outcome["peak_mib"] = round(peak_mib())
        connection.send(outcome)


class Worker:
    """A process that reads cases, and is killed when one takes too long."""

    def __init__(self, cwd: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=work, args=(other, cwd), daemon=True)
        self.process.start()
        self.cases = 0

    def read(self, kind: str, folder: Path, out: Path, limit_s: float) -> dict[str, Any]:
        """Returns what became of a case."""
        self.cases += 1
        begun_s, idle_since = self._cpu_s(), time.monotonic()
        outcome, used_s = "", 0.0
        self.connection.send((kind, folder, out))
        try:
            while not outcome:
                if self.connection.poll(1):
                    answer = self.connection.recv()
                    return answer | {"cpu_s": self._cpu_s() - begun_s}
                before_s, used_s = used_s, self._cpu_s() - begun_s
                if used_s > before_s or self._runnable():
                    idle_since = time.monotonic()
                if used_s > limit_s or time.monotonic() - idle_since > LIMIT_S:
                    outcome = "hang"
        except (EOFError, OSError):
            outcome = "died"
        self.close()
        return {"outcome": outcome, "said": "", "peak_mib": 0, "cpu_s": used_s}

    def _cpu_s(self) -> float:
        """Returns the processor time of the worker: other work on the machine does not matter."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _runnable(self) -> bool:
        """Returns whether the worker waits for nothing but a processor."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return fields[0] == "R"

    def close(self) -> None:
        self.process.kill()
        self.process.join()
        self.cases = CASES_PER_WORKER


def files_below(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def has_checksums(kind: str, done: str) -> bool:
    """Returns whether all that was changed has checksums that were not forged."""
    changes = done.split(", ")
    bytes_only = all(change.startswith("bytes of") for change in changes)
    if kind == "prepared":
        return bytes_only and all(".tfrecord" in change for change in changes)
    if kind == "results":  # of two changes of values, one may remove the checksum
        return bytes_only or len(changes) == 1
    return kind == "features" or (kind == "checkpoint" and "forged" not in done)


def fuzz(kind: str, count: int, root: Path, seed: int) -> dict[str, Any]:
    """Reads that many cases of a kind; returns counts and faults."""
    worker, faults, outcomes, slowest, peak = Worker(root / "cwd"), [], Counter(), 0.0, 0
    messages: Counter[str] = Counter()
    honest = root / "honest" / kind
    case, out = root / "case" / kind, root / "case" / "out"
    expected: dict[str, str] = {}
    for number in range(-1, count):
        if worker.cases >= CASES_PER_WORKER:
            worker.close()
            worker = Worker(root / "cwd")
        shutil.rmtree(root / "case", ignore_errors=True)
        shutil.copytree(honest, case)
        out.mkdir()
        dice = random.Random(f"{seed} {kind} {number}")
        done = "nothing" if number < 0 else mutate(kind, case, dice, str(root))
        before = files_below(root)
        limit_s = LIMIT_S if worker.cases else START_S
        answer = worker.read(kind, case, out, limit_s)
        outcome = answer["outcome"]
        if number < 0:
            expected = answer.get("digests", {})
            if outcome != "accepted":
                raise SystemExit(f"the honest {kind} is not read: {answer}")
        elif outcome == "accepted":
            found = answer.pop("digests")
            if any(expected[part] != value for part, value in found.items()):
                outcome = "accepted, different"
            elif found != expected:
                outcome = "made anew"  # what is damaged counts as missing
        new = {path for path in files_below(root) - before if not path.startswith("case/")}
        wrong = outcome in ("traceback", "several lines", "hang", "died")
        wrong |= has_checksums(kind, done) and outcome == "accepted, different"
        wrong |= bool(new) or answer["peak_mib"] > LIMIT_MIB
        if worker.cases > 1:
            slowest = max(slowest, answer["cpu_s"])
        peak = max(peak, answer["peak_mib"])
        if wrong:
            fault = {"kind": kind, "case": number, "done": done, "outside": sorted(new)} | answer
            faults.append(fault)
            print(json.dumps(fault), flush=True)
        outcomes[outcome] += 1
        if number % 100 == 99:
            print(f"{kind}: {number + 1} of {count} cases", file=sys.stderr, flush=True)
        said = re.sub(r"\S*/\S*|'[^']*'|\d+", "", answer["said"])
        messages[" ".join(said.split())[:70]] += 1
    worker.close()
    return {
        "cases": count,
        "outcomes": dict(outcomes),
        "slowest_s": round(slowest, 1),
        "peak_mib": peak,
        "kinds_of_messages": len(messages),
        "messages": dict(messages.most_common(12)),
        "faults": faults,
    }


def record(path: Path, kind: str, result: dict[str, Any], options: str) -> None:
    """Writes the results of a kind, and keeps those of the other kinds in the file."""
    from afsd_jax.io import files

    about = provenance("jax", "numpy", "orbax-checkpoint", "tensorflow-datasets")
    command = f"python benchmarks/fuzz_files.py --mutations {result['cases']} {options}"
    kinds = json.loads(path.read_text())["kinds"] if path.exists() else {}
    kinds[kind] = {"commit": about.pop("commit"), "command": command, **result}
    files.write_json(path, {**about, "kinds": dict(sorted(kinds.items()))})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    parser.add_argument("--mutations", type=int, default=2000, help="of each kind")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=KINDS, metavar="KIND")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "honest").mkdir()
        (root / "cwd").mkdir()
        evil = f"open({str(root / 'ran')!r}, 'w')\nclass Evil: pass\n"
        (root / "cwd" / "evil.py").write_text(evil)
        for kind in args.kinds:
            KINDS[kind][0](root / "honest" / kind)
            results[kind] = fuzz(kind, args.mutations, root, args.seed)
            print(kind, json.dumps(results[kind] | {"faults": len(results[kind]["faults"])}))
            if args.output:
                record(args.output, kind, results[kind], f"--seed {args.seed}")
    return 1 if any(result["faults"] for result in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
