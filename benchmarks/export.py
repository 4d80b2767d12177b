"""Compares exported networks with `afsd detect`: results, sizes and times on the same frames.

    python benchmarks/export.py --output benchmarks/results/export.json

The network is that of THUMOS14 RGB, untrained. Each is one process that reads the frames of a video
and prints what it found: `afsd detect`, whose compiled programs are cached, and the lines of Python
in the README of each exported network. They take turns. The difference between a video of many
windows and one of a single window gives the time of a window. `in one process` compares OpenVINO's
one model with the trunk in OpenVINO and heads in XLA, as `afsd detect` computes them, from weights
in memory.
"""

import argparse
import ast
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import measured, provenance
from detect import write_checkpoint

from afsd_jax.detection.detector import Detector, load_detector
from afsd_jax.export.network_folder import FILES, export_networks
from afsd_jax.export.onnx_network import build_model
from afsd_jax.io import files
from afsd_jax.models.openvino_trunk import import_openvino
from afsd_jax.weights.loading import load_checkpoint

LENGTHS = {"one window": 256, "five windows": 256 + 4 * 128}  # frames
_PROGRAM = re.compile(r"```python\n(.*?)```", re.DOTALL)
_F32 = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1"}


def write_frames(folder: Path) -> None:
    """Writes sampled frames of a synthetic video, one file for each length."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (max(LENGTHS.values()), 14, 14, 3), np.uint8)
    frames = coarse.repeat(8, 1).repeat(8, 2)
    for name, length in LENGTHS.items():
        (folder / name).mkdir()
        np.save(folder / name / "rgb.npy", frames[:length])


def exported(checkpoint: Path, folder: Path) -> dict[str, Any]:
    """Exports in each format; returns seconds and sizes."""
    results = {}
    for name in FILES:
        start = time.perf_counter()
        export_networks([load_checkpoint(checkpoint)], name, folder / name)
        seconds = time.perf_counter() - start
        sizes = {path.name: path.stat().st_size for path in sorted((folder / name).iterdir())}
        results[name] = {"export_s": round(seconds, 1), "bytes": sizes}
    return results


def commands(checkpoint: Path, folder: Path, video: str) -> dict[str, tuple[list[str], Path]]:
    """Returns the command and folder of each process that detects in a video."""
    frames = folder / video / "rgb.npy"
    flags = ["--checkpoint", checkpoint, "--fps", 10, "--output", folder / "found.json"]
    found = {}
    for backend in ("openvino", "xla"):
        command = ["-m", "afsd_jax.detect", frames, *flags, "--backend", backend]
        found[f"afsd detect, {backend}"] = list(map(str, [sys.executable, *command])), folder
    for name in FILES:
        (program,) = _PROGRAM.findall((folder / name / "README.md").read_text())
        program = program.replace('"rgb.npy"', repr(str(frames)))
        found[f"exported, {name}"] = [sys.executable, "-c", program], folder / name
    return found


def times(checkpoint: Path, folder: Path, rounds: int) -> dict[str, Any]:
    """Returns the least seconds of each process for each video, and of a further window."""
    spent: dict[str, dict[str, list[tuple[float, float]]]] = {}
    environment = os.environ | {"AFSD_COMPILATION_CACHE": str(folder / "cache")}
    for turn in range(rounds + 1):  # the first one fills caches
        for video in LENGTHS:
            for name, (command, place) in commands(checkpoint, folder, video).items():
                options = {"cwd": place, "env": environment, "stdout": subprocess.DEVNULL}
                seconds, usage = measured(command, stderr=subprocess.DEVNULL, **options)
                if turn:
                    both = seconds, usage.ru_utime + usage.ru_stime
                    spent.setdefault(name, {}).setdefault(video, []).append(both)
    results: dict[str, Any] = {}
    for name, videos in spent.items():
        least = {video: [min(x) for x in zip(*both, strict=True)] for video, both in videos.items()}
        further = [(b - a) / 4 for a, b in zip(*least.values(), strict=True)]
        results[name] = {
            **{
                video: {"wall_s": round(a, 2), "cpu_s": round(b, 2)}
                for video, (a, b) in least.items()
            },
            "further window": {"wall_s": round(further[0], 3), "cpu_s": round(further[1], 3)},
        }
    return results


def agreement(detector: Detector, folder: Path) -> dict[str, Any]:
    """Returns how many of the detector's detections each exported network finds."""
    video = "five windows"
    expected = detector.detect_frames([np.load(folder / video / "rgb.npy")], 10.0)
    results = {}
    for name, (command, place) in commands(Path(), folder, video).items():
        if not name.startswith("exported"):
            continue
        command[2] = command[2].replace("[:20]", "")
        printed = subprocess.run(command, cwd=place, capture_output=True, text=True, check=True)
        found = [ast.literal_eval(line) for line in printed.stdout.splitlines()]
        results[name] = {"detections": len(found), "found_again": _share(found, expected)}
    return {"afsd detect, xla": {"detections": len(expected)}, **results}


