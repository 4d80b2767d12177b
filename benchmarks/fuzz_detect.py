"""Runs `afsd detect` on 300 files that are damaged, absurd or not videos.

    python benchmarks/fuzz_detect.py --output benchmarks/results/fuzz_detect.json

No file may take more than a minute or 3 GiB, cause a traceback, or leave a file outside the results
folder. Each process handles fifty files and writes results immediately, so at most a minute may
pass between two results. If anything goes wrong, each of the fifty files is run in its own process.
"""

import argparse
import itertools
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from common import peak_mib, provenance

from afsd_jax.config import resolve
from afsd_jax.configs import synthetic
from afsd_jax.io import files
from afsd_jax.models import parameters
from afsd_jax.weights import checkpoint

LIMIT_S, LIMIT_MIB, TOGETHER = 60, 3072, 50
CLASSES = ["<script>alert(1)</script>", 'a "quoted" one', "=1+1"]
ODD_NAMES = (
    "<b>bold<b>",
    'say "hi"',
    "it's",
    "a\nb",
    "..",
    "%2e%2e",
    "http:x",
    "-dash",
    "\x1b[31m",
)
CODECS = {
    "mp4": ["-c:v", "libx264"],
    "mkv": ["-c:v", "libx264"],
    "ts": ["-c:v", "mpeg2video"],
    "avi": ["-c:v", "mpeg4"],
    "mov": ["-c:v", "mjpeg"],
    "webm": ["-c:v", "libvpx", "-deadline", "realtime"],
    "flv": ["-c:v", "flv1"],
    "wmv": ["-c:v", "wmv2"],
    "ogv": ["-c:v", "libtheora"],
}
TEXTS = (
    b"",
    b"\0" * 5000,
    b"no video\n" * 50,
    b"<html><script>alert(1)</script></html>",
    b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/x.ts\n",
    b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
    b"%PDF-1.4\n",
    b"\x1a\x45\xdf\xa3" + b"\xff" * 3000,
    b"\0\0\0\x20ftypisom" + b"\xff" * 3000,
    b"RIFF\xff\xff\xff\xffAVI LIST" + b"\xff" * 3000,
)
Made = tuple[str, str, bytes]  # kind, suffix, content


def encoded(folder: Path, suffix: str, source: str, *options: str) -> bytes:
    """Returns a video file that ffmpeg makes of a filter's source."""
    path = folder / f"made.{suffix}"
    command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source, *options, str(path)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return path.read_bytes()


def broken(whole: dict[str, bytes], dice: random.Random) -> Iterator[Made]:
    """Yields truncated and bit-flipped files, without end."""
    while True:
        for suffix, content in whole.items():
            yield "truncated", suffix, content[: dice.randrange(1, len(content))]
            for kind, reach in (("flipped", len(content)), ("flipped at its start", 600)):
                flipped = bytearray(content)
                for _ in range(dice.choice((1, 10, 100))):
                    flipped[dice.randrange(min(reach, len(content)))] ^= 1 << dice.randrange(8)
                yield kind, suffix, bytes(flipped)


def huge_durations(whole: dict[str, bytes]) -> Iterator[Made]:
    """Yields files whose headers state durations or numbers of frames beyond all bounds."""
    for suffix in ("mp4", "mov"):
        content = whole[suffix]
        for value in (2**31 - 1, 2**32 - 1, 10**6):
            for name, place in ((b"mvhd", 16), (b"mdhd", 16), (b"stts", 8), (b"stts", 12)):
                at = content.index(name) + 4 + place
                yield "huge duration", suffix, _patched(content, at, value.to_bytes(4, "big"))
    content = whole["avi"]
    for value in (2**31 - 1, 2**32 - 1):
        for place in (16, 0):  # frames in all, microseconds of a frame
            at = content.index(b"avih") + 8 + place
            yield "huge duration", "avi", _patched(content, at, value.to_bytes(4, "little"))


