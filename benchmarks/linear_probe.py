"""Compares endpoints of the trunk by a linear probe, as training does, and takes the time.

    python benchmarks/linear_probe.py --data DIR --dataset videos --name footage \
        --output benchmarks/results/linear_probe.json

DIR holds prepared data sets. The features are computed by a first probe, in a cache of their own;
a second one, which finds them there, is timed. The output has an entry for each name.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import fmean
from typing import Any

import ml_collections
from common import provenance

from afsd_jax.cli.config_flags import load_config
from afsd_jax.io.files import read_json, write_json
from afsd_jax.io.probe_record import RECORD, ProbeRecord, read_probe
from afsd_jax.training.auto_config import choose_fields
from afsd_jax.training.probe import FLIP, FROZEN, INPUTS, choose_by_probe


def configured(data: Path, dataset: str, cache: str) -> ml_collections.ConfigDict:
    """Returns the configuration of a run on all training videos, with mirrored clips."""
    config = load_config("videos")
    config.data.update(data_dir=str(data), dataset=dataset, feature_cache=cache)
    config.data.update(train_split="train", validation_split="")
    config = choose_fields(config)[0]
    config.data.flip = 0.5  # names of classes do not count
    return config


def probe(config: ml_collections.ConfigDict) -> tuple[ProbeRecord, float]:
    """Returns what a probe finds, and its seconds."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        choose_by_probe(config, (INPUTS, FROZEN, FLIP), Path(folder))
        return read_probe(Path(folder) / RECORD), time.perf_counter() - began


def main() -> None:
    """Probes, and writes what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--dataset", default="videos")
    parser.add_argument("--name", required=True, help="of the entry in the output")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        config = configured(args.data.absolute(), args.dataset, cache)
        record, first_s = probe(config)
        again, second_s = probe(config)
    assert again == record
    accuracy = {
        " and ".join(one.endpoints): {
            "mean": round(fmean(one.accuracy), 4),
            "folds": [round(x, 4) for x in one.accuracy],
        }
        for one in record.probed
    }
    entry: dict[str, Any] = {
        "actions": record.actions,
        "accuracy": accuracy,
        "flip": record.flip,
        "reasons": list(record.reasons),
        "seconds with features": round(first_s, 1),
        "seconds": round(second_s, 1),
    }
    known = read_json(args.output)["data sets"] if args.output.exists() else {}
    content = {**provenance("jax", "openvino"), "data sets": known | {args.name: entry}}
    write_json(args.output, content)


if __name__ == "__main__":
    main()