def _share(found: list[dict[str, Any]], expected: Any) -> float:
    """Returns the share of expected detections that were found: as in the golden tests."""
    left: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        left.setdefault(one["label"], []).append(one)
    count = 0
    for other in expected:
        for one in left.get(other.label, []):
            ends = abs(one["start_s"] - other.start_s), abs(one["end_s"] - other.end_s)
            if max(ends) <= 0.02 and abs(one["score"] / other.score - 1) <= 1e-3:
                left[other.label].remove(one)
                count += 1
                break
    return count / max(len(expected), 1)


def differences(checkpoint: Path, folder: Path) -> dict[str, Any]:
    """Returns the largest differences from the detector by XLA, in standard deviations."""
    detector = load_detector(checkpoint, backend="xla")
    frames = np.load(folder / "one window" / "rgb.npy")[None, :, 8:104, 8:104]
    inputs = {"rgb": frames, "num_frames": np.array([256], np.int32)}
    known = [*map(np.asarray, detector._forward(detector.weights, [frames], inputs["num_frames"]))]
    found = {"onnx": _by_onnxruntime, "openvino": _by_openvino, "stablehlo": _by_jax}
    results = {}
    for name, run in found.items():
        outputs = run(folder / name, inputs)
        pairs = zip(("segments", "scores"), outputs, known, strict=True)
        results[name] = {key: float(np.abs(x - y).max() / y.std()) for key, x, y in pairs}
    return {**results, "detections": agreement(detector, folder)}


def _by_onnxruntime(folder: Path, inputs: dict[str, np.ndarray]) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "network.onnx")
    return session.run(["segments", "scores"], inputs)


def _by_openvino(folder: Path, inputs: dict[str, np.ndarray]) -> Any:
    model = import_openvino().Core().compile_model(folder / "network.xml", "CPU", _F32)
    return list(model(inputs).values())


def _by_jax(folder: Path, inputs: dict[str, np.ndarray]) -> Any:
    import jax.export

    program = jax.export.deserialize(bytearray((folder / "network.stablehlo").read_bytes()))
    outputs = jax.jit(program.call)(dict(np.load(folder / "weights.npz")), inputs)
    return list(map(np.asarray, outputs))


def start_and_run(kind: str, checkpoint: Path) -> dict[str, float]:
    """Returns the seconds until the first window is done, and of a further one, in this process.

    Those of the clock, and those of the processor.
    """
    detector = load_detector(checkpoint, backend="openvino")
    frames = np.random.default_rng(0).integers(0, 256, (1, 256, 96, 96, 3), np.uint8)
    counts = np.array([256], np.int32)
    weights = [{name: np.asarray(x) for name, x in detector.weights[0].items()}]
    start = _clocks()
    run: Callable[[], Any]
    if kind == "one model":
        openvino = import_openvino()
        model = build_model(detector.configs, weights).SerializeToString()
        core = openvino.Core()
        compiled = core.compile_model(core.read_model(model), "CPU", _F32).create_infer_request()
        run = lambda: compiled.infer({"rgb": frames, "num_frames": counts})  # noqa: E731
    else:
        runner = detector.batch_runner(1)
        runner.prepare()
        run = lambda: detector._forward(detector.weights, [frames], counts)  # noqa: E731
    run()
    first, spent = _clocks() - start, []
    for _ in range(5):
        start = _clocks()
        run()
        spent.append(_clocks() - start)
    window_s, window_cpu_s = np.min(spent, axis=0)
    seconds = first[0], first[1], window_s, window_cpu_s
    names = "first_window_s", "first_window_cpu_s", "window_s", "window_cpu_s"
    return {name: round(float(x), 3) for name, x in zip(names, seconds, strict=True)}


def _clocks() -> np.ndarray:
    return np.array([time.perf_counter(), time.process_time()])


def in_one_process(checkpoint: Path, folder: Path, rounds: int) -> dict[str, Any]:
    """Returns `start_and_run` of both kinds: the least of processes that take turns."""
    results: dict[str, Any] = {"one model": [], "trunk and heads": []}
    environment = os.environ | {"AFSD_COMPILATION_CACHE": str(folder / "cache")}
    for turn in range(rounds + 1):
        for kind, found in results.items():
            command = [sys.executable, __file__, "--child", kind, str(checkpoint)]
            text = subprocess.check_output(command, env=environment, text=True)
            if turn:
                found.append(ast.literal_eval(text.splitlines()[-1]))
    return {
        kind: {name: min(x[name] for x in found) for name in found[0]}
        for kind, found in results.items()
    }


def main() -> None:
    """Measures, and writes what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="times that each is measured")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        from afsd_jax.runtime import compilation

        compilation.enable_cache(os.environ["AFSD_COMPILATION_CACHE"])
        print(start_and_run(args.child[0], Path(args.child[1])))
        return
    packages = "jax", "numpy", "onnx", "onnxruntime", "openvino"
    results: dict[str, Any] = provenance(*packages) | {"load_before": round(os.getloadavg()[0], 2)}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        checkpoint = write_checkpoint(folder / "checkpoint")
        write_frames(folder)
        results["exported"] = exported(checkpoint, folder)
        results["differences"] = differences(checkpoint, folder)
        results["processes"] = times(checkpoint, folder, args.rounds)
        results["in one process"] = in_one_process(checkpoint, folder, args.rounds)
    results["load_after"] = round(os.getloadavg()[0], 2)
    files.write_json(args.output, results)


if __name__ == "__main__":
    main()