def _patched(content: bytes, at: int, value: bytes) -> bytes:
    return content[:at] + value + content[at + len(value) :]


def odd_times(folder: Path) -> Iterator[Made]:
    """Yields videos whose frames are shown at negative or absurd times."""
    source = "testsrc2=size=64x48:rate=10:duration=4"
    for suffix in ("mkv", "mp4", "ts", "avi"):
        codec = CODECS[suffix]
        for times in (
            "PTS-100/TB",
            "if(gt(N\\,20)\\,PTS+86400*30/TB\\,PTS)",
            "if(gt(N\\,20)\\,PTS+3000/TB\\,PTS)",
            "N*N*N/TB",
            "PTS*1000",
            "PTS/1000",
        ):
            options = "-vf", f"setpts={times}", "-fps_mode", "passthrough", *codec
            try:
                yield "odd times", suffix, encoded(folder, suffix, source, *options)
            except subprocess.CalledProcessError:
                continue  # a format that cannot say so


def made(folder: Path, count: int) -> Iterator[Made]:
    """Yields so many files of all kinds."""
    dice = random.Random(0)
    source = "testsrc2=size=64x48:rate=10:duration=4"
    whole = {suffix: encoded(folder, suffix, source, *codec) for suffix, codec in CODECS.items()}
    kinds: list[Made] = [("whole", suffix, content) for suffix, content in whole.items()]
    kinds += [("text", suffix, text) for text in TEXTS for suffix in ("mp4", "avi", "ts")]
    kinds += huge_durations(whole)
    kinds += odd_times(folder)
    for suffix in ("mp4", "mkv", "ts"):
        sound = encoded(folder, suffix, "sine=duration=3", "-c:a", "aac")
        kinds.append(("audio only", suffix, sound))
        none = encoded(folder, suffix, source, *CODECS[suffix], "-frames:v", "1")
        kinds.append(("one frame", suffix, none))
    for suffix in ("mkv", "avi"):
        for size in ("1x1", "2x1", "1x4000", "4000x1"):
            shape = f"scale={size.replace('x', ':')},format=gray"
            dots = encoded(folder, suffix, source, "-vf", shape, "-c:v", "ffv1")
            kinds.append((size, suffix, dots))
    for suffix in ("mp4", "mkv"):
        large = "testsrc2=size=7680x4320:rate=5:duration=1"
        fast = ["-c:v", "libx264", "-preset", "ultrafast"]
        kinds.append(("8K", suffix, encoded(folder, suffix, large, *fast)))
    more = broken(whole, dice)
    kinds += [next(more) for _ in range(count - len(kinds))]
    dice.shuffle(kinds)
    yield from kinds[:count]


def write_checkpoint(folder: Path) -> Path:
    """Writes an untrained small network, whose classes have hostile names."""
    config = synthetic.get_config()
    config.data.clip_length = 64
    config.model.update({"trunk_width": 0.05, "channels": 16, "groups": 4})
    config = resolve(config, len(CLASSES))
    weights = parameters.flatten(parameters.build_network(config))
    checkpoint.write(folder, weights, config, CLASSES)
    return folder


def detect(paths: Sequence[Path], network: Path, output: Path) -> dict[str, Any]:
    """Detects in a process of its own; returns what happened."""
    command = [sys.executable, "-m", "afsd_jax.detect", f"--checkpoint={network}"]
    command += [f"--output={output}", "--format=json,csv,srt,vtt,html", "--min-score=0"]
    command += ["--", *map(str, paths)]
    start, log = time.time(), output.with_suffix(".log")
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=output.parent, stdout=file, stderr=file)
        limit_s, peak = LIMIT_S * len(paths), 0
        while process.poll() is None:
            peak = max(peak, int(peak_mib(process.pid)))
            if time.time() - start > limit_s:
                process.kill()
            time.sleep(0.05)
    said = log.read_text(errors="replace")
    log.unlink()
    return {
        "code": process.returncode,
        "wall_s": round(time.time() - start, 1),
        "slowest_s": round(_longest_pause(output, start), 1),
        "peak_mib": peak,
        "traceback": "Traceback" in said,
        "failed": said.count("failed: "),
        "unforeseen": re.findall(r"failed: .*: (\w*(?:Error|Exception)): .*", said),
        "scripts": sum("<script>alert" in page.read_text() for page in output.glob("*.html")),
        "said": said[-1500:],
    }


