"""Trains on all groups of videos but one, and tests on that one, for each group.

    python benchmarks/leave_groups_out.py --videos DIR --annotations FILE --group 'q\\d+' \
        --work DIR --output benchmarks/results/leave_groups_out.json [--set data.flip=0 ...]

The group of a video is what the expression finds in its name. FILE has the columns video, label,
start and end. All videos of the other groups train, with the defaults of `--config videos`; nothing
is validated. Groups whose result is in the output are not repeated.
"""

import argparse
import csv
import re
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import afsd, provenance
from map_by_tiou import map_by_tiou

from afsd_jax.data.annotations import Annotations, read_annotations
from afsd_jax.io.activitynet_json import predictions_of
from afsd_jax.io.files import read_json, write_json

FIGURES = ("0.5", "0.9", "average")


def prepare(videos: Path, annotations: Path, group: str, work: Path) -> Path:
    """Returns a prepared data set in which all videos train, by groups."""
    data, table = work / "grouped", work / "grouped.csv"
    if not data.exists():
        with annotations.open(newline="") as source, table.open("w", newline="") as target:
            rows = csv.DictReader(source)
            names = ["video", "label", "start", "end", "subset", "group"]
            writer = csv.DictWriter(target, names, extrasaction="ignore")
            writer.writeheader()
            for row in rows:
                found = re.search(group, row["video"])
                assert found is not None, f"{row['video']}: has no part that matches {group}"
                writer.writerow(row | {"subset": "train", "group": found[0]})
        place = ["--source", videos, "--annotations", table, "--output", data]
        afsd("prepare", "videos", *place, "--workers", 1)
    return data


def measure(
    data: Path, fold: tuple[int, int], truth: Annotations, work: Path, overrides: Sequence[str]
) -> dict[str, Any]:
    """Trains on the other groups and tests on those of a fold.

    Args:
      data: the prepared data set.
      fold: number of the fold, and of all.
      truth: the annotations of all videos.
      work: folder of the runs.
      overrides: values of the configuration besides the defaults.
    """
    split = f"train[{fold[0]}/{fold[1]}]"
    run = work / "left_out" / str(fold[0])
    fields = [f"data.data_dir={data}", f"data.feature_cache={work.absolute() / 'features'}"]
    fields += [f"data.train_split=train[not {fold[0]}/{fold[1]}]", "data.validation_split="]
    flags = [f"--config.{field}" for field in (*fields, *overrides)]
    seconds = afsd("train", "--config=videos", f"--workdir={run}", *flags)["seconds"]
    found = run / "found.json"
    place = ["--data-dir", data, "--split", split, "--output", found]
    afsd("detect", "--checkpoint", run, *place)
    predictions = predictions_of(read_json(found), found)
    videos = {name: truth[name] for name in predictions}
    examples = Counter(action.label for video in videos.values() for action in video.actions)
    return {
        "videos": sorted(videos),
        "actions": dict(sorted(examples.items())),
        "minutes": round(seconds / 60, 2),
        "mAP": map_by_tiou(videos, predictions),
    }


def summary(results: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Returns mean, standard deviation, smallest and largest of each figure over groups."""
    figures = {}
    for name in FIGURES:
        values = [result["mAP"][name] for result in results]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        figures[name] = {
            "mean": round(statistics.fmean(values), 4),
            "deviation": round(spread, 4),
            "min": min(values),
            "max": max(values),
        }
    return figures


def main() -> None:
    """Measures what is not in the output yet, and writes it there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("videos", "annotations", "work", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--group", required=True, help="regular expression")
    parser.add_argument("--set", nargs="*", default=[], help="fields, such as data.flip=0")
    args = parser.parse_args()
    truth, origin = read_annotations(args.annotations), provenance("jax", "openvino")
    groups = {re.search(args.group, name)[0] for name in truth}  # type: ignore[index]
    data = prepare(args.videos, args.annotations, args.group, args.work)
    folds: dict[str, Any] = read_json(args.output)["folds"] if args.output.exists() else {}
    for number in range(1, len(groups) + 1):
        if str(number) in folds:
            continue
        folds[str(number)] = measure(data, (number, len(groups)), truth, args.work, args.set)
        kept = {"set": args.set, "summary": summary(list(folds.values())), "folds": folds}
        write_json(args.output, {**origin, **kept})


if __name__ == "__main__":
    main()
