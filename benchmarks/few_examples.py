"""Measures what helps a detector of few examples: each change of the training alone.

    python benchmarks/few_examples.py --dataset footage --source DIR --work DIR \
        --output benchmarks/results/few_examples_footage.json \
        [--counts 3 5 10 30] [--seeds 3] [--changes defaults speed ...] [--start-from RUN]

For each number of examples a class, the smallest set of training videos that has them is taken by a
greedy rule, and `--config videos` learns from it with the defaults and with each change. The trunk
is frozen, and all runs share its features. Every detector is evaluated on all test videos, and its
last weights count: nothing is validated or chosen. Runs whose result is in the output are not
repeated.

DIR holds videos/ and annotations.csv with the columns video, label, start, end and subset; or, with
`--dataset synthetic`, the source of the prepared synthetic data set: videos/train, videos/test and
ground_truth.json. RUN is a detector of other classes, from which the change `started` begins.
"""

import argparse
import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from common import afsd, provenance
from map_by_tiou import map_by_tiou, spread

from afsd_jax.data.annotations import Annotations, read_annotations
from afsd_jax.inputs.prepared import PreparedSplit
from afsd_jax.io.files import read_json, write_json
from afsd_jax.training.validation import FeaturePredictor, truth_of
from afsd_jax.weights.loading import load_checkpoint

FIGURES = ("0.5", "average")
DEFAULTS, STARTED = "defaults", "started"
CHANGES = {
    DEFAULTS: (),
    "speed 0.25": ("data.speed=0.25",),
    "speed 0.5": ("data.speed=0.5",),
    "paste 0.3": ("data.paste=0.3",),
    "paste 0.7": ("data.paste=0.7",),
    "label smoothing 0.1": ("loss.label_smoothing=0.1",),
    "balanced": ("data.balanced=True",),
    "not averaged": ("optimizer.ema=0",),
    "weight decay 1": ("optimizer.weight_decay=1.0",),
    STARTED: (),
}


def smallest_set(examples: Mapping[str, Counter[str]], count: int) -> list[str]:
    """Returns few videos that have at least `count` examples of each class.

    The video with the most examples that are still missing is taken, of several the first one,
    until none is missing or no video has one. Then, from the first one on, each video that the
    others make unnecessary is left out.

    Args:
      examples: number of examples of each class in each video.
      count: examples of each class; of a class with fewer, all are wanted.
    """
    total = sum(examples.values(), Counter())
    wanted = {label: min(count, number) for label, number in total.items()}

    def missing(names: Sequence[str]) -> Counter[str]:
        found = sum((examples[name] for name in names), Counter())
        return Counter({label: max(n - found[label], 0) for label, n in wanted.items()})

    chosen: list[str] = []
    while missing(chosen).total():
        left = missing(chosen)
        others = [name for name in examples if name not in chosen]
        chosen.append(max(others, key=lambda name: (examples[name] & left).total()))
    for name in list(chosen):
        without = [other for other in chosen if other != name]
        if not missing(without).total():
            chosen = without
    return sorted(chosen)


class Source(NamedTuple):
    """Videos and their annotations.

    Attributes:
      videos: folder of each subset's videos.
      annotations: annotations of all videos.
    """

    videos: Mapping[str, Path]
    annotations: Annotations

    @classmethod
    def of(cls, dataset: str, folder: Path) -> "Source":
        """Opens the folder of a data set."""
        videos = dict.fromkeys(("train", "test"), folder / "videos")
        if dataset == "synthetic":
            videos = {subset: path / subset for subset, path in videos.items()}
            return cls(videos, read_annotations(folder / "ground_truth.json"))
        return cls(videos, read_annotations(folder / "annotations.csv"))

    def names(self, subset: str) -> list[str]:
        """Returns the names of a subset's videos, sorted."""
        return sorted(name for name, video in self.annotations.items() if video.subset == subset)

    def examples(self, names: Sequence[str]) -> dict[str, Counter[str]]:
        """Returns the number of examples of each class in each of these videos."""
        return {name: Counter(a.label for a in self.annotations[name].actions) for name in names}

    def prepare(self, subset: str, names: Sequence[str], folder: Path) -> Path:
        """Prepares videos of a subset, if the folder does not exist; returns the folder."""
        if not folder.exists():
            table = folder.with_suffix(".csv")
            table.parent.mkdir(parents=True, exist_ok=True)
            with table.open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(("video", "label", "start", "end", "subset"))
                for name in names:
                    actions = self.annotations[name].actions
                    rows = [(a.label, a.start_s, a.end_s) for a in actions] or [("", "", "")]
                    writer.writerows((name, *row, subset) for row in rows)
            place = ["--source", self.videos[subset], "--annotations", table, "--output", folder]
            afsd("prepare", "videos", *place, "--workers", 1)
        return folder