def _longest_pause(output: Path, start: float) -> float:
    """Returns the most seconds in which no result was written; no file took longer."""
    written = sorted(path.stat().st_mtime for path in output.glob("*.json"))
    times = [start, *written, time.time()]
    return max(later - earlier for earlier, later in itertools.pairwise(times))


def fault(result: dict[str, Any]) -> str:
    """Returns what is wrong with a run, if anything."""
    faults: list[tuple[str, Callable[[], bool]]] = [
        ("killed or crashed", lambda: result["code"] not in (0, 1, 2)),
        ("traceback", lambda: result["traceback"]),
        ("slow", lambda: result["slowest_s"] > LIMIT_S),
        ("large", lambda: result["peak_mib"] > LIMIT_MIB),
        ("script", lambda: bool(result["scripts"])),
        ("unforeseen", lambda: bool(result["unforeseen"])),
    ]
    return ", ".join(name for name, is_so in faults if is_so())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    parser.add_argument("--files", type=int, default=300)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        network = write_checkpoint(root / "checkpoint")
        (root / "in").mkdir()
        kinds, paths = {}, []
        for number, (kind, suffix, content) in enumerate(made(root, args.files)):
            odd = ODD_NAMES[number % len(ODD_NAMES)] if number % 4 == 0 else ""
            path = root / "in" / f"{odd}{number:03}.{suffix}"
            path.write_bytes(content)
            kinds[path] = kind
            paths.append(path)
        for left in root.glob("made.*"):
            left.unlink()
        before = _state(root)
        runs, faults = [], []
        for at in range(0, len(paths), TOGETHER):
            given = paths[at : at + TOGETHER]
            runs.append(detect(given, network, root / f"out{at}"))
            print(
                at, fault(runs[-1]) or "fine", runs[-1]["wall_s"], runs[-1]["slowest_s"], flush=True
            )
            if fault(runs[-1]):
                for path in given:
                    alone = detect([path], network, root / f"out{at}_{path.name[-7:-4]}")
                    if fault(alone):
                        faults.append({"kind": kinds[path], "file": path.name} | alone)
                        print(json.dumps(faults[-1]), flush=True)
                        if args.output:
                            copy = args.output.parent / f"fault_{path.name[-7:]}"
                            copy.write_bytes(path.read_bytes())
        outside = sorted(
            path for path in _state(root).items() ^ before.items() if not path[0].startswith("out")
        )
    results = {
        **provenance("av", "jax", "numpy"),
        "command": "python benchmarks/fuzz_detect.py --output benchmarks/results/fuzz_detect.json",
        "load_before": round(os.getloadavg()[0], 2),
        "files": dict(sorted(Counter(kinds.values()).items())),
        "refused": sum(run["failed"] for run in runs),
        "codes": dict(Counter(str(run["code"]) for run in runs)),
        "slowest_s": max(run["slowest_s"] for run in runs),
        "peak_mib": max(run["peak_mib"] for run in runs),
        "faults": faults,
        "outside": [str(path) for path, _ in outside],
    }
    print(json.dumps(results, indent=1))
    if args.output:
        files.write_json(args.output, results)
    return 1 if faults or outside else 0


def _state(root: Path) -> dict[str, tuple[int, int]]:
    """Returns size and time of change of every file below a folder."""
    return {
        str(path.relative_to(root)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file()
    }


if __name__ == "__main__":
    sys.exit(main())
