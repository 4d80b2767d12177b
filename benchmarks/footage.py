"""Trains on real footage with one value after another, and measures what each is worth.

    python benchmarks/footage.py --videos DIR --annotations FILE --sources FILE --work DIR \
        --output benchmarks/results/footage.json [--seeds 3] [--only endpoints controls ...]

DIR holds composed videos, FILE their actions with a column subset (train, test), and the parts of
which they are composed (columns video, first_frame, end_frame). Runs whose result is in the output
are not repeated. Without --only, everything is measured.
All training videos train, no clip is mirrored unless that is tried, and no probe chooses where the
heads read the trunk. The parts are:

- endpoints: where the heads read the trunk, and mirrored clips;
- controls: videos without motion (see edited_footage.py);
- edits: the defaults' detector on test videos with fades instead of cuts, and with further cuts;
- regularisation: more weight decay;
- curve: fewer training videos;
- minutes: shorter and longer training;
- shapes: pictures that are not squeezed, and larger ones;
- search: settings that a search chooses (`train.search_minutes`);
- finetune: the trunk learns, too (`--config videos:finetune`), for FINETUNE_STEPS steps.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from common import afsd, provenance
from edited_footage import EDITS, edit_videos, read_parts
from map_by_tiou import map_by_tiou, spread

from afsd_jax.data.annotations import read_annotations
from afsd_jax.io.activitynet_json import predictions_of
from afsd_jax.io.files import read_json, write_json

FIGURES = ("0.5", "0.9", "average")
FIXED = (
    "--config.data.train_split=train",
    "--config.data.validation_split=",
    "--config.data.flip=0",
    "--config.train.probe=False",
)
COUNTS = (2, 4, 8, 16, 32)
EPOCHS = (1, 2, 3, 12)  # the defaults train for 6
SEARCH_MINUTES = 60
FINETUNE_STEPS = 300


class Experiment(NamedTuple):
    """A training run and where it is tested.

    Attributes:
      part: part of the benchmark.
      name: what is tried.
      data: name of the edit of the training videos; "": none.
      videos: number of training videos; 0: all.
      overrides: values of the configuration besides the defaults.
      shape: flags of `afsd prepare` for training and test videos.
      config: the configuration.
      tests: edits of the test videos.
    """

    part: str
    name: str
    data: str = ""
    videos: int = 0
    overrides: tuple[str, ...] = ()
    shape: tuple[str, ...] = ()
    config: str = "videos"
    tests: tuple[str, ...] = ("",)


def endpoint(*names: str) -> tuple[str, ...]:
    """Returns the values that make the heads read the trunk at endpoints, the last one last."""
    return (f"--config.model.pyramid_inputs={names}", f"--config.model.frozen_until={names[-1]}")


def experiments() -> list[Experiment]:
    """Returns what is tried, the most telling first."""
    tried = [Experiment("endpoints", "defaults", tests=("", "faded", "cut"))]
    for name in ("Mixed_4f", "Mixed_5c"):
        tried.append(Experiment("endpoints", name, overrides=endpoint(name)))
    tried += [Experiment("controls", edit, edit, tests=(edit,)) for edit in ("shuffled", "still")]
    tried += [Experiment("curve", f"{count} videos", videos=count) for count in COUNTS]
    mirrored = ("--config.data.flip=0.5",)
    decay = ("--config.optimizer.weight_decay=1.0",)
    tried.append(Experiment("regularisation", "weight decay 1", overrides=decay))
    tried.append(
        Experiment("regularisation", "mirrored, weight decay 1", overrides=(*mirrored, *decay))
    )
    tried.append(Experiment("endpoints", "mirrored", overrides=mirrored))
    for epochs in EPOCHS:
        longer = (*mirrored, f"--config.train.epochs={epochs}")
        tried.append(Experiment("minutes", f"{epochs} epochs", overrides=longer))
    for shape in (("--keep-aspect", "center"), ("--keep-aspect", "letterbox"), ("--size", "224")):
        name = " ".join(shape).strip("-")
        tried.append(Experiment("shapes", name, overrides=mirrored, shape=shape))
    searched = (
        *mirrored,
        "--config.train.probe=True",
        f"--config.train.search_minutes={SEARCH_MINUTES}",
    )
    tried.append(Experiment("search", "search", overrides=searched))
    tuned = (*mirrored, f"--config.train.steps={FINETUNE_STEPS}")
    tried.append(Experiment("finetune", "finetune", overrides=tuned, config="videos:finetune"))
    return tried


class Footage:
    """Videos, their annotations, and what was made of them in a folder."""

    def __init__(self, args: argparse.Namespace):
        self.source, self.work, self.parts = args.videos, args.work, read_parts(args.sources)
        self.truth = read_annotations(args.annotations)
        with args.annotations.open(newline="") as file:
            self.rows = list(csv.DictReader(file))
        self.subsets = {row["video"]: row["subset"] for row in self.rows}

    def names(self, subset: str) -> list[str]:
        """Returns the names of a subset's videos."""
        return [name for name, own in self.subsets.items() if own == subset]

    def training_names(self, count: int) -> list[str]:
        """Returns so many training videos, evenly spread over their sequences; 0: all."""
        names = self.names("train")
        return [names[i * len(names) // count] for i in range(count)] if count else names

    def prepared(
        self, edit: str, names: Sequence[str], folder: str, shape: Sequence[str] = ()
    ) -> Path:
        """Returns a prepared data set of these videos, edited, which is made if it is not there.

        Args:
          edit: name of the edit; "": none.
          names: names of the videos.
          folder: name of the data set's folder.
          shape: flags of `afsd prepare`.
        """
        folder = "".join((folder, *shape))
        data, videos = self.work / "data" / folder, self.source
        if edit:
            videos = self.work / "edited" / folder
            if not videos.exists():
                edit_videos(self.source, videos, list(names), self.parts, EDITS[edit])
        if not data.exists():
            table = self.work / f"{folder}.csv"
            with table.open("w", newline="") as file:
                writer = csv.DictWriter(file, self.rows[0])
                writer.writeheader()
                writer.writerows(row for row in self.rows if row["video"] in names)
            place = ["--source", videos, "--annotations", table, "--output", data]
            afsd("prepare", "videos", *place, "--workers", 1, *shape)
        return data

    def train(self, experiment: Experiment, seed: int) -> tuple[Path, float]:
        """Trains; returns the run and its minutes."""
        names = self.training_names(experiment.videos) + self.names("test")
        folder = "-".join(filter(None, (experiment.data or "plain", str(experiment.videos or ""))))
        data = self.prepared(experiment.data, names, folder, experiment.shape)
        run = self.work / "runs" / f"{experiment.name.replace(' ', '-')}-{seed}"
        arguments = [f"--config={experiment.config}", f"--workdir={run}"]
        arguments += [f"--config.data.data_dir={data}", f"--config.seed={seed}"]
        if experiment.config == "videos":
            arguments.append(f"--config.data.feature_cache={self.work.absolute() / 'features'}")
        own = [*FIXED, *experiment.overrides]
        seconds = afsd("train", *arguments, *own)["seconds"]
        return run, round(seconds / 60, 2)

    def test(self, run: Path, edit: str, shape: Sequence[str]) -> dict[str, float]:
        """Detects in the test videos, edited; returns mAP by tIoU and their mean."""
        names = self.names("test")
        data = self.prepared(edit, names, f"test-{edit or 'plain'}", shape)
        found = run / f"found-{edit}.json"
        afsd("detect", "--checkpoint", run, "--data-dir", data, "--output", found)
        truth = {name: self.truth[name] for name in names}
        return map_by_tiou(truth, predictions_of(read_json(found), found))


def measure(footage: Footage, experiment: Experiment, seed: int) -> dict[str, Any]:
    """Trains and tests once."""
    run, minutes = footage.train(experiment, seed)
    tests = {
        edit or "plain": footage.test(run, edit, experiment.shape) for edit in experiment.tests
    }
    return {"seed": seed, "minutes": minutes, "mAP": tests}


def main() -> None:
    """Measures what is not in the output yet, and writes it there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("videos", "annotations", "sources", "work", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="parts, or names of single experiments")
    args = parser.parse_args()
    footage, origin = Footage(args), provenance("jax", "openvino")
    results = read_json(args.output)["results"] if args.output.exists() else {}
    for seed in range(args.seeds):
        for experiment in experiments():
            wanted = not args.only or {experiment.part, experiment.name} & set(args.only)
            known = results.setdefault(experiment.name, {"part": experiment.part, "runs": []})
            if not wanted or any(run["seed"] == seed for run in known["runs"]):
                continue
            known["runs"].append(measure(footage, experiment, seed) | {"commit": origin["commit"]})
            known["median, min, max"] = {
                test: spread([run["mAP"][test] for run in known["runs"]], FIGURES)
                for test in (edit or "plain" for edit in experiment.tests)
            }
            kept = {name: value for name, value in results.items() if value["runs"]}
            write_json(
                args.output, {"command": "python benchmarks/footage.py", **origin, "results": kept}
            )


if __name__ == "__main__":
    main()