class Benchmark:
    """A source, and the folder of what is made of it."""

    def __init__(self, source: Source, work: Path, start_from: Path | None, steps: int):
        self.source, self.work = source, work.absolute()
        self.start_from, self.steps = start_from, steps
        self.features = self.work / "features"
        self.test = source.prepare("test", source.names("test"), self.work / "data" / "test")

    def training_names(self, count: int) -> list[str]:
        """Returns the training videos with so many examples a class."""
        return smallest_set(self.source.examples(self.source.names("train")), count)

    def train(self, count: int, change: str, seed: int) -> tuple[Path, float]:
        """Trains; returns the run and its seconds."""
        folder = self.work / "data" / f"{count}-examples"
        data = self.source.prepare("train", self.training_names(count), folder)
        run = self.work / "runs" / f"{count}-{change.replace(' ', '-')}-{seed}"
        fields = [f"data.data_dir={data}", f"data.feature_cache={self.features}", f"seed={seed}"]
        fields += ["data.train_split=train", "data.validation_split=", *CHANGES[change]]
        fields.append(f"train.steps={self.steps}")
        if change == STARTED:
            fields.append(f"train.init_from={self.start_from}")
        flags = [f"--config.{field}" for field in fields]
        seconds = afsd("train", "--config=videos", f"--workdir={run}", *flags)["seconds"]
        return run, seconds

    def evaluate(self, run: Path) -> dict[str, float]:
        """Returns mAP on the test videos by tIoU, and its mean."""
        saved = load_checkpoint(run)
        config = saved.config.copy_and_resolve_references()
        config.data.data_dir, config.data.feature_cache = str(self.test), str(self.features)
        split = PreparedSplit([config], "test")
        predict = FeaturePredictor(config, saved.class_names, split, saved.weights)
        return map_by_tiou(truth_of(config, split), dict(predict(saved.weights)))

    def measure(self, count: int, change: str, seed: int) -> dict[str, Any]:
        """Trains and evaluates once."""
        run, seconds = self.train(count, change, seed)
        return {"seed": seed, "seconds": seconds, "mAP": self.evaluate(run)}

    def describe(self, count: int) -> dict[str, Any]:
        """Returns the training videos with so many examples a class, and their examples."""
        names = self.training_names(count)
        examples = sum(self.source.examples(names).values(), Counter())
        return {"videos": names, "examples": dict(sorted(examples.items()))}


def parse() -> argparse.Namespace:
    """Returns the flags."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", choices=("footage", "synthetic"), required=True)
    for name in ("source", "work", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--counts", type=int, nargs="+", default=[3, 5, 10, 30])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=0, help="of each run; 0: as training chooses")
    parser.add_argument("--changes", nargs="+", choices=CHANGES, metavar="CHANGE")
    parser.add_argument("--start-from", type=Path, help=f"detector for the change {STARTED}")
    args = parser.parse_args()
    can = [change for change in CHANGES if args.start_from or change != STARTED]
    args.changes = args.changes or can
    if not set(args.changes) <= set(can):
        parser.error(f"the change {STARTED} needs --start-from")
    return args


def main() -> None:
    """Measures what is not in the output yet, and writes it there."""
    args, origin = parse(), provenance("jax", "openvino")
    source = Source.of(args.dataset, args.source)
    benchmark = Benchmark(source, args.work, args.start_from, args.steps)
    known = read_json(args.output) if args.output.exists() else {}
    sets, results = known.get("sets", {}), known.get("results", {})
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        for count in args.counts:
            sets.setdefault(str(count), benchmark.describe(count))
            for change in args.changes:
                entry = results.setdefault(str(count), {}).setdefault(change, {"runs": []})
                if any(run["seed"] == seed for run in entry["runs"]):
                    continue
                found = benchmark.measure(count, change, seed)
                entry["runs"].append(found | {"commit": origin["commit"]})
                entry["median, min, max"] = spread([x["mAP"] for x in entry["runs"]], FIGURES)
                print(f"{count} examples, {change}, seed {seed}: {found['mAP']}", flush=True)
                content = {"dataset": args.dataset, **origin, "sets": sets, "results": results}
                write_json(args.output, content)


if __name__ == "__main__":
    main()
