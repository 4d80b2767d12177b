"""Reads mutated checkpoints, prepared data sets, annotations, run folders and result folders.

    python benchmarks/fuzz_files.py --output benchmarks/results/fuzz_files.json

Each case is an honest folder in which one to three things are changed: a value in a JSON file, bits
or the length of any file, a file that becomes a pipe or a link to /dev/zero, or a shard written
anew with forged fields. A worker process reads it as the commands do. Faults are: any exception but
a UserError of one line, more than 20 s, more than 3 GiB, and any file outside the case's folder.
Accepted cases whose result is not the honest one are counted: a mutation may be a valid change. For
checkpoints, whose files have checksums, they are faults unless the checksums were forged, too.
"""

import argparse
import contextlib
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
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from common import provenance

LIMIT_S, LIMIT_MIB = 20, 3072
ADDRESS_SPACE = 24 * 2**30  # bytes; beyond it a worker gets a MemoryError, which is a fault
CASES_PER_WORKER = 50
CLASSES = ["jump", "run"]
KINDS = ("checkpoint", "prepared", "annotations", "run", "results")
TEXTS = (
    *("", ".", "..", "../escaped", "a/b", "\x1b[2J\x07", "\u202eabc", "\ud800", "a\nb", "=1+1"),
    *("<script>alert(1)</script>", "-->", "x" * 10_000, "os.system", "%2e%2e", "nan", "1e400"),
)
NUMBERS: tuple[Any, ...] = (
    *(0, -1, 1, 2, 7, 2**31 - 1, 2**31, 2**53, 2**63, 2**64, 10**40, 10**400, 0.5, -0.0, 1e-320),
    *(1e15, 1e308, -1e308, float("nan"), float("inf"), True, None),
)
ANNOTATIONS = {
    "truth.json": {
        "database": {
            name: {
                "subset": "train",
                "duration": 20.0,
                "annotations": [{"label": "jump", "segment": [1.0, 4.0]}],
            }
            for name in "ab"
        }
    },
    "label_studio.json": [
        {
            "data": {"video": "a.mp4", "fps": 25},
            "annotations": [
                {
                    "result": [
                        {"value": {"timelinelabels": ["jump"], "ranges": [{"start": 3, "end": 9}]}},
                        {"value": {"labels": ["run"], "start": 1.5, "end": 3.0}},
                    ]
                }
            ],
        }
    ],
    "via.json": {
        "attribute": {"1": {"anchor_id": "FILE1_Z2_XY0", "type": 1, "options": {}}},
        "file": {"1": {"fname": "a.mp4"}},
        "view": {"1": {"fid_list": ["1"]}},
        "metadata": {"x": {"vid": "1", "z": [1.0, 2.0], "xy": [], "av": {"1": "run"}}},
    },
    "table.csv": "video,label,start,end,subset\na,jump,1,2,train\nb,run,0.5,3,test\n",
    "boris.csv": "Observation id,Media file name,Behavior,Behavior type,Start (s),Stop (s)\n"
    "1,a.mp4,run,STATE,1.0,2.5\n",
    "elan.eaf": '<ANNOTATION_DOCUMENT><HEADER><MEDIA_DESCRIPTOR MEDIA_URL="a.mp4"/></HEADER>'
    '<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="1" TIME_VALUE="1000"/><TIME_SLOT TIME_SLOT_ID="2" '
    'TIME_VALUE="2000"/></TIME_ORDER><TIER TIER_ID="t"><ANNOTATION><ALIGNABLE_ANNOTATION '
    'TIME_SLOT_REF1="1" TIME_SLOT_REF2="2"><ANNOTATION_VALUE>run</ANNOTATION_VALUE>'
    "</ALIGNABLE_ANNOTATION></ANNOTATION></TIER></ANNOTATION_DOCUMENT>",
}


def small_config() -> Any:
    """Returns the configuration of a network that is read in milliseconds."""
    from afsd_jax.config import resolve
    from afsd_jax.configs import synthetic

    config = synthetic.get_config()
    config.data.clip_length, config.data.crop_size = 64, 32
    config.model.update({"trunk_width": 0.05, "channels": 16, "groups": 4})
    return resolve(config, len(CLASSES))


