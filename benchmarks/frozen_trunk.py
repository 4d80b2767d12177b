"""Measures training on a laptop: the full-size network on cached features of its frozen trunk.

    python benchmarks/frozen_trunk.py --work DIR --output benchmarks/results/frozen_trunk.json

With a user's commands it prepares the synthetic data set at 112×112 pixels, trains
`configs/videos.py` on it, detects actions in the test videos and evaluates them, and records time
and peak memory of each command. Then, in this process, it alternately times two training steps: one
on cached features with the batch size of `configs/videos.py`, and the published one on frames, a
clip of 256 frames and its consistency clip.
"""

import argparse
import itertools
import json
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from common import afsd, provenance, score

from afsd_jax.io import files


def learn(work: Path, overrides: list[str]) -> dict[str, object]:
    """Prepares, trains, detects and evaluates."""
    data, workdir = work / "data", work / "run"
    result: dict[str, object] = {}
    result["prepare"] = afsd("prepare", "synthetic", "--output", data, "--size", 112)
    arguments = ["--config=videos", "--config.data.dataset=synthetic", f"--workdir={workdir}"]
    # All videos train, as in the results recorded before a part of them validated by default.
    arguments += ["--config.data.train_split=train", "--config.data.validation_split="]
    arguments += [f"--config.data.data_dir={data}", *overrides]
    result["arguments"] = overrides
    result["train"] = afsd("train", *arguments)
    stored = list((data / "features").glob("*/*.features"))
    made = [path.stat().st_mtime for path in stored]
    described = [path.stat().st_mtime for path in (data / "features").glob("*/features.json")]
    result["features"] = {
        "seconds": round(max(made) - max(described), 1),
        "gb": round(sum(path.stat().st_size for path in stored) / 1e9, 2),
    }
    result |= score(workdir, data)
    return result


def compare_steps(work: Path, repeats: int) -> dict[str, float]:
    """Times steps on cached features and on frames in turn: seconds a clip, of clips a step."""
    import jax
    import numpy as np

    from afsd_jax.cli.config_flags import load_config
    from afsd_jax.config import resolve
    from afsd_jax.data.training_data import TrainingData
    from afsd_jax.models import parameters
    from afsd_jax.training import feature_cache
    from afsd_jax.training.auto_config import BATCH_SIZE
    from afsd_jax.training.optimizer import make_optimizer
    from afsd_jax.training.state import init_state
    from afsd_jax.training.step import make_train_step

    def prepared(name: str, frozen_until: str, batch_size: int) -> Callable[[], float]:
        config = load_config(name)
        config.data.update(dataset="synthetic", data_dir=str(work / "data"), max_actions=32)
        config.data.update(train_split="train[:4]", clip_stride=64, crops=1, flip=0.0)
        config.model.frozen_until, config.train.batch_size = frozen_until, batch_size
        if frozen_until:
            config.data.feature_cache = str(work / "step_features")
            config.model.trunk_context = "video"
            config.loss.consistency_weight = 0.0
        data = TrainingData(config)
        config = resolve(config, len(data.class_names))
        network = parameters.build_network(config)
        optimizer = make_optimizer(config.optimizer, 1000)
        state = init_state(network, optimizer)
        features = None
        if frozen_until:
            weights = {**state.trainable, **state.fixed}
            features = feature_cache.cached(config, weights, data.videos, data.views)
        step = make_train_step(network, optimizer, config)
        batches = data.batches(features=features)

        def once() -> float:
            nonlocal state
            start = time.perf_counter()
            state, terms, _ = step(state, next(batches))
            assert np.isfinite(jax.block_until_ready(terms["total"]))
            return (time.perf_counter() - start) / batch_size

        once()
        return once

    cached = prepared("thumos14:rgb", "Mixed_5c", BATCH_SIZE)
    frames = prepared("thumos14:rgb", "", 1)
    pairs = [(cached(), frames()) for _ in itertools.repeat(None, repeats)]
    ratio = statistics.median(a / b for a, b in pairs)
    return {
        "cached_clips_a_step": BATCH_SIZE,
        "cached_s_a_clip": round(statistics.median(a for a, _ in pairs), 3),
        "frames_s_a_clip": round(statistics.median(b for _, b in pairs), 2),
        "cached_over_frames": round(ratio, 4),
        "one_over": round(1 / ratio, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for data and runs")
    parser.add_argument("--repeats", type=int, default=5, help="steps of each kind")
    parser.add_argument("--steps-only", action="store_true", help="leave training out")
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    args, overrides = parser.parse_known_args()
    results: dict[str, object] = {
        "command": " ".join(["python", "benchmarks/frozen_trunk.py", *overrides]),
        **provenance("jax", "flax", "optax", "numpy"),
    }
    args.work.mkdir(parents=True, exist_ok=True)
    if not args.steps_only:
        results["learning"] = learn(args.work, overrides)
    results["steps"] = compare_steps(args.work, args.repeats)
    results["steps_peak_gib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
    print(json.dumps(results, indent=1))
    if args.output:
        files.write_json(args.output, results)


if __name__ == "__main__":
    main()
