"""Trains on the synthetic data set with one setting after another: what each is worth.

    python benchmarks/settings.py --data DIR --work DIR --output benchmarks/results/settings.json \
        [--only NAME ...]

DIR holds the synthetic data set, prepared at 112×112 pixels. `--config videos` learns from all 192
training videos without mirrored clips (but for one setting, some classes mirror each other), and
detects in the 32 test videos. Runs whose figures are in the work folder are not repeated. Half as
many steps, and a sixth, show whether short runs order settings as whole runs do.
"""

import argparse
from pathlib import Path
from typing import Any

from common import afsd, provenance

from afsd_jax.io.files import read_json, write_json

FIXED = {
    "data.dataset": "synthetic",
    "data.train_split": "train",
    "data.validation_split": "",
    "data.flip": 0.0,
    "train.probe": False,
}
STEPS = 1164  # of a whole run
FIGURES = ("mAP@0.3", "mAP@0.5", "mAP@0.7", "average_mAP")
DECAY, WIDTH, EPOCHS = "optimizer.weight_decay", "model.channels", "train.epochs"
SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "ch128": {WIDTH: 128},
    "wd02": {DECAY: 0.2},
    "wd1": {DECAY: 1.0},
    "wd1-1": {DECAY: 1.0, "seed": 1},
    "wd3": {DECAY: 3.0},
    "lr1e3": {"optimizer.learning_rate": 1e-3},
    "epochs12": {EPOCHS: 12},
    "e12wd1": {EPOCHS: 12, DECAY: 1.0},
    "ema98wd1": {DECAY: 1.0, "optimizer.ema": 0.98},
    "half": {"train.steps": STEPS // 2},
    "half128": {"train.steps": STEPS // 2, WIDTH: 128},
    "halfwd1": {"train.steps": STEPS // 2, DECAY: 1.0},
    "sixth": {"train.steps": STEPS // 6},
    "sixth128": {"train.steps": STEPS // 6, WIDTH: 128},
    "m4f": {"model.pyramid_inputs": ("Mixed_4f",), "model.frozen_until": "Mixed_4f"},
    "flip05": {"data.flip": 0.5},
}


def measure(name: str, data: Path, work: Path) -> dict[str, Any]:
    """Returns the fields of a setting and its figures, after training if it has no run yet."""
    run, metrics = work / name, work / f"{name}.json"
    fields = {**FIXED, **SETTINGS[name], "data.data_dir": str(data)}
    if not metrics.exists():
        flags = [f"--config.{field}={value}" for field, value in fields.items()]
        afsd("train", "--config=videos", f"--workdir={run}", *flags)
        place = ["--data-dir", data, "--output", metrics]
        afsd("evaluate", "--benchmark", "videos", "--checkpoint", run, *place)
    values = read_json(metrics)
    return {"fields": SETTINGS[name], **{figure: round(values[figure], 4) for figure in FIGURES}}


def main() -> None:
    """Measures what is wanted, and writes it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("data", "work", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=SETTINGS, default=list(SETTINGS))
    args = parser.parse_args()
    origin = provenance("jax", "openvino")
    results = read_json(args.output)["settings"] if args.output.exists() else {}
    for name in args.only:
        results[name] = measure(name, args.data, args.work)
        write_json(args.output, {**origin, "settings": results})


if __name__ == "__main__":
    main()