def write_honest(folder: Path) -> None:
    """Writes one folder of each kind."""
    import numpy as np

    from afsd_jax.cli.detect.results_folder import ResultsFolder
    from afsd_jax.data.builders.prepare_options import PrepareOptions
    from afsd_jax.data.datasets import prepare_dataset
    from afsd_jax.io import files
    from afsd_jax.models import parameters
    from afsd_jax.report.page import VideoReport
    from afsd_jax.report.tracks import Track
    from afsd_jax.results.writers import Selection
    from afsd_jax.types import Detection
    from afsd_jax.weights import checkpoint

    config = small_config()
    weights = parameters.flatten(parameters.build_network(config))
    checkpoint.write(folder / "checkpoint", weights, config, CLASSES)
    for name, content in ANNOTATIONS.items():
        path = folder / "annotations" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    source = folder / "source"
    source.mkdir()
    for name in "ab":
        frames = np.random.default_rng(0).integers(0, 256, (60, 20, 20, 3), np.uint8)
        np.save(source / f"{name}.npy", frames)
    files.write_json(source / "truth.json", ANNOTATIONS["truth.json"])
    for encoding in ("jpeg", "png"):
        options = PrepareOptions(source, encoding=encoding, size=20, fps=3.0, workers=1)
        prepare_dataset("videos", folder / encoding, options=options)
    (folder / "prepared").mkdir()
    for encoding in ("jpeg", "png"):
        shutil.move(folder / encoding / "videos" / "rgb", folder / "prepared" / encoding)
        shutil.rmtree(folder / encoding)
    shutil.rmtree(source)
    run = folder / "run"
    run.mkdir()
    (run / "config.json").write_text(config.to_json())
    records = [{"step": s, "total": 1 / s, "clips_per_s": 2.0, "input_wait": 0.1} for s in (1, 2)]
    evaluated = {"average_mAP": 0.5, "mAP@0.5": 0.6, "ap": {"jump": [0.5], "run": [0.7]}}
    lines = [*records, {"step": 2, "validation": evaluated | {"loss/total": 0.4}}]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    results = ResultsFolder(folder / "results", ["csv", "srt", "vtt", "html"], Selection())
    for name in "ab":
        found = [Detection("jump", 0.9, 1.0, 4.5), Detection("run", 0.3, 5.0, 7.0)]
        results.write(VideoReport(Track(name, 20.0, found), damaged=name == "a"), "digest")
    results.finish(["a", "b"])


def hostile(dice: random.Random, root: str) -> Any:
    """Returns a value that no honest file has."""
    deep: Any = 1
    for _ in range(dice.choice((3, 200, 900))):
        deep = [deep] if dice.random() < 0.5 else {"a": deep}
    absolute = f"{root}/escaped/x"
    values = (dice.choice(TEXTS), dice.choice(NUMBERS), absolute, [], {}, deep, [1] * 3000)
    return dice.choice(values)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Returns every (container, key) of a JSON value."""
    found, left = [], [value]
    while left:
        value = left.pop()
        is_list = isinstance(value, list)
        keys = range(len(value)) if is_list else value if isinstance(value, dict) else ()
        found += [(value, key) for key in keys]
        left += [value[key] for key in keys]
    return found


def change_json(text: str, dice: random.Random, root: str) -> str:
    """Changes something in a JSON text, or in a line of several."""
    lines = text.splitlines() if text.count('"step"') > 1 else [text]
    at = dice.randrange(len(lines))
    value = json.loads(lines[at])
    spots = places(value)
    if not spots or dice.random() < 0.03:
        lines[at] = json.dumps(hostile(dice, root))
        return "\n".join(lines)
    container, key = dice.choice(spots)
    what = dice.random()
    if what < 0.15:
        del container[key]
    elif what < 0.25 and isinstance(container, dict):
        container[dice.choice(TEXTS)] = container.pop(key)
    elif what < 0.3 and isinstance(container, list):
        container *= dice.choice((2, 3000))
    else:
        container[key] = hostile(dice, root)
    lines[at] = json.dumps(value)
    return "\n".join(lines)


def change_bytes(content: bytes, dice: random.Random) -> bytes:
    """Cuts, flips, inserts or repeats bytes."""
    if not content or dice.random() < 0.05:
        return dice.choice((b"", b"\0" * 5000, b"[" * 100_000, b"\xff" * 3000, content * 2))
    at, changed = dice.randrange(len(content)), bytearray(content)
    what = dice.random()
    if what < 0.3:
        return content[:at]
    if what < 0.5:
        return content[:at] + dice.randbytes(dice.choice((1, 8, 100))) + content[at:]
    for _ in range(dice.choice((1, 1, 10, 100))):
        changed[dice.randrange(dice.choice((len(content), min(len(content), 300))))] ^= 1 << (
            dice.randrange(8)
        )
    return bytes(changed)


def forge_shard(path: Path, dice: random.Random, root: str) -> None:
    """Writes a shard anew with one field forged."""
    import numpy as np

    from afsd_jax.data.storage import frame_codec, schema, shards

    encoding = "png" if "/png/" in str(path) else "jpeg"
    pixels = np.zeros((20, 20, 3), np.uint8)
    frames = [frame_codec.encode(pixels, encoding)] * 30
    large = np.zeros((dice.choice((21, 2000)), dice.choice((20, 8000)), 3), np.uint8)
    action = {"label": 0, "start_s": 1.0, "end_s": 2.0, "start_frame": 3.0, "end_frame": 6.0}
    example: dict[str, Any] = {"name": "a", "fps": 3.0, "duration_s": 10.0, "encoding": encoding}
    example |= {"height": 20, "width": 20, "channels": 3, "annotations": [action]}
    numbers = [x for x in NUMBERS if isinstance(x, float)] + [0.0, -1.0, 1e6]
    small = [0, -1, 1, 2**31 - 1, 16_000, 21]
    text = dice.choice([t.encode("utf-8", "replace").decode() for t in TEXTS])
    for name, value in dice.sample(
        [
            ("name", dice.choice((text, f"{root}/escaped/x", "../escaped", "b"))),
            ("encoding", dice.choice((text, "raw", "png", "jpeg"))),
            *((name, dice.choice(numbers)) for name in ("fps", "duration_s")),
            *((name, dice.choice(small)) for name in ("height", "width", "channels")),
            ("annotations", [action | {"label": dice.choice((1, 2, 999))}]),
            *(
                ("annotations", [action | {key: dice.choice(numbers)}])
                for key in ("start_s", "end_s", "start_frame", "end_frame")
            ),
            ("annotations", [action] * 3000),
            ("frames", [frame_codec.encode(large, dice.choice(("jpeg", "png")))] * 3),
            ("frames", [b""] * 100_000),
            ("frames", [change_bytes(frames[0], dice) for _ in frames]),
        ],
        dice.choice((1, 1, 2)),
    ):
        if name == "frames":
            frames = value
        else:
            example[name] = value
    features = schema.features([str(i) for i in range(1000)])
    shards.write_example(path, features, example, frames)


def mutate(kind: str, folder: Path, dice: random.Random, root: str) -> str:
    """Changes one to three files of a folder; returns what was done."""
    from afsd_jax.weights import checksums

    done = []
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        if not paths:
            break
        texts = [p for p in paths if p.suffix in (".json", ".jsonl") or p.name == "metadata"]
        path, what = dice.choice(paths), dice.random()
        if kind == "prepared" and what < 0.35:
            path, what = dice.choice([p for p in paths if ".tfrecord" in p.name] or [path]), 0.35
        elif kind == "checkpoint" and what < 0.6:
            path = folder / "0" / "description" / "metadata"
        elif texts and what < 0.6:
            path = dice.choice(texts)
        try:
            if kind == "prepared" and what == 0.35:
                forge_shard(path, dice, root)
                done.append(f"forged {path.name}")
            elif what < 0.6:
                path.write_text(change_json(path.read_text(), dice, root))
                done.append(f"changed {path.name}")
            elif what < 0.95:
                path.write_bytes(change_bytes(path.read_bytes(), dice))
                done.append(f"bytes of {path.name}")
            else:
                path.unlink()
                makers: list[Callable[[], object]] = [
                    lambda path=path: os.mkfifo(path),
                    lambda path=path: path.symlink_to("/dev/zero"),
                    path.mkdir,
                    lambda: None,
                ]
                dice.choice(makers)()
                done.append(f"no file {path.name}")
        except (ValueError, OSError, UnicodeError, IndexError, RecursionError):
            continue  # an earlier change left nothing to change so
    if kind == "checkpoint" and dice.random() < 0.7:
        with contextlib.suppress(OSError):
            if all(p.is_file() or p.is_dir() for p in folder.rglob("*")):
                (folder / "0" / checksums.NAME).unlink(missing_ok=True)
                checksums.write(folder / "0")
                done.append("checksums forged")
    return ", ".join(done)


def read_checkpoint(folder: Path, out: Path) -> Any:
    import numpy as np

    from afsd_jax.weights import loading

    read = loading.load_checkpoint(folder)
    weights = {name: np.asarray(value).tobytes() for name, value in read.weights.items()}
    digest = hashlib.sha256(repr(sorted(weights.items())).encode()).hexdigest()
    return [read.step, read.config.to_json(), read.class_names, read.metrics, digest]


def read_prepared(folder: Path, out: Path) -> Any:
    from afsd_jax.data import summary
    from afsd_jax.report import data_page

    texts = []
    for stream in ("jpeg", "png"):
        data = data_page.open_data_set(folder / stream)
        texts += summary.describe(data.title, data.class_names, data_page.summarize(data))
        data_page.write_page(out / f"{stream}.html", data)
        texts.append((out / f"{stream}.html").read_text())
        for videos in data.videos.values():
            for video in videos:
                (out / f"{video.name}.json").write_text("{}")  # as results are named
    return texts


def read_annotations(folder: Path, out: Path) -> Any:
    from afsd_jax import evaluation
    from afsd_jax.data import annotations
    from afsd_jax.errors import UserError
    from afsd_jax.types import Detection

    found: list[Any] = []
    for path in sorted(folder.iterdir()):
        try:
            videos = annotations.read_annotations(path)
            annotations.check_names(videos)
            annotations.check_order(videos)
            annotations.assign_splits(videos)
            found.append(annotations.class_names(videos))
            detections = {name: [Detection("run", 0.5, 1.0, 2.0)] for name in videos}
            found.append(evaluation.evaluate(videos, detections, (0.5,)).as_table())
            found.append([list(map(str, video.actions)) for video in videos.values()])
        except UserError as error:
            if "\n" in str(error):
                raise
            found.append(re.sub(r"/\S*/", "", str(error)))
    return found


def read_run(folder: Path, out: Path) -> Any:
    from afsd_jax.report import run_page

    run = run_page.read_run(folder)
    run_page.write_page(folder)
    run_page.write_comparison(out / "runs.html", [run, run])
    return [run_page.as_text(run_page.compare([run])), (folder / run_page.PAGE).read_text()]


def read_results(folder: Path, out: Path) -> Any:
    from afsd_jax.cli.detect.results_folder import ResultsFolder
    from afsd_jax.io.activitynet_json import read_predictions
    from afsd_jax.results.writers import Selection

    results = ResultsFolder(folder, ["csv", "srt", "vtt", "html"], Selection())
    done = [name for name in "ab" if results.complete(name, "digest")]
    results.finish(done)
    results = ResultsFolder(folder, ["csv", "srt", "vtt"], Selection(min_score=0.5))
    done = [name for name in done if results.complete(name, "digest")]
    return [done, read_predictions(results.combined)]


READERS: dict[str, Callable[[Path, Path], Any]] = {
    "checkpoint": read_checkpoint,
    "prepared": read_prepared,
    "annotations": read_annotations,
    "run": read_run,
    "results": read_results,
}


def work(connection: Connection) -> None:
    """Reads the cases that come, and answers what became of each."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    from afsd_jax.errors import UserError

    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    while True:
        kind, folder, out = connection.recv()
        outcome = {"outcome": "accepted", "said": ""}
        try:
            result = repr(READERS[kind](folder, out))
            result = result.replace(str(folder), "").replace(folder.parent.name, "")
            outcome["digest"] = hashlib.sha256(result.encode("utf-8", "replace")).hexdigest()
        except UserError as error:
            lines = str(error).count("\n")
            outcome = {"outcome": "refused" if not lines else "several lines", "said": str(error)}
        except BaseException:
            outcome = {"outcome": "traceback", "said": traceback.format_exc()[-1500:]}
        outcome["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        connection.send(outcome)


class Worker:
    """A process that reads cases, and is killed when one takes too long."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=work, args=(other,), daemon=True)
        self.process.start()
        self.cases = 0

    def read(self, kind: str, folder: Path, out: Path, limit_s: float) -> dict[str, Any]:
        """Returns what became of a case."""
        self.cases += 1
        start = time.monotonic()
        self.connection.send((kind, folder, out))
        try:
            if self.connection.poll(limit_s):
                return self.connection.recv() | {"wall_s": time.monotonic() - start}
            outcome = "hang"
        except EOFError:
            outcome = "died"
        self.close()
        return {"outcome": outcome, "said": "", "peak_mib": 0, "wall_s": time.monotonic() - start}

    def close(self) -> None:
        self.process.kill()
        self.process.join()
        self.cases = CASES_PER_WORKER


def files_below(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def fuzz(kind: str, count: int, root: Path, seed: int) -> dict[str, Any]:
    """Reads that many cases of a kind; returns counts and faults."""
    worker, faults, outcomes, slowest, peak = Worker(), [], Counter(), 0.0, 0
    messages: Counter[str] = Counter()
    honest = root / "honest" / kind
    case, out = root / "case" / kind, root / "case" / "out"
    expected = ""
    for number in range(-1, count):
        if worker.cases >= CASES_PER_WORKER:
            worker.close()
            worker = Worker()
        shutil.rmtree(root / "case", ignore_errors=True)
        shutil.copytree(honest, case)
        out.mkdir()
        dice = random.Random(f"{seed} {kind} {number}")
        done = "nothing" if number < 0 else mutate(kind, case, dice, str(root))
        before = files_below(root)
        limit_s = LIMIT_S if worker.cases else 10 * LIMIT_S  # a new worker imports JAX and TFDS
        answer = worker.read(kind, case, out, limit_s)
        outcome = answer["outcome"]
        if number < 0:
            expected = answer.get("digest", "")
            if outcome != "accepted":
                raise SystemExit(f"the honest {kind} is not read: {answer}")
        elif outcome == "accepted" and answer["digest"] != expected:
            outcome = "accepted, different"
        new = {path for path in files_below(root) - before if not path.startswith("case/")}
        wrong = outcome in ("traceback", "several lines", "hang", "died")
        unforged = kind == "checkpoint" and "forged" not in done
        wrong |= unforged and outcome == "accepted, different"
        wrong |= bool(new) or answer["peak_mib"] > LIMIT_MIB
        if worker.cases > 1:
            slowest = max(slowest, answer["wall_s"])
        peak = max(peak, answer["peak_mib"])
        if wrong:
            fault = {"kind": kind, "case": number, "done": done, "outside": sorted(new)} | answer
            faults.append(fault)
            print(json.dumps(fault), flush=True)
        outcomes[outcome] += 1
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    parser.add_argument("--mutations", type=int, default=2000, help="of each kind")
    parser.add_argument("--kinds", nargs="*", default=KINDS, choices=KINDS)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "honest").mkdir()
        write_honest(root / "honest")
        for kind in args.kinds:
            results[kind] = fuzz(kind, args.mutations, root, args.seed)
            print(kind, json.dumps(results[kind] | {"faults": len(results[kind]["faults"])}))
    if args.output:
        from afsd_jax.io import files

        command = f"python benchmarks/fuzz_files.py --mutations {args.mutations} --seed {args.seed}"
        about = provenance("jax", "numpy", "orbax-checkpoint", "tensorflow-datasets")
        files.write_json(args.output, {**about, "command": command, "kinds": results})
    return 1 if any(result["faults"] for result in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
